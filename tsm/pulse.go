package tsm

import (
	"context"
	"sync/atomic"
	"time"
)

// A pulse tells whether a process still does something. dsmc prints nothing while it
// sends one large file, so what it reads and writes counts too.
type pulse struct {
	pid   int
	began time.Time
	last  atomic.Int64 // since began
}

func newPulse(pid int) *pulse { return &pulse{pid: pid, began: time.Now()} }

func (p *pulse) beat() { p.last.Store(int64(time.Since(p.began))) }

// wait returns true when there was no beat for limit, false when the context ends.
func (p *pulse) wait(ctx context.Context, limit time.Duration) bool {
	tick := time.NewTicker(max(min(limit/8, 10*time.Second), time.Millisecond))
	defer tick.Stop()
	moved := ioCount(p.pid)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if n := ioCount(p.pid); n != moved {
			moved = n
			p.beat()
		}
		if time.Since(p.began)-time.Duration(p.last.Load()) > limit {
			return true
		}
	}
}
