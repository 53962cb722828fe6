package gfal

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"sync/atomic"

	"github.com/cax-go/cax/transfer"
)

// Options configures a Backend. nil: the defaults.
type Options struct {
	// Certificate is the file with the certificate to log in with: a proxy, or a
	// certificate with its key, or a certificate beside whose "usercert.pem" is a
	// "userkey.pem". "": what the environment says (X509_USER_PROXY, BEARER_TOKEN, …),
	// else what the tools look for by themselves.
	Certificate string

	Streams  int    // of one copy, option -n; 0: the tool's own number
	Parallel int    // files at once; 0: 4, each being a process of some 40 MB
	Dir      string // where the programs are; "": looked up in PATH
	Spool    string // folder for temporary files of Create; "": the system's

	// Environ is the environment of which the programs get what they know; nil: that
	// of this process.
	Environ []string
}

// A Backend is a place that the programs of gfal2-util reach. It is safe for
// concurrent use.
type Backend struct {
	prefix string // in front of absolute paths
	name   string
	o      Options
	env    []string

	// noSums tells that the server was found to know no checksums.
	noSums atomic.Bool
}

var (
	_ transfer.Backend    = (*Backend)(nil)
	_ transfer.TreeCopier = (*Backend)(nil)
	_ transfer.Hasher     = (*Backend)(nil)
)

// New returns a backend for an address; see the package comment. ErrInvalid if it
// cannot be one. The place is not asked for anything.
func New(address string, o *Options) (*Backend, error) {
	b := &Backend{}
	if o != nil {
		b.o = *o
	}
	if b.o.Parallel <= 0 {
		b.o.Parallel = 4
	}
	bad := func(why, hint string) error {
		return &transfer.Error{Op: "connect", Place: "gfal", Kind: transfer.ErrInvalid, Err: errors.New(why), Hint: hint}
	}
	scheme, rest, ok := strings.Cut(address, ":")
	const example = `write for example "davs://se.example/" or "srm://se.example:8443/srm/managerv2?SFN="`
	switch {
	case !ok || scheme == "" || strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+.-") != "":
		return nil, bad("the address has no protocol in front of it", example)
	case strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, bad("the address holds blanks or characters that are not ASCII", example)
	}
	scheme = strings.ToLower(scheme)
	if scheme == "file" {
		return nil, bad("gfal follows links when it removes files of this machine", `use method "local"`)
	}
	if u, err := url.Parse(address); err == nil && u.User != nil {
		if _, secret := u.User.Password(); secret {
			return nil, bad("everybody on this machine could read the password in the address", "log in with a certificate or a token")
		}
	}
	b.prefix, b.name = address, address
	if strings.HasPrefix(rest, "//") {
		trimmed := strings.TrimRight(address, "/")
		if len(trimmed) <= len(scheme)+1 {
			return nil, bad("the address names no host", example)
		}
		if trimmed != address {
			b.prefix = trimmed
		}
		if strings.HasPrefix(scheme, "root") || strings.HasPrefix(scheme, "xroot") {
			b.prefix = trimmed + "/" // two slashes make a path absolute there
		}
		b.name = trimmed
	}
	b.env = environment(b.o.Environ, b.o.Certificate)
	return b, nil
}

// String is the address: "davs://se.example".
func (b *Backend) String() string { return b.name }

// Close does nothing: each program ends with the call that started it.
func (b *Backend) Close() error { return nil }

// nameMax is the longest file name: of longer ones gfal-ls cuts off the end.
const nameMax = 250

// plain reports whether a path means the same to all plugins.
func plain(p string) bool {
	for _, c := range []byte(p) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/._-+=,:@~", c) >= 0:
		default:
			return false
		}
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > nameMax {
			return false
		}
	}
	return true
}

// url gives the address of a path.
func (b *Backend) url(op, p string) (string, error) {
	if !strings.HasPrefix(p, "/") || !plain(p) {
		return "", b.unfit(op, p)
	}
	return b.prefix + path.Clean(p), nil
}

func (b *Backend) unfit(op, p string) error {
	return &transfer.Error{Op: op, Place: b.String(), Path: p, Kind: transfer.ErrInvalid,
		Err:  fmt.Errorf("names on the grid are of letters, digits and ._-+=,:@~ and of at most %d bytes", nameMax),
		Hint: "rename it, or use another method"}
}

func (b *Backend) parallel() int { return b.o.Parallel }
