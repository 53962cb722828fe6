package transfer

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/cax-go/cax/checksum"
)

// lookAtTarget deals with what stands under the final name: the dataset itself
// is adopted, anything else is moved aside.
func (r *run) lookAtTarget(ctx context.Context) (adopted bool, err error) {
	t := r.Target
	if _, err := t.Backend.Lstat(ctx, t.Path); errors.Is(err, ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	// What was found to be bad may have been mended meanwhile, under another name of
	// the same storage.
	if !r.Suspect || r.Manifest != nil || !r.Legacy.IsZero() {
		m, err := r.sameAsTarget(ctx)
		if err != nil {
			return false, err
		}
		if m != nil {
			r.result.Manifest, r.result.Adopted, r.result.ReadBack, r.result.ReadBackBy = m, true, true, r.by
			r.watch.skipped(r.source.bytes)
			return true, r.judge(ctx)
		}
	}
	if r.Partial && r.aside == "" {
		r.aside = t.Path // salvaged from, and others may read it; moved in commit
		return false, nil
	}
	return false, r.moveAside(ctx)
}

// moveAside moves what stands under the final name out of the way.
func (r *run) moveAside(ctx context.Context) error {
	t := r.Target
	if r.BeforeCommit != nil {
		// What stands there may be the copy of somebody who took over meanwhile.
		if err := r.BeforeCommit(ctx); err != nil {
			return err
		}
	}
	aside := beside(t.Path, asideName(path.Base(t.Path), r.Claim, r.now()))
	if err := t.Backend.Rename(ctx, t.Path, aside); err != nil {
		return err
	}
	r.aside = aside
	if r.Aside != nil {
		r.watch.tell(func() { r.Aside(t.Path, aside) })
	}
	return nil
}

// sameAsTarget compares the target with the source and returns the manifest of
// both, nil if they differ. ErrExist if they differ in bytes alone and nothing is
// known that would tell which of them is right.
func (r *run) sameAsTarget(ctx context.Context) (*checksum.Manifest, error) {
	there, err := list(ctx, r.Target, r.watch.alive)
	if errors.Is(err, ErrInvalid) {
		return nil, nil // holds what no dataset holds
	}
	if err != nil {
		return nil, err
	}
	if len(compare(r.source, there)) > 0 {
		return nil, nil
	}
	if r.Manifest == nil && !r.Legacy.IsZero() {
		return r.targetByRecord(ctx, there)
	}
	m := r.Manifest
	if m == nil {
		if m, err = r.hashAll(ctx, r.Source, r.source); err != nil {
			return nil, err
		}
		if err := r.unchanged(ctx); err != nil {
			return nil, err
		}
	}
	bad, err := r.differing(ctx, r.Target, m)
	if err != nil {
		return nil, err
	}
	if len(bad) == 0 {
		return m, nil
	}
	if r.Manifest == nil && r.Legacy.IsZero() {
		return nil, &Error{Op: "copy", Place: r.Target.Backend.String(), Path: r.Target.Path, Kind: ErrExist,
			Err:  fmt.Errorf("the same files stand there with other bytes, and nothing says which are right: %v", differ(bad)), // %v: it is no damage, nobody knows
			Hint: "find out which copy is right, move the other one away, and give the right one a checksum with cax verify --repair-manifest"}
	}
	return nil, nil
}

// targetByRecord compares what stands at the target, whose names and sizes are right,
// with the sum on record, and returns its manifest; nil if it differs. The source is
// not asked: it may be the one that is damaged.
func (r *run) targetByRecord(ctx context.Context, there *listing) (*checksum.Manifest, error) {
	m, err := r.hashAll(ctx, r.Target, there)
	if err != nil {
		return nil, err
	}
	sum, err := m.LegacySum(r.Legacy.Algorithm())
	if err != nil || sum != r.Legacy {
		return nil, nil
	}
	r.by = sum.Algorithm()
	return m, nil
}
