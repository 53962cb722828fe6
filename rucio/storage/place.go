package storage

import (
	"errors"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/transfer"
)

// A place is the protocol of an RSE with what PFNs are measured by.
type place struct {
	p     Protocol
	port  int // never 0 where the scheme has a usual one
	stall time.Duration
}

// A file is a PFN taken apart.
type file struct {
	scheme string
	user   string
	host   string // with the port, where there is one
	path   string // begins with a slash
	query  string // of a signed URL; secret
}

// newPlace checks a protocol.
func newPlace(p Protocol, stall time.Duration) (*place, error) {
	bad := func(kind error, why string) error {
		return &transfer.Error{Op: "open storage", Place: p.Scheme + "://" + p.Host, Kind: kind, Err: errors.New(why)}
	}
	p.Scheme = strings.ToLower(p.Scheme)
	if _, ok := protocols()[p.Scheme]; !ok {
		return nil, bad(transfer.ErrUnsupported, "there is nothing for scheme "+strconv.Quote(p.Scheme))
	}
	if _, host, ok := strings.Cut(p.Host, "://"); ok {
		p.Host = host
	}
	p.Host = strings.TrimRight(p.Host, "/")
	if host, port, err := net.SplitHostPort(p.Host); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, bad(transfer.ErrInvalid, "the port is no number")
		}
		p.Host, p.Port = host, n
	}
	if p.Host == "" && p.Scheme != "file" {
		return nil, bad(transfer.ErrInvalid, "the protocol names no host")
	}
	if p.Scheme == "file" && p.Port != 0 {
		return nil, bad(transfer.ErrInvalid, "the port of a file protocol has to be 0")
	}
	if p.Port < 0 || p.Port > 65535 {
		return nil, bad(transfer.ErrInvalid, "there is no such port")
	}
	pl := &place{p: p, port: p.Port, stall: stall}
	if pl.port == 0 {
		pl.port = usualPort(p.Scheme)
	}
	return pl, nil
}

func usualPort(scheme string) int {
	switch scheme {
	case "http", "dav":
		return 80
	case "https", "davs", "s3":
		return 443
	case "root", "roots", "xroot", "xroots":
		return 1094
	case "sftp", "scp":
		return 22
	case "srm":
		return 8443
	case "gsiftp":
		return 2811
	}
	return 0
}

// String names the place for people.
func (pl *place) String() string { return pl.p.Scheme + "://" + pl.addr() }

// addr is host:port.
func (pl *place) addr() string {
	if pl.port == 0 {
		return pl.p.Host
	}
	return net.JoinHostPort(pl.p.Host, strconv.Itoa(pl.port))
}

// families are schemes that mean the same place.
func families() [][]string {
	return [][]string{{"https", "davs", "s3"}, {"http", "dav"}, {"root", "xroot", "roots", "xroots"}, {"sftp", "scp"}}
}

func sameScheme(a, b string) bool {
	return a == b || slices.ContainsFunc(families(), func(f []string) bool {
		return slices.Contains(f, a) && slices.Contains(f, b)
	})
}

// parse takes a PFN apart and refuses what is not of this place. Nothing is
// unescaped: the catalogue makes PFNs by putting strings together.
func (pl *place) parse(op, pfn string) (file, error) {
	bad := func(why string) (file, error) {
		return file{}, &transfer.Error{Op: op, Place: pl.String(), Path: shown(pfn), Kind: transfer.ErrInvalid, Err: errors.New(why)}
	}
	scheme, rest, ok := strings.Cut(pfn, "://")
	if !ok || !sameScheme(strings.ToLower(scheme), pl.p.Scheme) {
		return bad("it is not of scheme " + pl.p.Scheme)
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return bad("it has no path")
	}
	f := file{scheme: strings.ToLower(scheme), host: rest[:slash], path: rest[slash:]}
	switch {
	case pl.p.Scheme == "srm":
		if _, sfn, ok := strings.Cut(f.path, "?SFN="); ok {
			f.path = sfn
		}
	case pl.p.Scheme != "file" && pl.p.Scheme != "sftp" && pl.p.Scheme != "scp":
		f.path, f.query, _ = strings.Cut(f.path, "?")
	}
	if at := strings.LastIndexByte(f.host, '@'); at >= 0 {
		f.user, f.host = f.host[:at], f.host[at+1:]
	}
	if !pl.sameHost(f.host) {
		return bad("it is of another host")
	}
	switch {
	case strings.ContainsAny(f.path, "\x00\r\n"):
		return bad("no name holds such bytes")
	case slices.ContainsFunc(strings.Split(f.path, "/"), func(s string) bool { return s == ".." || s == "." }):
		return bad("it has dots for directories in it")
	case strings.HasSuffix(f.path, "/"):
		return bad("it names a directory")
	case !below(f.path, pl.p.Prefix):
		return bad("it is not below " + transfer.Quote(pl.p.Prefix))
	}
	return f, nil
}

// sameHost compares as the Python client does: a place registered as "localhost" is
// wherever we are.
func (pl *place) sameHost(host string) bool {
	if pl.p.Host == "localhost" && pl.p.Scheme == "file" {
		return true
	}
	name, port := host, pl.port
	if h, p, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.Atoi(p)
		if err != nil {
			return false
		}
		name = h
		if n != 0 {
			port = n
		}
	} else if pl.port != 0 && usualPort(pl.p.Scheme) != pl.port {
		port = usualPort(pl.p.Scheme)
	}
	return strings.EqualFold(strings.Trim(name, "[]"), strings.Trim(pl.p.Host, "[]")) && port == pl.port
}

// below tells whether a path is in a directory. Doubled slashes count as one.
func below(p, dir string) bool {
	if dir == "" {
		return true
	}
	p, dir = path.Clean("/"+p), path.Clean("/"+dir)
	return dir == "/" && p != "/" || strings.HasPrefix(p, dir+"/")
}

// shown is a PFN without what may be secret: the query and the user.
func shown(pfn string) string {
	pfn, _, _ = strings.Cut(pfn, "?")
	scheme, rest, ok := strings.Cut(pfn, "://")
	if !ok {
		return pfn
	}
	host, p, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	return scheme + "://" + host + "/" + p
}

// fault is an error of this place.
func (pl *place) fault(op string, f file, kind, err error) *transfer.Error {
	return &transfer.Error{Op: op, Place: pl.String(), Path: f.path, Kind: kind, Err: err}
}
