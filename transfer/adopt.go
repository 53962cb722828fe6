package transfer

import (
	"context"
	"errors"

	"github.com/cax-go/cax/checksum"
)

// old is where the staging of a silent holder is moved, out of its reach.
func (r *run) old() string { return r.staging + "/old" }

// adoptOld takes over the finished files of a holder that may wake up. It cannot
// reach them by name any more, since their folder was moved, but may have them
// open: so they are copied to fresh inodes, and hashed there before they count.
// What cannot be proved to be good is removed.
func (r *run) adoptOld(ctx context.Context) error {
	b := r.Target.Backend
	cloner, ok := b.(Cloner)
	if ok && r.Manifest != nil && r.mover() == stream {
		there, err := list(ctx, Location{b, r.old() + "/data"}, r.watch.alive)
		switch {
		case errors.Is(err, ErrNotExist), errors.Is(err, ErrInvalid):
			there = &listing{}
		case err != nil:
			return err
		}
		if _, err := r.adoptFiles(ctx, cloner, there); err != nil {
			return err
		}
	}
	return b.Remove(ctx, r.old())
}

// salvage takes the good files of what was moved aside from the final name, so that
// they are not sent again: into fresh inodes, hashed there. What was moved aside
// stays as it is. Nothing is salvaged where that would mean to fetch the files in
// order to hash them.
func (r *run) salvage(ctx context.Context) error {
	if r.aside == "" {
		return nil
	}
	b := r.Target.Backend
	cloner, ok := b.(Cloner)
	_, disk := b.(Disk)
	_, hasher := b.(Hasher)
	if !ok || !disk && !hasher || r.Manifest == nil || r.mover() != stream {
		return nil
	}
	there, err := list(ctx, Location{b, r.aside}, r.watch.alive)
	if err != nil {
		// It is damaged: that it cannot be listed only means that all is sent.
		if ctx.Err() != nil {
			return ended(ctx)
		}
		return nil
	}
	r.result.Salvaged, err = r.adoptFiles(ctx, cloner, there)
	return err
}

// adoptFiles clones the files that may be those of the dataset into staging, and
// keeps those that the manifest proves to be. It returns their bytes.
func (r *run) adoptFiles(ctx context.Context, cloner Cloner, there *listing) (kept int64, err error) {
	if there.single != r.source.single {
		return 0, nil
	}
	wanted := map[string]*file{}
	for i := range r.source.files {
		f := &r.source.files[i]
		wanted[r.key(f)] = f
	}
	var cloned []checksum.Entry
	for i := range there.files {
		old := &there.files[i]
		f, ok := wanted[r.key(old)]
		if !ok || f.dir || old.dir || f.size != old.size {
			continue
		}
		if _, ok := r.found(f); ok {
			continue
		}
		if err := r.makeParents(ctx, f.path); err != nil {
			return 0, err
		}
		r.watch.expect(f.size)
		switch err := cloner.Clone(ctx, old.at, r.at(f.path)); {
		case errors.Is(err, ErrUnsupported):
			return 0, nil
		case err != nil && (ctx.Err() != nil || errors.Is(err, ErrNoSpace) || errors.Is(err, ErrTransient)):
			return 0, err
		case err != nil: // one that cannot be read is sent
			if err := r.Target.Backend.Remove(ctx, r.at(f.path)); err != nil {
				return 0, err
			}
			continue
		}
		r.watch.alive()
		e, _ := r.entry(f.path)
		cloned = append(cloned, e)
	}
	part := &checksum.Manifest{Single: r.source.single, Entries: cloned}
	bad, err := r.differing(ctx, Location{r.Target.Backend, r.data()}, part)
	if err != nil {
		return 0, err
	}
	wrong := map[string]bool{}
	for _, d := range bad {
		wrong[d.Path] = true
		if err := r.Target.Backend.Remove(ctx, r.at(d.Path)); err != nil {
			return 0, err
		}
	}
	for i := range cloned {
		if wrong[cloned[i].Path] {
			continue
		}
		f := wanted[cloned[i].Path]
		if r.source.single {
			f = wanted[""]
		}
		r.keep(f)
		kept += f.size
	}
	return kept, nil
}

// keep notes that a file is staged and finished.
func (r *run) keep(f *file) {
	r.mu.Lock()
	r.staged[r.key(f)] = Info{Path: f.path, Size: f.size, ModTime: f.mtime}
	r.mu.Unlock()
	r.journal.done(f)
}
