package cax

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
)

// list lists the directories of this site and the folders of versions in them.
func (s *survey) list(ctx context.Context, e *Env) error {
	for _, typ := range []rundb.Type{rundb.Raw, rundb.Processed} {
		dir := e.Site.Dir(typ)
		if dir == "" || slices.ContainsFunc(s.shelves, func(p *shelf) bool { return p.dir == path.Clean(dir) }) {
			continue
		}
		p := &shelf{dir: path.Clean(dir), typ: typ}
		s.shelves = append(s.shelves, p)
		for _, site := range e.Config.Sites {
			p.foreign = p.foreign || site.DirMinitrees != "" && path.Clean(site.DirMinitrees) == p.dir || site.DirTSM != "" && path.Clean(site.DirTSM) == p.dir
		}
		es, err := os.ReadDir(p.dir)
		if err != nil {
			p.err = err
			continue
		}
		for _, d := range es {
			at := p.dir + "/" + d.Name()
			switch version, ok := strings.CutPrefix(d.Name(), "pax_"); {
			case reserved(e.Config, at) || d.Name() == "lost+found":
			case ok && d.IsDir():
				inner, err := os.ReadDir(at)
				if err != nil {
					p.items = append(p.items, &item{path: at, err: err})
					continue
				}
				for _, d := range inner {
					if in := at + "/" + d.Name(); !reserved(e.Config, in) {
						p.items = append(p.items, &item{path: in, version: version})
					}
				}
			default:
				p.items = append(p.items, &item{path: at})
			}
		}
		for _, i := range p.items {
			i.measure(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// measure finds the extent of an item, and what its name says.
func (i *item) measure(ctx context.Context) {
	if i.err == nil {
		i.tree, i.err = measureTree(ctx, i.path)
	}
	i.left, _ = transfer.ParseLeftover(path.Base(i.path))
}

// reserved reports whether a path is, or holds, a directory of some site: never a
// dataset.
func reserved(c *Config, p string) bool {
	for _, s := range c.Sites {
		for _, d := range s.dirs() {
			if d = path.Clean(d); d == p || below(d, p) {
				return true
			}
		}
	}
	return false
}

// measureTree gives the extent of a file or a directory. A link to a file counts as
// that file, as when a dataset is copied; other links are not followed.
func measureTree(ctx context.Context, root string) (t tree, err error) {
	st, err := os.Lstat(root)
	if err != nil {
		return t, err
	}
	t.changed = st.ModTime()
	if !st.IsDir() {
		if st.Mode()&fs.ModeSymlink != 0 {
			if to, err := os.Stat(root); err == nil {
				st = to
			}
		}
		if st.Mode().IsRegular() {
			t.files, t.bytes = 1, st.Size()
		}
		return t, nil
	}
	err = walkTree(ctx, root, func(_ string, own, led fs.FileInfo) {
		if m := own.ModTime(); m.After(t.changed) {
			t.changed = m
		}
		if led.Mode().IsRegular() {
			t.files++
			t.bytes += led.Size()
		}
	})
	return t, err
}

// walkTree calls f for all that is below a directory: its path from there, what it
// is, and what it leads to if it is a link. What goes meanwhile is left out.
func walkTree(ctx context.Context, root string, f func(rel string, own, led fs.FileInfo)) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if p == root {
			return err
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		own, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		led := own
		if own.Mode()&fs.ModeSymlink != 0 {
			if to, err := os.Stat(p); err == nil {
				led = to
			}
		}
		f(p[len(root)+1:], own, led)
		return nil
	})
}

// open replaces folders that only hold what records name by what is in them, so that
// strays beside it are seen.
func (s *survey) open(ctx context.Context, e *Env) error {
	named, exact := s.named(), s.names()
	for _, p := range s.shelves {
		for n := 0; n < len(p.items); n++ {
			i := p.items[n]
			if i.err != nil || !named[i.path] || within(i.path, exact) {
				continue
			}
			es, err := os.ReadDir(i.path)
			if err != nil {
				continue // a file, or it went
			}
			for _, d := range es {
				in := &item{path: i.path + "/" + d.Name(), version: i.version}
				if reserved(e.Config, in.path) {
					continue
				}
				in.measure(ctx)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				p.items = append(p.items, in)
			}
			p.items = slices.Delete(p.items, n, n+1)
			n--
		}
	}
	return nil
}

// within reports whether a path is one of these, or in one.
func within(p string, names map[string]bool) bool {
	for ; len(p) > 1; p = path.Dir(p) {
		if names[p] {
			return true
		}
	}
	return false
}
