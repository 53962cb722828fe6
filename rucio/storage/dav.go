package storage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/cax-go/cax/transfer"
)

// A dav is storage behind HTTP: WebDAV, or an object store with signed URLs.
type dav struct {
	*place
	o      *Options
	client *http.Client
	dirs   sync.Map // directories that are known to be there
}

var (
	_ Storage = (*dav)(nil)
	_ Hasher  = (*dav)(nil)
)

// continueAfter is how long a PUT waits for the door to say where the bytes should go.
const continueAfter = 5 * time.Second

func openDAV(pl *place, o *Options) (Storage, error) {
	if pl.p.Scheme == "s3" && o.Sign == nil {
		return nil, &transfer.Error{Op: "open storage", Place: pl.String(), Kind: transfer.ErrUnsupported,
			Err: errors.New("an object store is reached by signed URLs, and nothing signs them"), Hint: "set sign_url at the RSE"}
	}
	t := &http.Transport{
		Proxy:                 o.HTTPProxy,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   30 * time.Second,
		ExpectContinueTimeout: continueAfter,
		IdleConnTimeout:       20 * time.Second,
		MaxIdleConnsPerHost:   16,
		DisableCompression:    true, // a file is its bytes
		WriteBufferSize:       256 << 10,
		ReadBufferSize:        256 << 10,
	}
	if o.TLS != nil {
		t.TLSClientConfig = o.TLS.Clone()
	} else {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &dav{place: pl, o: o, client: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close implements [Storage].
func (d *dav) Close() error { d.client.CloseIdleConnections(); return nil }

// A call is one request, with what is needed to send it again to where the door
// points.
type call struct {
	op, method string
	file       file
	sign       Operation
	header     http.Header
	body       io.Reader // nil: none
	size       int64     // of body
	rewind     func() error
}

// do sends a call and follows redirects. The response's status is that of success.
func (d *dav) do(ctx context.Context, c call) (*http.Response, error) {
	u, err := d.url(ctx, c)
	if err != nil {
		return nil, err
	}
	door := u
	for range 5 {
		resp, err := d.send(ctx, c, u, door)
		if err != nil {
			return nil, orEnded(ctx, d.broken(c, err))
		}
		switch resp.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			if resp.StatusCode >= 300 {
				discard(resp)
				return nil, d.refused(c, resp)
			}
			return resp, nil
		}
		discard(resp)
		if u, err = d.elsewhere(c, u, resp); err != nil {
			return nil, err
		}
		if c.rewind != nil {
			if err := c.rewind(); err != nil {
				return nil, err
			}
		}
	}
	return nil, d.fault(c.op, c.file, transfer.ErrTransient, errors.New("it redirects in a circle"))
}

// url is where a file is, signed where that is how it is done. One that has a query
// was signed by the catalogue.
func (d *dav) url(ctx context.Context, c call) (*url.URL, error) {
	scheme := "https"
	if sameScheme(d.p.Scheme, "http") {
		scheme = "http"
	}
	raw := scheme + "://" + d.addr() + escaper().Replace(c.file.path)
	if c.file.query != "" {
		raw += "?" + c.file.query
	} else if d.o.Sign != nil {
		signed, err := d.o.Sign(ctx, c.sign, raw)
		if err != nil {
			return nil, d.fault("sign URL to "+c.op, c.file, nil, err)
		}
		raw = signed
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		// What is wrong is not told: the text has the signature in it.
		return nil, d.fault(c.op, c.file, transfer.ErrInvalid, errors.New("it makes no URL"))
	}
	return u, nil
}

// escaper escapes what would end the path of a URL; a percent sign is taken to be one
// of an escape, as other clients do with PFNs.
func escaper() *strings.Replacer { return strings.NewReplacer(" ", "%20", "#", "%23", "\"", "%22") }

func (d *dav) send(ctx context.Context, c call, u, door *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "cax")
	// A server may close a connection just when a request goes out on it. All that is
	// asked for here can be asked again, over another one; the empty list says so, and is
	// not sent.
	req.Header["Idempotency-Key"] = nil
	if c.body != nil {
		req.Body, req.ContentLength = io.NopCloser(c.body), c.size
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(c.body), c.rewind() }
		if c.size == 0 {
			req.Body, req.GetBody = http.NoBody, nil
		}
	}
	if d.o.Token != nil && d.o.Sign == nil && c.file.query == "" && trusted(door, u) {
		token, err := d.o.Token(ctx)
		if err != nil {
			return nil, &transfer.Error{Op: "get token", Kind: transfer.ErrAuth, Err: err}
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	return d.client.Do(req)
}

// trusted tells whether a server may see the token: over TLS, the door itself and its
// neighbours, which doors send their clients to. Ports do not matter.
func trusted(door, to *url.URL) bool {
	if to.Scheme != "https" {
		return false
	}
	a, b := strings.ToLower(door.Hostname()), strings.ToLower(to.Hostname())
	if a == b {
		return true
	}
	_, domain, _ := strings.Cut(a, ".")
	// At least "site.org" or "site.co.uk": a domain of one label is everybody's.
	return net.ParseIP(a) == nil && strings.Contains(domain, ".") && strings.HasSuffix(b, "."+domain)
}

// elsewhere is where a redirect leads to.
func (d *dav) elsewhere(c call, from *url.URL, resp *http.Response) (*url.URL, error) {
	to, err := from.Parse(resp.Header.Get("Location"))
	if err != nil || to.Host == "" || to.Scheme != "https" && to.Scheme != "http" {
		return nil, d.fault(c.op, c.file, transfer.ErrTransient, errors.New("it redirects to nowhere"))
	}
	if c.method == http.MethodDelete && to.Hostname() != from.Hostname() {
		return nil, d.fault(c.op, c.file, transfer.ErrUnsupported, errors.New("it redirects a deletion to "+to.Host))
	}
	return to, nil
}

// discard ends a response so that its connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // what it says is for people, in many languages
	_ = resp.Body.Close()
}

// broken is the error of a request that had no answer.
func (d *dav) broken(c call, err error) error {
	var own *transfer.Error
	if errors.As(err, &own) {
		return own
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // its URL may be signed
	}
	e := d.fault(c.op, c.file, transfer.ErrTransient, err)
	var cert *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &cert):
		e.Kind, e.Hint = transfer.ErrHostKey, "add the authority of its certificate to those that are trusted (X509_CERT_DIR)"
	case errors.As(err, &alert):
		e.Kind, e.Hint = transfer.ErrAuth, "see whether the certificate or proxy that we show is valid, and known there"
	}
	return e
}

// refused is the error of an answer that is no success.
func (d *dav) refused(c call, resp *http.Response) error {
	e := d.fault(c.op, c.file, nil, &statusError{resp.StatusCode})
	switch code := resp.StatusCode; code {
	case http.StatusUnauthorized:
		e.Kind, e.Hint = transfer.ErrAuth, "see whether token or proxy are valid, and known there"
	case http.StatusForbidden:
		e.Kind = transfer.ErrPermission
	case http.StatusNotFound, http.StatusGone:
		e.Kind = transfer.ErrNotExist
	case http.StatusConflict:
		e.Kind = transfer.ErrNotExist // of a parent (RFC 4918)
	case http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		e.Kind = transfer.ErrUnsupported
	case http.StatusPreconditionFailed:
		e.Kind = transfer.ErrExist
	case http.StatusRequestEntityTooLarge, http.StatusInsufficientStorage:
		e.Kind, e.Hint = transfer.ErrNoSpace, "make room there"
	case http.StatusRequestTimeout, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		e.Kind = transfer.ErrTransient
	default:
		if e.Kind = transfer.ErrInvalid; code >= 500 || code < 400 {
			e.Kind = transfer.ErrTransient
		}
	}
	return e
}

// A statusError is the status of a response.
type statusError struct{ code int }

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("HTTP status %d %s", e.code, http.StatusText(e.code)))
}

// status is the status that an error comes from; 0 if it does not come from one.
func status(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.code
	}
	return 0
}
