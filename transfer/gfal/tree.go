package gfal

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"golang.org/x/sync/errgroup"
)

// Send implements [transfer.TreeCopier]. Files of the same size and sum are not sent
// again, and what does not belong there is removed.
func (b *Backend) Send(ctx context.Context, local, remote string, single bool, t *transfer.Tree) error {
	m := t.Manifest
	if m == nil {
		var err error
		if m, err = checksum.MakeManifest(ctx, local, nil); err != nil {
			return err
		}
	}
	for i := range m.Entries {
		if !single && !plain(m.Entries[i].Path) {
			return b.unfit("send", m.Entries[i].Path)
		}
	}
	there, err := b.lookAtTree(ctx, remote, single)
	if err != nil {
		return err
	}
	if err := b.shape(ctx, remote, single, m, there); err != nil {
		return err
	}
	var files []file
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Dir {
			continue
		}
		f := file{path: e.Path, move: move{local: local, remote: remote, push: true, size: e.Size, sum: e.Sum(checksum.Adler32), tree: t}}
		name := ""
		if !single {
			name, f.local, f.remote = e.Path, local+"/"+e.Path, remote+"/"+e.Path
		}
		i, ok := there[name]
		f.there = ok && i.Mode.IsRegular() && i.Size == e.Size
		files = append(files, f)
	}
	return b.each(ctx, files, t, b.sendOne)
}

// A file is one of a dataset that is to be moved.
type file struct {
	move
	path  string
	there bool // something of its size is there already
	mtime time.Time
}

// sendOne sends a file, unless it is there.
func (b *Backend) sendOne(ctx context.Context, f file) (skipped bool, err error) {
	if f.there && !f.sum.IsZero() {
		sums, err := b.Hash(ctx, checksum.Adler32, []string{f.remote})
		switch {
		case err == nil && sums[0] == f.sum:
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		}
		// What cannot be asked for, and what is wrong, is sent.
	}
	return false, b.copy(ctx, f.move)
}

// lookAtTree lists what stands at a path, by relative paths; "" is the path itself.
func (b *Backend) lookAtTree(ctx context.Context, remote string, single bool) (map[string]transfer.Info, error) {
	there := map[string]transfer.Info{}
	root, err := b.Lstat(ctx, remote)
	switch {
	case errors.Is(err, transfer.ErrNotExist):
		return there, nil
	case err != nil:
		return nil, err
	}
	there[""] = root
	if single || !root.Mode.IsDir() {
		return there, nil
	}
	for i, err := range b.List(ctx, remote) {
		if err != nil {
			return nil, err
		}
		there[i.Path] = i
	}
	return there, nil
}

// shape makes the directories of a dataset at the place, and removes what is not of it.
func (b *Backend) shape(ctx context.Context, remote string, single bool, m *checksum.Manifest, there map[string]transfer.Info) error {
	wanted := map[string]bool{"": !single} // is a directory
	for i := range m.Entries {
		if single {
			break
		}
		p := m.Entries[i].Path
		wanted[p] = m.Entries[i].Dir
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			wanted[d] = true
		}
	}
	at := func(p string) string { return strings.TrimSuffix(remote+"/"+p, "/") }
	gone := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(there)) {
		if parent := parentOf(p); p != "" && gone[parent] {
			gone[p] = true
			continue
		}
		if dir, ok := wanted[p]; ok && dir == there[p].Mode.IsDir() {
			continue
		}
		if err := b.Remove(ctx, at(p)); err != nil {
			return err
		}
		gone[p] = true
	}
	for p := range gone {
		delete(there, p)
	}
	if _, ok := there[""]; !ok {
		if err := b.parent(ctx, "send", remote); err != nil {
			return err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(wanted)) {
		if _, ok := there[p]; ok || !wanted[p] {
			continue
		}
		if err := b.Mkdir(ctx, at(p)); err != nil && !errors.Is(err, transfer.ErrExist) {
			return err
		}
	}
	return nil
}

func parentOf(p string) string {
	if d := path.Dir(p); d != "." {
		return d
	}
	return ""
}

// Fetch implements [transfer.TreeCopier]. Files that are there and have the right sum
// are not fetched again. A file that the source has in another form than the manifest
// says does not keep the others from being fetched.
func (b *Backend) Fetch(ctx context.Context, remote, local string, single bool, t *transfer.Tree) error {
	there, err := b.lookAtTree(ctx, remote, single)
	if err != nil {
		return err
	}
	root, ok := there[""]
	if !ok || root.Mode.IsDir() == single {
		return &transfer.Error{Op: "fetch", Place: b.String(), Path: remote, Kind: transfer.ErrNotExist}
	}
	if !single {
		if err := tidy(local, t.Manifest, there); err != nil {
			return err
		}
	}
	var files []file
	for _, p := range slices.Sorted(maps.Keys(there)) {
		i := there[p]
		switch {
		case i.Mode.IsDir():
			if err := os.MkdirAll(filepath.Join(local, p), 0o755); err != nil {
				return err
			}
		case i.Mode.IsRegular():
			f := file{path: p, mtime: i.ModTime, move: move{local: local, remote: remote, size: i.Size, tree: t}}
			if single {
				f.path = path.Base(remote)
			} else {
				f.local, f.remote = local+"/"+p, remote+"/"+p
			}
			if e, ok := entry(t.Manifest, p); ok && e.Size == i.Size {
				f.sum = e.Sum(checksum.Adler32)
			}
			st, err := os.Lstat(f.local)
			f.there = err == nil && st.Mode().IsRegular() && st.Size() == i.Size
			files = append(files, f)
		}
	}
	return b.each(ctx, files, t, b.fetchOne)
}

// entry is what a manifest, if there is one, says of a file.
func entry(m *checksum.Manifest, p string) (checksum.Entry, bool) {
	switch {
	case m == nil:
		return checksum.Entry{}, false
	case m.Single:
		return m.Entries[0], true
	}
	return m.Find(p)
}

// tidy removes what is neither of the manifest nor of the source: it would become part
// of the copy, and a link could lead what is fetched elsewhere.
func tidy(local string, m *checksum.Manifest, there map[string]transfer.Info) error {
	keep := map[string]bool{}
	for p, i := range there {
		keep[p] = i.Mode.IsDir()
	}
	if m != nil {
		for i := range m.Entries {
			e := &m.Entries[i]
			keep[e.Path] = e.Dir
			for d := path.Dir(e.Path); d != "."; d = path.Dir(d) {
				keep[d] = true
			}
		}
	}
	err := filepath.WalkDir(local, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == local {
			return err
		}
		dir, ok := keep[strings.TrimPrefix(p, local+"/")]
		if ok && (dir && d.IsDir() || !dir && d.Type().IsRegular()) {
			return nil
		}
		if err := os.RemoveAll(p); err != nil {
			return err
		}
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// fetchOne fetches a file, unless it is there.
func (b *Backend) fetchOne(ctx context.Context, f file) (skipped bool, err error) {
	if f.there {
		good, err := b.same(ctx, f)
		if good || err != nil {
			return good, err
		}
	}
	if err := b.copy(ctx, f.move); err != nil {
		if ctx.Err() == nil {
			_ = os.Remove(f.local)
		}
		return false, err
	}
	if err := os.Chmod(f.local, 0o644); err != nil {
		return false, err
	}
	return false, os.Chtimes(f.local, f.mtime, f.mtime)
}

// same reports whether the file on this machine is the one to be fetched.
func (b *Backend) same(ctx context.Context, f file) (bool, error) {
	want := f.sum
	if want.IsZero() {
		sums, err := b.Hash(ctx, checksum.Adler32, []string{f.remote})
		if errors.Is(err, transfer.ErrUnsupported) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		want = sums[0]
	}
	got, err := checksum.FileSum(ctx, f.local, checksum.Adler32)
	return err == nil && got[0] == want, err
}

// each moves files, a few at once and the largest first. Where the rate is bounded they
// go one by one, with rests between them. A file that is not what the manifest says
// does not stop the others.
func (b *Backend) each(ctx context.Context, files []file, t *transfer.Tree, one func(context.Context, file) (skipped bool, err error)) error {
	slices.SortStableFunc(files, func(x, y file) int { return cmp.Compare(y.size, x.size) })
	var mu sync.Mutex
	var wrong []error
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(b.parallel())
	if t.BytesPerSecond > 0 {
		g.SetLimit(1)
	}
	for _, f := range files {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if gctx.Err() != nil {
				return gctx.Err()
			}
			began := time.Now()
			skipped, err := one(gctx, f)
			if errors.Is(err, transfer.ErrCorrupt) && gctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				wrong = append(wrong, err)
				return nil
			}
			if err != nil {
				return err
			}
			if skipped && t.Skipped != nil {
				t.Skipped(f.size)
			}
			if t.File != nil {
				t.File(f.path)
			}
			if t.BytesPerSecond <= 0 || skipped {
				return nil
			}
			return rest(gctx, time.Duration(float64(f.size)/float64(t.BytesPerSecond)*float64(time.Second))-time.Since(began), t)
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return errors.Join(wrong...)
}

// rest waits. To wait is not to stall.
func rest(ctx context.Context, d time.Duration, t *transfer.Tree) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if t.Progress != nil {
			t.Progress(0)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Until(end), time.Second/4)):
		}
	}
	return nil
}
