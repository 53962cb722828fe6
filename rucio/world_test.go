package rucio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/rucio/storage"
	"github.com/cax-go/cax/transfer"
)

// A world is a server in memory and a dataset on this machine's disk.
type world struct {
	srv   *ruciotest.Fake
	job   rucio.Upload
	bytes map[string][]byte // by name
	dir   string
}

// newWorld makes a dataset of files of some sizes.
func newWorld(t *testing.T, sizes ...int) *world {
	t.Helper()
	w := &world{srv: ruciotest.NewFake(t, nil), bytes: map[string][]byte{}, dir: t.TempDir()}
	w.job = rucio.Upload{Dataset: rucio.DID{Scope: ruciotest.Scope, Name: "raw"}, RSE: ruciotest.RSEA,
		Metadata: map[string]any{"run_number": 1234, "campaign": "SR000", "x1t_note": "longer than a column"}}
	for i, n := range sizes {
		name := fmt.Sprintf("XENON1T-1234-%09d.zip", i)
		w.bytes[name] = bytes.Repeat([]byte{byte('a' + i%20)}, n)
		w.write(t, name)
		w.job.Files = append(w.job.Files, rucio.UploadFile{Path: filepath.Join(w.dir, name), Size: -1})
	}
	return w
}

func (w *world) write(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), w.bytes[name], 0o644); err != nil {
		t.Fatal(err)
	}
}

// manifest gives the files the sums that they have to have.
func (w *world) manifest(algs ...checksum.Algorithm) {
	for i := range w.job.Files {
		f := &w.job.Files[i]
		d := checksum.NewDigest(algs...)
		d.Write(w.bytes[filepath.Base(f.Path)])
		f.Size, f.Sums = d.Size(), d.Sums()
	}
}

// at is where the storage has a file.
func (w *world) at(rse, name string) string { return w.srv.File(rse, ruciotest.Scope, name) }

func (w *world) did(name string) rucio.DID { return rucio.DID{Scope: ruciotest.Scope, Name: name} }

func (w *world) client(t *testing.T) *rucio.Client { return fakeClient(t, w.srv, w.srv.Admin) }

// upload uploads the dataset to an RSE.
func (w *world) upload(t *testing.T, rse string) {
	t.Helper()
	job := w.job
	job.RSE = rse
	if _, err := (&rucio.Uploader{Client: w.client(t)}).Upload(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}

// complete fails the test where the catalogue and the storage do not have the dataset as
// an upload should leave it.
func (w *world) complete(t *testing.T, rse string) {
	t.Helper()
	c := w.client(t)
	members := 0
	for m, err := range c.Contents(t.Context(), w.job.Dataset) {
		if err != nil {
			t.Fatal(err)
		}
		want := w.bytes[m.Name]
		if got, err := os.ReadFile(w.at(rse, m.Name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s at %s: %d bytes, %v", m.Name, rse, len(got), err)
		}
		d := checksum.NewDigest(checksum.Adler32, checksum.MD5)
		d.Write(want)
		if m.Bytes != int64(len(want)) || m.Adler32 != d.Sum(checksum.Adler32).Bare() || m.MD5 != d.Sum(checksum.MD5).Bare() {
			t.Errorf("%+v, want %d bytes with %s", m, len(want), d.Sums())
		}
		members++
	}
	if n := w.srv.Attachments(w.job.Dataset.Scope, w.job.Dataset.Name); members != len(w.bytes) || n != members {
		t.Errorf("%d members after %d attachments, want %d", members, n, len(w.bytes))
	}
	if all := w.srv.Orphans(); len(all) > 0 {
		t.Errorf("left over: %v", all)
	}
	rules := 0
	for r, err := range c.RulesOf(t.Context(), w.job.Dataset) {
		if err != nil {
			t.Fatal(err)
		}
		if r.State != rucio.RuleOK || r.LocksOK != int64(members) {
			t.Errorf("rule %+v", r)
		}
		rules++
	}
	if rules != 1 {
		t.Errorf("%d rules", rules)
	}
	for name := range w.bytes {
		for _, did := range []rucio.DID{w.did(name), w.job.Dataset} {
			meta, err := c.Metadata(t.Context(), did)
			if err != nil || meta["run_number"] != 1234.0 || meta["campaign"] != "SR000" || meta["x1t_note"] != w.job.Metadata["x1t_note"] {
				t.Errorf("metadata of %s: %v, %v", did, meta, err)
			}
		}
	}
	w.onlyFiles(t, rse, len(w.bytes))
}

// onlyFiles counts what lies at a storage: nothing temporary may.
func (w *world) onlyFiles(t *testing.T, rse string, want int) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(w.srv.Folder(rse), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if n++; strings.HasSuffix(p, ".rucio.upload") {
			t.Errorf("%s was left", p)
		}
		return nil
	})
	if err != nil || n != want {
		t.Errorf("%d files at %s, want %d (%v)", n, rse, want, err)
	}
}

// A stage counts operations of storage and lets something go wrong with them.
type stage struct {
	mu sync.Mutex
	n  int

	// before and after are called with the number of the operation and what it is, as "put"
	// or "read"; their errors are those of the operation. nil: nothing goes wrong.
	before, after func(n int, op, pfn string) error
	half          bool // a put that fails before leaves half of the bytes
	noHash        bool
	noOffset      bool
	spoil         func(pfn string, p []byte, at int64) // changes bytes that are written or read
}

func (s *stage) open(ctx context.Context, p storage.Protocol, o *storage.Options) (storage.Storage, error) {
	st, err := storage.Open(ctx, p, o)
	if err != nil {
		return nil, err
	}
	return &staged{st, s}, nil
}

func (s *stage) do(op, pfn string, f func() error) error {
	s.mu.Lock()
	s.n++
	n := s.n
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before(n, op, pfn); err != nil {
			return err
		}
	}
	if err := f(); err != nil {
		return err
	}
	if s.after != nil {
		return s.after(n, op, pfn)
	}
	return nil
}

type staged struct {
	storage.Storage
	s *stage
}

func (b *staged) Stat(ctx context.Context, pfn string) (i storage.Info, err error) {
	err = b.s.do("stat", pfn, func() error { i, err = b.Storage.Stat(ctx, pfn); return err })
	return i, err
}

func (b *staged) Put(ctx context.Context, pfn string, r io.Reader, size int64) error {
	err := b.s.do("put", pfn, func() error {
		return b.Storage.Put(ctx, pfn, &spoiled{r: r, pfn: pfn, spoil: b.s.spoil}, size)
	})
	if err != nil && b.s.half && size > 1 {
		_ = b.Storage.Put(context.WithoutCancel(ctx), pfn, io.LimitReader(r, size/2), size/2)
	}
	return err
}

func (b *staged) Get(ctx context.Context, pfn string, offset int64) (r io.ReadCloser, err error) {
	if b.s.noOffset && offset > 0 {
		return nil, &transfer.Error{Op: "get", Path: pfn, Kind: transfer.ErrUnsupported}
	}
	err = b.s.do("get", pfn, func() error { r, err = b.Storage.Get(ctx, pfn, offset); return err })
	if err != nil {
		return nil, err
	}
	return &spoiledBody{spoiled{r: r, pfn: pfn, at: offset, spoil: b.s.spoil, s: b.s}, r}, nil
}

func (b *staged) Rename(ctx context.Context, from, to string) error {
	return b.s.do("rename", from, func() error { return b.Storage.Rename(ctx, from, to) })
}

func (b *staged) Remove(ctx context.Context, pfn string) error {
	return b.s.do("remove", pfn, func() error { return b.Storage.Remove(ctx, pfn) })
}

func (b *staged) Hash(ctx context.Context, pfn string, a checksum.Algorithm) (sum checksum.Sum, err error) {
	h, ok := b.Storage.(storage.Hasher)
	if !ok || b.s.noHash {
		return checksum.Sum{}, &transfer.Error{Op: "hash", Path: pfn, Kind: transfer.ErrUnsupported}
	}
	err = b.s.do("hash", pfn, func() error { sum, err = h.Hash(ctx, pfn, a); return err })
	return sum, err
}

// spoiled gives a few bytes at a time.
type spoiled struct {
	r     io.Reader
	pfn   string
	at    int64
	spoil func(pfn string, p []byte, at int64)
	s     *stage // to count reads; nil: they are not counted
}

func (r *spoiled) Read(p []byte) (n int, err error) {
	read := func() error {
		n, err = r.r.Read(p[:min(len(p), 1000)])
		if r.spoil != nil {
			r.spoil(r.pfn, p[:n], r.at)
		}
		r.at += int64(n)
		return nil
	}
	if r.s == nil {
		_ = read()
	} else if failed := r.s.do("read", r.pfn, read); failed != nil {
		return n, failed
	}
	return n, err
}

type spoiledBody struct {
	spoiled
	io.Closer
}

// errKilled is what a process sees no more after kill -9.
var errKilled = errors.New("killed")
