package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/rucio/storage/storagetest"
	"github.com/cax-go/cax/transfer"
)

func openDAV(t *testing.T, addr string, o storage.Options) (storage.Storage, func(string) string) {
	t.Helper()
	scheme := "dav"
	if o.TLS != nil {
		scheme = "davs"
	}
	p, pfn := at(t, scheme, addr, "/rucio/")
	s := open(t, p, o)
	t.Cleanup(func() { s.Close() })
	return s, pfn
}

// TestWebStatuses: each status has its kind.
func TestWebStatuses(t *testing.T) {
	var code atomic.Int32
	srv := &storagetest.Web{Before: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(int(code.Load())); return true }}
	s, pfn := openDAV(t, web(t, srv), storage.Options{})
	for c, want := range map[int]error{
		400: transfer.ErrInvalid, 401: transfer.ErrAuth, 403: transfer.ErrPermission, 404: transfer.ErrNotExist, 405: transfer.ErrUnsupported,
		408: transfer.ErrTransient, 410: transfer.ErrNotExist, 412: transfer.ErrExist, 413: transfer.ErrNoSpace, 423: transfer.ErrTransient,
		429: transfer.ErrTransient, 500: transfer.ErrTransient, 501: transfer.ErrUnsupported, 502: transfer.ErrTransient, 503: transfer.ErrTransient, 507: transfer.ErrNoSpace,
	} {
		code.Store(int32(c))
		if _, err := s.Get(t.Context(), pfn("file"), 0); !errors.Is(err, want) {
			t.Errorf("%d: %v, want one that %q", c, err, want)
		}
	}
}

// TestWebRange: a server that gives only whole files is noticed.
func TestWebRange(t *testing.T) {
	srv := &storagetest.Web{IgnoreRange: true}
	srv.Store("/rucio/file", []byte("0123456789"))
	s, pfn := openDAV(t, web(t, srv), storage.Options{})
	if _, err := s.Get(t.Context(), pfn("file"), 3); !errors.Is(err, transfer.ErrUnsupported) {
		t.Errorf("get: %v", err)
	}
}

// TestWebCut: an answer that is cut off is no file.
func TestWebCut(t *testing.T) {
	srv := &storagetest.Web{Before: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(make([]byte, 500)) // the client sees
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}}
	s, pfn := openDAV(t, web(t, srv), storage.Options{})
	r, err := s.Get(t.Context(), pfn("file"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); n > 500 || !errors.Is(err, transfer.ErrTransient) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestWebLoses: a server that says yes and keeps half of it.
func TestWebLoses(t *testing.T) {
	srv := &storagetest.Web{}
	srv.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		data, _ := io.ReadAll(r.Body) // the client sees
		srv.Store(r.URL.Path, data[:len(data)/2])
		w.WriteHeader(http.StatusCreated)
		return true
	}
	s, pfn := openDAV(t, web(t, srv), storage.Options{})
	if err := s.Put(t.Context(), pfn("file"), strings.NewReader("0123456789"), 10); !errors.Is(err, transfer.ErrCorrupt) {
		t.Errorf("put: %v", err)
	}
	if _, there := srv.File("/rucio/file"); there {
		t.Error("the half is still there")
	}
}

// TestWebStalled: servers that hang, before they answer and while they do.
func TestWebStalled(t *testing.T) {
	release := make(chan struct{})
	srv := &storagetest.Web{Before: func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/rucio/half":
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(make([]byte, 500)) // the client sees
			_ = http.NewResponseController(w).Flush()
		case "/rucio/new":
			if r.Method == http.MethodHead {
				return false
			}
		}
		if r.Method == http.MethodDelete {
			return false
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}}
	// Released before the server is closed, which waits.
	addr := web(t, srv)
	t.Cleanup(func() { close(release) })
	s, pfn := openDAV(t, addr, storage.Options{Stall: 200 * time.Millisecond})
	if _, err := s.Stat(t.Context(), pfn("file")); !errors.Is(err, transfer.ErrStalled) {
		t.Errorf("stat: %v", err)
	}
	r, err := s.Get(t.Context(), pfn("half"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, transfer.ErrStalled) {
		t.Errorf("get: %d bytes, %v", n, err)
	}
	if err := s.Put(t.Context(), pfn("new"), bytes.NewReader(make([]byte, 8<<20)), 8<<20); !errors.Is(err, transfer.ErrStalled) {
		t.Errorf("put: %v", err)
	}
}

// A slow reader is nobody's stall: the clock runs only while we wait for the server.
func TestWebSlowReader(t *testing.T) {
	srv := &storagetest.Web{}
	data := bytes.Repeat([]byte("x"), 4<<20)
	srv.Store("/rucio/file", data)
	s, pfn := openDAV(t, web(t, srv), storage.Options{Stall: 300 * time.Millisecond})
	r, err := s.Get(t.Context(), pfn("file"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	select {
	case <-time.After(time.Second):
	case <-t.Context().Done():
	}
	if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(data)) {
		t.Errorf("get: %d bytes, %v", n, err)
	}
	slow := io.MultiReader(bytes.NewReader(data), slowly{strings.NewReader("end")})
	if err := s.Put(t.Context(), pfn("new"), slow, int64(len(data)+3)); err != nil {
		t.Errorf("put: %v", err)
	}
}

type slowly struct{ r io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(500 * time.Millisecond) // the source knows of no context
	return s.r.Read(p)
}

// tokens notes what credentials a server was shown.
type tokens struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (k *tokens) note(r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen == nil {
		k.seen = map[string]bool{}
	}
	k.seen[r.Header.Get("Authorization")] = true
}

func (k *tokens) saw(token string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen["Bearer "+token]
}

// TestWebRedirect: doors send uploads and downloads elsewhere, and the token goes along
// only over TLS.
func TestWebRedirect(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tls   bool
		token bool // that the pool sees one
		size  int
	}{
		{"tls", true, true, 3 << 20},
		{"tls, small", true, true, 100},
		{"plain", false, false, 3 << 20},
		{"plain, small", false, false, 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var atPool, atDoor tokens
			pool := &storagetest.Web{MadeParents: true}
			start := httptest.NewServer
			if tc.tls {
				start = httptest.NewTLSServer
			}
			poolSrv := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				atPool.note(r)
				pool.ServeHTTP(w, r)
			}))
			t.Cleanup(poolSrv.Close)
			door := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				atDoor.note(r)
				if r.Method == http.MethodGet || r.Method == http.MethodPut {
					http.Redirect(w, r, poolSrv.URL+r.URL.Path, http.StatusTemporaryRedirect)
					return
				}
				pool.ServeHTTP(w, r)
			}))
			t.Cleanup(door.Close)
			conf := trust(door)
			if tc.tls {
				conf = trust(door, poolSrv)
			}
			s, pfn := openDAV(t, door.Listener.Addr().String(), storage.Options{TLS: conf,
				Token: func(context.Context) (string, error) { return "t0ken", nil }})
			data := bytes.Repeat([]byte("x"), tc.size)
			if err := s.Put(t.Context(), pfn("file"), struct{ io.Reader }{bytes.NewReader(data)}, int64(len(data))); err != nil {
				t.Fatal(err)
			}
			r, err := s.Get(t.Context(), pfn("file"), 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data) {
				t.Errorf("get: %d bytes, %v", len(got), err)
			}
			if !atDoor.saw("t0ken") || atPool.saw("t0ken") != tc.token {
				t.Errorf("the door saw the token: %v; the pool: %v", atDoor.saw("t0ken"), atPool.saw("t0ken"))
			}
		})
	}
}

// TestWebNoToken: over plain HTTP no token is sent at all.
func TestWebNoToken(t *testing.T) {
	var seen tokens
	srv := &storagetest.Web{Before: func(_ http.ResponseWriter, r *http.Request) bool { seen.note(r); return false }}
	s, pfn := openDAV(t, web(t, srv), storage.Options{Token: func(context.Context) (string, error) { return "t0ken", nil }})
	if _, err := s.Stat(t.Context(), pfn("file")); !errors.Is(err, transfer.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
	if seen.saw("t0ken") {
		t.Error("it was")
	}
}

// TestWebUntrusted: a server that nobody vouches for is not spoken to.
func TestWebUntrusted(t *testing.T) {
	srv := httptest.NewUnstartedServer(&storagetest.Web{})
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of clients that go
	srv.StartTLS()
	t.Cleanup(srv.Close)
	p, pfn := at(t, "davs", srv.Listener.Addr().String(), "/rucio/")
	s := open(t, p, storage.Options{})
	t.Cleanup(func() { s.Close() })
	_, err := s.Stat(t.Context(), pfn("file"))
	if !errors.Is(err, transfer.ErrHostKey) {
		t.Errorf("stat: %v", err)
	}
}

// TestSecrets: whatever goes wrong, neither signatures nor tokens are in the error.
func TestSecrets(t *testing.T) {
	srv := httptest.NewTLSServer(&storagetest.Web{Key: "k"})
	addr := srv.Listener.Addr().String()
	conf := trust(srv)
	srv.Close() // nobody is there
	p, pfn := at(t, "https", addr, "/bucket/")
	const secret = "5ecre7"
	signed := open(t, p, storage.Options{TLS: conf, Sign: func(_ context.Context, _ storage.Operation, u string) (string, error) {
		return u + "?X-Amz-Signature=" + secret, nil
	}})
	broken := open(t, p, storage.Options{TLS: conf, Sign: func(_ context.Context, _ storage.Operation, u string) (string, error) {
		return "https://[" + secret, nil
	}})
	bearer := open(t, p, storage.Options{TLS: conf, Token: func(context.Context) (string, error) { return secret, nil }})
	for i, s := range []storage.Storage{signed, broken, bearer} {
		name := pfn("file")
		if i == 2 {
			name += "?authz=" + secret
		}
		_, err := s.Stat(t.Context(), name)
		_, err2 := s.Get(t.Context(), name, 0)
		for _, err := range []error{err, err2, s.Put(t.Context(), name, strings.NewReader("x"), 1), s.Remove(t.Context(), name), s.Remove(t.Context(), "ftp://user:"+secret+"@host/x?"+secret)} {
			if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
				t.Errorf("storage %d: %v", i, err)
			}
		}
		s.Close()
	}
}

// TestSignedPFN: what the catalogue signed is used as it is.
func TestSignedPFN(t *testing.T) {
	srv := &storagetest.Web{Key: "k"}
	srv.Store("/bucket/file", []byte("0123456789"))
	tls := httptest.NewTLSServer(srv)
	t.Cleanup(tls.Close)
	p, pfn := at(t, "https", tls.Listener.Addr().String(), "/bucket/")
	s := open(t, p, storage.Options{TLS: trust(tls), Token: func(context.Context) (string, error) {
		t.Error("a token was asked for")
		return "", nil
	}})
	t.Cleanup(func() { s.Close() })
	name := srv.SignedURL(http.MethodGet, pfn("file"))
	i, err := s.Stat(t.Context(), name)
	if err != nil || i.Size != 10 {
		t.Errorf("stat: %+v, %v", i, err)
	}
	r, err := s.Get(t.Context(), name, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "456789" {
		t.Errorf("get: %q, %v", got, err)
	}
}

// TestDigests: the forms in which servers tell checksums.
func TestDigests(t *testing.T) {
	adler, err := checksum.ParseBare(checksum.Adler32, "084b021f")
	if err != nil {
		t.Fatal(err)
	}
	md5, err := checksum.ParseBare(checksum.MD5, "b1946ac92492d2347c6235b4d2611184")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, header, value string
		alg                 checksum.Algorithm
		want                checksum.Sum // zero: not told
	}{
		{"xrootd", "Digest", "adler32=084b021f", checksum.Adler32, adler},
		{"without leading zeros", "Digest", "adler32=84b021f", checksum.Adler32, adler},
		{"upper case", "Digest", "ADLER32=084B021F", checksum.Adler32, adler},
		{"list", "Digest", "md5=sZRqySSS0jR8YjW00mERhA==, adler32=084b021f", checksum.Adler32, adler},
		{"base64", "Digest", "md5=sZRqySSS0jR8YjW00mERhA==", checksum.MD5, md5},
		{"hexadecimal", "Digest", "md5=b1946ac92492d2347c6235b4d2611184", checksum.MD5, md5},
		{"RFC 9530", "Repr-Digest", "md5=:sZRqySSS0jR8YjW00mERhA==:", checksum.MD5, md5},
		{"RFC 9530, adler", "Repr-Digest", "adler=:CEsCHw==:", checksum.Adler32, adler},
		{"object store", "X-Goog-Hash", "crc32c=n03x6A==,md5=sZRqySSS0jR8YjW00mERhA==", checksum.MD5, md5},
		{"another than was asked for", "Digest", "adler32=084b021f", checksum.MD5, checksum.Sum{}},
		{"cut off", "Digest", "md5=sZRqySSS0jR8", checksum.MD5, checksum.Sum{}},
		{"nothing", "Digest", "", checksum.Adler32, checksum.Sum{}},
		{"ETag is no digest", "ETag", `"b1946ac92492d2347c6235b4d2611184"`, checksum.MD5, checksum.Sum{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := &storagetest.Web{Before: func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set(tc.header, tc.value)
				w.Header().Set("Content-Length", "6")
				return true
			}}
			s, pfn := openDAV(t, web(t, srv), storage.Options{})
			got, err := s.(storage.Hasher).Hash(t.Context(), pfn("file"), tc.alg)
			if got != tc.want || tc.want.IsZero() != errors.Is(err, transfer.ErrUnsupported) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// TestSchemes: every scheme opens, and PFNs of its family with and without the usual
// port are taken.
func TestSchemes(t *testing.T) {
	for _, scheme := range storage.Schemes() {
		p := storage.Protocol{Scheme: scheme, Host: "se.example", Prefix: "/rucio"}
		o := &storage.Options{Sign: nil}
		if scheme == "s3" {
			o.Sign = func(_ context.Context, _ storage.Operation, u string) (string, error) { return u, nil }
		}
		s, err := storage.Open(t.Context(), p, o)
		if err != nil {
			t.Errorf("%s: %v", scheme, err)
			continue
		}
		s.Close()
	}
	if _, err := storage.Open(t.Context(), storage.Protocol{Scheme: "globus", Host: "x"}, nil); !errors.Is(err, transfer.ErrUnsupported) {
		t.Errorf("globus: %v", err)
	}
	if _, err := storage.Open(t.Context(), storage.Protocol{Scheme: "davs"}, nil); !errors.Is(err, transfer.ErrInvalid) {
		t.Errorf("no host: %v", err)
	}
	if _, err := storage.Open(t.Context(), storage.Protocol{Scheme: "s3", Host: "x"}, nil); !errors.Is(err, transfer.ErrUnsupported) {
		t.Errorf("nobody signs: %v", err)
	}
}

// TestFileHosts: a place registered as localhost is wherever we are; others are
// compared.
func TestFileHosts(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		host, pfn string
		ok        bool
	}{
		{"localhost", "file://localhost", true},
		{"localhost", "file://", true},
		{"localhost", "file://other.example", true},
		{"nas.example", "file://nas.example", true},
		{"nas.example", "file://NAS.example", true},
		{"nas.example", "file://localhost", false},
		{"nas.example", "file://other.example", false},
	} {
		s := open(t, storage.Protocol{Scheme: "file", Host: tc.host, Prefix: filepath.Join(dir, "rse")}, storage.Options{})
		_, err := s.Stat(t.Context(), tc.pfn+dir+"/rse/none")
		if want := map[bool]error{true: transfer.ErrNotExist, false: transfer.ErrInvalid}[tc.ok]; !errors.Is(err, want) {
			t.Errorf("%s at %s: %v", tc.pfn, tc.host, err)
		}
	}
	_, err := storage.Open(t.Context(), storage.Protocol{Scheme: "file", Host: "localhost", Port: 1}, nil)
	if !errors.Is(err, transfer.ErrInvalid) {
		t.Errorf("with a port: %v", err)
	}
}

// TestRenames: what can rename, and what shows files only when they are complete.
func TestRenames(t *testing.T) {
	sign := &storage.Options{Sign: func(_ context.Context, _ storage.Operation, u string) (string, error) { return u, nil }}
	for _, tc := range []struct {
		p    storage.Protocol
		o    *storage.Options
		want bool
	}{
		{storage.Protocol{Scheme: "davs"}, nil, true},
		{storage.Protocol{Scheme: "davs", Impl: "rucio.rse.protocols.webdav.NoRename"}, nil, false},
		{storage.Protocol{Scheme: "https"}, sign, false},
		{storage.Protocol{Scheme: "s3"}, sign, false},
		{storage.Protocol{Scheme: "root"}, nil, true},
		{storage.Protocol{Scheme: "srm", Impl: "rucio.rse.protocols.gfal.NoRename"}, nil, false},
		{storage.Protocol{Scheme: "file"}, nil, true},
	} {
		if got := storage.Renames(tc.p, tc.o); got != tc.want {
			t.Errorf("%+v: %v", tc.p, got)
		}
	}
}
