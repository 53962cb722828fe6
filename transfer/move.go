package transfer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/cax-go/cax/checksum"
	"golang.org/x/sync/errgroup"
)

// move gets every file into staging, with its digest compared.
func (r *run) move(ctx context.Context) error {
	if done, err := r.moveTree(ctx); done || err != nil {
		return err
	}
	// The largest first, so that the last worker is not alone with one.
	order := make([]*file, len(r.source.files))
	for i := range order {
		order[i] = &r.source.files[i]
	}
	slices.SortStableFunc(order, func(a, b *file) int { return cmp.Compare(b.size, a.size) })

	var mu sync.Mutex
	entries := make([]checksum.Entry, 0, len(order))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.parallel(ctx))
	for _, f := range order {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			e, err := r.moveFile(gctx, f)
			if err != nil {
				return err
			}
			r.watch.file(f.path)
			mu.Lock()
			defer mu.Unlock()
			entries = append(entries, e)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if r.Manifest != nil {
		r.result.Manifest = r.Manifest
		return nil
	}
	m, err := checksum.NewManifest(entries, r.source.single)
	if err != nil {
		return &Error{Op: "copy", Path: r.Source.Path, Kind: ErrInvalid, Err: err}
	}
	r.result.Manifest = m
	return nil
}

// moveTree leaves the work to a backend that moves whole datasets, if one of the
// two is such a one and the other is this machine's disk. Its work is then
// checked: a fetched tree by reading it here, a sent one by reading it back, or
// by whoever verifies the copy later.
func (r *run) moveTree(ctx context.Context) (bool, error) {
	tree := &Tree{Stall: r.stall(), Progress: r.watch.move}
	if r.Limit != nil && r.Limit.Limit() < 1<<50 {
		tree.BytesPerSecond = int64(r.Limit.Limit())
	}
	if t, ok := r.Target.Backend.(TreeCopier); ok {
		disk, ok := r.Source.Backend.(Disk)
		if !ok {
			return false, nil
		}
		m, err := r.hashed(ctx, r.Source, r.source)
		if err != nil {
			return true, err
		}
		r.result.Manifest = m
		r.watch.expect(0)
		return true, errors.Join(t.Send(ctx, disk.LocalPath(r.Source.Path), r.data(), r.source.single, tree), r.unchanged(ctx))
	}
	if t, ok := r.Source.Backend.(TreeCopier); ok {
		disk, ok := r.Target.Backend.(Disk)
		if !ok {
			return false, nil
		}
		if err := t.Fetch(ctx, r.Source.Path, disk.LocalPath(r.data()), r.source.single, tree); err != nil {
			return true, err
		}
		staged := Location{r.Target.Backend, r.data()}
		there, err := list(ctx, staged)
		if err != nil {
			return true, err
		}
		if err := there.against(r.Manifest, staged); err != nil {
			return true, err
		}
		if r.result.Manifest, err = r.hashed(ctx, staged, there); err != nil {
			return true, r.discard(ctx, err)
		}
		r.result.ReadBack = true
		return true, r.unchanged(ctx)
	}
	return false, nil
}

// hashed reads a dataset and compares it with the manifest, or makes that.
func (r *run) hashed(ctx context.Context, l Location, at *listing) (*checksum.Manifest, error) {
	if r.Manifest == nil {
		return r.hashAll(ctx, l, at, checksum.DefaultAlgorithms())
	}
	bad, err := r.differing(ctx, l, r.Manifest)
	if err != nil {
		return nil, err
	}
	if err := checksum.Differ("it", bad); err != nil {
		return nil, &Error{Op: "read", Place: l.Backend.String(), Path: l.Path, Kind: ErrCorrupt, Err: err,
			Hint: "verify the source at its own site"}
	}
	return r.Manifest, nil
}

// discard removes staged files that were found to be wrong, so that they are not
// taken for finished the next time, and returns the error.
func (r *run) discard(ctx context.Context, err error) error {
	var d *checksum.DifferError
	if !errors.As(err, &d) {
		return err
	}
	for _, x := range d.Differences {
		if x.Kind != checksum.Missing {
			err = errors.Join(err, r.Target.Backend.Remove(ctx, r.target(x.Path)))
		}
	}
	return err
}

// unchanged lists the source again and compares it with what it was.
func (r *run) unchanged(ctx context.Context) error {
	now, err := list(ctx, r.Source)
	if err != nil {
		return err
	}
	same := now.sameSizes(r.source)
	if same {
		for i := range now.files {
			same = same && (now.files[i].dir || now.files[i].mtime.Equal(r.source.files[i].mtime))
		}
	}
	if !same {
		return &Error{Op: "read", Place: r.Source.Backend.String(), Path: r.Source.Path, Kind: ErrSourceChanged,
			Hint: "it is tried again when it is at rest"}
	}
	return nil
}

// parallel is how many files are moved at once. Small files on a long link need
// many: each takes several round trips.
func (r *run) parallel(ctx context.Context) int {
	if r.Parallel > 0 {
		return r.Parallel
	}
	for _, b := range []Backend{r.Source.Backend, r.Target.Backend} {
		if t, ok := b.(RoundTripper); ok {
			if rtt, err := t.RoundTrip(ctx); err == nil && rtt > long {
				return 64
			}
		}
	}
	return 16
}
