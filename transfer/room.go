package transfer

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
)

// reserve makes sure that there is room for what is still to be written, before
// anything is.
func (r *run) reserve(ctx context.Context) error {
	s, ok := r.Target.Backend.(Spacer)
	if !ok {
		return nil
	}
	dir := path.Dir(r.Target.Path)
	free, err := s.Free(ctx, dir)
	if errors.Is(err, ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	need := r.source.bytes
	for i := range r.source.files {
		f := &r.source.files[i]
		if staged, ok := r.found(f); ok {
			need -= min(staged.Size, f.size)
		}
	}
	if others, ok := r.room.enter(r, need, free-r.Reserve); !ok {
		return &Error{Op: "write", Place: r.Target.Backend.String(), Path: dir, Kind: ErrNoSpace,
			Err:  fmt.Errorf("%d bytes are still to be written, %d more by other copies, and %d to be left free; %d are free", need, others, r.Reserve, free),
			Hint: "make room there"}
	}
	return nil
}

// A room keeps the copies of one Copier from counting the same free bytes.
type room struct {
	mu   sync.Mutex
	held map[*run]int64 // bytes that a copy was promised
}

// enter promises need bytes to a copy if they fit into free, beside what is
// promised to others and not written yet; it returns the sum of these.
func (o *room) enter(r *run, need, free int64) (others int64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for other, promised := range o.held {
		if other.Target.Backend.String() != r.Target.Backend.String() {
			continue
		}
		others += max(0, promised-other.watch.moved.Load())
	}
	if need+others > free {
		return others, false
	}
	if o.held == nil {
		o.held = map[*run]int64{}
	}
	o.held[r] = need
	return others, true
}

// leave ends the promise.
func (o *room) leave(r *run) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.held, r)
}
