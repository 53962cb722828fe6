package rucio

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// LFNPath is the path of a file below the prefix of an RSE that names files by an
// algorithm: "hash", "identity" or "xenon". ok is false for other algorithms, which
// only the server knows, and for names that the algorithm cannot take.
func LFNPath(algorithm string, did DID) (path string, ok bool) {
	scope := did.Scope
	if strings.HasPrefix(scope, "user") || strings.HasPrefix(scope, "group") {
		scope = strings.ReplaceAll(scope, ".", "/")
	}
	switch algorithm {
	case "hash":
		sum := md5.Sum([]byte(did.String())) // the scope as it is
		m := hex.EncodeToString(sum[:])
		return scope + "/" + m[0:2] + "/" + m[2:4] + "/" + did.Name, true
	case "identity":
		return scope + "/" + did.Name, true
	case "xenon":
		// Built in before 37, and kept by sites.
		first, rest, found := strings.Cut(did.Name, "-")
		second, _, _ := strings.Cut(rest, "-")
		if len(did.Scope) < 7 || !found {
			return "", false
		}
		return did.Scope[:7] + "/" + did.Scope[4:] + "/" + first + "-" + second + "/" + did.Name, true
	}
	return "", false
}

// PFN is the address that a file has, or would have, at an RSE by a protocol. It is
// worked out here where the way is known, else the server is asked. Where the RSE
// is not deterministic the server knows it only of files that are there, and the
// address of new ones is the caller's choice.
func (c *Client) PFN(ctx context.Context, r RSE, p Protocol, did DID) (string, error) {
	if r.Deterministic {
		if path, ok := LFNPath(r.LFN2PFN, did); ok {
			return p.base() + path, nil
		}
	}
	var w map[string]string
	q := url.Values{"lfn": {did.String()}, "scheme": {p.Scheme}}
	req := request{op: "ask for address of", thing: did.String() + " at " + r.Name, path: "/rses/" + url.PathEscape(r.Name) + "/lfns2pfns", query: q}
	if err := c.read(ctx, req, &w); err != nil {
		return "", err
	}
	pfn := w[did.String()]
	if pfn == "" {
		return "", &Error{Op: req.op, Thing: req.thing, Kind: ErrUnavailable, Hint: "the server gives no address by " + p.Scheme}
	}
	return pfn, nil
}

// base is what all addresses of a protocol begin with.
func (p Protocol) base() string {
	prefix := "/" + strings.TrimPrefix(p.Prefix, "/")
	if strings.HasPrefix(p.Prefix, "//") {
		prefix = p.Prefix // as root protocols have it
	}
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	host := p.Host
	if _, after, found := strings.Cut(host, "://"); found {
		host = after
	}
	text := func(key string) string { s, _ := p.Extended[key].(string); return s }
	switch module := p.module(); {
	case module == "posix":
		return p.Scheme + "://" + host + prefix
	case module == "gfal":
		if p.Port != 0 {
			host += ":" + strconv.Itoa(p.Port)
		}
		return p.Scheme + "://" + host + text("web_service_path") + prefix
	case module == "ssh" && text("user") != "":
		return p.Scheme + "://" + text("user") + "@" + host + ":" + strconv.Itoa(p.Port) + prefix
	}
	return p.Scheme + "://" + host + ":" + strconv.Itoa(p.Port) + prefix
}

// module is the family of the protocol's class: "gfal" of "rucio.rse.protocols.gfal.Default".
func (p Protocol) module() string {
	module, _, _ := strings.Cut(strings.TrimPrefix(p.Impl, "rucio.rse.protocols."), ".")
	return module
}

// SignURL has the server sign an address of an RSE with a SignURL service, for an
// operation and a time (0: ten minutes).
func (c *Client) SignURL(ctx context.Context, rse, service string, op Operation, address string, lifetime time.Duration) (string, error) {
	if lifetime <= 0 {
		lifetime = 10 * time.Minute
	}
	q := url.Values{"rse": {rse}, "svc": {service}, "op": {string(op)}, "url": {address}, "lifetime": {strconv.FormatInt(seconds(lifetime), 10)}}
	text, err := c.text(ctx, request{op: "sign address", thing: address, path: "/credentials/signurl", query: q})
	return strings.TrimSpace(string(text)), err
}
