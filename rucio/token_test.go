package rucio

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// valid answers as a server does that takes one token.
func valid(token *atomic.Value) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Rucio-Auth-Token") != token.Load() {
			refuse(w, 401, "CannotAuthenticate", "Cannot authenticate with given credentials")
			return
		}
		io.WriteString(w, `["s"]`)
	}
}

// A refused token is renewed once and the request repeated, a writing one too.
func TestExpiredToken(t *testing.T) {
	var token atomic.Value
	token.Store("t1")
	s := answering(t, valid(&token))
	c := s.client(t)
	for i, want := range []string{"t1", "t2"} {
		token.Store(want)
		if _, err := c.Scopes(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.AddScope(t.Context(), "jdoe", "s"); err != nil {
			t.Fatal(err)
		}
		if s.logins != i+1 {
			t.Errorf("%d logins", s.logins)
		}
	}
	token.Store("none")
	if _, err := c.Scopes(t.Context()); !errors.Is(err, ErrAuth) {
		t.Errorf("got %v", err)
	}
	if s.logins != 3 {
		t.Errorf("%d logins: a new token that is refused too is not renewed again", s.logins)
	}
}

// 401 is "not allowed" too: then another token would not help.
func TestAccessDeniedRenewsNothing(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 401, "AccessDenied", "no") })
	if _, err := s.client(t).Scopes(t.Context()); !errors.Is(err, ErrPermission) {
		t.Errorf("got %v", err)
	}
	if n := len(s.requests()); s.logins != 1 || n != 1 {
		t.Errorf("%d logins, %d requests", s.logins, n)
	}
}

// Many whose token is refused renew it once.
func TestRenewedOnce(t *testing.T) {
	var token atomic.Value
	token.Store("t1")
	s := answering(t, valid(&token))
	c := s.client(t)
	if _, err := c.Scopes(t.Context()); err != nil {
		t.Fatal(err)
	}
	token.Store("t2")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Scopes(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s.logins != 2 {
		t.Errorf("%d logins", s.logins)
	}
}

// counting logs in with tokens that live as long as it says.
type counting struct {
	life  time.Duration
	now   func() time.Time
	count atomic.Int64
	fail  atomic.Bool
	block chan struct{}
}

func (c *counting) Method() string { return "counting" }

func (c *counting) Login(ctx context.Context, _ *Login) (Token, error) {
	if c.block != nil {
		select {
		case <-c.block:
		case <-ctx.Done():
			return Token{}, ctx.Err()
		}
	}
	if c.fail.Load() {
		return Token{}, &Error{Op: "log in", Kind: ErrTransient}
	}
	n := c.count.Add(1)
	return Token{Value: string(rune('a' - 1 + n)), Expires: c.now().Add(c.life)}, nil
}

func TestRenewedBeforeTheEnd(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		life  time.Duration
		after time.Duration
		fails bool
		want  string
		err   bool
	}{
		{"fresh", time.Hour, 54 * time.Minute, false, "a", false},
		{"soon to end", time.Hour, 56 * time.Minute, false, "b", false},
		{"short life, fresh", time.Minute, 40 * time.Second, false, "a", false},
		{"short life, soon to end", time.Minute, 50 * time.Second, false, "b", false},
		{"soon to end, no login", time.Hour, 56 * time.Minute, true, "a", false},
		{"ended, no login", time.Hour, 61 * time.Minute, true, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := start
			auth := &counting{life: tt.life, now: func() time.Time { return now }}
			c, err := New(Config{Host: "http://127.0.0.1:9", Auth: auth, Now: auth.now})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			now = now.Add(tt.after)
			auth.fail.Store(tt.fails)
			tok, err := c.Token(t.Context())
			if (err != nil) != tt.err || tok.Value != tt.want {
				t.Errorf("got %v, %v", tok, err)
			}
		})
	}
}

// Who cannot wait for a login leaves it to the others.
func TestCancelledLogin(t *testing.T) {
	auth := &counting{life: time.Hour, now: time.Now, block: make(chan struct{})}
	c, err := New(Config{Host: "http://127.0.0.1:9", Auth: auth})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Token(ctx); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
	wg.Go(func() {
		if tok, err := c.Token(t.Context()); err != nil || tok.Value != "a" {
			t.Errorf("got %v, %v", tok, err)
		}
	})
	cancel()
	time.AfterFunc(10*time.Millisecond, func() { close(auth.block) })
	wg.Wait()
}

// Dates are the server's, whose clock may differ, and of two forms.
func TestExpiry(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, expires, date string
		want                time.Time
	}{
		{"date", "Thu, 01 Jan 2026 13:00:00 UTC", "", now.Add(time.Hour)},
		{"date and a clock that is fast", "Thu, 01 Jan 2026 15:00:00 UTC", "Thu, 01 Jan 2026 14:00:00 GMT", now.Add(time.Hour)},
		{"seconds, of a refresh", "1767272400", "", now.Add(time.Hour)},
		{"nothing", "", "", time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := expiry(tt.expires, tt.date, now); !got.Equal(tt.want) {
				t.Errorf("got %v", got)
			}
		})
	}
}

// The file is shared with the Python client: one line without an end, for us alone.
func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "jdoe", ".rucio_jdoe", "auth_token_for_account_jdoe")
	var token atomic.Value
	token.Store("t1")
	s := answering(t, valid(&token))
	with := func(c *Config) { c.TokenFile = file }
	if _, err := s.client(t, with).Scopes(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil || string(data) != "t1" {
		t.Fatalf("got %q, %v", data, err)
	}
	for p, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
	}
	entries, _ := os.ReadDir(filepath.Dir(file))
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if _, err := s.client(t, with).Scopes(t.Context()); err != nil || s.logins != 1 {
		t.Errorf("the next program: %v, %d logins", err, s.logins)
	}
	token.Store("t2") // the kept one has ended, or is of another server
	if _, err := s.client(t, with).Scopes(t.Context()); err != nil || s.logins != 2 {
		t.Errorf("after its end: %v, %d logins", err, s.logins)
	}
	if data, _ := os.ReadFile(file); string(data) != "t2" {
		t.Errorf("kept is %q", data)
	}
}

// What others could have planted, or could read, is not used, and not written into.
func TestTokenFileOfOthers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plant func(file string) error
		write error // of writing to it
	}{
		{"readable by all", func(f string) error { return os.WriteFile(f, []byte("t0"), 0o644) }, nil},
		{"folder writable by all", func(f string) error {
			return errors.Join(os.WriteFile(f, []byte("t0"), 0o600), os.Chmod(filepath.Dir(f), 0o777))
		}, errTokenFile},
		{"link", func(f string) error {
			return errors.Join(os.WriteFile(f+"2", []byte("t0"), 0o600), os.Symlink(f+"2", f))
		}, nil},
		{"not a token", func(f string) error { return os.WriteFile(f, []byte("a\tb"), 0o600) }, nil},
		{"empty", func(f string) error { return os.WriteFile(f, nil, 0o600) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := filepath.Join(t.TempDir(), "d", "token")
			if err := errors.Join(os.Mkdir(filepath.Dir(f), 0o700), tt.plant(f)); err != nil {
				t.Fatal(err)
			}
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Rucio-Auth-Token") == "t0" {
					t.Error("the planted token was used")
				}
				io.WriteString(w, `[]`)
			})
			if _, err := s.client(t, func(c *Config) { c.TokenFile = f }).Scopes(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := tokenFile(f).write("t9"); !errors.Is(err, tt.write) {
				t.Errorf("write: %v", err)
			}
		})
	}
}
