package cax

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
)

// mayMove refuses a move that cannot or should not be.
func (e *Env) mayMove(ctx context.Context, r *rundb.Run, c *rundb.Copy, to string) error {
	no := func(format string, args ...any) error {
		return fmt.Errorf("%s is not moved: %s", c.Location, fmt.Sprintf(format, args...))
	}
	base := path.Base(to)
	switch {
	case c.Status != rundb.Transferred:
		return no("the copy is %s, only one that is transferred can be moved", c.Status)
	case c.Claim != nil:
		return no("pid %d on %s works on the copy", c.Claim.Owner.PID, c.Claim.Owner.Host)
	case c.InPlace:
		return no("it was registered where it lies, outside the directories of %s", e.Site.Name)
	case !e.Site.Contains(c.Location):
		return no("the record's location is outside the directories of %s", e.Site.Name)
	case !e.Site.Contains(to):
		return no("%s is outside the directories of %s, or not an absolute path in its shortest form", transfer.Quote(to), e.Site.Name)
	case reserved(e.Config, to):
		return no("%s is, or holds, a directory of a site", to)
	case !oneName(base) || strings.HasPrefix(base, "."):
		return no("%s cannot be the name of a dataset", transfer.Quote(base))
	case below(to, c.Location) || below(c.Location, to):
		return no("one path is inside the other")
	}
	if who, ok := readFrom(r, c.Key); ok {
		return no("a copy at %s is being made from it", who)
	}
	if err := e.insideAfterLinks(path.Dir(to)); err != nil {
		return no("%v", err)
	}
	if n, err := e.recordsAt(ctx, c.Location); err != nil || n > 1 {
		return errors.Join(err, no("%d records name it", n))
	}
	for p := to; e.Site.Contains(p); p = path.Dir(p) {
		other, err := e.namedBy(ctx, p)
		if err != nil {
			return err
		}
		if other != nil {
			return no("%s has a record of %s", other, p)
		}
	}
	if other, err := e.owns(ctx, base, r.ID); err != nil {
		return err
	} else if other != nil {
		return no("%s is the name of %s, whose data belong there", base, other)
	}
	disk := e.remotes.local()
	if _, err := disk.Lstat(ctx, c.Location); err != nil {
		return err
	}
	if _, err := disk.Lstat(ctx, to); err == nil {
		return no("%s exists", to)
	} else if !errors.Is(err, transfer.ErrNotExist) {
		return err
	}
	return nil
}

// insideAfterLinks reports an error if a folder is not there, or links lead out of
// the site's directories.
func (e *Env) insideAfterLinks(folder string) error {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return err
	}
	for _, d := range e.Site.dirs() {
		if d, err := filepath.EvalSymlinks(d); err == nil && (real == d || below(real, d)) {
			return nil
		}
	}
	return fmt.Errorf("%s leads to %s, outside the directories of %s", folder, real, e.Site.Name)
}

// owns returns the run whose data would be called so, if that is not the one with
// this id; nil if there is none. Runs of several detectors can share a name.
func (e *Env) owns(ctx context.Context, base string, id rundb.ID) (*rundb.Run, error) {
	var other *rundb.Run
	for r, err := range e.Store.Find(ctx, &rundb.Query{Names: runNames(base)}) {
		if err != nil {
			return nil, err
		}
		if r.ID == id {
			return nil, nil
		}
		other = r
	}
	return other, nil
}

// recordsAt counts the records on this storage that name a path.
func (e *Env) recordsAt(ctx context.Context, p string) (n int, err error) {
	m := rundb.CopyMatch{Hosts: e.sharing(), Location: p}
	for r, err := range e.Store.Find(ctx, &rundb.Query{Copies: []rundb.CopyMatch{m}}) {
		if err != nil {
			return 0, err
		}
		for i := range r.Data {
			if m.Match(&r.Data[i]) {
				n++
			}
		}
	}
	return n, nil
}
