package cax

import (
	"context"
	"fmt"
	"slices"

	"github.com/cax-go/cax/rundb"
)

// unarchived says why a copy is not archived, in the sense of [Removal.Archived]; "" if
// it is.
func (e *Env) unarchived(c *rundb.Copy, t Tally) string {
	if c.Type != rundb.Raw {
		return fmt.Sprintf("it is %s data, and only raw data are archived on tape and in the catalogue", c.Type)
	}
	tape := slices.ContainsFunc(t.Good, func(s Standing) bool {
		site, ok := e.Config.Site(s.Copy.Host)
		return ok && site.Method == MethodTSM && s.RSE == ""
	})
	catalogue := slices.ContainsFunc(t.Good, func(s Standing) bool { return s.RSE != "" })
	switch {
	case !tape && !catalogue:
		return fmt.Sprintf("neither tape nor the catalogue has a copy that counts: %s", t)
	case !tape:
		return fmt.Sprintf("tape has no copy that counts: %s", t)
	case !catalogue:
		return fmt.Sprintf("the catalogue has no copy that counts: %s", t)
	}
	return ""
}

// Forget drops the record of a copy at a host that is not this site, and leaves the bytes
// where they are: of a catalogue's copy, or one on tape. The record goes to
// deleted_data. It returns [ErrNotNeeded] if the record is not as it was any more.
func (e *Env) Forget(ctx context.Context, r *rundb.Run, c rundb.Copy, why string) error {
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	if c.Claim != nil && e.liveness(c.Claim, now) == ownerAlive {
		return fmt.Errorf("%s at %s: pid %d on %s is at it; wait for it, or stop it", r, c.Host, c.Claim.Owner.PID, c.Claim.Owner.Host)
	}
	if host, ok := readFrom(r, c.Key); ok {
		return fmt.Errorf("%s at %s: a copy at %s is being made from it; wait for that", r, c.Host, host)
	}
	if e.DryRun {
		return nil
	}
	if err := e.Store.Remove(ctx, r.ID, c, why); err != nil {
		return err
	}
	e.event(ctx, r, c.Key, "forgotten", why, nil)
	return nil
}
