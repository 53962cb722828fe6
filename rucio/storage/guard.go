package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cax-go/cax/transfer"
)

// slowest is the rate, in bytes per second, that a server is trusted to compute a
// checksum with, since that shows no progress.
const slowest = 10 << 20

// A guard ends an operation that makes no progress.
type guard struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration

	mu    sync.Mutex
	timer *time.Timer
}

// watch begins to watch an operation. stop has to be called.
func (pl *place) watch(ctx context.Context, op string, f file) *guard {
	g := &guard{limit: pl.stall}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	g.timer = time.AfterFunc(g.limit, func() {
		e := pl.fault(op, f, transfer.ErrStalled, fmt.Errorf("for %v", g.limit))
		e.Hint = "see whether the server hangs; it is tried again"
		g.cancel(e)
	})
	return g
}

// alive notes that something happened, or that we wait for the far side from now on.
func (g *guard) alive() { g.expect(0) }

// expect gives the far side the time to read n bytes, on top of the limit.
func (g *guard) expect(n int64) {
	g.set(g.limit + time.Duration(float64(n)/slowest*float64(time.Second)))
}

// rest stops the clock while it is not the far side that we wait for.
func (g *guard) rest() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer.Stop()
}

func (g *guard) set(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() == nil {
		g.timer.Reset(d)
	}
}

func (g *guard) stop() {
	g.cancel(context.Canceled)
	g.rest()
}

// lingering is how long a call may go on after its context has ended before it is
// left behind.
const lingering = 700 * time.Millisecond

// within runs f, which may not obey contexts, and leaves it behind with
// transfer.ErrLingering where it goes on after the end of ctx.
func within(ctx context.Context, f func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		return orEnded(ctx, err)
	case <-ctx.Done():
	}
	t := time.NewTimer(lingering)
	defer t.Stop()
	select {
	case err := <-ended:
		return orEnded(ctx, err)
	case <-t.C:
		return errors.Join(orEnded(ctx, ctx.Err()), transfer.ErrLingering)
	}
}

// A source is what a Put reads. It keeps the clock of the guard off while it waits for
// its reader, lets the end of the context interrupt that, and sees to it that there are
// size bytes.
type source struct {
	r    io.Reader
	size int64
	g    *guard
	bad  func(error) error // makes the error for another length
	buf  []byte
	have []byte // of buf, not given out yet
	last error  // comes after have

	mu   sync.Mutex
	done int64 // bytes that r gave
	err  error // of the reader, or of the length
}

func (s *source) Read(p []byte) (int, error) {
	for len(s.have) == 0 && s.last == nil {
		s.fill()
	}
	n := copy(p, s.have)
	if s.have = s.have[n:]; n == 0 && len(p) > 0 {
		return 0, s.last
	}
	return n, nil
}

// fill reads the next piece. A read that is left behind has the buffer for itself.
func (s *source) fill() {
	type piece struct {
		n   int
		err error
	}
	got := make(chan piece, 1)
	s.g.rest()
	go func() {
		n, err := s.r.Read(s.buf)
		got <- piece{n, err}
	}()
	var p piece
	select {
	case p = <-got:
	case <-s.g.ctx.Done():
		p.err = orEnded(s.g.ctx, s.g.ctx.Err())
	}
	s.g.alive()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += int64(p.n)
	s.have, s.last = s.buf[:p.n], p.err
	switch {
	case s.done > s.size:
		s.err = s.bad(fmt.Errorf("it has more than %d bytes", s.size))
	case p.err == io.EOF && s.done < s.size:
		s.err = s.bad(fmt.Errorf("it has %d bytes and not %d", s.done, s.size))
	case p.err != nil && p.err != io.EOF:
		s.err = p.err
	}
	if s.err != nil {
		s.have, s.last = nil, s.err
	}
}

// failed is how much of the source was read, and what was wrong with it.
func (s *source) failed() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done, s.err
}

// restart makes the source begin at its start, where its reader can.
func (s *source) restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.done == 0 {
		return s.err
	}
	seeker, ok := s.r.(io.Seeker)
	if !ok {
		return errors.ErrUnsupported
	}
	if _, err := seeker.Seek(-s.done, io.SeekCurrent); err != nil {
		return err
	}
	s.done, s.have, s.last = 0, nil, nil
	return nil
}

// newSource makes the source of a Put.
func (pl *place) newSource(r io.Reader, size int64, g *guard, f file) *source {
	return &source{r: r, size: size, g: g, buf: make([]byte, min(size+1, 256<<10)), bad: func(err error) error {
		return pl.fault("put", f, transfer.ErrSourceChanged, err)
	}}
}

// A body is what a Get returns: the clock runs only while it is read.
type body struct {
	r    io.ReadCloser
	g    *guard
	wrap func(error) error
}

func newBody(r io.ReadCloser, g *guard, wrap func(error) error) *body {
	g.rest()
	return &body{r: r, g: g, wrap: wrap}
}

func (b *body) Read(p []byte) (int, error) {
	b.g.alive()
	n, err := b.r.Read(p)
	b.g.rest()
	if err != nil && err != io.EOF {
		err = orEnded(b.g.ctx, b.wrap(err))
	}
	return n, err
}

func (b *body) Close() error {
	b.g.stop()
	return b.r.Close()
}

// cleanup runs f for a moment although ctx may have ended.
func cleanup(ctx context.Context, f func(ctx context.Context)) {
	limit := 20 * time.Second
	if ctx.Err() != nil {
		limit = lingering
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	f(ctx)
}
