package storage_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/rucio/storage/storagetest"
	"github.com/cax-go/cax/transfer"
)

func openRoot(t *testing.T, srv *storagetest.Root, o storage.Options) (storage.Storage, func(string) string) {
	t.Helper()
	p, pfn := at(t, "root", srv.Addr, "//rucio/")
	s := open(t, p, o)
	t.Cleanup(func() { s.Close() })
	return s, pfn
}

// TestRootRefusals: each number of the protocol has its kind.
func TestRootRefusals(t *testing.T) {
	for code, want := range map[int]error{
		3000: transfer.ErrInvalid, 3003: transfer.ErrExist, 3005: transfer.ErrTransient, 3007: transfer.ErrTransient,
		3009: transfer.ErrNoSpace, 3010: transfer.ErrPermission, 3011: transfer.ErrNotExist, 3013: transfer.ErrUnsupported,
		3016: transfer.ErrInvalid, 3018: transfer.ErrExist, 3021: transfer.ErrNoSpace, 3025: transfer.ErrPermission, 3030: transfer.ErrAuth,
	} {
		srv := storagetest.StartRoot(t)
		srv.Before = func(id uint16, _ string) (uint16, []byte) {
			if id == storagetest.RootOpen {
				return storagetest.Refuse(code, "no")
			}
			return 0, nil
		}
		s, pfn := openRoot(t, srv, storage.Options{})
		if err := s.Put(t.Context(), pfn("file"), strings.NewReader("x"), 1); !errors.Is(err, want) {
			t.Errorf("%d: %v, want one that %q", code, err, want)
		}
	}
}

// TestRootRedirect: the server sends us to others, which ask for a pause and answer
// late.
func TestRootRedirect(t *testing.T) {
	pool, door := storagetest.StartRoot(t), storagetest.StartRoot(t)
	var waited, late atomic.Bool
	pool.Before = func(id uint16, text string) (uint16, []byte) {
		switch {
		case id == storagetest.RootOpen && !strings.Contains(text, "ticket=7"):
			return storagetest.Refuse(3010, "no ticket")
		case id == storagetest.RootStat && !waited.Swap(true):
			return storagetest.Wait(0)
		case id == storagetest.RootStat && !late.Swap(true):
			return storagetest.WaitResp, nil
		}
		return 0, nil
	}
	door.Before = func(id uint16, _ string) (uint16, []byte) {
		if id == storagetest.RootOpen || id == storagetest.RootStat {
			return storagetest.Redirect(pool.Addr, "ticket=7")
		}
		return 0, nil
	}
	s, pfn := openRoot(t, door, storage.Options{})
	data := bytes.Repeat([]byte("x"), 3<<20)
	if err := s.Put(t.Context(), pfn("file"), bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), pfn("file"), 5)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data[5:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if !waited.Load() || !late.Load() {
		t.Error("the pool was not asked")
	}
}

// TestRootCircle: a server that redirects to itself.
func TestRootCircle(t *testing.T) {
	srv := storagetest.StartRoot(t)
	srv.Before = func(id uint16, _ string) (uint16, []byte) {
		if id == storagetest.RootStat {
			return storagetest.Redirect(srv.Addr, "")
		}
		return 0, nil
	}
	s, pfn := openRoot(t, srv, storage.Options{})
	if _, err := s.Stat(t.Context(), pfn("file")); err == nil || errors.Is(err, transfer.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
}

// TestRootBroken: connections break when they are idle, which nobody notices, and in
// the middle of reading and writing, which is an error of just that.
func TestRootBroken(t *testing.T) {
	srv := storagetest.StartRoot(t)
	data := bytes.Repeat([]byte("x"), 20<<20)
	srv.Store("/rucio/file", data)
	s, pfn := openRoot(t, srv, storage.Options{})
	for range 3 {
		if i, err := s.Stat(t.Context(), pfn("file")); err != nil || i.Size != int64(len(data)) {
			t.Fatalf("stat: %+v, %v", i, err)
		}
		srv.Break()
	}
	var count atomic.Int32
	srv.Before = func(id uint16, _ string) (uint16, []byte) {
		if (id == storagetest.RootRead || id == storagetest.RootWrite) && count.Add(1) == 5 {
			return storagetest.HangUp, nil
		}
		return 0, nil
	}
	r, err := s.Get(t.Context(), pfn("file"), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, r)
	r.Close()
	if !errors.Is(err, transfer.ErrTransient) {
		t.Errorf("get: %v", err)
	}
	count.Store(0)
	if err := s.Put(t.Context(), pfn("new"), bytes.NewReader(data), int64(len(data))); !errors.Is(err, transfer.ErrTransient) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Stat(t.Context(), pfn("new")); !errors.Is(err, transfer.ErrNotExist) {
		t.Errorf("what is left: %v", err)
	}
}

// TestRootStalled: a server that does not answer any more.
func TestRootStalled(t *testing.T) {
	srv := storagetest.StartRoot(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	srv.Before = func(id uint16, _ string) (uint16, []byte) {
		if id == storagetest.RootStat {
			<-release
		}
		return 0, nil
	}
	s, pfn := openRoot(t, srv, storage.Options{Stall: 200 * time.Millisecond})
	if _, err := s.Stat(t.Context(), pfn("file")); !errors.Is(err, transfer.ErrStalled) {
		t.Errorf("stat: %v", err)
	}
}

// TestRootLogin: what we cannot log in to is left to programs, and said where these are
// not installed.
func TestRootLogin(t *testing.T) {
	srv := storagetest.StartRoot(t)
	srv.Login = "&P=gsi,v:10400,c:ssl&P=ztn"
	t.Setenv("PATH", t.TempDir())
	s, pfn := openRoot(t, srv, storage.Options{})
	_, err := s.Stat(t.Context(), pfn("file"))
	var e *transfer.Error
	if !errors.Is(err, transfer.ErrAuth) || !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("stat: %v", err)
	}
}
