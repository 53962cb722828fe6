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
		if err := r.adoptFiles(ctx, cloner, there); err != nil {
			return err
		}
	}
	return b.Remove(ctx, r.old())
}

func (r *run) adoptFiles(ctx context.Context, cloner Cloner, there *listing) error {
	if there.single != r.source.single {
		return nil
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
			return err
		}
		r.watch.expect(f.size)
		if err := cloner.Clone(ctx, old.at, r.at(f.path)); errors.Is(err, ErrUnsupported) {
			return nil
		} else if err != nil {
			return err
		}
		r.watch.alive()
		e, _ := r.entry(f.path)
		cloned = append(cloned, e)
	}
	part := &checksum.Manifest{Single: r.source.single, Entries: cloned}
	bad, err := r.differing(ctx, Location{r.Target.Backend, r.data()}, part)
	if err != nil {
		return err
	}
	wrong := map[string]bool{}
	for _, d := range bad {
		wrong[d.Path] = true
		if err := r.Target.Backend.Remove(ctx, r.at(d.Path)); err != nil {
			return err
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
	}
	return nil
}

// keep notes that a file is staged and finished.
func (r *run) keep(f *file) {
	r.mu.Lock()
	r.staged[r.key(f)] = Info{Path: f.path, Size: f.size, ModTime: f.mtime}
	r.mu.Unlock()
	r.journal.done(f)
}
