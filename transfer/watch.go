package transfer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A watchdog ends a copy that makes no progress, and passes progress on.
type watchdog struct {
	limit    time.Duration
	progress Progress
	moved    atomic.Int64
	last     atomic.Int64 // when something happened, since began
	began    time.Time
	cancel   context.CancelCauseFunc
	ended    chan struct{}

	mu   sync.RWMutex
	over bool // nobody is told anything any more
}

// slowest is the rate, in bytes per second, that a step which cannot tell how it
// goes on (a remote hash, a sync) is trusted to have.
const slowest = 10 << 20

func watch(ctx context.Context, limit time.Duration, p Progress) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{limit: limit, progress: p, began: time.Now(), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		tick := time.NewTicker(max(min(limit/8, time.Second), time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if idle := time.Since(w.began) - time.Duration(w.last.Load()); idle > limit {
					cancel(&Error{Op: "copy", Kind: ErrStalled, Err: fmt.Errorf("for %v", idle.Round(time.Millisecond)),
						Hint: "see whether the other side hangs; it is tried again"})
				}
			}
		}
	}()
	return ctx, w
}

// stop ends the watch. From then on nobody is told anything, whatever is left
// behind.
func (w *watchdog) stop() {
	w.cancel(context.Canceled)
	<-w.ended
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// tell calls f unless the copy is over.
func (w *watchdog) tell(f func()) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if !w.over {
		f()
	}
}

// alive notes that something happened.
func (w *watchdog) alive() { w.last.Store(int64(time.Since(w.began))) }

// expect gives a step over n bytes, which cannot tell how it goes on, the time
// that it needs at the slowest rate, on top of the limit.
func (w *watchdog) expect(n int64) {
	w.last.Store(int64(time.Since(w.began) + time.Duration(float64(n)/slowest*float64(time.Second))))
}

// report notes that something happened and tells the progress, if there is one.
func (w *watchdog) report(f func(Progress)) {
	w.alive()
	if w.progress != nil {
		w.tell(func() { f(w.progress) })
	}
}

func (w *watchdog) start(files int, bytes int64) {
	w.report(func(p Progress) { p.Start(files, bytes) })
}

func (w *watchdog) move(n int64) {
	w.moved.Add(n)
	w.report(func(p Progress) { p.Moved(n) })
}

func (w *watchdog) skipped(n int64) { w.report(func(p Progress) { p.Skipped(n) }) }

func (w *watchdog) file(path string) { w.report(func(p Progress) { p.File(path) }) }
