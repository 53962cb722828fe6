package checksum

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A tree is a dataset on disk, as it was listed.
type tree struct {
	root    string // absolute, without links
	single  bool
	items   []item
	refused []refusal // what could not be listed
}

type item struct {
	path  string // relative to the root
	dir   bool   // an empty directory
	size  int64
	mtime time.Time // of a file
}

type refusal struct {
	path string // relative to the root; "" for the root
	err  error  // ErrUnfit if there is something else than a file or directory
}

// whole is an error if something could not be listed.
func (t *tree) whole() error {
	var errs []error
	for _, r := range t.refused {
		errs = append(errs, r.err)
	}
	return errors.Join(errs...)
}

// unchanged compares with a later listing of the same dataset.
func (t *tree) unchanged(later *tree) error {
	if err := later.whole(); err != nil {
		return err
	}
	byPath := func(a, b item) int { return strings.Compare(a.path, b.path) }
	slices.SortFunc(t.items, byPath)
	slices.SortFunc(later.items, byPath)
	for i := range max(len(t.items), len(later.items)) {
		var changed item
		switch {
		case i >= len(t.items):
			changed = later.items[i]
		case i >= len(later.items):
			changed = t.items[i]
		case t.items[i] != later.items[i]:
			changed = slices.MinFunc([]item{t.items[i], later.items[i]}, byPath) // gone, or new
		default:
			continue
		}
		return &fs.PathError{Op: "read", Path: t.file(changed), Err: ErrChanged}
	}
	return nil
}

// file is where the bytes of an item are.
func (t *tree) file(it item) string {
	if t.single {
		return t.root
	}
	return t.root + "/" + it.path
}

// scan lists a dataset: regular files, links to them, and empty directories. The
// error is for a dataset that cannot be listed at all, and for the end of ctx.
func scan(ctx context.Context, path string) (*tree, error) {
	root, err := resolve(path)
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
		t.items = []item{{path: filepath.Base(filepath.Clean(path)), size: st.Size(), mtime: st.ModTime().UTC()}}
		return t, nil
	}
	if !st.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is neither a directory nor a regular file; %w", ErrUnfit)}
	}
	filled := map[string]bool{} // directories with something in them
	var dirs []string
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(p, root), "/")
		if err != nil {
			if rel == "" {
				return err
			}
			filled[rel] = true // for all we know
			t.refused = append(t.refused, refusal{rel, vanished(err, p)})
			return nil
		}
		if rel == "" {
			return nil
		}
		if i := strings.LastIndexByte(rel, '/'); i >= 0 {
			filled[rel[:i]] = true
		}
		if d.IsDir() {
			dirs = append(dirs, rel)
			return nil
		}
		st, err := fileInfo(root, p, d)
		if err != nil {
			t.refused = append(t.refused, refusal{rel, err})
			return nil
		}
		t.items = append(t.items, item{path: rel, size: st.Size(), mtime: st.ModTime().UTC()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		if !filled[d] {
			t.items = append(t.items, item{path: d, dir: true})
		}
	}
	return t, nil
}

// resolve makes a path absolute and free of links. The order matters: where ".."
// follows a link, only the resolved path may be cleaned; and the working directory
// may be known by a path with links.
func resolve(path string) (string, error) {
	p, err := filepath.EvalSymlinks(path)
	if err != nil || filepath.IsAbs(p) {
		return p, err
	}
	if p, err = filepath.Abs(p); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(p)
}

// fileInfo is that of a file, or of the file that a link leads to.
func fileInfo(root, p string, d fs.DirEntry) (fs.FileInfo, error) {
	refuse := func(why string) error {
		return &fs.PathError{Op: "read", Path: p, Err: fmt.Errorf("%s; %w", why, ErrUnfit)}
	}
	if d.Type()&fs.ModeSymlink == 0 {
		st, err := d.Info()
		if err == nil && !st.Mode().IsRegular() {
			return nil, refuse("it is neither a regular file, a directory nor a link (" + st.Mode().Type().String() + ")")
		}
		return st, vanished(err, p)
	}
	// The kernel's verdict first: EvalSymlinks gives up on long chains in its own words.
	st, err := os.Stat(p)
	switch {
	case err != nil && broken(err):
		return nil, refuse("it is a link that leads nowhere: remove it, or put the file in its place")
	case err != nil:
		return nil, err
	case st.IsDir():
		return nil, refuse("it is a link to a directory")
	case !st.Mode().IsRegular():
		return nil, refuse("it is a link to something that is no regular file")
	}
	to, err := filepath.EvalSymlinks(p)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(to, strings.TrimSuffix(root, "/")+"/") {
		return nil, refuse("it is a link to " + to + ", outside the dataset: put the file in its place")
	}
	return st, nil
}
