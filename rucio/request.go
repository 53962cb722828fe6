package rucio

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"
)

// A request is one call of the interface.
type request struct {
	op, thing string // for errors

	method string // "": GET
	base   string // "": the server
	path   string // escaped, with "{did}" where that of did goes
	did    DID
	query  url.Values
	header http.Header
	body   any // JSON; nil: none

	repeat bool // of a method other than GET: doing it twice is doing it once
	open   bool // needs no token
	login  bool // shows certificate and account
}

// repeatable reports whether the request may be sent again when it is not known
// whether it was carried out.
func (r request) repeatable() bool { return r.method == "" || r.method == http.MethodGet || r.repeat }

// escape makes a string one segment of a path. The server's framework decodes
// %XX but leaves + alone, so a space must not become one.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// send carries a request out, with retries and a new token where that is due. The
// answer's status is a 2xx, reading its body is watched, and the caller closes it.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	if r.thing == "" && !r.did.IsZero() {
		r.thing = r.did.String()
	}
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, &Error{Op: r.op, Thing: r.thing, Kind: ErrInvalid, Err: err}
		}
	}
	target, err := c.target(ctx, r)
	if err != nil {
		return nil, err
	}
	refused, failures := "", 0
	for {
		token := ""
		if !r.open {
			if token, err = c.tokens.get(ctx, refused); err != nil {
				return nil, err
			}
		}
		resp, sent, err := c.once(ctx, r, target, token, body)
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err.Class == "CannotAuthenticate" && !r.open && refused == "" {
			refused = token
			continue
		}
		if failures++; failures > c.cfg.Retries || !again(r.repeatable(), sent, err) {
			if sent && !r.repeatable() && errors.Is(err, ErrTransient) && !surelyNot(err) {
				err.Hint = "whether it was carried out is not known: look before it is done again"
			}
			return nil, err
		}
		wait := pause(c.cfg.Backoff, failures)
		c.cfg.Log.Info("request is sent again", zap.String("op", r.op), zap.Int("failures", failures), zap.Duration("in", wait), zap.Error(err))
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// target is the URL of a request. Names are checked against what the server can
// tell apart.
func (c *Client) target(ctx context.Context, r request) (string, error) {
	path := r.path
	if strings.Contains(path, "{did}") {
		if err := c.checkDID(ctx, r.op, r.did); err != nil {
			return "", err
		}
		path = strings.ReplaceAll(path, "{did}", escape(r.did.Scope)+"/"+escape(r.did.Name))
	}
	base := r.base
	if base == "" {
		base = c.cfg.Host
	}
	if len(r.query) > 0 {
		path += "?" + r.query.Encode()
	}
	return base + path, nil
}

// checkDID refuses what would come to name something else: servers before 38 split
// scope and name at the last slash.
func (c *Client) checkDID(ctx context.Context, op string, d DID) error {
	if d.Scope == "" || d.Name == "" {
		return &Error{Op: op, Thing: d.String(), Kind: ErrInvalid, Hint: "a DID has a scope and a name"}
	}
	if !strings.Contains(d.Name, "/") {
		return nil
	}
	v, err := c.ServerVersion(ctx)
	if err != nil {
		return err
	}
	if v.Major < 38 {
		return &Error{Op: op, Thing: d.String(), Kind: ErrUnsupported, Hint: "servers before 38, and this is " + v.Text + ", take no slash in a name"}
	}
	return nil
}

// once sends a request one time. It tells whether a connection was there to send
// on, so that the server may have got it.
func (c *Client) once(ctx context.Context, r request, target, token string, body []byte) (_ *http.Response, sent bool, _ *Error) {
	ctx, cancel := context.WithCancelCause(ctx)
	keep := false
	defer func() {
		if !keep {
			cancel(nil)
		}
	}()
	fail := func(err error) *Error { return c.unanswered(r, sent, err) }
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})
	method := r.method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, false, &Error{Op: r.op, Thing: r.thing, Kind: ErrInvalid, Err: err}
	}
	if body == nil {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header.Set("Accept", "*/*") // a type that a view does not expect is refused with 406
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	req.Header.Set("X-Rucio-VO", c.cfg.VO)
	req.Header.Set("X-Rucio-Script", c.cfg.Script)
	if c.cfg.Account != "" {
		req.Header.Set("X-Rucio-Account", c.cfg.Account)
	}
	if token != "" {
		req.Header.Set("X-Rucio-Auth-Token", token)
	}
	client := c.http
	if r.login {
		client = c.auth
	}
	w := &watch{limit: c.cfg.Stall, cancel: cancel}
	w.start()
	resp, err := client.Do(req)
	w.stop()
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = cause
		}
		return nil, sent, fail(err)
	}
	resp.Body = &watched{ReadCloser: resp.Body, ctx: ctx, watch: w}
	if resp.StatusCode/100 == 2 {
		keep = true
		return resp, sent, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return nil, sent, refusal(r, resp, text)
}

// unanswered is the error of a request that got no answer.
func (c *Client) unanswered(r request, sent bool, err error) *Error {
	e := &Error{Op: r.op, Thing: r.thing, Kind: ErrTransient, Err: plain(err)}
	var cert *tls.CertificateVerificationError
	var own *Error
	switch {
	case errors.As(err, &cert):
		e.Kind, e.Hint = ErrAuth, "the server's certificate is not trusted: see ca_cert and X509_CERT_DIR"
	case errors.Is(err, errElsewhere):
		e.Kind, e.Hint = ErrUnsupported, "name that server in rucio_host if it is to be trusted"
	case errors.As(err, &own):
		return own // of the client certificate
	case !sent:
		e.Hint = "is the server running, and is its address right?"
	}
	return e
}

// plain takes the URL off an error: queries have no place in logs, and the thing
// is named already.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// do carries out a request whose answer says nothing.
func (c *Client) do(ctx context.Context, r request) error {
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	// What is left is short; a connection that is read to its end is used again.
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	return resp.Body.Close()
}

// read carries out a request whose answer is one JSON value.
func (c *Client) read(ctx context.Context, r request, into any) error {
	text, err := c.text(ctx, r)
	if err != nil {
		return err
	}
	return decode(r, text, into)
}

// text carries out a request and gives its whole answer. The answer of a request
// that may be repeated is asked for again if it is cut.
func (c *Client) text(ctx context.Context, r request) ([]byte, error) {
	for failures := 0; ; {
		resp, err := c.send(ctx, r)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		resp.Body.Close()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && len(text) <= maxAnswer:
			return text, nil
		case err == nil:
			return nil, &Error{Op: r.op, Thing: r.thing, Kind: ErrUnsupported, Hint: "the answer is too long for one value"}
		}
		if failures++; failures > c.cfg.Retries || !r.repeatable() {
			return nil, &Error{Op: r.op, Thing: r.thing, Kind: ErrTransient, Status: resp.StatusCode, Err: err}
		}
		if err := sleep(ctx, pause(c.cfg.Backoff, failures)); err != nil {
			return nil, err
		}
	}
}

const maxAnswer = 256 << 20

// decode reads one JSON value, as Python writes them.
func decode(r request, text []byte, into any) error {
	if err := json.Unmarshal(fromPython(text), into); err != nil {
		return &Error{Op: r.op, Thing: r.thing, Kind: ErrUnsupported, Err: err, Hint: "the answer is not understood: is the address that of a Rucio server?"}
	}
	return nil
}

// parseTime reads the dates of the interface: UTC, in the form of most answers or
// in that of accounts.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 UTC", s)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", s)
	}
	return t, err
}

// A stamp is a date in an answer; null, and what is no date, is zero.
type stamp struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler].
func (s *stamp) UnmarshalJSON(b []byte) error {
	var text *string
	if err := json.Unmarshal(b, &text); err != nil || text == nil {
		return err
	}
	s.Time, _ = parseTime(*text)
	return nil
}
