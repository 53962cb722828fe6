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

// Create implements [transfer.Backend].
func (b *Backend) Create(ctx context.Context, p string, offset, size int64, mtime time.Time) (io.WriteCloser, error) {
	h, err := b.open(ctx, "create", p, func(c *client) (*sftp.File, error) {
		if offset == 0 {
			return c.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		}
		f, err := c.OpenFile(p, os.O_WRONLY)
		if err != nil {
			return nil, err
		}
		st, err := f.Stat()
		if err == nil && st.Size() < offset {
			err = &transfer.Error{Op: "create", Place: b.String(), Path: p, Kind: transfer.ErrInvalid, Err: errors.New("it is shorter than the offset to go on from")}
		}
		if err == nil && st.Size() > offset {
			err = f.Truncate(offset)
		}
		if err != nil {
			_ = f.Close() // the error that counts is known
			return nil, err
		}
		return f, nil
	})
	if err != nil {
		return nil, b.reason(ctx, p, err)
	}
	if size-offset >= wideFrom {
		h.widen(ctx, func(c *client) (*sftp.File, error) { return c.OpenFile(p, os.O_WRONLY) })
	}
	return &writer{handles: h, ctx: ctx, at: offset, mtime: mtime}, nil
}

// A writer is a file under way. It is a [transfer.WriterAt].
type writer struct {
	*handles
	ctx   context.Context
	at    int64
	mtime time.Time
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.WriteAt(p, w.at)
	w.at += int64(n)
	return n, err
}

// WriteAt may still read p for a moment after it has returned an error.
func (w *writer) WriteAt(p []byte, off int64) (int, error) {
	h := w.pick()
	n, err := on(w.ctx, w.b, h.c, "write", w.path, func() (int, error) { return h.f.WriteAt(p, off) }, nil)
	if err != nil {
		return 0, w.b.reason(w.ctx, w.path, err)
	}
	return n, nil
}

// Sync makes durable what all channels wrote: it is the file that is synced.
func (w *writer) Sync(ctx context.Context) (bool, error) {
	h := w.pick()
	if _, ok := h.c.HasExtension("fsync@openssh.com"); !ok {
		return false, nil
	}
	_, err := on(ctx, w.b, h.c, "sync", w.path, func() (struct{}, error) { return struct{}{}, h.f.Sync() }, nil)
	if errors.Is(err, transfer.ErrUnsupported) {
		return false, nil
	}
	return err == nil, w.b.reason(ctx, w.path, err)
}

// Close also sets the modification time. All writes were acknowledged, so the
// order does not matter.
func (w *writer) Close() error {
	var touch func(c *client) error
	if !w.mtime.IsZero() {
		touch = func(c *client) error { return c.Chtimes(w.path, w.mtime, w.mtime) }
	}
	return w.b.reason(w.ctx, w.path, w.close(w.ctx, touch))
}
