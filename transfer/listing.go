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

// A listing is a dataset as it stands at a place, or in a manifest: its files and
// empty directories, sorted by path.
type listing struct {
	single  bool
	files   []file
	bytes   int64
	regular int
}

// A file is one of a listing.
type file struct {
	path  string // relative to the root; the base name of a single file
	at    string // absolute path of its bytes; for a link, of what it leads to
	dir   bool   // an empty directory
	size  int64
	mtime time.Time
	lacks bool // the source does not have it as it should be
}

// list lists a dataset. Links to files inside it count as files; other links,
// devices, sockets and pipes are refused with ErrInvalid. alive is called for
// each name that arrives.
func list(ctx context.Context, l Location, alive func()) (*listing, error) {
	root, err := l.Backend.Lstat(ctx, l.Path)
	if err != nil {
		return nil, err
	}
	out := &listing{}
	if root.Mode.IsRegular() {
		out.single = true
		out.add(file{path: path.Base(l.Path), at: l.Path, size: root.Size, mtime: root.ModTime})
		return out, nil
	}
	if !root.Mode.IsDir() {
		return nil, l.refuse("", "it is neither a directory nor a regular file")
	}
	seen := map[string]Info{}
	filled := map[string]bool{}
	for i, err := range l.Backend.List(ctx, l.Path) {
		if err != nil {
			return nil, err
		}
		alive()
		if !clean(i.Path) {
			return nil, l.refuse(i.Path, "the listing names a path that is not below the dataset")
		}
		seen[i.Path] = i
		filled[path.Dir(i.Path)] = true
	}
	for p := range seen {
		i, at, err := l.resolve(p, seen)
		switch {
		case err != nil:
			return nil, err
		case i.Mode.IsRegular():
			out.add(file{path: p, at: l.Path + "/" + at, size: i.Size, mtime: i.ModTime})
		case !i.Mode.IsDir():
			return nil, l.refuse(p, "it is neither a regular file, a directory nor a link; a dataset cannot hold it")
		case !filled[p]:
			out.add(file{path: p, dir: true})
		}
	}
	slices.SortFunc(out.files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return out, nil
}

// resolve follows links within the dataset to what they lead to, and where that
// is.
func (l Location) resolve(p string, seen map[string]Info) (Info, string, error) {
	at, i := p, seen[p]
	for hops := 0; i.Mode&fs.ModeSymlink != 0; hops++ {
		to, ok := l.inside(at, i.Link)
		next, found := seen[to]
		if !ok || !found || hops > 8 {
			return i, at, l.refuse(p, fmt.Sprintf("it is a link to %s, which is not a file of the dataset; put the file in its place", Quote(i.Link)))
		}
		if next.Mode.IsDir() {
			return i, at, l.refuse(p, "it is a link to a directory; a dataset cannot hold it")
		}
		at, i = to, next
	}
	return i, at, nil
}

// inside gives where a link leads, relative to the dataset.
func (l Location) inside(at, link string) (string, bool) {
	to := path.Join(l.Path, path.Dir(at), link)
	if strings.HasPrefix(link, "/") {
		to = path.Clean(link)
	}
	return strings.CutPrefix(to, l.Path+"/")
}

func (l Location) refuse(p, why string) error {
	return &Error{Op: "read", Place: l.Backend.String(), Path: path.Join(l.Path, p), Kind: ErrInvalid, Err: errors.New(why)}
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

// listingOf is the listing that a dataset with this manifest has.
func listingOf(m *checksum.Manifest) *listing {
	l := &listing{single: m.Single}
	for i := range m.Entries {
		e := &m.Entries[i]
		l.add(file{path: e.Path, dir: e.Dir, size: e.Size})
	}
	return l
}

// held is the listing of a dataset with this manifest, where each file is that of a
// source which may lack some. Times are those of the manifest where it has them, so
// that what one source gave goes on with another.
func held(m *checksum.Manifest, source *listing) *listing {
	l := listingOf(m)
	at := make(map[string]*file, len(source.files))
	for i := range source.files {
		at[source.files[i].path] = &source.files[i]
	}
	for i := range l.files {
		f := &l.files[i]
		f.mtime = m.Entries[i].ModTime
		s, ok := at[f.path]
		if m.Single {
			s, ok = &source.files[0], true
		}
		if ok = ok && s.dir == f.dir && s.size == f.size; ok {
			f.at = s.at
		}
		if ok && f.mtime.IsZero() {
			f.mtime = s.mtime
		}
		f.lacks = !ok && !f.dir
	}
	return l
}

// compare lists the differences between two listings in names, kinds and sizes,
// in the order of paths. Names of single files do not matter.
func compare(want, got *listing) []checksum.Difference {
	kind := map[bool]string{true: "a file", false: "a directory"}
	if want.single != got.single {
		return []checksum.Difference{{Path: ".", Kind: checksum.KindDiffers, Want: kind[want.single], Got: kind[got.single]}}
	}
	var ds []checksum.Difference
	a, b := want.files, got.files
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && !want.single && a[0].path < b[0].path:
			ds = append(ds, checksum.Difference{Path: a[0].path, Kind: checksum.Missing})
			a = a[1:]
			continue
		case len(a) == 0 || !want.single && b[0].path < a[0].path:
			ds = append(ds, checksum.Difference{Path: b[0].path, Kind: checksum.Extra})
			b = b[1:]
			continue
		case a[0].dir != b[0].dir:
			ds = append(ds, checksum.Difference{Path: a[0].path, Kind: checksum.KindDiffers, Want: kind[!a[0].dir], Got: kind[!b[0].dir]})
		case a[0].size != b[0].size:
			ds = append(ds, checksum.Difference{Path: a[0].path, Kind: checksum.SizeDiffers, Want: fmt.Sprint(a[0].size), Got: fmt.Sprint(b[0].size)})
		}
		a, b = a[1:], b[1:]
	}
	return ds
}

// differ turns differences into an error.
func differ(ds []checksum.Difference) error { return checksum.Differ("it", ds) }
