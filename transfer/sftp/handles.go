package sftp

import (
	"context"
	"errors"
	"sync"

	"github.com/pkg/sftp"
)

// wideFrom is the size from which a file is opened on all channels. One channel
// moves at most one window of 2 MiB a round trip, and one connection uses one
// processor at each end.
const wideFrom = 16 << 20

// A handle is a file that is open at the far side.
type handle struct {
	c *client
	f *sftp.File
}

// handles are one file that is open on one channel, or on several.
type handles struct {
	b    *Backend
	path string

	mu   sync.Mutex
	all  []handle
	next int

	narrow context.CancelFunc // ends the opening of more
	more   sync.WaitGroup
}

// open opens a file by f on the next channel.
func (b *Backend) open(ctx context.Context, op, p string, f func(c *client) (*sftp.File, error)) (*handles, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c, err := b.client(ctx)
	if err != nil {
		return nil, err
	}
	file, err := b.openOn(ctx, c, op, p, f)
	if err != nil {
		return nil, err
	}
	return &handles{b: b, path: p, all: []handle{{c, file}}, narrow: func() {}}, nil
}

// openOn opens a file on a channel. What is opened too late is closed again.
func (b *Backend) openOn(ctx context.Context, c *client, op, p string, f func(c *client) (*sftp.File, error)) (*sftp.File, error) {
	file, err := on(ctx, b, c, op, p, func() (*sftp.File, error) { return f(c) }, func(f *sftp.File) { _ = f.Close() })
	if err == nil {
		c.use() // until it is closed
	}
	return file, err
}

// widen opens the file on the other channels, too, in the background. What cannot
// be opened is done without.
func (h *handles) widen(ctx context.Context, f func(c *client) (*sftp.File, error)) {
	ctx, h.narrow = context.WithCancel(ctx)
	first := h.all[0].c
	for _, s := range h.b.slots {
		h.more.Go(func() {
			c, err := h.b.clientOf(ctx, s)
			if err != nil || c == first {
				return
			}
			file, err := h.b.openOn(ctx, c, "open", h.path, f)
			if err != nil {
				return
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.all = append(h.all, handle{c, file})
		})
	}
}

// pick gives one handle after the other.
func (h *handles) pick() handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	return h.all[h.next%len(h.all)]
}

// close closes all, and does what else there is to do at the same time.
func (h *handles) close(ctx context.Context, also func(c *client) error) error {
	h.narrow()
	h.more.Wait()
	errs := make([]error, len(h.all)+1)
	var wg sync.WaitGroup
	for i, x := range h.all {
		wg.Go(func() {
			_, errs[i] = on(ctx, h.b, x.c, "close", h.path, func() (struct{}, error) {
				defer x.c.unuse()
				return struct{}{}, x.f.Close()
			}, nil)
		})
	}
	if also != nil {
		c := h.all[0].c
		_, errs[len(h.all)] = on(ctx, h.b, c, "close", h.path, func() (struct{}, error) { return struct{}{}, also(c) }, nil)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs...)
}
