package gfal

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/internal/program"
)

// Open implements [transfer.Backend], by gfal-cat. What is before the offset is read,
// too.
func (b *Backend) Open(ctx context.Context, p string, offset int64) (io.ReadCloser, error) {
	u, err := b.url("open", p)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	cmd := b.command("gfal-cat", "-t", limitWork, "-b", u)
	stderr := &program.Tail{}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	rctx, cancel := context.WithCancel(ctx)
	pr, pw := io.Pipe()
	r := &reader{in: bufio.NewReader(pr), pipe: pr, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		err := program.Run(rctx, cmd, func(int) {
			// The reader's end must not keep the program from being waited for.
			_, _ = io.Copy(pw, stdout)
			_, _ = io.Copy(io.Discard, stdout)
		})
		switch {
		case ctx.Err() != nil:
			err = ctx.Err()
		case err != nil:
			err = b.failed("read", p, err, stderr.String())
		default:
			err = io.EOF
		}
		pw.CloseWithError(err)
	}()
	r.stop = context.AfterFunc(ctx, func() { pr.CloseWithError(ctx.Err()) })
	// An error comes now, and not with the first read.
	if _, err = io.CopyN(io.Discard, r.in, offset); err == nil {
		_, err = r.in.Peek(1)
	}
	if err != nil && err != io.EOF {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// A reader gives what gfal-cat prints. It ends with io.EOF only if that has ended well.
type reader struct {
	in     *bufio.Reader
	pipe   *io.PipeReader
	cancel context.CancelFunc
	stop   func() bool
	ended  chan struct{}
}

func (r *reader) Read(p []byte) (int, error) { return r.in.Read(p) }

// Close ends the program.
func (r *reader) Close() error {
	r.stop()
	r.cancel()
	r.pipe.CloseWithError(os.ErrClosed)
	<-r.ended
	return nil
}

// Create implements [transfer.Backend]. What is written is kept in a temporary file and
// sent by Close. The modification time is not kept.
func (b *Backend) Create(ctx context.Context, p string, offset, size int64, _ time.Time) (io.WriteCloser, error) {
	if offset > 0 {
		return nil, &transfer.Error{Op: "create", Place: b.String(), Path: p, Kind: transfer.ErrUnsupported}
	}
	if _, err := b.url("create", p); err != nil {
		return nil, err
	}
	if err := b.parent(ctx, "create", p); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(b.o.Spool, "cax-gfal-")
	if err != nil {
		return nil, err
	}
	return &writer{file: f, send: func(n int64) error {
		if n != size {
			return &transfer.Error{Op: "write", Place: b.String(), Path: p, Kind: transfer.ErrInvalid, Err: io.ErrShortWrite}
		}
		return b.copy(ctx, move{local: f.Name(), remote: p, push: true, size: n, tree: &transfer.Tree{}})
	}}, nil
}

// A writer is a file that is sent when it is complete.
type writer struct {
	file *os.File
	n    int64
	bad  error
	send func(n int64) error
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.n += int64(n)
	if err != nil {
		w.bad = err
	}
	return n, err
}

// Close sends the file if as much was written as was said.
func (w *writer) Close() error {
	defer os.Remove(w.file.Name())
	if err := errors.Join(w.bad, w.file.Close()); err != nil {
		return err
	}
	return w.send(w.n)
}
