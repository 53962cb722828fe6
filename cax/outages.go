package cax

import (
	"errors"
	"sync"
	"time"
)

// outages remembers failures that concern a remote as a whole, so that not every
// dataset runs into them one by one, and actions that failed before anything
// could be written on a record. It is safe for concurrent use.
type outages struct {
	mu     sync.Mutex
	down   map[string]outage
	parked map[doingKey]outage
}

type outage struct {
	until time.Duration // on Clock.Elapsed
	tries int
	err   error
	told  bool
}

// note takes the outcome of an action with a remote: a failure of the remote
// closes it for a while, longer each time; a success opens it.
func (o *outages) note(remote string, err error, p Policy, elapsed time.Duration) {
	if remote == "" || errors.Is(err, ErrLeaseLost) || errors.Is(err, ErrNotNeeded) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		delete(o.down, remote)
		return
	}
	if !ofRemote(classify(err)) {
		return
	}
	if o.down == nil {
		o.down = map[string]outage{}
	}
	tries := o.down[remote].tries
	o.down[remote] = outage{until: elapsed + p.backoff(tries), tries: tries + 1, err: err}
}

// of returns why a remote is left alone now; nil if it is not.
func (o *outages) of(remote string, elapsed time.Duration) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d, ok := o.down[remote]; ok && elapsed < d.until {
		return d.err
	}
	return nil
}

// tell is of, once for each time that a remote is left alone: for the log.
func (o *outages) tell(remote string, elapsed time.Duration) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	d, ok := o.down[remote]
	if !ok || elapsed >= d.until || d.told {
		return nil
	}
	d.told = true
	o.down[remote] = d
	return d.err
}

// park takes the outcome of an action: one that failed is not started again for a
// while, longer each time.
func (o *outages) park(k doingKey, err error, p Policy, elapsed time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil || errors.Is(err, ErrNotNeeded) {
		delete(o.parked, k)
		return
	}
	if o.parked == nil {
		o.parked = map[doingKey]outage{}
	}
	tries := o.parked[k].tries
	o.parked[k] = outage{until: elapsed + p.backoff(tries), tries: tries + 1, err: err}
}

// isParked reports whether an action that failed has to wait.
func (o *outages) isParked(k doingKey, elapsed time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	d, ok := o.parked[k]
	return ok && elapsed < d.until
}

// forget drops what has not been waited for since age, so that the memory of a
// daemon does not grow.
func (o *outages) forget(age, elapsed time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, d := range o.parked {
		if elapsed-d.until > age {
			delete(o.parked, k)
		}
	}
}
