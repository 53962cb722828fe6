package cax

import (
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
)

// An observer remembers since when, on this process's own clock, it has seen
// each claim at the same sequence number. It is safe for concurrent use.
type observer struct {
	mu   sync.Mutex
	seen map[string]sighting // by claim id
}

type sighting struct {
	seq   int64
	since time.Duration
	last  time.Duration
}

// unchangedFor notes that the claim was seen now and returns for how long its
// sequence number has been the same. now is the time on Clock.Elapsed.
func (o *observer) unchangedFor(c *rundb.Claim, now time.Duration) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		o.seen = map[string]sighting{}
	}
	s, ok := o.seen[c.ID]
	if !ok || s.seq != c.Seq {
		s = sighting{seq: c.Seq, since: now}
	}
	s.last = now
	o.seen[c.ID] = s
	return now - s.since
}

// forget drops claims that were not seen for longer than age, so that the memory
// of a daemon does not grow.
func (o *observer) forget(age, now time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, s := range o.seen {
		if now-s.last > age {
			delete(o.seen, id)
		}
	}
}
