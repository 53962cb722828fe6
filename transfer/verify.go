package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cax-go/cax/checksum"
	"golang.org/x/sync/errgroup"
)

// readBack reads what was staged and compares it with the manifest. Files that
// are wrong are removed from staging, so that the next try sends them anew.
func (r *run) readBack(ctx context.Context) error {
	staged := Location{r.Target.Backend, r.data()}
	there, err := list(ctx, staged)
	if err != nil {
		return err
	}
	if err := there.against(r.result.Manifest, staged); err != nil {
		return r.discard(ctx, err)
	}
	bad, err := r.differing(ctx, staged, r.result.Manifest)
	if err != nil {
		return err
	}
	if err := checksum.Differ("it", bad); err != nil {
		return r.discard(ctx, &Error{Op: "read back", Place: staged.Backend.String(), Path: r.Target.Path, Kind: ErrCorrupt, Err: err,
			Hint: "these files are sent again at the next try"})
	}
	r.result.ReadBack = true
	return nil
}

// hashBatch bounds how much one call of a Hasher is given, so that its end is
// seen now and then.
const (
	hashBatchFiles = 1000
	hashBatchBytes = 4 << 30
)

// differing lists the files at a place that are not what the manifest says. By a
// Hasher where the place has one, else by reading them through the backend. Sizes
// have been compared before.
func (r *run) differing(ctx context.Context, l Location, m *checksum.Manifest) ([]checksum.Difference, error) {
	at := func(e *checksum.Entry) string {
		if m.Single {
			return l.Path
		}
		return l.Path + "/" + e.Path
	}
	var mu sync.Mutex
	var bad []checksum.Difference
	judge := func(e *checksum.Entry, got checksum.Sum) {
		if w := e.Sum(got.Algorithm()); w != got {
			mu.Lock()
			defer mu.Unlock()
			bad = append(bad, checksum.Difference{Path: e.Path, Kind: checksum.DigestDiffers, Want: w.String(), Got: got.String()})
		}
	}
	var files []*checksum.Entry
	for i := range m.Entries {
		if !m.Entries[i].Dir {
			files = append(files, &m.Entries[i])
		}
	}
	if h, ok := l.Backend.(Hasher); ok {
		done, err := r.byHasher(ctx, h, files, at, judge)
		if done || err != nil {
			return bad, err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4) // reading and hashing overlap; more only seek
	for _, e := range files {
		g.Go(func() error {
			src, err := l.Backend.Open(gctx, at(e), 0)
			if err != nil {
				return err
			}
			defer src.Close()
			d := checksum.NewDigest(comparedBy(e))
			defer d.Close()
			if err := r.feed(gctx, src, d); err != nil {
				return err
			}
			judge(e, d.Sum(comparedBy(e)))
			return nil
		})
	}
	err := g.Wait()
	return bad, err
}

// byHasher lets the far side hash; it reports false if that cannot do it.
func (r *run) byHasher(ctx context.Context, h Hasher, files []*checksum.Entry, at func(*checksum.Entry) string,
	judge func(*checksum.Entry, checksum.Sum)) (bool, error) {

	algs := []checksum.Algorithm{checksum.XXH3_128, checksum.SHA512, checksum.SHA256, checksum.MD5}
	for len(files) > 0 {
		n, size := 0, int64(0)
		var paths []string
		for n < len(files) && n < hashBatchFiles && (n == 0 || size+files[n].Size <= hashBatchBytes) {
			size += files[n].Size
			paths = append(paths, at(files[n]))
			n++
		}
		var sums []checksum.Sum
		err := error(&Error{Op: "hash", Kind: ErrUnsupported})
		for len(algs) > 0 && errors.Is(err, ErrUnsupported) {
			if files[0].Sum(algs[0]).IsZero() {
				algs = algs[1:]
				continue
			}
			r.watch.expect(size)
			if sums, err = h.Hash(ctx, algs[0], paths); errors.Is(err, ErrUnsupported) {
				algs = algs[1:]
			}
		}
		if errors.Is(err, ErrUnsupported) {
			return false, nil
		}
		if err != nil {
			return true, err
		}
		if len(sums) != n {
			return true, &Error{Op: "hash", Kind: ErrTransient, Err: fmt.Errorf("%d sums for %d files", len(sums), n)}
		}
		for i := range sums {
			judge(files[i], sums[i])
		}
		r.watch.alive()
		files = files[n:]
	}
	return true, nil
}

// hashAll reads a dataset and makes its manifest.
func (r *run) hashAll(ctx context.Context, l Location, at *listing, algs []checksum.Algorithm) (*checksum.Manifest, error) {
	entries := make([]checksum.Entry, len(at.files))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range at.files {
		f := &at.files[i]
		if f.dir {
			entries[i] = checksum.Entry{Path: f.path, Dir: true}
			continue
		}
		g.Go(func() error {
			src, err := l.Backend.Open(gctx, f.at, 0)
			if err != nil {
				return err
			}
			defer src.Close()
			d := checksum.NewEntryDigest(algs...)
			defer d.Close()
			if err := r.feed(gctx, src, d); err != nil {
				return err
			}
			entries[i] = d.Entry()
			entries[i].Path, entries[i].ModTime = f.path, f.mtime.UTC()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return checksum.NewManifest(entries, at.single)
}
