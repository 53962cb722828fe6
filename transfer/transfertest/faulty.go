package transfertest

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
)

// Faults says what a [Faulty] backend does wrong. The zero value does nothing
// wrong. Functions are called from several goroutines.
type Faults struct {
	// Before is called before each operation; its error is that of the operation.
	// It may also wait, or end a context.
	Before func(ctx context.Context, op Op) error

	// Read may change what was read from a path at an offset, and with what
	// result.
	Read func(path string, offset int64, p []byte, n int, err error) (int, error)

	// Short lets reads give at most 1000 bytes at a time.
	Short bool

	// Write may change the bytes that are written. It is given a copy.
	Write func(path string, offset int64, p []byte)

	// Space is how many bytes can be written before transfer.ErrNoSpace.
	// 0: no bound.
	Space int64
}

// An Op is one operation of a backend: the N-th of all that share a [Counter],
// from 0.
type Op struct {
	N    int
	Name string // "Lstat", "Read", "WriteAt", …
	Path string
}

// A Counter numbers the operations of one backend, or of several.
type Counter struct {
	mu sync.Mutex
	n  int
}

// Count is how many operations there were.
func (c *Counter) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *Counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n - 1
}

// Faulty is a backend that makes faults on demand. It passes on what the backend
// below can do, except that it is no transfer.Disk and no transfer.Hasher: to a
// Copier it is a remote place. [FaultyDisk] is both.
type Faulty struct {
	below transfer.Backend
	f     Faults
	count *Counter

	mu      sync.Mutex
	written int64
}

// NewFaulty wraps a backend. c may be shared with others; nil: its own.
func NewFaulty(below transfer.Backend, f Faults, c *Counter) *Faulty {
	if c == nil {
		c = &Counter{}
	}
	return &Faulty{below: below, f: f, count: c}
}

var (
	_ transfer.Backend    = (*Faulty)(nil)
	_ transfer.Syncer     = (*Faulty)(nil)
	_ transfer.NameSyncer = (*Faulty)(nil)
	_ transfer.Spacer     = (*Faulty)(nil)
	_ transfer.Cloner     = (*Faulty)(nil)
	_ transfer.Disk       = (*FaultyDisk)(nil)
	_ transfer.Hasher     = (*FaultyDisk)(nil)
)

func (b *Faulty) before(ctx context.Context, name, path string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	op := Op{N: b.count.next(), Name: name, Path: path}
	if b.f.Before != nil {
		if err := b.f.Before(ctx, op); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// String is that of the backend below, and "faulty".
func (b *Faulty) String() string { return "faulty " + b.below.String() }

// Close implements transfer.Backend.
func (b *Faulty) Close() error { return b.below.Close() }

// Lstat implements transfer.Backend.
func (b *Faulty) Lstat(ctx context.Context, p string) (transfer.Info, error) {
	if err := b.before(ctx, "Lstat", p); err != nil {
		return transfer.Info{}, err
	}
	return b.below.Lstat(ctx, p)
}

// List implements transfer.Backend.
func (b *Faulty) List(ctx context.Context, dir string) iter.Seq2[transfer.Info, error] {
	return func(yield func(transfer.Info, error) bool) {
		if err := b.before(ctx, "List", dir); err != nil {
			yield(transfer.Info{}, err)
			return
		}
		b.below.List(ctx, dir)(yield)
	}
}

// Open implements transfer.Backend.
func (b *Faulty) Open(ctx context.Context, p string, offset int64) (io.ReadCloser, error) {
	if err := b.before(ctx, "Open", p); err != nil {
		return nil, err
	}
	r, err := b.below.Open(ctx, p, offset)
	if err != nil {
		return nil, err
	}
	return &faultyReader{ReadCloser: r, b: b, ctx: ctx, path: p, at: offset}, nil
}

type faultyReader struct {
	io.ReadCloser
	b    *Faulty
	ctx  context.Context
	path string
	at   int64
}

func (r *faultyReader) Read(p []byte) (int, error) {
	if err := r.b.before(r.ctx, "Read", r.path); err != nil {
		return 0, err
	}
	if r.b.f.Short {
		p = p[:min(len(p), 1000)]
	}
	n, err := r.ReadCloser.Read(p)
	if r.b.f.Read != nil {
		n, err = r.b.f.Read(r.path, r.at, p, n, err)
	}
	r.at += int64(n)
	return n, err
}

// Create implements transfer.Backend.
func (b *Faulty) Create(ctx context.Context, p string, offset, size int64, mtime time.Time) (io.WriteCloser, error) {
	if err := b.before(ctx, "Create", p); err != nil {
		return nil, err
	}
	w, err := b.below.Create(ctx, p, offset, size, mtime)
	if err != nil {
		return nil, err
	}
	fw := &faultyWriter{w: w, b: b, ctx: ctx, path: p, at: offset}
	if at, ok := w.(transfer.WriterAt); ok {
		return &faultyWriterAt{fw, at}, nil
	}
	return fw, nil
}

type faultyWriter struct {
	w    io.WriteCloser
	b    *Faulty
	ctx  context.Context
	path string
	at   int64
}

// spoil gives the bytes to write instead of p.
func (w *faultyWriter) spoil(name string, p []byte, at int64) ([]byte, error) {
	if err := w.b.before(w.ctx, name, w.path); err != nil {
		return nil, err
	}
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	if w.b.written += int64(len(p)); w.b.f.Space > 0 && w.b.written > w.b.f.Space {
		return nil, &transfer.Error{Op: "write", Place: w.b.String(), Path: w.path, Kind: transfer.ErrNoSpace}
	}
	if w.b.f.Write != nil {
		p = append([]byte(nil), p...)
		w.b.f.Write(w.path, at, p)
	}
	return p, nil
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	p, err := w.spoil("Write", p, w.at)
	if err != nil {
		return 0, err
	}
	n, err := w.w.Write(p)
	w.at += int64(n)
	return n, err
}

func (w *faultyWriter) Close() error {
	err := w.b.before(w.ctx, "Close", w.path)
	return errors.Join(err, w.w.Close())
}

type faultyWriterAt struct {
	*faultyWriter
	below transfer.WriterAt
}

func (w *faultyWriterAt) WriteAt(p []byte, at int64) (int, error) {
	p, err := w.spoil("WriteAt", p, at)
	if err != nil {
		return 0, err
	}
	return w.below.WriteAt(p, at)
}

func (w *faultyWriterAt) Sync(ctx context.Context) (bool, error) {
	if err := w.b.before(ctx, "SyncFile", w.path); err != nil {
		return false, err
	}
	return w.below.Sync(ctx)
}

// Mkdir implements transfer.Backend.
func (b *Faulty) Mkdir(ctx context.Context, dir string) error {
	if err := b.before(ctx, "Mkdir", dir); err != nil {
		return err
	}
	return b.below.Mkdir(ctx, dir)
}

// Rename implements transfer.Backend.
func (b *Faulty) Rename(ctx context.Context, from, to string) error {
	if err := b.before(ctx, "Rename", to); err != nil {
		return err
	}
	return b.below.Rename(ctx, from, to)
}

// Remove implements transfer.Backend.
func (b *Faulty) Remove(ctx context.Context, p string) error {
	if err := b.before(ctx, "Remove", p); err != nil {
		return err
	}
	return b.below.Remove(ctx, p)
}

// Sync implements transfer.Syncer.
func (b *Faulty) Sync(ctx context.Context, p string) (bool, error) {
	if err := b.before(ctx, "Sync", p); err != nil {
		return false, err
	}
	if s, ok := b.below.(transfer.Syncer); ok {
		return s.Sync(ctx, p)
	}
	return false, nil
}

// SyncName implements transfer.NameSyncer.
func (b *Faulty) SyncName(ctx context.Context, p string) (bool, error) {
	if err := b.before(ctx, "SyncName", p); err != nil {
		return false, err
	}
	if s, ok := b.below.(transfer.NameSyncer); ok {
		return s.SyncName(ctx, p)
	}
	return false, nil
}

// Free implements transfer.Spacer.
func (b *Faulty) Free(ctx context.Context, p string) (int64, error) {
	if err := b.before(ctx, "Free", p); err != nil {
		return 0, err
	}
	if s, ok := b.below.(transfer.Spacer); ok {
		return s.Free(ctx, p)
	}
	return 0, &transfer.Error{Op: "look for space at", Path: p, Kind: transfer.ErrUnsupported}
}

// Clone implements transfer.Cloner.
func (b *Faulty) Clone(ctx context.Context, from, to string) error {
	if err := b.before(ctx, "Clone", to); err != nil {
		return err
	}
	if c, ok := b.below.(transfer.Cloner); ok {
		return c.Clone(ctx, from, to)
	}
	return &transfer.Error{Op: "clone", Path: to, Kind: transfer.ErrUnsupported}
}

// A FaultyDisk is a Faulty over this machine's disk that says so, and hashes.
type FaultyDisk struct{ *Faulty }

// LocalPath implements transfer.Disk.
func (FaultyDisk) LocalPath(p string) string { return p }

// Hash implements transfer.Hasher.
func (b FaultyDisk) Hash(ctx context.Context, a checksum.Algorithm, paths []string) ([]checksum.Sum, error) {
	if err := b.before(ctx, "Hash", ""); err != nil {
		return nil, err
	}
	if h, ok := b.below.(transfer.Hasher); ok {
		return h.Hash(ctx, a, paths)
	}
	return nil, &transfer.Error{Op: "hash", Kind: transfer.ErrUnsupported}
}
