package transfer

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/cax-go/cax/checksum"
)

// grace is how long Copy waits, after its context has ended, for calls of
// backends to return.
const grace = time.Second

// Copy copies one dataset. On success the target is complete and verified under
// its final name. On failure the final name is untouched, but for what was moved
// aside, and the staging folder remains for the next try, except for files that
// were found to be wrong.
//
// Copy returns within about a second of the end of ctx, with its error. Where a
// call of a backend hangs even then, the error is also ErrLingering; otherwise no
// goroutine outlives Copy. Nothing is tried twice: an error that a new try may
// cure is returned, and the next call with the same claim goes on.
func (c *Copier) Copy(ctx context.Context, j Job) (*Result, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	ctx, w := watch(ctx, c.stall(), j.Progress)
	defer w.stop()
	r := &run{Copier: c, Job: j, watch: w, slots: make(chan struct{}, buffered), dirs: map[string]bool{}, staged: map[string]Info{},
		staging: beside(j.Target.Path, StagingName(path.Base(j.Target.Path), j.Claim))}
	var res *Result
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		res, err = r.copy(ctx)
	}()
	select {
	case <-done:
		return res, orEnded(ctx, err)
	case <-ctx.Done():
	}
	select {
	case <-done:
		return res, orEnded(ctx, err)
	case <-time.After(grace):
		return nil, &Error{Op: "copy", Path: j.Target.Path, Kind: ErrLingering, Err: ended(ctx)}
	}
}

// run is one copy under way.
type run struct {
	*Copier
	Job
	watch   *watchdog
	slots   chan struct{} // bounds the chunks in flight
	staging string
	source  *listing // what is copied
	seen    *listing // the source as it was found
	aside   string   // where what stood under the final name and was not this dataset is; "": nothing
	journal *journal
	by      checksum.Algorithm // by which files were compared the last time
	result  Result

	mu      sync.Mutex
	staged  map[string]Info // below data, as found at the start; "" is data itself
	resumed []*file         // of which something was there
	dirs    map[string]bool // that exist below data
}

// data is where the dataset is assembled.
func (r *run) data() string { return r.staging + "/data" }

// at is where a file is staged.
func (r *run) at(p string) string {
	if r.source.single {
		return r.data()
	}
	return r.data() + "/" + p
}

// beside gives the path of another name in the same folder.
func beside(p, name string) string { return path.Join(path.Dir(p), name) }

// copy is the sequence of steps.
func (r *run) copy(ctx context.Context) (*Result, error) {
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	adopted, err := r.lookAtTarget(ctx)
	if err != nil {
		return nil, err
	}
	if adopted {
		return r.finish(ctx)
	}
	if err := r.fill(ctx); err != nil {
		return nil, err
	}
	if err := r.weigh(ctx); err != nil {
		return nil, err
	}
	if err := r.judge(ctx); err != nil {
		return nil, err
	}
	return r.commit(ctx)
}

// look lists the source and compares names and sizes with the manifest.
func (r *run) look(ctx context.Context) error {
	var err error
	if r.source, err = list(ctx, r.Source, r.watch.alive); err != nil {
		return err
	}
	r.seen = r.source
	if r.Partial && r.source.single == r.Manifest.Single {
		r.source = held(r.Manifest, r.source)
	} else if r.source.regular == 0 {
		return r.damaged(errors.New("it holds no file"))
	}
	if r.Manifest != nil {
		if err := differ(compare(listingOf(r.Manifest), r.source)); err != nil {
			return r.damaged(err)
		}
	}
	r.result.Bytes, r.result.Files = r.source.bytes, r.source.regular
	r.watch.start(r.source.regular, r.source.bytes)
	return nil
}

// fill gets the dataset into staging.
func (r *run) fill(ctx context.Context) error {
	defer r.room.leave(r)
	defer func() {
		if r.journal != nil {
			r.journal.close()
		}
	}()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.move(ctx); err != nil {
		return err
	}
	return r.checkResumed(ctx)
}

// judge decides about the bytes of the dataset as a whole.
func (r *run) judge(ctx context.Context) error {
	if !r.result.Adopted {
		if err := r.readBack(ctx); err != nil {
			return err
		}
		if err := r.unchanged(ctx); err != nil {
			return err
		}
	}
	if r.Legacy.IsZero() {
		return nil
	}
	got, err := r.result.Manifest.LegacySum(r.Legacy.Algorithm())
	if err != nil {
		return &Error{Op: "read", Place: r.Source.Backend.String(), Path: r.Source.Path, Kind: ErrInvalid, Err: err}
	}
	if got != r.Legacy {
		return r.damaged(fmt.Errorf("its checksum is %s, its record says %s", got, r.Legacy))
	}
	return nil
}

// commit makes the staged dataset durable, asks the caller, and gives it its
// name.
func (r *run) commit(ctx context.Context) (*Result, error) {
	if err := r.sync(ctx, r.data()); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		if ctx.Err() != nil {
			return nil, ended(ctx)
		}
		if r.BeforeCommit != nil {
			if err := r.BeforeCommit(ctx); err != nil {
				return nil, err
			}
		}
		if r.aside == r.Target.Path {
			if err := r.moveAside(ctx); err != nil && !errors.Is(err, ErrNotExist) {
				return nil, err
			}
		}
		err := r.Target.Backend.Rename(ctx, r.data(), r.Target.Path)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrExist) || try > 0 {
			return nil, err
		}
		// Somebody put something there meanwhile.
		adopted, err := r.lookAtTarget(ctx)
		if err != nil {
			return nil, err
		}
		if adopted {
			break
		}
	}
	return r.finish(ctx)
}

// finish makes the name durable and removes what is left of staging. From here
// on the copy is there: what goes wrong now does not undo it, and the next try
// finds it.
func (r *run) finish(ctx context.Context) (*Result, error) {
	if err := r.syncName(ctx, r.Target.Path); err != nil {
		return nil, err
	}
	for _, claim := range slices.Concat([]string{r.Claim}, r.Continue, r.Adopt) {
		left := beside(r.Target.Path, StagingName(path.Base(r.Target.Path), claim))
		if err := r.Target.Backend.Remove(ctx, left); err != nil {
			return nil, err
		}
	}
	r.result.Sent = r.watch.moved.Load()
	return &r.result, nil
}

// sync makes a tree durable where the place can, and notes whether it did.
func (r *run) sync(ctx context.Context, p string) error {
	s, ok := r.Target.Backend.(Syncer)
	if !ok {
		return nil
	}
	r.watch.expect(r.source.bytes)
	durable, err := s.Sync(ctx, p)
	if err != nil {
		return err
	}
	r.watch.alive()
	r.result.Durable = durable
	return nil
}

// syncName makes the name of what is durable already durable.
func (r *run) syncName(ctx context.Context, p string) error {
	s, ok := r.Target.Backend.(NameSyncer)
	if !ok || r.result.Adopted {
		return r.sync(ctx, p)
	}
	durable, err := s.SyncName(ctx, p)
	if err == nil && !durable {
		r.result.Durable = false
	}
	return err
}

// damaged is the error of a source that is not what its record says.
func (r *run) damaged(err error) error {
	return &Error{Op: "read", Place: r.Source.Backend.String(), Path: r.Source.Path, Kind: ErrCorrupt, Err: err,
		Hint: "the source is not what it was, or its record is wrong; verify it at its own site"}
}
