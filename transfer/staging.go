package transfer

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// prepare makes the staging folder, or finds the one to go on with, clears it of
// what does not belong there, and makes sure that there is room.
func (r *run) prepare(ctx context.Context) error {
	if err := r.openStaging(ctx); err != nil {
		return err
	}
	interrupted, err := r.lookAtStaging(ctx)
	if err != nil {
		return err
	}
	r.journal = noJournal()
	if r.mover() == stream { // programs keep partial files under names of their own
		if err := r.prune(ctx); err != nil {
			return err
		}
		if r.journal, err = openJournal(ctx, r.Target.Backend, r.staging+"/journal"); err != nil {
			return err
		}
	}
	if err := r.makeData(ctx); err != nil {
		return err
	}
	if interrupted {
		if err := r.adoptOld(ctx); err != nil {
			return err
		}
	}
	for _, claim := range r.Adopt {
		took, err := r.take(ctx, claim, r.old())
		if err != nil {
			return err
		}
		if took {
			if err := r.adoptOld(ctx); err != nil {
				return err
			}
		}
	}
	if err := r.salvage(ctx); err != nil {
		return err
	}
	if r.Staged != nil {
		r.watch.tell(r.Staged)
	}
	return r.reserve(ctx)
}

// openStaging finds or makes the staging folder. It is the only place where the
// folder is made: a writer whose folder was taken from it never makes it again.
func (r *run) openStaging(ctx context.Context) error {
	b := r.Target.Backend
	_, err := b.Lstat(ctx, r.staging)
	switch {
	case err == nil:
		r.result.Resumed = true
		return nil
	case !errors.Is(err, ErrNotExist):
		return err
	}
	for _, claim := range r.Continue {
		if took, err := r.take(ctx, claim, r.staging); took || err != nil {
			return err
		}
	}
	return b.Mkdir(ctx, r.staging)
}

// take renames the staging folder of another claim; it reports whether there was
// one.
func (r *run) take(ctx context.Context, claim, to string) (bool, error) {
	if claim == r.Claim {
		return false, nil
	}
	from := beside(r.staging, StagingName(path.Base(r.Target.Path), claim))
	if _, err := r.Target.Backend.Lstat(ctx, from); errors.Is(err, ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err := r.Target.Backend.Rename(ctx, from, to); err != nil {
		return false, err
	}
	r.result.Resumed = true
	return true, nil
}

// lookAtStaging lists what was staged before. It reports whether there are files
// of a silent holder, left when their adoption was interrupted.
func (r *run) lookAtStaging(ctx context.Context) (old bool, err error) {
	if !r.result.Resumed {
		return false, nil
	}
	for i, err := range r.Target.Backend.List(ctx, r.staging) {
		if err != nil {
			return false, err
		}
		r.watch.alive()
		switch p, ok := strings.CutPrefix(i.Path, "data/"); {
		case ok:
			r.staged[p] = i
		case i.Path == "data":
			r.staged[""] = i
		case i.Path == "old":
			old = true
		}
	}
	return old, nil
}

// prune removes what is staged and is not of the dataset, as the source is now,
// or is of another kind. Without it a file that the source has no more would
// become part of the copy, and a link could lead writes elsewhere.
func (r *run) prune(ctx context.Context) error {
	const isFile, isDir = 1, 2
	want := map[string]int{"": isDir}
	if r.source.single {
		want[""] = isFile
	} else {
		for i := range r.source.files {
			f := &r.source.files[i]
			want[f.path] = isFile
			if f.dir {
				want[f.path] = isDir
			}
			for d := path.Dir(f.path); d != "." && want[d] == 0; d = path.Dir(d) {
				want[d] = isDir
			}
		}
	}
	removed := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(r.staged)) {
		mode := r.staged[p].Mode
		parent := path.Dir(p)
		if parent == "." {
			parent = ""
		}
		switch {
		case removed[parent] && p != "":
		case want[p] == isFile && mode.IsRegular():
			continue
		case want[p] == isDir && mode.IsDir():
			r.dirs[p] = true
			continue
		default:
			if err := r.Target.Backend.Remove(ctx, strings.TrimSuffix(r.data()+"/"+p, "/")); err != nil {
				return err
			}
		}
		removed[p] = true
		delete(r.staged, p)
	}
	return nil
}

// makeData makes the folder of a dataset that is one.
func (r *run) makeData(ctx context.Context) error {
	if r.source.single || r.staged[""].Mode.IsDir() {
		return nil
	}
	return r.Target.Backend.Mkdir(ctx, r.data())
}

// makeParents makes the folders of a file below data. They are made one by one
// from the top, so that none is made where data itself is gone.
func (r *run) makeParents(ctx context.Context, p string) error {
	if r.source.single {
		return nil
	}
	return r.makeDir(ctx, path.Dir(p))
}

func (r *run) makeDir(ctx context.Context, dir string) error {
	if dir == "." {
		return nil
	}
	r.mu.Lock()
	made := r.dirs[dir]
	r.mu.Unlock()
	if made {
		return nil
	}
	if err := r.makeDir(ctx, path.Dir(dir)); err != nil {
		return err
	}
	if err := r.Target.Backend.Mkdir(ctx, r.data()+"/"+dir); err != nil && !errors.Is(err, ErrExist) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dirs[dir] = true
	return nil
}

// found is what was staged of a file before; false if nothing, or if it was
// dropped since.
func (r *run) found(f *file) (Info, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.staged[r.key(f)]
	return i, ok && i.Mode&fs.ModeType == 0
}

func (r *run) key(f *file) string {
	if r.source.single {
		return ""
	}
	return f.path
}

// drop removes a staged file that is not good.
func (r *run) drop(ctx context.Context, f *file) error {
	r.mu.Lock()
	delete(r.staged, r.key(f))
	r.mu.Unlock()
	r.journal.forget(f)
	return r.Target.Backend.Remove(ctx, r.at(f.path))
}
