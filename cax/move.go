package cax

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// Move moves a copy of this site to another place within the site's directories and
// tells the run database. Both paths are absolute. Each step can be the last that
// happens:
//
//	event "intent" → the record is claimed, with the new place in the claim, and
//	verifying, so that nobody reads from it → rename that replaces nothing, or,
//	between file systems, a verified copy → the record gets the new place and loses
//	the claim, in one update → after a copy, the old dataset goes into the trash
//
// What a crash leaves is settled by AddChecksum, by Reconcile, or by moving again:
// if the dataset is in its new place, so is its record; else it is as it was. A move
// that fails leaves the record as it was. With Env.DryRun it only checks. It returns
// the run as it was.
func (e *Env) Move(ctx context.Context, from, to string) (*rundb.Run, error) {
	r, c, err := e.copyAt(ctx, from, to)
	if err != nil {
		return nil, err
	}
	if c.Claim != nil && c.Claim.Kind == rundb.ClaimMove && !e.DryRun {
		now, err := e.Store.Now(ctx)
		if err != nil {
			return nil, err
		}
		if e.liveness(c.Claim, now) != ownerAlive {
			if err := e.settleMove(ctx, r, c); err != nil {
				return r, err
			}
			if r, c, err = e.copyAt(ctx, from, to); err != nil {
				return r, err
			}
		}
	}
	if c.Location == to {
		return r, nil // it was moved before, and the record says so
	}
	if err := e.mayMove(ctx, r, &c, to); err != nil {
		return r, err
	}
	if e.DryRun {
		return r, nil
	}
	m := &move{env: e, run: r, was: c, from: from, to: to}
	m.event(ctx, "intent", fmt.Sprintf("to be moved to %s", to))
	g := rundb.Guards{Forbid: []rundb.CopyMatch{{Types: []rundb.Type{c.Type}, Versions: []string{c.Version}, Source: c.Host}}}
	claim := rundb.Claim{Kind: rundb.ClaimMove, Target: to, Owner: e.Owner}
	if m.held, err = e.Store.ReclaimIf(ctx, r.ID, c, rundb.Verifying, claim, g); err != nil {
		return r, fmt.Errorf("move %s: %w", from, err)
	}
	leased, l := hold(ctx, m.held, e.Policy, e.Clock, e.Log)
	err = m.carryOut(leased, l.confirm)
	lost := errors.Is(context.Cause(leased), ErrLeaseLost)
	l.stop()
	if err != nil && lost {
		err = fmt.Errorf("%w: another process settles the move", ErrLeaseLost)
	}
	if err != nil && !lost && !m.done {
		err = errors.Join(err, m.settle(ctx))
	}
	if err != nil {
		return r, fmt.Errorf("move %s to %s: %w", from, to, err)
	}
	e.moveManifest(ctx, from, to)
	e.Log.Info("moved", zap.String("run", r.String()), zap.String("from", from), zap.String("to", to))
	return r, nil
}

// moveManifest moves the manifest beside a dataset along with it. It can be written
// again (cax manifest --save), so a failure is only told.
func (e *Env) moveManifest(ctx context.Context, from, to string) {
	name := func(p string) string { return path.Join(path.Dir(p), transfer.ManifestName(path.Base(p))) }
	err := e.remotes.local().Rename(ctx, name(from), name(to))
	if err != nil && !errors.Is(err, transfer.ErrNotExist) {
		e.Log.Warn("the manifest beside the dataset was not moved with it", zap.String("file", name(from)), zap.Error(err))
	}
}

// copyAt finds the record of this site's copy at a path; if there is none there, the
// one at the other path, to which it was moved.
func (e *Env) copyAt(ctx context.Context, from, to string) (*rundb.Run, rundb.Copy, error) {
	for _, p := range []string{from, to} {
		var in *rundb.Run
		var found []rundb.Copy
		q := &rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{e.Site.Name}, Location: p}}}
		for r, err := range e.Store.Find(ctx, q) {
			if err != nil {
				return nil, rundb.Copy{}, err
			}
			for i := range r.Data {
				if q.Copies[0].Match(&r.Data[i]) {
					in, found = r, append(found, r.Data[i])
				}
			}
		}
		switch {
		case len(found) > 1:
			return nil, rundb.Copy{}, fmt.Errorf("%d records of %s name %s: see cax reconcile", len(found), e.Site.Name, p)
		case len(found) == 0:
		case p == from:
			return in, found[0], nil
		default:
			if _, err := e.remotes.local().Lstat(ctx, from); errors.Is(err, transfer.ErrNotExist) {
				return in, found[0], nil
			}
		}
	}
	return nil, rundb.Copy{}, fmt.Errorf("no record of %s names %s: nothing to move (cax register makes one)", e.Site.Name, from)
}

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

// A move is one move under way.
type move struct {
	env      *Env
	run      *rundb.Run
	was      rundb.Copy
	from, to string
	held     *rundb.Held
	done     bool // the record has the new place
}

func (m *move) event(ctx context.Context, what, why string) {
	m.env.event(ctx, m.run, m.was.Key, what, why, bson.D{{Key: "from", Value: m.from}, {Key: "to", Value: m.to}})
}

// carryOut moves the bytes and then the record.
func (m *move) carryOut(ctx context.Context, confirm func(context.Context) error) error {
	disk := m.env.remotes.local()
	if err := confirm(ctx); err != nil {
		return err
	}
	err := disk.Rename(ctx, m.from, m.to)
	if errors.Is(err, syscall.EXDEV) {
		return m.copyOver(ctx, confirm)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(durableName(ctx, disk, m.to), durableName(ctx, disk, m.from)); err != nil {
		return err
	}
	if err := m.finish(ctx, rundb.Transferred, nil); err != nil {
		return err
	}
	m.event(ctx, "moved", fmt.Sprintf("from %s to %s", m.from, m.to))
	return nil
}

// finish gives the record its new place and drops the claim.
func (m *move) finish(ctx context.Context, s rundb.Status, more bson.D) error {
	set := append(bson.D{{Key: "status", Value: string(s)}, {Key: "location", Value: m.to}}, more...)
	if err := m.held.Finish(ctx, set); err != nil {
		return err
	}
	m.done = true
	return nil
}

// copyOver is a move between file systems: a verified copy, then the record, then
// the old dataset goes into the trash, from where it is unlinked later.
func (m *move) copyOver(ctx context.Context, confirm func(context.Context) error) error {
	e, disk := m.env, m.env.remotes.local()
	job := transfer.Job{Source: transfer.Location{Backend: disk, Path: m.from}, Target: transfer.Location{Backend: disk, Path: m.to},
		Claim: m.held.ID, ReadBack: true, BeforeCommit: confirm}
	stored, err := e.Store.Manifest(ctx, rundb.ManifestKey{Run: m.run.ID, Type: m.was.Type, Version: m.was.Version})
	switch {
	case err == nil:
		job.Manifest = stored
	case !errors.Is(err, rundb.ErrNotExist):
		return err
	default:
		if job.Legacy, err = legacySum(&m.was); err != nil {
			return err
		}
		if job.Legacy.IsZero() {
			return fmt.Errorf("there is neither a manifest nor a checksum to verify the copy with: cax verify --repair-manifest makes one")
		}
	}
	copier := &transfer.Copier{Stall: e.Policy.Stall, Reserve: e.Policy.Reserve}
	res, err := copier.Copy(ctx, job)
	if err != nil {
		return err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	t, err := makeTrash(ctx, disk, trashInfo{Run: m.run.ID.Hex(), Name: m.run.Name, Type: string(m.was.Type), Version: m.was.Version,
		Host: m.was.Host, Location: m.from, Claim: m.held.ID, Why: "moved to " + m.to, Force: true, Until: now.Add(e.Policy.Trash)})
	if err != nil {
		return err
	}
	facts := bson.D{{Key: "files", Value: int64(res.Files)}, {Key: "size", Value: res.Bytes}, {Key: "verified_at", Value: now}, {Key: "evidence", Value: string(rundb.Cached)}}
	if err := m.finish(ctx, rundb.Transferred, facts); err != nil {
		return err
	}
	m.event(ctx, "moved", fmt.Sprintf("from %s to %s, another file system", m.from, m.to))
	// Only now is the old one not needed. What fails here leaves a stray.
	if _, err := t.take(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("the copy is at %s, and its record too, but the old one could not be moved into the trash (cax stray shows it): %w", m.to, err)
	}
	return nil
}

// settle ends a move that failed or was left: the record says where the dataset is.
func (m *move) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(m.env.Policy.ShutdownGrace, 30*time.Second))
	defer cancel()
	disk := m.env.remotes.local()
	_, aerr := disk.Lstat(ctx, m.from)
	_, berr := disk.Lstat(ctx, m.to)
	for _, err := range []error{aerr, berr} {
		if err != nil && !errors.Is(err, transfer.ErrNotExist) {
			return m.unsettled(err)
		}
	}
	if aerr != nil && berr == nil {
		// Nobody here has seen that these are the bytes that were moved.
		if err := m.finish(ctx, rundb.Verifying, nil); err != nil {
			return m.unsettled(err)
		}
		m.event(ctx, "moved", fmt.Sprintf("a move from %s was interrupted after the dataset was in its new place; it has to be verified", m.from))
		return nil
	}
	// The dataset never left its place, or a copy of it was made whose source is not
	// gone. What was staged is of no use to anybody.
	for _, claim := range append([]string{m.held.ID}, m.held.Copy.Claim.Left.Continue...) {
		part := path.Join(path.Dir(m.to), transfer.StagingName(path.Base(m.to), claim))
		if err := disk.Remove(ctx, part); err != nil {
			return m.unsettled(err)
		}
		// The trash folder was made for after the record's change, and is empty.
		trash := trashOf(m.from, claim)
		if _, err := disk.Lstat(ctx, trash+"/data"); errors.Is(err, transfer.ErrNotExist) {
			err = disk.Remove(ctx, trash)
			if err != nil {
				return m.unsettled(err)
			}
		}
	}
	if aerr == nil && berr == nil {
		other, err := m.env.namedBy(ctx, m.to)
		if err != nil {
			return m.unsettled(err)
		}
		if other == nil {
			f := &Discrepancy{Path: m.to, Run: m.run.ID, Number: m.run.Number, Name: m.run.Name, Key: m.was.Key,
				Why: fmt.Sprintf("a move from %s ended before the record was changed, and the dataset is still there", m.from)}
			if _, err := m.env.toQuarantine(ctx, f); err != nil {
				return m.unsettled(err)
			}
		}
	}
	if err := m.held.Finish(ctx, bson.D{{Key: "status", Value: string(rundb.Transferred)}}); err != nil {
		return m.unsettled(err)
	}
	m.event(ctx, "not moved", "the move ended before it was done, and the record is as it was")
	return nil
}

func (m *move) unsettled(err error) error {
	return fmt.Errorf("the record still says that it is being moved; AddChecksum, or cax reconcile --repair, settles that: %w", err)
}

// settleMove takes over a move whose process has ended or is silent, and settles it.
// ErrNotNeeded if there is none any more.
func (e *Env) settleMove(ctx context.Context, r *rundb.Run, c rundb.Copy) error {
	if c.Claim == nil || c.Claim.Kind != rundb.ClaimMove {
		return ErrNotNeeded
	}
	claim := rundb.Claim{Kind: rundb.ClaimMove, Target: c.Claim.Target, Owner: e.Owner,
		Left: rundb.Leftovers{Continue: append([]string{c.Claim.ID}, c.Claim.Left.Continue...)}}
	held, err := e.Store.Reclaim(ctx, r.ID, c, rundb.Verifying, claim)
	if errors.Is(err, rundb.ErrConflict) {
		return ErrNotNeeded
	}
	if err != nil {
		return err
	}
	m := &move{env: e, run: r, was: c, from: c.Location, to: c.Claim.Target, held: held}
	if !e.Site.Contains(m.to) || !e.Site.Contains(m.from) {
		return fmt.Errorf("%s: the record says that it is moved from %q to %q, which is outside the directories of %s", r, m.from, m.to, e.Site.Name)
	}
	return m.settle(ctx)
}

// settleFound settles a move that Reconcile found.
func (e *Env) settleFound(ctx context.Context, f *Discrepancy) error {
	r, c, err := e.again(ctx, f)
	if err != nil {
		return err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	if c.Claim == nil || e.liveness(c.Claim, now) == ownerAlive {
		return ErrNotNeeded
	}
	return e.settleMove(ctx, r, c)
}
