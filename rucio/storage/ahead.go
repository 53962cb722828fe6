package storage

import (
	"context"
	"io"
	"sync"
)

// readAhead reads r in a goroutine of its own, two pieces ahead, so that a read that
// hangs does not hold up its reader when ctx ends. It ends with ctx, which has to end.
func readAhead(ctx context.Context, r io.ReadCloser) io.ReadCloser {
	a := &ahead{ctx: ctx, pieces: make(chan piece, 1), closed: make(chan struct{})}
	go func() {
		// Closed here, since nobody else knows whether a read is under way.
		defer r.Close()
		for {
			p := piece{data: make([]byte, 1<<20)}
			var n int
			n, p.err = r.Read(p.data)
			p.data = p.data[:n]
			select {
			case a.pieces <- p:
			case <-a.closed:
				return
			case <-ctx.Done():
				return
			}
			if p.err != nil {
				return
			}
		}
	}()
	return a
}

type ahead struct {
	ctx    context.Context
	pieces chan piece
	now    piece
	closed chan struct{}
	once   sync.Once
}

type piece struct {
	data []byte
	err  error
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.now.data) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		select {
		case a.now = <-a.pieces:
		case <-a.ctx.Done():
			return 0, a.ctx.Err()
		}
	}
	n := copy(p, a.now.data)
	a.now.data = a.now.data[n:]
	return n, nil
}

func (a *ahead) Close() error {
	a.once.Do(func() { close(a.closed) })
	return nil
}
