package cax

import (
	"context"
	"errors"
	"fmt"
	"path"
	"syscall"

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
//	verifying, so that nobody reads from it → rename that replaces nothing → the
//	record gets the new place and loses the claim, in one update
//
// Between file systems, in place of the rename: a verified copy → the record gets the
// new place, and the claim names the old one → the old dataset goes into the trash.
//
// What a crash leaves is settled by AddChecksum, by Reconcile, or by moving again:
// if the dataset is in its new place, so is its record; else it is as it was. A move
// that fails leaves the record as it was. With Env.DryRun it only checks. It returns
// the run as it was.
func (e *Env) Move(ctx context.Context, from, to string) (*rundb.Run, error) {
	if err := e.onDisk("move"); err != nil {
		return nil, err
	}
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
	if err != nil && !lost {
		err = errors.Join(err, m.settle(ctx))
	}
	if err != nil {
		return r, fmt.Errorf("move %s to %s: %w", from, to, err)
	}
	e.moveManifest(ctx, r.ID, c.Key, from)
	e.Log.Info("moved", zap.String("run", r.String()), zap.String("from", from), zap.String("to", to))
	return r, nil
}

// moveManifest brings the manifest beside a dataset, if there is one, to its new
// place. It can be written again (cax manifest --save), so a failure is only told.
func (e *Env) moveManifest(ctx context.Context, id rundb.ID, k rundb.Key, from string) {
	old := path.Join(path.Dir(from), transfer.ManifestName(path.Base(from)))
	disk := e.remotes.local()
	if _, err := disk.Lstat(ctx, old); errors.Is(err, transfer.ErrNotExist) {
		return
	}
	r, err := e.Store.Get(ctx, id)
	if err == nil {
		c, _ := r.Copy(k)
		_, _, err = e.SaveManifest(ctx, r, &c)
	}
	if err == nil {
		err = disk.Remove(ctx, old)
	}
	if err != nil {
		e.Log.Warn("the manifest beside the dataset was not moved with it", zap.String("file", old), zap.Error(err))
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
		case found[0].Claim != nil && found[0].Claim.Kind == rundb.ClaimMove && found[0].Claim.Target == from:
			return in, found[0], nil
		default:
			if _, err := e.remotes.local().Lstat(ctx, from); errors.Is(err, transfer.ErrNotExist) {
				return in, found[0], nil
			}
		}
	}
	return nil, rundb.Copy{}, fmt.Errorf("no record of %s names %s: nothing to move (cax register makes one)", e.Site.Name, from)
}

// A move is one move under way.
type move struct {
	env      *Env
	run      *rundb.Run
	was      rundb.Copy
	from, to string
	held     *rundb.Held
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
	if err := m.finish(ctx); err != nil {
		return err
	}
	m.event(ctx, "moved", fmt.Sprintf("from %s to %s", m.from, m.to))
	return nil
}

// finish gives the record its new place and drops the claim.
func (m *move) finish(ctx context.Context) error {
	return m.held.Finish(ctx, bson.D{{Key: "status", Value: string(rundb.Transferred)}, {Key: "location", Value: m.to}})
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
	facts := bson.D{{Key: "location", Value: m.to}, {Key: "claim.target", Value: m.from},
		{Key: "files", Value: int64(res.Files)}, {Key: "size", Value: res.Bytes}, {Key: "verified_at", Value: now}, {Key: "evidence", Value: string(rundb.Cached)},
		{Key: "permissions", Value: nil}} // its files are new
	if err := m.held.Set(ctx, facts); err != nil {
		return err
	}
	// Only now is the old one not needed.
	if _, err := t.take(ctx); err != nil {
		return err
	}
	if err := m.finish(ctx); err != nil {
		return err
	}
	m.event(ctx, "moved", fmt.Sprintf("from %s to %s, another file system", m.from, m.to))
	return nil
}
