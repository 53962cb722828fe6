package checksum

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
// are errors, as is a file that changes while it is read. Errors name the path.
func MakeManifest(ctx context.Context, path string, o *ManifestOptions) (*Manifest, error) {
	if o == nil {
		o = &ManifestOptions{}
	}
	t, err := scan(ctx, path)
	if err != nil {
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
	return NewManifest(entries, t.single)
}

// A tree is a dataset on disk, as it was listed.
type tree struct {
	root   string
	single bool
	items  []item
}

type item struct {
	path string // relative to the root
	dir  bool   // an empty directory
	size int64
}

// file is where the bytes of an item are.
func (t *tree) file(it item) string {
	if t.single {
		return t.root
	}
	return t.root + "/" + it.path
}

// entry reads one item.
func (t *tree) entry(ctx context.Context, it item, algs []Algorithm, o *ManifestOptions) (Entry, error) {
	if it.dir {
		return Entry{Path: it.path, Dir: true}, nil
	}
	d := NewEntryDigest(algs...)
	defer d.Close()
	var progress func(int64)
	if o.Progress != nil {
		progress = func(n int64) { o.Progress(it.path, n) }
	}
	st, err := read(ctx, t.file(it), d, o.DropCache, progress)
	if err != nil {
		return Entry{}, err
	}
	e := d.Entry()
	e.Path, e.ModTime = it.path, st.ModTime().UTC()
	return e, nil
}

// scan lists a dataset: regular files, links to them, and empty directories.
func scan(ctx context.Context, path string) (*tree, error) {
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	t := &tree{root: root}
	if st.Mode().IsRegular() {
		t.single = true
		t.items = []item{{path: filepath.Base(filepath.Clean(path)), size: st.Size()}}
		return t, nil
	}
	if !st.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is neither a directory nor a regular file")}
	}
	filled := map[string]bool{} // directories with something in them
	var dirs []string
	var errs []error
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		if p == root {
			return nil
		}
		filled[filepath.Dir(p)] = true
		rel := p[len(root)+1:]
		if d.IsDir() {
			dirs = append(dirs, rel)
			return nil
		}
		size, err := fileSize(root, p, d)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		t.items = append(t.items, item{path: rel, size: size})
		return nil
	})
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	for _, d := range dirs {
		if !filled[root+"/"+d] {
			t.items = append(t.items, item{path: d, dir: true})
		}
	}
	return t, nil
}

// fileSize is the size of a file, or of the file that a link leads to.
func fileSize(root, p string, d fs.DirEntry) (int64, error) {
	refuse := func(why string) error {
		return &fs.PathError{Op: "read", Path: p, Err: errors.New(why)}
	}
	if d.Type()&fs.ModeSymlink == 0 {
		st, err := d.Info()
		if err != nil {
			return 0, err
		}
		if !st.Mode().IsRegular() {
			return 0, refuse("it is neither a regular file, a directory nor a link (" + st.Mode().Type().String() + "); a dataset cannot hold it")
		}
		return st.Size(), nil
	}
	to, err := filepath.EvalSymlinks(p)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, refuse("it is a link that leads nowhere; remove it, or put the file in its place")
	}
	if err != nil {
		return 0, err
	}
	st, err := os.Stat(to)
	switch {
	case err != nil:
		return 0, err
	case st.IsDir():
		return 0, refuse("it is a link to a directory; a dataset cannot hold it")
	case !strings.HasPrefix(to, root+"/"):
		return 0, refuse("it is a link to " + to + ", outside the dataset; put the file in its place")
	case !st.Mode().IsRegular():
		return 0, refuse("it is a link to something that is no regular file")
	}
	return st.Size(), nil
}
