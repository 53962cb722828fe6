package rucio

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// OIDC uses a token that something else got from the identity provider: an agent, a
// batch system, a person. Exactly one of Value, File and Command is set, or none: then
// the token is looked for as WLCG's bearer token discovery says. The token goes to the
// server as it is, and it is looked for anew when it is about to end. A login in a
// browser is not offered.
type OIDC struct {
	Value   string
	File    string
	Command []string // program and arguments; prints the token

	// Env reads the environment for the discovery: BEARER_TOKEN, BEARER_TOKEN_FILE,
	// XDG_RUNTIME_DIR. nil: nothing is set.
	Env func(string) string

	// Refresh asks the server for a longer-lived token in exchange before the end.
	Refresh       bool
	RefreshBefore time.Duration // 0: 20 min
}

// Method is "oidc".
func (o OIDC) Method() string { return "oidc" }

// Login implements [Authenticator].
func (o OIDC) Login(ctx context.Context, l *Login) (Token, error) {
	value, source, err := o.find(ctx)
	if err != nil {
		return Token{}, err
	}
	bad := func(why string) error {
		return &Error{Op: "log in", Thing: l.c.who() + " with " + source, Kind: ErrAuth, Err: errors.New(why), Hint: "get a new token from the identity provider"}
	}
	t := withClaims(Token{Value: value})
	switch {
	case value == "":
		return Token{}, bad("there is no token")
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return Token{}, bad("that is no token")
	case !t.Expires.IsZero() && l.c.cfg.Now().After(t.Expires):
		return Token{}, bad("the token ended at " + t.Expires.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	return t, nil
}

// find gives the token and where it is from.
func (o OIDC) find(ctx context.Context) (value, source string, err error) {
	switch {
	case o.Value != "":
		return strings.TrimSpace(o.Value), "a given token", nil
	case o.File != "":
		return readToken(o.File)
	case len(o.Command) > 0:
		return o.run(ctx)
	}
	env := o.Env
	if env == nil {
		env = func(string) string { return "" }
	}
	if v := strings.TrimSpace(env("BEARER_TOKEN")); v != "" {
		return v, "BEARER_TOKEN", nil
	}
	if f := env("BEARER_TOKEN_FILE"); f != "" {
		return readToken(f)
	}
	name := "bt_u" + strconv.Itoa(os.Geteuid())
	for _, dir := range []string{env("XDG_RUNTIME_DIR"), "/tmp"} {
		if dir == "" {
			continue
		}
		value, source, err := readToken(filepath.Join(dir, name))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return value, source, err
		}
	}
	return "", "BEARER_TOKEN, BEARER_TOKEN_FILE, $XDG_RUNTIME_DIR/" + name + " or /tmp/" + name, nil
}

func readToken(file string) (value, source string, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", file, &Error{Op: "read token", Thing: file, Kind: ErrAuth, Err: err}
	}
	return strings.TrimSpace(string(data)), file, nil
}

func (o OIDC) run(ctx context.Context) (value, source string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.Command[0], o.Command[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	out, err := cmd.Output()
	if err != nil {
		text := strings.Join(strings.Fields(stderr.String()), " ")
		return "", o.Command[0], &Error{Op: "get token from", Thing: o.Command[0], Kind: ErrAuth, Err: err, Hint: text[:min(len(text), 300)]}
	}
	return strings.TrimSpace(string(out)), o.Command[0], nil
}

// withClaims adds what a JWT says of its end. The signature is the server's business.
func withClaims(t Token) Token {
	parts := strings.Split(t.Value, ".")
	if len(parts) != 3 {
		return t
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err == nil && json.Unmarshal(text, &claims) == nil && claims.Exp > 0 && claims.Exp < 1<<40 {
		t.Expires = time.Unix(int64(claims.Exp), 0)
	}
	return t
}

// refresh implements refresher. The server answers with empty headers when it
// has nothing better.
func (o OIDC) refresh(ctx context.Context, l *Login, old Token) (Token, bool) {
	if !o.Refresh {
		return Token{}, false
	}
	h, err := l.Get(ctx, "/auth/oidc_refresh", http.Header{"X-Rucio-Auth-Token": {old.Value}})
	if err != nil || h.Get("X-Rucio-Auth-Token") == "" {
		return Token{}, false
	}
	t, err := l.Token(h)
	return t, err == nil
}

// early implements refresher.
func (o OIDC) early() time.Duration {
	if !o.Refresh {
		return 0
	}
	if o.RefreshBefore > 0 {
		return o.RefreshBefore
	}
	return 20 * time.Minute
}
