package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
)

// A listing is a dataset as it stands at a place: its files and empty
// directories, sorted by path.
type listing struct {
	root    string
	single  bool
	files   []file
	bytes   int64
	regular int
}

// A file is one of a listing.
type file struct {
	path  string // relative to the root
	at    string // absolute path of its bytes; for a link, of what it leads to
	dir   bool   // an empty directory
	size  int64
	mtime time.Time
}

// list lists a dataset. Links to files inside it count as files; other links,
// devices, sockets and pipes are refused with ErrInvalid.
func list(ctx context.Context, l Location) (*listing, error) {
	root, err := l.Backend.Lstat(ctx, l.Path)
	if err != nil {
		return nil, err
	}
	out := &listing{root: l.Path}
	if root.Mode.IsRegular() {
		out.single = true
		out.add(file{path: path.Base(l.Path), at: l.Path, size: root.Size, mtime: root.ModTime})
		return out, nil
	}
	refuse := func(p, why string) error {
		return &Error{Op: "read", Place: l.Backend.String(), Path: p, Kind: ErrInvalid, Err: errors.New(why)}
	}
	if !root.Mode.IsDir() {
		return nil, refuse(l.Path, "it is neither a directory nor a regular file")
	}
	seen := map[string]Info{}
	filled := map[string]bool{}
	var order []string
	for i, err := range l.Backend.List(ctx, l.Path) {
		if err != nil {
			return nil, err
		}
		if !clean(i.Path) {
			return nil, refuse(i.Path, "the listing names a path that is not below the dataset")
		}
		seen[i.Path] = i
		filled[path.Dir(i.Path)] = true
		order = append(order, i.Path)
	}
	for _, p := range order {
		i := seen[p]
		at := p
		for hops := 0; i.Mode&fs.ModeSymlink != 0; hops++ {
			to, ok := l.inside(at, i.Link)
			next, found := seen[to]
			if !ok || !found || hops > 8 {
				return nil, refuse(l.Path+"/"+p, fmt.Sprintf("it is a link to %s, which is not a file of the dataset; put the file in its place", Quote(i.Link)))
			}
			if next.Mode.IsDir() {
				return nil, refuse(l.Path+"/"+p, "it is a link to a directory; a dataset cannot hold it")
			}
			at, i = to, next
		}
		switch {
		case i.Mode.IsDir():
			if !filled[p] {
				out.add(file{path: p, dir: true})
			}
		case i.Mode.IsRegular():
			out.add(file{path: p, at: l.Path + "/" + at, size: i.Size, mtime: i.ModTime})
		default:
			return nil, refuse(l.Path+"/"+p, "it is neither a regular file, a directory nor a link; a dataset cannot hold it")
		}
	}
	slices.SortFunc(out.files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return out, nil
}

// inside gives where a link leads, relative to the dataset.
func (l Location) inside(at, link string) (string, bool) {
	to := path.Join(l.Path, path.Dir(at), link)
	if strings.HasPrefix(link, "/") {
		to = path.Clean(link)
	}
	return strings.CutPrefix(to, l.Path+"/")
}

// clean reports whether a relative path stays below its root.
func clean(p string) bool {
	for c := range strings.SplitSeq(p, "/") {
		if c == "" || c == "." || c == ".." {
			return false
		}
	}
	return strings.IndexByte(p, 0) < 0
}

func (l *listing) add(f file) {
	l.files = append(l.files, f)
	if !f.dir {
		l.bytes += f.size
		l.regular++
	}
}

func (l *listing) find(p string) (*file, bool) {
	if l.single {
		return &l.files[0], true
	}
	i, ok := slices.BinarySearchFunc(l.files, p, func(f file, p string) int { return strings.Compare(f.path, p) })
	if !ok {
		return nil, false
	}
	return &l.files[i], true
}

// sameSizes reports whether two listings have the same files with the same sizes.
func (l *listing) sameSizes(o *listing) bool {
	if l.single != o.single || len(l.files) != len(o.files) {
		return false
	}
	for i := range l.files {
		a, b := &l.files[i], &o.files[i]
		if a.dir != b.dir || a.size != b.size || !l.single && a.path != b.path {
			return false
		}
	}
	return true
}

// against compares names and sizes of a source with its manifest. Without one it
// only refuses a dataset that holds no file.
func (l *listing) against(m *checksum.Manifest, at Location) error {
	bad := func(err error) error {
		return &Error{Op: "read", Place: at.Backend.String(), Path: at.Path, Kind: ErrCorrupt, Err: err,
			Hint: "the source is not what it was; verify it at its own site"}
	}
	if m == nil {
		if l.regular == 0 {
			return bad(errors.New("it holds no file"))
		}
		return nil
	}
	if m.Single != l.single {
		return bad(errors.New("it is a file where the manifest has a directory, or the other way round"))
	}
	var ds []checksum.Difference
	if !l.single {
		for i := range m.Entries {
			if _, ok := l.find(m.Entries[i].Path); !ok {
				ds = append(ds, checksum.Difference{Path: m.Entries[i].Path, Kind: checksum.Missing})
			}
		}
	}
	for i := range l.files {
		f := &l.files[i]
		e, ok := m.Find(f.path)
		if l.single {
			e, ok = m.Entries[0], true
		}
		switch {
		case !ok:
			ds = append(ds, checksum.Difference{Path: f.path, Kind: checksum.Extra})
		case e.Dir != f.dir:
			ds = append(ds, checksum.Difference{Path: f.path, Kind: checksum.KindDiffers})
		case e.Size != f.size:
			ds = append(ds, checksum.Difference{Path: f.path, Kind: checksum.SizeDiffers, Want: fmt.Sprint(e.Size), Got: fmt.Sprint(f.size)})
		}
	}
	if err := checksum.Differ("it", ds); err != nil {
		return bad(err)
	}
	return nil
}
