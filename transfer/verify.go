package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cax-go/cax/checksum"
	"golang.org/x/sync/errgroup"
)

// weigh lists what was staged and compares names, kinds and sizes with the
// source.
func (r *run) weigh(ctx context.Context) error {
	staged := Location{r.Target.Backend, r.data()}
	there, err := list(ctx, staged, r.watch.alive)
	if err != nil {
		return err
	}
	return r.spoiled(ctx, compare(r.source, there))
}

// readBack reads what was staged and compares it with the manifest, or makes that
// where files were fetched by a program that nobody could look into.
func (r *run) readBack(ctx context.Context) error {
	staged := Location{r.Target.Backend, r.data()}
	if r.mover() == fetch {
		if r.result.Manifest = r.Manifest; r.Manifest == nil {
			there, err := list(ctx, staged, r.watch.alive)
			if err != nil {
				return err
			}
			if r.result.Manifest, err = r.hashAll(ctx, staged, there); err != nil {
				return err
			}
			r.result.ReadBack = true
			return nil
		}
	} else if !r.ReadBack {
		return nil
	}
	bad, err := r.differing(ctx, staged, r.result.Manifest)
	if err != nil {
		return err
	}
	if err := r.spoiled(ctx, bad); err != nil {
		return err
	}
	r.result.ReadBack, r.result.ReadBackBy = true, r.by
	return nil
}

// checkResumed reads at the far side, where that can hash, what was found in
// staging and counted as sent: the journal tells what was written, and not what a
// crash of the server left of it. On this machine it was read when it was found.
func (r *run) checkResumed(ctx context.Context) error {
	_, here := r.Target.Backend.(Disk)
	h, can := r.Target.Backend.(Hasher)
	if here || !can || r.ReadBack || len(r.resumed) == 0 {
		return nil
	}
	part := &checksum.Manifest{Single: r.source.single}
	for _, f := range r.resumed {
		e, ok := r.result.Manifest.Find(f.path)
		if r.source.single {
			e, ok = r.result.Manifest.Entries[0], true
		}
		if ok {
			part.Entries = append(part.Entries, e)
		}
	}
	sums := make([]checksum.Sum, len(part.Entries))
	l := Location{r.Target.Backend, r.data()}
	bad, done, err := r.hashedThere(ctx, l, h, part, sums)
	if err != nil || !done {
		return err
	}
	return r.spoiled(ctx, bad)
}

// spoiled is the error of staged files that are not what they should be. They are
// removed, so that they are not taken for finished the next time.
func (r *run) spoiled(ctx context.Context, ds []checksum.Difference) error {
	if len(ds) == 0 {
		return nil
	}
	err := error(&Error{Op: "read back", Place: r.Target.Backend.String(), Path: r.Target.Path, Kind: ErrCorrupt, Err: differ(ds),
		Hint: "these files are sent again at the next try"})
	for _, d := range ds {
		if d.Kind == checksum.Missing {
			continue
		}
		p := r.data()
		if !r.source.single && d.Path != "." {
			p += "/" + d.Path
		}
		if rerr := r.Target.Backend.Remove(ctx, p); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// hashBatch bounds how much one call of a Hasher is given, so that its end is
// seen now and then.
const (
	hashBatchFiles = 1000
	hashBatchBytes = 4 << 30
)

// readAtOnce is how many files are read at once where they are only hashed:
// reading and hashing overlap, and more only make a disk seek.
const readAtOnce = 4

// differing lists the files at a place that are not what the manifest says, in
// the order of paths: by a Hasher where the place has one, else by reading them
// through the backend. Sizes have been compared before.
func (r *run) differing(ctx context.Context, l Location, m *checksum.Manifest) ([]checksum.Difference, error) {
	files := regular(m)
	sums := make([]checksum.Sum, len(files))
	if h, ok := l.Backend.(Hasher); ok {
		if bad, done, err := r.hashedThere(ctx, l, h, m, sums); done || err != nil {
			return bad, err
		}
	}
	err := r.eachFile(ctx, len(files), func(ctx context.Context, i int) error {
		d := checksum.NewDigest(comparedBy(files[i]))
		defer d.Close()
		err := r.read(ctx, l.Backend, l.of(m, files[i]), files[i].Size, d)
		sums[i] = d.Sum(comparedBy(files[i]))
		return err
	})
	r.by = weakest(sums)
	return wrong(files, sums), err
}

// hashedThere is differing by a Hasher; done tells whether that could do it.
func (r *run) hashedThere(ctx context.Context, l Location, h Hasher, m *checksum.Manifest, sums []checksum.Sum) (bad []checksum.Difference, done bool, err error) {
	files := regular(m)
	done, err = r.byHasher(ctx, l, h, files, func(e *checksum.Entry) string { return l.of(m, e) }, sums)
	if err != nil || !done {
		return nil, done, err
	}
	r.by = weakest(sums)
	return wrong(files, sums), true, nil
}

// weakest is the algorithm with the shortest digest that was compared by.
func weakest(sums []checksum.Sum) checksum.Algorithm {
	var a checksum.Algorithm
	for _, s := range sums {
		if b := s.Algorithm(); a == 0 || b != 0 && b.Size() < a.Size() {
			a = b
		}
	}
	return a
}

// of is where a file of a manifest is at a place.
func (l Location) of(m *checksum.Manifest, e *checksum.Entry) string {
	if m.Single {
		return l.Path
	}
	return l.Path + "/" + e.Path
}

// regular are the entries of a manifest that are files.
func regular(m *checksum.Manifest) []*checksum.Entry {
	var files []*checksum.Entry
	for i := range m.Entries {
		if !m.Entries[i].Dir {
			files = append(files, &m.Entries[i])
		}
	}
	return files
}

// wrong compares sums with those of the manifest.
func wrong(files []*checksum.Entry, sums []checksum.Sum) []checksum.Difference {
	var bad []checksum.Difference
	for i, e := range files {
		if w := e.Sum(sums[i].Algorithm()); w != sums[i] || w.IsZero() {
			bad = append(bad, checksum.Difference{Path: e.Path, Kind: checksum.DigestDiffers, Want: w.String(), Got: sums[i].String()})
		}
	}
	return bad
}

// eachFile runs f for each index, a few at once.
func (r *run) eachFile(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readAtOnce)
	for i := range n {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(gctx, i) })
	}
	return orEnded(ctx, g.Wait())
}

// read reads a whole file into a digest.
func (r *run) read(ctx context.Context, b Backend, path string, size int64, d io.Writer) error {
	src, err := open(ctx, b, path, 0, size)
	if err != nil {
		return err
	}
	defer src.Close()
	return r.feed(ctx, src, d)
}

// byHasher lets the far side hash; it reports false if that cannot do it.
func (r *run) byHasher(ctx context.Context, l Location, h Hasher, files []*checksum.Entry, at func(*checksum.Entry) string, sums []checksum.Sum) (bool, error) {
	algs := []checksum.Algorithm{checksum.XXH3_128, checksum.SHA512, checksum.SHA256, checksum.MD5, checksum.Adler32}
	for len(files) > 0 {
		n, size := 0, int64(0)
		var paths []string
		for n < len(files) && n < hashBatchFiles && (n == 0 || size+files[n].Size <= hashBatchBytes) {
			size += files[n].Size
			paths = append(paths, at(files[n]))
			n++
		}
		var got []checksum.Sum
		err := error(&Error{Op: "hash", Kind: ErrUnsupported})
		for len(algs) > 0 && errors.Is(err, ErrUnsupported) {
			if files[0].Sum(algs[0]).IsZero() {
				algs = algs[1:]
				continue
			}
			r.watch.expect(size)
			if got, err = h.Hash(ctx, algs[0], paths); errors.Is(err, ErrUnsupported) {
				algs = algs[1:]
			}
		}
		if errors.Is(err, ErrUnsupported) {
			return false, nil
		}
		if err != nil {
			return true, err
		}
		if len(got) != n {
			return true, &Error{Op: "hash", Place: l.Backend.String(), Path: l.Path, Kind: ErrTransient, Err: fmt.Errorf("%d sums for %d files", len(got), n)}
		}
		copy(sums, got)
		r.watch.alive()
		files, sums = files[n:], sums[n:]
	}
	return true, nil
}

// hashAll reads a dataset and makes its manifest.
func (r *run) hashAll(ctx context.Context, l Location, at *listing) (*checksum.Manifest, error) {
	entries := make([]checksum.Entry, len(at.files))
	err := r.eachFile(ctx, len(at.files), func(ctx context.Context, i int) error {
		f := &at.files[i]
		if f.dir {
			entries[i] = checksum.Entry{Path: f.path, Dir: true}
			return nil
		}
		d := checksum.NewEntryDigest(checksum.DefaultAlgorithms()...)
		defer d.Close()
		err := r.read(ctx, l.Backend, f.at, f.size, d)
		entries[i] = d.Entry()
		entries[i].Path, entries[i].ModTime = f.path, f.mtime.UTC()
		return err
	})
	if err != nil {
		return nil, err
	}
	m, err := checksum.NewManifest(entries, at.single)
	if err != nil {
		return nil, &Error{Op: "read", Place: l.Backend.String(), Path: l.Path, Kind: ErrInvalid, Err: err}
	}
	return m, nil
}
