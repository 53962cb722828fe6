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

// A mover is the way in which the files of a dataset get into staging.
type mover int

const (
	stream mover = iota // by Open and Create
	send                // by the target's program
	fetch               // by the source's program
)

// mover tells how the files are moved: by a backend that moves whole datasets,
// where one of the two is such a one and the other is this machine's disk.
func (r *run) mover() mover {
	_, sends := r.Target.Backend.(TreeCopier)
	_, fetches := r.Source.Backend.(TreeCopier)
	_, here := r.Source.Backend.(Disk)
	_, to := r.Target.Backend.(Disk)
	switch {
	case sends && here:
		return send
	case fetches && to:
		return fetch
	}
	return stream
}

// move gets every file into staging. Those that are streamed, and those that are
// sent, have been compared with the manifest when it returns, or made it.
func (r *run) move(ctx context.Context) error {
	tree := &Tree{Manifest: r.Manifest, Stall: r.stall(), Progress: r.watch.move, Skipped: r.watch.skipped, File: r.watch.file}
	if r.Limit != nil && r.Limit.Limit() < 1<<50 {
		tree.BytesPerSecond = int64(r.Limit.Limit())
	}
	switch r.mover() {
	case send:
		var err error
		if r.result.Manifest, err = r.hashed(ctx, r.Source, r.source); err != nil {
			return err
		}
		tree.Manifest = r.result.Manifest
		disk := r.Source.Backend.(Disk)
		return r.Target.Backend.(TreeCopier).Send(ctx, disk.LocalPath(r.Source.Path), r.data(), r.source.single, tree)
	case fetch:
		disk := r.Target.Backend.(Disk)
		return r.Source.Backend.(TreeCopier).Fetch(ctx, r.Source.Path, disk.LocalPath(r.data()), r.source.single, tree)
	}
	return r.moveFiles(ctx)
}

func (r *run) moveFiles(ctx context.Context) error {
	// The largest first, so that the last worker is not alone with one.
	order := make([]*file, len(r.source.files))
	for i := range order {
		order[i] = &r.source.files[i]
	}
	slices.SortStableFunc(order, func(a, b *file) int { return cmp.Compare(b.size, a.size) })

	var mu sync.Mutex
	var bad []checksum.Difference // what a source that may be damaged could not give
	entries := make([]checksum.Entry, 0, len(order))
	parallel, err := r.parallel(ctx)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, f := range order {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			e, err := r.moveFile(gctx, f)
			if r.Partial && errors.Is(err, ErrCorrupt) && gctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				bad = append(bad, checksum.Difference{Path: f.path, Kind: checksum.DigestDiffers})
				if f.lacks {
					bad[len(bad)-1].Kind = checksum.Missing
				}
				return nil
			}
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
	if err := differ(bad); err != nil {
		return r.damaged(err)
	}
	if r.result.Manifest = r.Manifest; r.Manifest != nil {
		return nil
	}
	if r.result.Manifest, err = checksum.NewManifest(entries, r.source.single); err != nil {
		return &Error{Op: "copy", Path: r.Source.Path, Kind: ErrInvalid, Err: err}
	}
	return nil
}

// parallel is how many files are moved at once. Small files on a long link need
// many: each takes several round trips.
func (r *run) parallel(ctx context.Context) (int, error) {
	if r.Parallel > 0 {
		return r.Parallel, nil
	}
	for _, b := range []Backend{r.Source.Backend, r.Target.Backend} {
		if t, ok := b.(RoundTripper); ok {
			rtt, err := t.RoundTrip(ctx)
			if err != nil {
				return 0, err
			}
			if rtt > long {
				return 64, nil
			}
		}
	}
	return 16, nil
}

// hashed reads a dataset and compares it with the manifest, or makes that.
func (r *run) hashed(ctx context.Context, l Location, at *listing) (*checksum.Manifest, error) {
	if r.Manifest == nil {
		return r.hashAll(ctx, l, at)
	}
	bad, err := r.differing(ctx, l, r.Manifest)
	if err != nil {
		return nil, err
	}
	if err := differ(bad); err != nil {
		return nil, &Error{Op: "read", Place: l.Backend.String(), Path: l.Path, Kind: ErrCorrupt, Err: err,
			Hint: "verify the source at its own site"}
	}
	return r.Manifest, nil
}

// unchanged lists the source again and compares it with what it was.
func (r *run) unchanged(ctx context.Context) error {
	now, err := list(ctx, r.Source, r.watch.alive)
	if err != nil {
		return err
	}
	err = differ(compare(r.seen, now))
	for i := 0; err == nil && i < len(now.files); i++ {
		if f := &now.files[i]; !f.dir && !f.mtime.Equal(r.seen.files[i].mtime) {
			err = errors.New("the modification time of " + Quote(f.path) + " is not what it was")
		}
	}
	if err != nil {
		return &Error{Op: "read", Place: r.Source.Backend.String(), Path: r.Source.Path, Kind: ErrSourceChanged, Err: err,
			Hint: "it is tried again when it is at rest"}
	}
	return nil
}
