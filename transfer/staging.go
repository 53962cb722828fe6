package transfer

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/zeebo/xxh3"
)

// maxName is the longest file name, in bytes, of the usual file systems.
const maxName = 255

// StagingName returns the name of the staging folder of a target for a claim:
// ".<base>.cax-part-<claim>". A base that would make it longer than 255 bytes is
// cut and its hash put in place of the rest.
func StagingName(base, claim string) string { return sibling(base, ".cax-part-"+claim) }

// asideName is the name that something else at the target's name gets.
func asideName(base, claim string) string { return sibling(base, ".cax-aside-"+claim) }

func sibling(base, suffix string) string {
	if over := 1 + len(base) + len(suffix) - maxName; over > 0 {
		hash := fmt.Sprintf("~%016x", xxh3.HashString(base))
		base = base[:len(base)-over-len(hash)] + hash
	}
	return "." + base + suffix
}

// prepare makes the staging folder, or finds the one to go on with, and makes
// sure that there is room. It is the only place where the folder is made: a
// writer whose folder was taken from it can never make it again.
func (r *run) prepare(ctx context.Context) error {
	b := r.Target.Backend
	_, err := b.Lstat(ctx, r.staging)
	switch {
	case err == nil:
		r.result.Resumed = true
	case !errors.Is(err, ErrNotExist):
		return err
	default:
		if r.result.Resumed, err = r.takeStaging(ctx, r.Continue, r.staging); err != nil {
			return err
		}
		if !r.result.Resumed {
			if err := b.Mkdir(ctx, r.staging); err != nil {
				return err
			}
		}
	}
	if _, err := r.takeStaging(ctx, r.Adopt, r.staging+"/old"); err != nil {
		return err
	}
	if !r.source.single {
		if err := b.Mkdir(ctx, r.data()); err != nil && !errors.Is(err, ErrExist) {
			return err
		}
	}
	if r.journal, err = openJournal(ctx, b, r.staging+"/journal"); err != nil {
		return err
	}
	if err := r.adopt(ctx); err != nil {
		return err
	}
	return r.reserve(ctx)
}

// takeStaging renames the staging folder of another claim; it reports whether
// there was one.
func (r *run) takeStaging(ctx context.Context, claim, to string) (bool, error) {
	if claim == "" || claim == r.Claim {
		return false, nil
	}
	from := path.Join(path.Dir(r.staging), StagingName(path.Base(r.Target.Path), claim))
	err := r.Target.Backend.Rename(ctx, from, to)
	if errors.Is(err, ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// adopt takes over the finished files of a holder that may wake up. It cannot
// reach them by name any more, since their folder was moved, but may have them
// open: so they are copied to fresh inodes, and hashed there before they count.
func (r *run) adopt(ctx context.Context) error {
	b := r.Target.Backend
	old := r.staging + "/old"
	if _, err := b.Lstat(ctx, old); errors.Is(err, ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	cloner, ok := b.(Cloner)
	if ok && r.Manifest != nil {
		there, err := list(ctx, Location{b, old + "/data"})
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
	r.result.Resumed = true
	return b.Remove(ctx, old)
}

func (r *run) adoptFiles(ctx context.Context, cloner Cloner, there *listing) error {
	var cloned []checksum.Entry
	for i := range there.files {
		f := &there.files[i]
		want, ok := r.entry(f.path)
		if !ok || f.dir || want.Dir || f.size != want.Size || there.single != r.source.single {
			continue
		}
		to := r.target(want.Path)
		if _, err := r.Target.Backend.Lstat(ctx, to); err == nil {
			continue
		}
		if err := r.makeParents(ctx, want.Path); err != nil {
			return err
		}
		from := r.staging + "/old/data"
		if !there.single {
			from += "/" + f.path
		}
		r.watch.expect(f.size)
		if err := cloner.Clone(ctx, from, to); errors.Is(err, ErrUnsupported) {
			return nil
		} else if err != nil {
			return err
		}
		cloned = append(cloned, want)
	}
	part := &checksum.Manifest{Single: r.source.single, Entries: cloned}
	bad, err := r.differing(ctx, Location{r.Target.Backend, r.data()}, part)
	if err != nil {
		return err
	}
	wrong := map[string]bool{}
	for _, d := range bad {
		wrong[d.Path] = true
		if err := r.Target.Backend.Remove(ctx, r.target(d.Path)); err != nil {
			return err
		}
	}
	for _, e := range cloned {
		if s, ok := r.source.find(e.Path); ok && !wrong[e.Path] {
			r.journal.done(s)
		}
	}
	return nil
}

// entry is what the manifest says of a path.
func (r *run) entry(p string) (checksum.Entry, bool) {
	if r.Manifest == nil {
		return checksum.Entry{}, false
	}
	if r.source.single {
		return r.Manifest.Entries[0], true
	}
	return r.Manifest.Find(p)
}

// target is where a file is staged.
func (r *run) target(p string) string {
	if r.source.single {
		return r.data()
	}
	return r.data() + "/" + p
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
	r.journal.mu.Lock()
	made := r.journal.dirs[dir]
	r.journal.mu.Unlock()
	if made {
		return nil
	}
	if i := strings.LastIndexByte(dir, '/'); i >= 0 {
		if err := r.makeDir(ctx, dir[:i]); err != nil {
			return err
		}
	}
	if err := r.Target.Backend.Mkdir(ctx, r.data()+"/"+dir); err != nil && !errors.Is(err, ErrExist) {
		return err
	}
	r.journal.mu.Lock()
	r.journal.dirs[dir] = true
	r.journal.mu.Unlock()
	return nil
}

// reserve makes sure that there is room for what is still to be written, before
// anything is.
func (r *run) reserve(ctx context.Context) error {
	s, ok := r.Target.Backend.(Spacer)
	if !ok {
		return nil
	}
	free, err := s.Free(ctx, path.Dir(r.Target.Path))
	if errors.Is(err, ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	need := r.source.bytes - r.journal.bytes(r.source)
	if need+r.Reserve > free {
		return &Error{Op: "write", Place: r.Target.Backend.String(), Path: path.Dir(r.Target.Path), Kind: ErrNoSpace,
			Err:  fmt.Errorf("%d bytes are still to be written and %d to be left free, %d are free", need, r.Reserve, free),
			Hint: "make room there"}
	}
	return nil
}
