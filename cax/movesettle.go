package cax

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// settle ends a move that failed or was left: the record says where the dataset is.
func (m *move) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(m.env.Policy.ShutdownGrace, 30*time.Second))
	defer cancel()
	if err := m.settleUnder(ctx); err != nil {
		return fmt.Errorf("the record still says that it is being moved; AddChecksum, or cax reconcile --repair, settles that: %w", err)
	}
	return nil
}

func (m *move) settleUnder(ctx context.Context) error {
	// The record says how far it came, and not what this process thinks it wrote.
	r, err := m.env.Store.Get(ctx, m.run.ID)
	if err != nil {
		return err
	}
	c, ok := r.Copy(m.was.Key)
	if !ok || c.Claim == nil || c.Claim.ID != m.held.ID {
		return ErrLeaseLost
	}
	disk := m.env.remotes.local()
	at, other := c.Location, c.Claim.Target
	_, here := disk.Lstat(ctx, at)
	_, there := disk.Lstat(ctx, other)
	for _, err := range []error{here, there} {
		if err != nil && !errors.Is(err, transfer.ErrNotExist) {
			return err
		}
	}
	if here != nil && there == nil {
		// Nobody here has seen that these are the bytes that were moved.
		set := bson.D{{Key: "status", Value: string(rundb.Verifying)}, {Key: "location", Value: other}}
		if err := m.held.Finish(ctx, set); err != nil {
			return err
		}
		m.event(ctx, "move settled", fmt.Sprintf("it was interrupted: the dataset is at %s, and has to be verified", other))
		return nil
	}
	if err := m.tidy(ctx, append([]string{m.held.ID}, c.Claim.Left.Continue...)); err != nil {
		return err
	}
	if here == nil && there == nil {
		// The record's is good, and the other one a copy of it.
		if err := m.putAway(ctx, other); err != nil {
			return err
		}
	}
	set := bson.D{{Key: "status", Value: string(rundb.Transferred)}, {Key: "location", Value: at}}
	if err := m.held.Finish(ctx, set); err != nil {
		return err
	}
	m.event(ctx, "move settled", fmt.Sprintf("it was interrupted or failed: the dataset is at %s", at))
	return nil
}

// tidy removes what a copy leaves that came to nothing: staging, and trash folders
// without a dataset.
func (m *move) tidy(ctx context.Context, claims []string) error {
	disk := m.env.remotes.local()
	for _, claim := range claims {
		for _, p := range []string{m.from, m.to} {
			if err := disk.Remove(ctx, path.Join(path.Dir(p), transfer.StagingName(path.Base(p), claim))); err != nil {
				return err
			}
			trash := trashOf(p, claim)
			if _, err := disk.Lstat(ctx, trash+"/data"); errors.Is(err, transfer.ErrNotExist) {
				if err := disk.Remove(ctx, trash); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// putAway moves the second of two copies into quarantine, unless a record names it.
func (m *move) putAway(ctx context.Context, p string) error {
	r, err := m.env.namedBy(ctx, p)
	if err != nil || r != nil {
		return err
	}
	f := &Discrepancy{Path: p, Run: m.run.ID, Number: m.run.Number, Name: m.run.Name, Key: m.was.Key,
		Why: fmt.Sprintf("a move from %s to %s was interrupted, and the dataset is at both places", m.from, m.to)}
	_, err = m.env.toQuarantine(ctx, f)
	return err
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
