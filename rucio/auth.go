package rucio

import (
	"context"
	"crypto/tls"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Token lets requests in until it expires.
type Token struct {
	Value   string
	Account string    // whose it is; "" if the server did not say
	Expires time.Time // on our clock; zero: not known
}

// IsJWT reports whether the token is one that storage understands too.
func (t Token) IsJWT() bool { return strings.Count(t.Value, ".") == 2 }

// An Authenticator logs in. The package has [Userpass], [X509], [X509Proxy], [SSH] and
// [OIDC]; a program may bring its own. It must be safe for concurrent use,
// though the client has one login at a time.
type Authenticator interface {
	// Method is Rucio's name of it, as "userpass".
	Method() string
	// Login gets a new token. The error's kind is ErrAuth where the server
	// refused and ErrTransient where it could not be asked.
	Login(ctx context.Context, s *Login) (Token, error)
}

// certified is an Authenticator that shows a certificate.
type certified interface {
	certificate() (*tls.Certificate, error)
}

// A Login is one attempt to log in, as an Authenticator sees the client.
type Login struct {
	c *Client
}

// Account is the configured account, "" if none.
func (l *Login) Account() string { return l.c.cfg.Account }

// Get sends a request to the login server, with the headers that all logins have
// and those of header, and gives the headers of the answer. A refusal is an *Error.
func (l *Login) Get(ctx context.Context, path string, header http.Header) (http.Header, error) {
	r := request{op: "log in", thing: l.c.who(), path: path, base: l.c.cfg.AuthHost, open: true, login: true, header: header}
	resp, err := l.c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusPartialContent {
		return nil, &Error{Op: r.op, Kind: ErrInvalid, Status: resp.StatusCode,
			Hint: "the identity has several accounts, choose one of " + resp.Header.Get("X-Rucio-Auth-Accounts")}
	}
	return resp.Header, nil
}

// Token reads a token from the headers of an answer.
func (l *Login) Token(h http.Header) (Token, error) {
	t := Token{Value: h.Get("X-Rucio-Auth-Token"), Account: h.Get("X-Rucio-Auth-Account")}
	if t.Value == "" {
		return Token{}, &Error{Op: "log in", Thing: l.c.who(), Kind: ErrUnsupported, Hint: "the answer holds no token: is auth_host a Rucio server?"}
	}
	t.Expires = expiry(h.Get("X-Rucio-Auth-Token-Expires"), h.Get("Date"), l.c.cfg.Now())
	return t, nil
}

// get is the whole of most logins.
func (l *Login) get(ctx context.Context, path string, header http.Header) (Token, error) {
	h, err := l.Get(ctx, path, header)
	if err != nil {
		return Token{}, err
	}
	return l.Token(h)
}

// expiry is the time on our clock at which a token ends: a date or seconds since
// 1970 of the server, whose clock may differ from ours and is read from its Date.
func expiry(expires, date string, now time.Time) time.Time {
	end, err := parseTime(expires)
	if err != nil {
		s, err := strconv.ParseInt(expires, 10, 64)
		if err != nil {
			return time.Time{}
		}
		end = time.Unix(s, 0)
	}
	if there, err := http.ParseTime(date); err == nil {
		return now.Add(end.Sub(there))
	}
	return end
}

// who names the login for errors.
func (c *Client) who() string {
	s := "by " + c.cfg.Auth.Method()
	if c.cfg.Account != "" {
		s += " as " + c.cfg.Account
	}
	return s + " at " + c.cfg.AuthHost
}

// Userpass logs in with a user name and a password.
type Userpass struct {
	Username, Password string
}

// Method is "userpass".
func (u Userpass) Method() string { return "userpass" }

// Login implements [Authenticator]. Name and password travel in headers, so
// other bytes than printable Latin-1 cannot be sent.
func (u Userpass) Login(ctx context.Context, l *Login) (Token, error) {
	name, ok1 := latin1(u.Username)
	password, ok2 := latin1(u.Password)
	if !ok1 || !ok2 {
		return Token{}, &Error{Op: "log in", Thing: l.c.who(), Kind: ErrInvalid, Hint: "user name and password must be printable Latin-1: the protocol has no way to send others"}
	}
	return l.get(ctx, "/auth/userpass", http.Header{"X-Rucio-Username": {name}, "X-Rucio-Password": {password}})
}

// String hides the password from logs.
func (u Userpass) String() string { return "userpass of " + u.Username }

// GoString hides the password from logs.
func (u Userpass) GoString() string { return u.String() }

// latin1 gives the bytes that a header needs.
func latin1(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r < ' ' || r == 0x7f || r > 0xff {
			return "", false
		}
		b = append(b, byte(r))
	}
	return string(b), true
}
