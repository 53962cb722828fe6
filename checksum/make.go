package checksum

import (
	"context"
	"errors"
	"io/fs"
)

// ManifestOptions says how to read a dataset. nil: the defaults.
type ManifestOptions struct {
	// Algorithms to compute. nil: DefaultAlgorithms, or in a comparison the one
	// that the manifest is best compared by.
	Algorithms []Algorithm

	// Parallel is how many files are read at once. 0: the number of processors.
	Parallel int

	// Progress is told of bytes as they are read, from several goroutines. May
	// be nil.
	Progress func(path string, n int64)

	// DropCache makes each file be read from the medium: its dirty pages are
	// written and its page cache is dropped first, where the system can.
	DropCache bool
}

// MakeManifest reads a dataset, a directory or a regular file, and makes its
// manifest. A link as the path itself is followed. Below it, links to files
// inside the dataset count as files; all other links, devices, sockets and pipes
// are errors (ErrUnfit), as is a file that changes while it is read, and a dataset
// whose files come, go, grow or are written to meanwhile (ErrChanged). Errors name
// the path.
func MakeManifest(ctx context.Context, path string, o *ManifestOptions) (*Manifest, error) {
	if o == nil {
		o = &ManifestOptions{}
	}
	t, err := scan(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := t.whole(); err != nil {
		return nil, err
	}
	algs := o.Algorithms
	if algs == nil {
		algs = DefaultAlgorithms()
	}
	entries := make([]Entry, len(t.items))
	err = parallel(ctx, len(t.items), o.Parallel, func(ctx context.Context, i int) error {
		e, err := t.entry(ctx, t.items[i], algs, o)
		entries[i] = e
		return err
	})
	if err != nil {
		return nil, err
	}
	// Each file stood still while it was read; now see that all did meanwhile.
	again, err := scan(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := t.unchanged(again); err != nil {
		return nil, err
	}
	return NewManifest(entries, t.single)
}

// entry reads one item.
func (t *tree) entry(ctx context.Context, it item, algs []Algorithm, o *ManifestOptions) (Entry, error) {
	if it.dir {
		return Entry{Path: it.path, Dir: true}, nil
	}
	d := NewEntryDigest(algs...)
	var progress func(int64)
	if o.Progress != nil {
		progress = func(n int64) { o.Progress(it.path, n) }
	}
	st, err := read(ctx, t.file(it), d, o.DropCache, progress)
	if err != nil {
		return Entry{}, vanished(err, t.file(it))
	}
	e := d.Entry()
	e.Path, e.ModTime = it.path, st.ModTime().UTC()
	return e, nil
}

// vanished turns the absence of what was listed into ErrChanged.
func vanished(err error, path string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "read", Path: path, Err: ErrChanged}
	}
	return err
}
