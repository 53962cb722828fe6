package sftp

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/pkg/sftp"
)

// Open implements [transfer.Backend]. Reading goes ahead of the reader.
func (b *Backend) Open(ctx context.Context, p string, offset int64) (io.ReadCloser, error) {
	var f *sftp.File
	err := b.do(ctx, "open", p, func(c *sftp.Client) (err error) {
		f, err = c.Open(p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &reader{b: b, ctx: ctx, f: f, path: p, at: offset}, nil
}

const (
	// aheadSize is how much one read-ahead asks for; it is cut into packets that
	// are all under way at once.
	aheadSize = 1 << 20

	// aheadMost is how many read-aheads of one file are under way.
	aheadMost = 8
)

// A reader reads a file in order, with more and more of it under way, so that
// small files cost one request and large ones fill the link.
type reader struct {
	b    *Backend
	ctx  context.Context
	f    *sftp.File
	path string
	at   int64 // where the next read-ahead begins
	most int
	end  bool // a read-ahead met the end of the file
	out  []chan part
	now  part
}

type part struct {
	data []byte
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.now.data) == 0 {
		if r.now.err != nil {
			return 0, r.now.err
		}
		r.ask()
		select {
		case r.now = <-r.out[0]:
			r.out = r.out[1:]
			r.now.err = r.b.wrap("read", r.path, r.now.err)
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
	n := copy(p, r.now.data)
	r.now.data = r.now.data[n:]
	return n, nil
}

// ask sends read-aheads, twice as many as the last time.
func (r *reader) ask() {
	r.most = min(max(1, 2*r.most), aheadMost)
	for len(r.out) < r.most {
		got, at := make(chan part, 1), r.at
		r.at += aheadSize
		r.out = append(r.out, got)
		go func() {
			buf := make([]byte, aheadSize)
			n, err := r.f.ReadAt(buf, at)
			got <- part{buf[:n], err}
		}()
	}
}

func (r *reader) Close() error {
	return r.b.wait(r.ctx, "close", r.path, r.f.Close)
}

// Create implements [transfer.Backend].
func (b *Backend) Create(ctx context.Context, p string, offset, _ int64, mtime time.Time) (io.WriteCloser, error) {
	var f *sftp.File
	var client *sftp.Client
	err := b.do(ctx, "create", p, func(c *sftp.Client) (err error) {
		client = c
		flags := os.O_WRONLY
		if offset == 0 {
			flags |= os.O_CREATE | os.O_TRUNC
		}
		if f, err = c.OpenFile(p, flags); err != nil || offset == 0 {
			return err
		}
		st, err := f.Stat()
		if err == nil && st.Size() < offset {
			err = &transfer.Error{Op: "create", Place: b.String(), Path: p, Kind: transfer.ErrInvalid, Err: errors.New("it is shorter than the offset to go on from")}
		}
		if err == nil {
			err = f.Truncate(offset)
		}
		return err
	})
	if err != nil {
		return nil, b.full(ctx, p, err)
	}
	return &writer{b: b, ctx: ctx, c: client, f: f, path: p, at: offset, mtime: mtime}, nil
}

// A writer is a file under way. It is a [transfer.WriterAt].
type writer struct {
	b     *Backend
	ctx   context.Context
	c     *sftp.Client
	f     *sftp.File
	path  string
	at    int64
	mtime time.Time
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.WriteAt(p, w.at)
	w.at += int64(n)
	return n, err
}

// WriteAt may still read p for a moment after it has returned an error.
func (w *writer) WriteAt(p []byte, off int64) (n int, err error) {
	err = w.b.wait(w.ctx, "write", w.path, func() error {
		var err error
		n, err = w.f.WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, w.b.full(w.ctx, w.path, err)
	}
	return n, nil
}

func (w *writer) Sync(ctx context.Context) (bool, error) {
	err := w.b.wait(ctx, "sync", w.path, w.f.Sync)
	if errors.Is(err, transfer.ErrUnsupported) {
		return false, nil
	}
	return err == nil, err
}

func (w *writer) Close() error {
	err := w.b.wait(w.ctx, "close", w.path, func() error {
		err := w.f.Close()
		if err == nil && !w.mtime.IsZero() {
			err = w.c.Chtimes(w.path, w.mtime, w.mtime)
		}
		return err
	})
	return w.b.full(w.ctx, w.path, err)
}
