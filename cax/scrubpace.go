package cax

import (
	"context"
	"sync"
	"time"

	"github.com/cax-go/cax/transfer"
	"golang.org/x/time/rate"
)

// A pacer bounds how fast copies are read, by a rate that may change with the time
// of day. A nil one bounds nothing.
type pacer struct {
	clock Clock
	// at gives the bytes per second that hold now; 0: none may be read, wait.
	at func(time.Time) int64

	mu    sync.Mutex
	limit *rate.Limiter
}

// newPacer makes a pacer by a table.
func newPacer(clock Clock, at func(time.Time) int64) *pacer {
	return &pacer{clock: clock, at: at, limit: rate.NewLimiter(0, 0)}
}

// pauseStep is how long a pacer waits before it looks again whether reading may go
// on.
const pauseStep = time.Second

// wait returns when n more bytes may be read, or when ctx ends.
func (p *pacer) wait(ctx context.Context, n int64) {
	for n > 0 && ctx.Err() == nil {
		p.mu.Lock()
		r := p.at(p.clock.now())
		if r <= 0 {
			p.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(pauseStep):
			}
			continue
		}
		// A tenth of a second's worth at once: slow rates are felt as slow, not as
		// long pauses.
		burst := max(r/10, 1)
		if p.limit.Limit() != rate.Limit(r) {
			p.limit = rate.NewLimiter(rate.Limit(r), int(burst))
		}
		limit := p.limit
		p.mu.Unlock()
		step := min(n, burst)
		if limit.WaitN(ctx, int(step)) != nil {
			return // ctx has ended
		}
		n -= step
	}
}

// slow puts a pacer in front of a progress, which may be nil: whoever reports bytes
// waits until more may be read.
func (p *pacer) slow(ctx context.Context, to transfer.Progress) transfer.Progress {
	if p == nil {
		return to
	}
	return &paced{pacer: p, ctx: ctx, to: to}
}

// paced is a progress whose calls wait. It lives as long as one call that reads,
// which is why it may keep its context.
type paced struct {
	*pacer
	ctx context.Context
	to  transfer.Progress
}

func (p *paced) Start(files int, bytes int64) {
	if p.to != nil {
		p.to.Start(files, bytes)
	}
}

func (p *paced) Moved(n int64) {
	if p.to != nil {
		p.to.Moved(n)
	}
	p.wait(p.ctx, n)
}

func (p *paced) Skipped(n int64) {
	if p.to != nil {
		p.to.Skipped(n)
	}
}

func (p *paced) File(path string) {
	if p.to != nil {
		p.to.File(path)
	}
}
