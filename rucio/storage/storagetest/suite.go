// Package storagetest holds the conformance suite of storage protocols, a WebDAV server
// and an object store that make faults on demand, and a real XRootD server.
package storagetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
)

// A Harness tells the suite how to get a storage and what it cannot do.
type Harness struct {
	Open func(t *testing.T) storage.Storage

	// PFN makes the PFN of a path, as "scope/ab/cd/name", that nobody else uses.
	PFN func(path string) string

	NoRename   bool                 // an object store
	WholeFiles bool                 // no reading from an offset
	Hashes     []checksum.Algorithm // what the place tells

	Foreign []string // PFNs that must be refused, beside the usual ones
}

// Run runs the conformance suite.
func Run(t *testing.T, h Harness) {
	for _, tc := range []struct {
		name string
		f    func(t *testing.T, h Harness, s storage.Storage)
	}{
		{"RoundTrip", testRoundTrip},
		{"Offset", testOffset},
		{"PutNeverReplaces", testPutExists},
		{"PutOtherLength", testOtherLength},
		{"PutSourceFails", testSourceFails},
		{"PutEnded", testPutEnded},
		{"GetEnded", testGetEnded},
		{"Rename", testRename},
		{"RenameNeverReplaces", testRenameExists},
		{"Missing", testMissing},
		{"Remove", testRemove},
		{"Hash", testHash},
		{"Foreign", testForeign},
		{"Ended", testEnded},
		{"Parallel", testParallel},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := h.Open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			h := h
			pfn, name := h.PFN, strings.ToLower(tc.name)
			h.PFN = func(p string) string { return pfn(name + "/" + p) }
			tc.f(t, h, s)
		})
	}
}

// random gives n bytes that depend on the seed alone.
func random(seed uint64, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func put(t *testing.T, s storage.Storage, pfn string, data []byte) {
	t.Helper()
	if err := s.Put(t.Context(), pfn, plain{bytes.NewReader(data)}, int64(len(data))); err != nil {
		t.Fatalf("put %s: %v", pfn, err)
	}
}

// plain hides everything but Read.
type plain struct{ r io.Reader }

func (p plain) Read(b []byte) (int, error) { return p.r.Read(b) }

func get(t *testing.T, s storage.Storage, pfn string, offset int64) []byte {
	t.Helper()
	r, err := s.Get(t.Context(), pfn, offset)
	if err != nil {
		t.Fatalf("get %s from %d: %v", pfn, offset, err)
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read %s from %d: %v", pfn, offset, err)
	}
	return data
}

// kind fails the test unless an error of a transfer kind came back.
func kind(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want one that %q", what, err, want)
		return
	}
	var e *transfer.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: %v is no *transfer.Error", what, err)
	}
}

// gone fails the test unless a file is not there, or vanishes soon: servers notice late
// that a client has gone.
func gone(t *testing.T, s storage.Storage, pfn string) {
	t.Helper()
	var err error
	var i storage.Info
	for range 100 {
		if i, err = s.Stat(t.Context(), pfn); errors.Is(err, transfer.ErrNotExist) {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	t.Errorf("%s is still there: %+v, %v", pfn, i, err)
}

func testRoundTrip(t *testing.T, h Harness, s storage.Storage) {
	sizes := []int{0, 1, 65535, 65536, 65537, 2<<20 + 7}
	if transfertest.Long() {
		sizes = append(sizes, 40<<20)
	}
	for i, size := range sizes {
		pfn, data := h.PFN(fmt.Sprintf("user.x/a%d/b/file-%d", i, size)), random(uint64(size), size)
		put(t, s, pfn, data)
		st, err := s.Stat(t.Context(), pfn)
		if err != nil || st.Size != int64(size) {
			t.Errorf("stat of %d bytes: %+v, %v", size, st, err)
		}
		for _, sum := range []struct {
			alg  checksum.Algorithm
			text string
		}{{checksum.Adler32, st.Adler32}, {checksum.MD5, st.MD5}} {
			if sum.text != "" && sum.text != sumOf(sum.alg, data).Bare() {
				t.Errorf("stat of %d bytes tells %v %s", size, sum.alg, sum.text)
			}
		}
		if got := get(t, s, pfn, 0); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d others", size, len(got))
		}
	}
}

func sumOf(a checksum.Algorithm, data []byte) checksum.Sum {
	d := checksum.NewDigest(a)
	_, _ = d.Write(data) // never fails
	return d.Sum(a)
}

func testOffset(t *testing.T, h Harness, s storage.Storage) {
	pfn, data := h.PFN("file"), random(1, 2<<20+100)
	put(t, s, pfn, data)
	for _, at := range []int{1, 1 << 20, len(data) - 1, len(data)} {
		if h.WholeFiles {
			_, err := s.Get(t.Context(), pfn, int64(at))
			kind(t, "get from an offset", err, transfer.ErrUnsupported)
			continue
		}
		if got := get(t, s, pfn, int64(at)); !bytes.Equal(got, data[at:]) {
			t.Errorf("from %d: %d bytes that differ", at, len(got))
		}
	}
	if _, err := s.Get(t.Context(), pfn, int64(len(data)+1)); !h.WholeFiles {
		kind(t, "get from beyond the end", err, transfer.ErrInvalid)
	}
}

func testPutExists(t *testing.T, h Harness, s storage.Storage) {
	pfn, data := h.PFN("file"), random(2, 200<<10)
	put(t, s, pfn, data)
	other := random(3, 100)
	kind(t, "put", s.Put(t.Context(), pfn, bytes.NewReader(other), int64(len(other))), transfer.ErrExist)
	if !bytes.Equal(get(t, s, pfn, 0), data) {
		t.Error("the file was changed")
	}
}

func testOtherLength(t *testing.T, h Harness, s storage.Storage) {
	for _, size := range []int{100, 300 << 10, 3 << 20} {
		data := random(4, size)
		for _, said := range []int{size - 1, size + 1} {
			pfn := h.PFN(fmt.Sprintf("file-%d-%d", size, said))
			kind(t, fmt.Sprintf("put %d bytes said to be %d", size, said), s.Put(t.Context(), pfn, plain{bytes.NewReader(data)}, int64(said)), transfer.ErrSourceChanged)
			gone(t, s, pfn)
		}
	}
}

var errSource = errors.New("the disk of the source is broken")

func testSourceFails(t *testing.T, h Harness, s storage.Storage) {
	for _, after := range []int{0, 200 << 10, 3 << 20} {
		pfn := h.PFN(fmt.Sprintf("file-%d", after))
		r := io.MultiReader(bytes.NewReader(random(5, after)), failing{errSource})
		if err := s.Put(t.Context(), pfn, r, 4<<20); !errors.Is(err, errSource) {
			t.Errorf("put of what cannot be read after %d bytes: %v", after, err)
		}
		gone(t, s, pfn)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// testPutEnded ends the context while the source gives no bytes and knows nothing of
// contexts.
func testPutEnded(t *testing.T, h Harness, s storage.Storage) {
	for _, after := range []int{0, 1 << 20, 5 << 20} {
		pfn := h.PFN(fmt.Sprintf("file-%d", after))
		ctx, cancel := context.WithCancel(t.Context())
		hung := &hanging{waits: make(chan struct{}), free: make(chan struct{})}
		go func() { <-hung.waits; cancel() }()
		err := s.Put(ctx, pfn, io.MultiReader(bytes.NewReader(random(6, after)), hung), 16<<20)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %d bytes: %v", after, err)
		}
		close(hung.free)
		gone(t, s, pfn)
	}
}

// hanging is a reader that hangs until it is set free.
type hanging struct {
	once        sync.Once
	waits, free chan struct{}
}

func (h *hanging) Read([]byte) (int, error) {
	h.once.Do(func() { close(h.waits) })
	<-h.free
	return 0, io.ErrUnexpectedEOF
}

func testGetEnded(t *testing.T, h Harness, s storage.Storage) {
	pfn := h.PFN("file")
	put(t, s, pfn, random(7, 8<<20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := s.Get(ctx, pfn, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("read on after the end of the context: %d bytes, %v", n, err)
	}
}

func testRename(t *testing.T, h Harness, s storage.Storage) {
	from, to, data := h.PFN("a/file.rucio.upload"), h.PFN("b/c/file"), random(8, 1000)
	put(t, s, from, data)
	err := s.Rename(t.Context(), from, to)
	if h.NoRename {
		kind(t, "rename", err, transfer.ErrUnsupported)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, s, to, 0), data) {
		t.Error("the file is another")
	}
	gone(t, s, from)
}

func testRenameExists(t *testing.T, h Harness, s storage.Storage) {
	if h.NoRename {
		return
	}
	from, to, data := h.PFN("a/file.rucio.upload"), h.PFN("a/file"), random(9, 1000)
	put(t, s, from, random(10, 1000))
	put(t, s, to, data)
	kind(t, "rename", s.Rename(t.Context(), from, to), transfer.ErrExist)
	if !bytes.Equal(get(t, s, to, 0), data) {
		t.Error("the file was replaced")
	}
	if _, err := s.Stat(t.Context(), from); err != nil {
		t.Errorf("the other file: %v", err)
	}
}

func testMissing(t *testing.T, h Harness, s storage.Storage) {
	put(t, s, h.PFN("here/file"), random(11, 10))
	for _, pfn := range []string{h.PFN("here/none"), h.PFN("not/here/none")} {
		_, err := s.Stat(t.Context(), pfn)
		kind(t, "stat", err, transfer.ErrNotExist)
		_, err = s.Get(t.Context(), pfn, 0)
		kind(t, "get", err, transfer.ErrNotExist)
		if hs, ok := s.(storage.Hasher); ok && len(h.Hashes) > 0 {
			_, err = hs.Hash(t.Context(), pfn, h.Hashes[0])
			kind(t, "hash", err, transfer.ErrNotExist)
		}
		if !h.NoRename {
			kind(t, "rename", s.Rename(t.Context(), pfn, h.PFN("here/new")), transfer.ErrNotExist)
		}
		if err := s.Remove(t.Context(), pfn); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
}

func testRemove(t *testing.T, h Harness, s storage.Storage) {
	pfn, other := h.PFN("a/file"), h.PFN("a/other")
	put(t, s, pfn, random(12, 10))
	put(t, s, other, random(13, 10))
	for range 2 {
		if err := s.Remove(t.Context(), pfn); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Stat(t.Context(), pfn); !errors.Is(err, transfer.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := s.Stat(t.Context(), other); err != nil {
		t.Errorf("the other: %v", err)
	}
	put(t, s, pfn, random(14, 10)) // the name is free again
}

func testHash(t *testing.T, h Harness, s storage.Storage) {
	for _, size := range []int{0, 1 << 20} {
		pfn, data := h.PFN(fmt.Sprintf("file-%d", size)), random(15, size)
		put(t, s, pfn, data)
		for _, a := range checksum.Algorithms() {
			hs, ok := s.(storage.Hasher)
			if !ok && len(h.Hashes) > 0 {
				t.Fatal("it is no Hasher")
			}
			if !ok {
				return
			}
			got, err := hs.Hash(t.Context(), pfn, a)
			switch {
			case err == nil && got == sumOf(a, data):
			case slices.Contains(h.Hashes, a):
				t.Errorf("hash of %d bytes by %v: %v, %v", size, a, got, err)
			default:
				kind(t, "hash by "+a.String(), err, transfer.ErrUnsupported)
			}
		}
	}
}

func testForeign(t *testing.T, h Harness, s storage.Storage) {
	pfn := h.PFN("file")
	scheme, rest, _ := strings.Cut(pfn, "://")
	_, path, _ := strings.Cut(rest, "/")
	host := strings.TrimSuffix(rest, "/"+path)
	for _, bad := range append([]string{
		"", "file", scheme + "://", "gopher://" + rest, scheme + "://" + host,
		scheme + "://" + host + "/elsewhere/file",
		pfn + "/../../../../../../etc/passwd", pfn + "/./x", pfn + "/", pfn + "\x00", pfn + "\r\nx",
	}, h.Foreign...) {
		_, err := s.Stat(t.Context(), bad)
		kind(t, fmt.Sprintf("stat %q", bad), err, transfer.ErrInvalid)
		_, err = s.Get(t.Context(), bad, 0)
		kind(t, fmt.Sprintf("get %q", bad), err, transfer.ErrInvalid)
		kind(t, fmt.Sprintf("put %q", bad), s.Put(t.Context(), bad, strings.NewReader(""), 0), transfer.ErrInvalid)
		kind(t, fmt.Sprintf("remove %q", bad), s.Remove(t.Context(), bad), transfer.ErrInvalid)
		kind(t, fmt.Sprintf("rename %q", bad), s.Rename(t.Context(), bad, pfn), transfer.ErrInvalid)
		kind(t, fmt.Sprintf("rename to %q", bad), s.Rename(t.Context(), pfn, bad), transfer.ErrInvalid)
	}
}

func testEnded(t *testing.T, h Harness, s storage.Storage) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pfn := h.PFN("file")
	_, err := s.Stat(ctx, pfn)
	_, err2 := s.Get(ctx, pfn, 0)
	errs := map[string]error{"stat": err, "get": err2, "put": s.Put(ctx, pfn, strings.NewReader("x"), 1), "remove": s.Remove(ctx, pfn)}
	if !h.NoRename {
		errs["rename"] = s.Rename(ctx, pfn, h.PFN("other"))
	}
	for op, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the end: %v", op, err)
		}
	}
	gone(t, s, pfn)
}

func testParallel(t *testing.T, h Harness, s storage.Storage) {
	const n = 12
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			pfn, data := h.PFN(fmt.Sprintf("p/%d/q/file-%d", i%3, i)), random(uint64(100+i), 100<<10)
			if err := s.Put(t.Context(), pfn, bytes.NewReader(data), int64(len(data))); err != nil {
				t.Errorf("put: %v", err)
				return
			}
			r, err := s.Get(t.Context(), pfn, 0)
			if err != nil {
				t.Errorf("get: %v", err)
				return
			}
			got, err := io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, data) {
				t.Errorf("file %d: %d bytes, %v", i, len(got), err)
			}
		})
	}
	wg.Wait()
}
