package rucio

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A seen is a request as a server got it.
type seen struct {
	Method, URI string
	Header      http.Header
	Body        string
}

// A server answers logins by user name and password, and all else as a test says.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []seen
	logins int
}

// answering is a server that does as h says with all but logins, for which it gives
// tokens "t1", "t2", ….
func answering(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/userpass" {
			s.mu.Lock()
			s.logins++
			n := s.logins
			s.mu.Unlock()
			w.Header().Set("X-Rucio-Auth-Token", "t"+string(rune('0'+n)))
			w.Header().Set("X-Rucio-Auth-Token-Expires", time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"))
			w.Header().Set("X-Rucio-Auth-Account", "jdoe")
			return
		}
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen = append(s.seen, seen{r.Method, r.RequestURI, r.Header.Clone(), string(body)})
		s.mu.Unlock()
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// requests is what came besides logins.
func (s *server) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.seen...)
}

// client is one of the server that does not wait long.
func (s *server) client(t *testing.T, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{Host: s.URL, Auth: Userpass{"jdoe", "secret"}, Backoff: time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// refuse answers as the server does for an exception.
func refuse(w http.ResponseWriter, status int, class, message string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ExceptionClass", class)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"ExceptionClass": "`+class+`", "ExceptionMessage": "`+message+`"}`)
}

func TestPingNeedsNoLogin(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"version":"41.0.0"}`) })
	v, err := s.client(t).Ping(t.Context())
	if err != nil || v.Major != 41 || v.String() != "41.0.0" {
		t.Fatalf("got %v, %v", v, err)
	}
	if s.logins != 0 {
		t.Error("logged in for it")
	}
}

func TestWhoami(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/accounts/whoami" {
			w.Header().Set("Location", "jdoe")
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		io.WriteString(w, `{"account":"jdoe","account_type":"USER","email":"j@example","status":"ACTIVE","created_at":"2026-01-02T03:04:05"}`)
	})
	c := s.client(t)
	a, err := c.Whoami(t.Context())
	want := Account{"jdoe", "USER", "j@example", "ACTIVE", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if err != nil || a != want {
		t.Fatalf("got %v, %v", a, err)
	}
	if c.Account() != "jdoe" {
		t.Error("account of the login is not known")
	}
	for _, r := range s.requests() {
		if r.Header.Get("X-Rucio-Auth-Token") != "t1" {
			t.Errorf("%s came without the token", r.URI)
		}
	}
}

// quiet is a log for what a server says of refused handshakes.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
