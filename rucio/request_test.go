package rucio

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Only what the server surely did not carry out, or may carry out twice, is sent again.
func TestAgain(t *testing.T) {
	for _, tt := range []struct {
		name       string
		repeatable bool
		sent       bool
		err        Error
		want       bool
	}{
		{"no connection", false, false, Error{Kind: ErrTransient}, true},
		{"connection lost, a reader", true, true, Error{Kind: ErrTransient}, true},
		{"connection lost, a writer", false, true, Error{Kind: ErrTransient}, false},
		{"503", false, true, Error{Kind: ErrTransient, Status: 503}, true},
		{"429", false, true, Error{Kind: ErrTransient, Status: 429}, true},
		{"502, a reader", true, true, Error{Kind: ErrTransient, Status: 502}, true},
		{"502, a writer", false, true, Error{Kind: ErrTransient, Status: 502}, false},
		{"504, a reader", true, true, Error{Kind: ErrTransient, Status: 504}, true},
		{"504, a writer", false, true, Error{Kind: ErrTransient, Status: 504}, false},
		{"closed RSE", true, true, Error{Kind: ErrUnavailable, Status: 503}, false},
		{"database error", true, true, Error{Kind: ErrTransient, Status: 500}, false},
		{"not allowed", true, true, Error{Kind: ErrPermission, Status: 401}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := again(tt.repeatable, tt.sent, &tt.err); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestPause(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 5: 4 * time.Second, 7: 10 * time.Second, 100: 10 * time.Second} {
		if got := pause(250*time.Millisecond, failures); got < want || got > want+want/4 {
			t.Errorf("after %d failures: %v", failures, got)
		}
	}
}

// failing answers the first n requests as f does, the rest with ok.
func failing(n int, f http.HandlerFunc, ok string) http.HandlerFunc {
	var count atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if int(count.Add(1)) <= n {
			f(w, r)
			return
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, ok)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// cutOff ends the connection without an answer.
func cutOff(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

func TestRetries(t *testing.T) {
	rule := func(ctx context.Context, c *Client) error {
		_, err := c.AddRule(ctx, NewRule{DIDs: []DID{{"s", "n"}}, RSEExpression: "A"})
		return err
	}
	attach := func(ctx context.Context, c *Client) error { return c.Attach(ctx, DID{"s", "n"}, []DID{{"s", "f"}}) }
	for _, tt := range []struct {
		name     string
		do       func(context.Context, *Client) error
		times    int
		fault    http.HandlerFunc
		requests int
		want     error
	}{
		{"writer, 503 twice", rule, 2, status(503), 3, nil},
		{"writer, 503 for ever", rule, 99, status(503), 4, ErrTransient},
		{"writer, 504", rule, 1, status(504), 1, ErrTransient},
		{"writer, 502", rule, 1, status(502), 1, ErrTransient},
		{"writer, no answer", rule, 1, cutOff, 1, ErrTransient},
		{"idempotent, 504", attach, 1, status(504), 2, nil},
		{"idempotent, no answer", attach, 1, cutOff, 2, nil},
		{"database error once", attach, 1, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 500, "DatabaseException", "value too long") }, 1, ErrTransient},
		{"pool exhausted", rule, 1, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "DatabaseException", "QueuePool limit") }, 2, nil},
		{"closed RSE", rule, 1, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "ResourceTemporaryUnavailable", "closed") }, 1, ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answering(t, failing(tt.times, tt.fault, `["0123456789abcdef0123456789abcdef"]`))
			err := tt.do(t.Context(), s.client(t))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
			if n := len(s.requests()); n != tt.requests {
				t.Errorf("%d requests", n)
			}
			var e *Error
			if errors.As(err, &e) && tt.requests == 1 && (e.Status == 504 || e.Status == 0) && e.Hint == "" {
				t.Error("the caller is not told that it may have been done")
			}
		})
	}
}

// What cannot be sent is sent when the server is back, writers too.
func TestConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, err := New(Config{Host: "http://" + addr, Auth: Userpass{"a", "b"}, Backoff: time.Millisecond, Retries: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.AddScope(t.Context(), "jdoe", "mock")
	var e *Error
	if !errors.Is(err, ErrTransient) || !errors.As(err, &e) || e.Status != 0 {
		t.Errorf("got %v", err)
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) { cancel(); w.WriteHeader(503) })
	c := s.client(t, func(c *Config) { c.Backoff = time.Hour })
	if _, err := c.Scopes(ctx); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestHeaders(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `["a"]`) })
	c := s.client(t, func(c *Config) { c.Account, c.VO, c.Script, c.UserAgent = "jdoe", "xen", "ruciax", "tests/1" })
	if _, err := c.Scopes(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := s.requests()[0].Header
	for k, want := range map[string]string{"X-Rucio-Auth-Token": "t1", "X-Rucio-Account": "jdoe", "X-Rucio-Vo": "xen", "X-Rucio-Script": "ruciax", "User-Agent": "tests/1", "Accept": "*/*"} {
		if got.Get(k) != want {
			t.Errorf("%s is %q", k, got.Get(k))
		}
	}
	if _, has := got["Content-Type"]; has {
		t.Error("a type without a body")
	}
	s = answering(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `["a"]`) })
	if _, err := s.client(t).Scopes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.requests()[0].Header; got.Get("X-Rucio-Vo") != "def" || len(got["X-Rucio-Account"]) != 0 {
		t.Errorf("got %v", got)
	}
}

// Scope and name are one segment each whatever is in them, and below the path of the host.
func TestQuoting(t *testing.T) {
	for _, tt := range []struct {
		name string
		did  DID
		want string
	}{
		{"plain", DID{"x1t_SR000_160706_1234_tpc", "raw-000.zip"}, "/dids/x1t_SR000_160706_1234_tpc/raw-000.zip"},
		{"slash", DID{"s", "a/b"}, "/dids/s/a%2Fb"},
		{"plus and space", DID{"s", "a+b c"}, "/dids/s/a%2Bb%20c"},
		{"percent and question mark", DID{"s", "50%?#"}, "/dids/s/50%25%3F%23"},
		{"umlaut", DID{"s", "ü"}, "/dids/s/%C3%BC"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/prefix/ping" {
					io.WriteString(w, `{"version": "41.0.0"}`)
					return
				}
				io.WriteString(w, `{"type": "FILE"}`)
			})
			c := s.client(t, func(c *Config) { c.AuthHost, c.Host = c.Host, c.Host+"/prefix/" })
			if _, err := c.DID(t.Context(), tt.did); err != nil {
				t.Fatal(err)
			}
			all := s.requests()
			if got := all[len(all)-1].URI; got != "/prefix"+tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

// Servers before 38 split scope/name at the last slash.
func TestSlashInNameOfOldServer(t *testing.T) {
	for _, tt := range []struct {
		version string
		want    error
	}{{"37.4.0", ErrUnsupported}, {"1.30.0", ErrUnsupported}, {"38.0.0", nil}} {
		t.Run(tt.version, func(t *testing.T) {
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/ping" {
					io.WriteString(w, `{"version": "`+tt.version+`"}`)
					return
				}
				io.WriteString(w, `{"type": "FILE"}`)
			})
			c := s.client(t)
			_, err := c.DID(t.Context(), DID{"s", "a/b"})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
			err = c.AddReplicas(t.Context(), "A", []NewReplica{{DID: DID{"s", "a/b"}}})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
			pings := 0
			for _, r := range s.requests() {
				if r.URI == "/ping" {
					pings++
				}
			}
			if pings != 1 {
				t.Errorf("asked %d times for the version", pings)
			}
		})
	}
}

func TestUnnamedDID(t *testing.T) {
	s := answering(t, status(200))
	for _, d := range []DID{{"", "n"}, {"s", ""}} {
		if _, err := s.client(t).DID(t.Context(), d); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: got %v", d, err)
		}
	}
	if len(s.requests()) != 0 {
		t.Error("something was sent")
	}
}

// The token goes to no other server than the configured one.
func TestRedirectElsewhere(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("came with token %q", r.Header.Get("X-Rucio-Auth-Token"))
	}))
	defer other.Close()
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/scopes/", http.StatusFound)
	})
	if _, err := s.client(t).Scopes(t.Context()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

// A redirect on the same server repeats the request, body and all.
func TestRedirectHere(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/replicas" {
			http.Redirect(w, r, "/replicas/", http.StatusPermanentRedirect)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	if err := s.client(t).AddReplicas(t.Context(), "A", []NewReplica{{DID: DID{"s", "n"}, Adler32: "1"}}); err != nil {
		t.Fatal(err)
	}
	all := s.requests()
	if d := cmp.Diff(all[0].Body, all[1].Body); d != "" || all[1].Header.Get("X-Rucio-Auth-Token") == "" {
		t.Errorf("%s %v", d, all[1])
	}
}

// The limit is on waiting for something to come, not on the whole answer.
func TestStall(t *testing.T) {
	stop := make(chan struct{})
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/scopes/" {
			<-stop
			return
		}
		io.WriteString(w, `{"rse":"A"}`+"\n")
		w.(http.Flusher).Flush()
		<-stop
	})
	defer close(stop)
	c := s.client(t, func(c *Config) { c.Stall, c.Retries = 50*time.Millisecond, -1 })
	if _, err := c.Scopes(t.Context()); !errors.Is(err, ErrTransient) || !errors.Is(err, errStalled) {
		t.Errorf("no answer: got %v", err)
	}
	if _, err := c.RSEs(t.Context(), ""); !errors.Is(err, ErrTransient) || !errors.Is(err, errStalled) {
		t.Errorf("no more lines: got %v", err)
	}
}

// A slow reader is not taken for a slow server, and a long answer may take long.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		r, w := io.Pipe()
		go func() {
			for range 20 {
				time.Sleep(9 * time.Second)
				io.WriteString(w, "x")
			}
		}()
		context.AfterFunc(ctx, func() { r.CloseWithError(context.Canceled) }) // as a transport does
		body := &watched{ReadCloser: r, ctx: ctx, watch: &watch{limit: 10 * time.Second, cancel: cancel}}
		defer body.Close()
		for i := range 20 {
			if n, err := body.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Fatalf("read %d: %v", i, err)
			}
			if i == 0 {
				time.Sleep(time.Hour)
			}
		}
		if _, err := body.Read(make([]byte, 1)); err != errStalled {
			t.Errorf("nothing more: %v", err)
		}
	})
}

// A value that is cut is asked for again; that is not so for a stream, parts of which
// the program has seen.
func TestCutAnswer(t *testing.T) {
	s := answering(t, failing(1, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, `["a"`)
	}, `["a","b"]`))
	got, err := s.client(t).Scopes(t.Context())
	if d := cmp.Diff([]string{"a", "b"}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

func TestAnswerOfAnotherServer(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>Welcome") })
	if _, err := s.client(t).Scopes(t.Context()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no host":          {Auth: Userpass{"a", "b"}},
		"host without URL": {Host: "rucio.example:443", Auth: Userpass{"a", "b"}},
		"other scheme":     {Host: "ftp://rucio.example", Auth: Userpass{"a", "b"}},
		"auth host":        {Host: "http://rucio.example", AuthHost: "x", Auth: Userpass{"a", "b"}},
		"no login":         {Host: "http://rucio.example"},
		"no CA":            {Host: "http://rucio.example", Auth: Userpass{"a", "b"}, CA: "does/not/exist"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(cfg); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}
