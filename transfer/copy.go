package transfer

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
)

// Copy copies one dataset. On success the target is complete and verified under
// its final name. On failure the final name is untouched and the staging folder
// remains for the next try, except for files that were found to be wrong.
func (c *Copier) Copy(ctx context.Context, j Job) (*Result, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	ctx, w := watch(ctx, c.stall(), j.Progress)
	defer w.stop()
	r := &run{Copier: c, Job: j, watch: w, staging: path.Join(path.Dir(j.Target.Path), StagingName(path.Base(j.Target.Path), j.Claim))}
	res, err := r.copy(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, ended(ctx)
	}
	return res, err
}

// run is one copy under way.
type run struct {
	*Copier
	Job
	watch   *watchdog
	staging string
	source  *listing
	journal *journal
	result  Result
}

// data is where the dataset is assembled.
func (r *run) data() string { return r.staging + "/data" }

// copy is the sequence of steps.
func (r *run) copy(ctx context.Context) (*Result, error) {
	var err error
	if r.source, err = list(ctx, r.Source); err != nil {
		return nil, err
	}
	if err := r.source.against(r.Manifest, r.Source); err != nil {
		return nil, err
	}
	r.result.Bytes, r.result.Files = r.source.bytes, r.source.regular
	r.watch.start(r.source.regular, r.source.bytes)

	adopted, err := r.lookAtTarget(ctx)
	if err != nil {
		return nil, err
	}
	if adopted {
		return r.finish(ctx)
	}
	err = r.prepare(ctx)
	if err == nil {
		err = r.move(ctx)
	}
	if r.journal != nil {
		err = errors.Join(err, r.journal.close())
	}
	if err != nil {
		return nil, err
	}
	if err := r.judge(ctx); err != nil {
		return nil, err
	}
	return r.commit(ctx)
}

// commit makes the staged dataset durable, asks the caller, and gives it its
// name.
func (r *run) commit(ctx context.Context) (*Result, error) {
	if s, ok := r.Target.Backend.(Syncer); ok {
		r.watch.expect(r.source.bytes)
		durable, err := s.Sync(ctx, r.data())
		if err != nil {
			return nil, err
		}
		r.result.Durable = durable
	}
	for try := 0; ; try++ {
		if r.BeforeCommit != nil {
			if err := r.BeforeCommit(ctx); err != nil {
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
// on the copy is there: what goes wrong now does not undo it.
func (r *run) finish(ctx context.Context) (*Result, error) {
	if s, ok := r.Target.Backend.(Syncer); ok {
		durable, err := s.Sync(ctx, path.Dir(r.Target.Path))
		if err != nil {
			return nil, err
		}
		r.result.Durable = durable && (r.result.Durable || r.result.Adopted)
	}
	if err := r.Target.Backend.Remove(ctx, r.staging); err != nil {
		return nil, err
	}
	r.result.Sent = r.watch.moved.Load()
	return &r.result, nil
}

// judge decides about the dataset as a whole, once all its files are staged.
func (r *run) judge(ctx context.Context) error {
	if r.ReadBack && !r.result.ReadBack {
		if err := r.readBack(ctx); err != nil {
			return err
		}
	}
	if r.Legacy.IsZero() {
		return nil
	}
	got, err := r.result.Manifest.LegacySum(r.Legacy.Algorithm())
	if err != nil {
		return err
	}
	if got != r.Legacy {
		return &Error{Op: "read", Place: r.Source.Backend.String(), Path: r.Source.Path, Kind: ErrCorrupt,
			Err:  fmt.Errorf("its checksum is %s, its record says %s", got, r.Legacy),
			Hint: "the source is damaged, or its record is wrong; verify it at its own site"}
	}
	return nil
}

// lookAtTarget deals with what stands under the final name: the dataset itself
// is adopted, anything else is moved aside.
func (r *run) lookAtTarget(ctx context.Context) (adopted bool, err error) {
	t := r.Target
	if _, err := t.Backend.Lstat(ctx, t.Path); errors.Is(err, ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if !r.Suspect {
		m, err := r.sameAsTarget(ctx)
		if err != nil {
			return false, err
		}
		if m != nil {
			r.result.Manifest, r.result.Adopted = m, true
			r.watch.skipped(r.source.bytes)
			return true, r.judge(ctx)
		}
	}
	aside := path.Join(path.Dir(t.Path), asideName(path.Base(t.Path), r.Claim))
	if err := t.Backend.Rename(ctx, t.Path, aside); err != nil {
		return false, err
	}
	if r.Aside != nil {
		r.Aside(t.Path, aside)
	}
	return false, nil
}

// sameAsTarget compares the target with the source and returns the manifest of
// both, nil if they differ.
func (r *run) sameAsTarget(ctx context.Context) (*checksum.Manifest, error) {
	there, err := list(ctx, r.Target)
	if errors.Is(err, ErrInvalid) {
		return nil, nil // holds what no dataset holds
	}
	if err != nil {
		return nil, err
	}
	if !there.sameSizes(r.source) {
		return nil, nil
	}
	m := r.Manifest
	if m == nil {
		if m, err = r.hashAll(ctx, r.Source, r.source, checksum.DefaultAlgorithms()); err != nil {
			return nil, err
		}
	}
	bad, err := r.differing(ctx, r.Target, m)
	if err != nil || len(bad) > 0 {
		return nil, err
	}
	r.result.ReadBack = true
	return m, nil
}

// check refuses a job that cannot be carried out.
func (j *Job) check() error {
	bad := func(path, why string) error {
		return &Error{Op: "copy", Path: path, Kind: ErrInvalid, Err: errors.New(why)}
	}
	for _, l := range []Location{j.Source, j.Target} {
		switch {
		case l.Backend == nil:
			return bad(l.Path, "no backend")
		case !strings.HasPrefix(l.Path, "/") || path.Clean(l.Path) != l.Path || l.Path == "/":
			return bad(l.Path, "not a clean absolute path of a dataset")
		case strings.IndexByte(l.Path, 0) >= 0:
			return bad(l.Path, "it holds a NUL byte")
		}
	}
	for _, id := range []string{j.Claim, j.Continue, j.Adopt} {
		if strings.ContainsAny(id, "/\x00") || len(id) > 64 {
			return bad(j.Target.Path, "a claim id must be a file name of at most 64 bytes")
		}
	}
	if j.Claim == "" {
		return bad(j.Target.Path, "no claim id, which names the staging folder")
	}
	if j.Manifest != nil {
		if err := j.Manifest.Check(); err != nil {
			return &Error{Op: "copy", Path: j.Source.Path, Kind: ErrInvalid, Err: err}
		}
	}
	return nil
}

func (c *Copier) stall() time.Duration {
	if c.Stall > 0 {
		return c.Stall
	}
	return 5 * time.Minute
}
