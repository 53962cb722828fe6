package rucio

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"
)

// stream carries out a request whose answer is one JSON value a line. The type
// that the server calls it is not looked at: it is wrong at times.
func stream[W, T any](ctx context.Context, c *Client, r request, as func(W) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		resp, err := c.send(ctx, r)
		if err != nil {
			yield(none, err)
			return
		}
		defer resp.Body.Close()
		fail := func(err error) {
			if ctx.Err() != nil {
				err = ctx.Err()
			} else if !errors.As(err, new(*Error)) {
				err = &Error{Op: r.op, Thing: r.thing, Kind: ErrTransient, Status: resp.StatusCode, Err: err, Hint: "the list is incomplete"}
			}
			yield(none, err)
		}
		if endless(resp) {
			fail(errEndless)
			return
		}
		for lines := newLines(resp.Body); ; {
			line, err := lines.next()
			if err == io.EOF {
				return
			} else if err != nil {
				fail(err)
				return
			}
			var w W
			if err := decode(r, line, &w); err != nil {
				fail(err)
				return
			}
			if !yield(as(w), nil) {
				return
			}
		}
	}
}

var (
	errEndless = errors.New("its end could not be told from a cut")
	errCut     = errors.New("it was cut in a line")
	errLong    = errors.New("a line of it is too long")
	errStalled = errors.New("the server sent nothing for too long")
)

// endless reports whether an answer has neither a length nor chunks, so that it
// ends as a broken connection does.
func endless(resp *http.Response) bool {
	return resp.ProtoMajor < 2 && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && !resp.Uncompressed
}

// lines reads the lines of a stream, each of which ends in a newline.
type lines struct{ r *bufio.Reader }

func newLines(r io.Reader) *lines { return &lines{bufio.NewReaderSize(r, 64<<10)} }

const maxLine = 64 << 20

// next gives the next line that is not blank, or io.EOF. It is valid until the next call.
func (l *lines) next() ([]byte, error) {
	for {
		line, err := l.r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			long := bytes.Clone(line)
			for err == bufio.ErrBufferFull {
				if len(long) > maxLine {
					return nil, errLong
				}
				line, err = l.r.ReadSlice('\n')
				long = append(long, line...)
			}
			line = long
		}
		if err == io.EOF && len(bytes.TrimSpace(line)) > 0 {
			return nil, errCut
		} else if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

// collect reads a stream to its end.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// insist reads a list to its end, and again from the begin where it was cut, as often as
// requests are sent again.
func insist[T any](ctx context.Context, c *Client, list func() iter.Seq2[T, error]) ([]T, error) {
	for failures := 0; ; {
		all, err := collect(list())
		if err == nil || ctx.Err() != nil || !errors.Is(err, ErrTransient) {
			return all, err
		}
		if failures++; failures > c.cfg.Retries {
			return nil, err
		}
		if err := sleep(ctx, pause(c.cfg.Backoff, failures)); err != nil {
			return nil, err
		}
	}
}

// A watch cancels a request when a step of it takes too long.
type watch struct {
	limit  time.Duration
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (w *watch) start() {
	w.timer = time.AfterFunc(w.limit, func() { w.cancel(errStalled) })
}

func (w *watch) stop() { w.timer.Stop() }

// watched is the body of an answer. Only reads are timed, not what the
// program does between them.
type watched struct {
	io.ReadCloser
	ctx   context.Context
	watch *watch
}

// Read reads what is there, and fails if nothing comes for too long.
func (b *watched) Read(p []byte) (int, error) {
	b.watch.start()
	n, err := b.ReadCloser.Read(p)
	b.watch.stop()
	if err != nil && err != io.EOF && errors.Is(context.Cause(b.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

// Close ends the request.
func (b *watched) Close() error {
	err := b.ReadCloser.Close()
	b.watch.cancel(nil)
	return err
}
