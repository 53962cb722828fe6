package cax

import (
	"context"
	"fmt"
	"time"

	"github.com/cax-go/cax/rundb"
)

// couldFree collects the decisions about a copy that is not good by those tasks that
// bring nothing, but make that others can: of its own site, and of those that push
// to a site without a daemon. They go by the records; files are not looked at.
func (e *Env) couldFree(ctx context.Context, r *rundb.Run, c *rundb.Copy, at *Site, now time.Time) ([]Decision, error) {
	var ds []Decision
	if c.Status == rundb.Purging {
		if t := (emptyTrashTask{}); at.Wants(t.Name()) {
			d, _ := e.as(at).DecideRemoval(r, c, Removal{Task: t.Name(), Why: "a deletion that was begun"}, now)
			ds = append(ds, d)
		}
		return ds, nil
	}
	if t := (stalledTask{}); c.Status != rundb.Verifying || c.Claim != nil {
		for _, s := range e.Config.Sites {
			as := e.as(s)
			if !s.Wants(t.Name()) || !as.attends(at) && (c.Claim == nil || c.Claim.Owner.Site != s.Name) {
				continue
			}
			d, _ := t.decide(as, r, c, now, nil)
			if s != at {
				d.From = s.Name
			}
			ds = append(ds, d)
		}
	}
	if t := (badChecksumTask{}); at.Wants(t.Name()) && damaged(c) {
		a, err := t.planRepair(ctx, e.as(at), r, c, now, false)
		if err != nil {
			return nil, err
		}
		ds = append(ds, a.Decision)
	}
	return ds, nil
}

// keeping collects what the tasks of a site make of a good copy there: whether it is
// read again, made right, and deleted; and whether a person could delete it.
func (e *Env) keeping(ctx context.Context, r *rundb.Run, c *rundb.Copy, at *Site, now time.Time) ([]Decision, error) {
	if catalogued(c) {
		return e.keepingCatalogued(r, c, now), nil
	}
	as := e.as(at)
	var ds []Decision
	if c.Type == rundb.Raw {
		more, err := as.correcting(ctx, r)
		if err != nil {
			return nil, err
		}
		ds = append(ds, more...)
	}
	if t := (badChecksumTask{}); at.Wants(t.Name()) {
		a, err := t.planReading(ctx, as, r, c, now)
		if err != nil {
			return nil, err
		}
		ds = append(ds, a.Decision)
	}
	if t := (scrubTask{}); at.Wants(t.Name()) {
		ds = append(ds, t.decide(as, r, c, now))
	}
	if t := (permissionTask{}); at.Wants(t.Name()) && at.permission(c.Type) != nil {
		ds = append(ds, t.decide(as, r, c, nil))
	}
	if t := (sizeTask{}); at.Wants(t.Name()) && (c.Type == rundb.Raw && r.RawSize == 0 || c.Type == rundb.Processed && c.Size == 0) {
		ds = append(ds, t.decide(as, r, c))
	}
	if t := (purgeTask{processed: c.Type == rundb.Processed}); at.Wants(t.Name()) {
		_, d := t.decide(as, r, c, now)
		ds = append(ds, d)
	}
	d, _ := as.DecideRemoval(r, c, Removal{Task: byHand, Why: "it may go if a person wants it"}, now)
	return append(ds, d), nil
}

// keepingCatalogued says how a copy in a catalogue is kept, RSE by RSE, and whether it
// counts.
func (e *Env) keepingCatalogued(r *rundb.Run, c *rundb.Copy, now time.Time) []Decision {
	var ds []Decision
	for _, s := range e.standings(r, c.Type, c.Version, now) {
		if s.Copy.Key != c.Key {
			continue
		}
		d := Decision{Task: ruleTask{}.Name(), Verb: Skip, What: "look", Key: c.Key, Why: s.Place() + " counts as a copy: " + s.Why}
		d.about(r)
		if !s.Counts {
			d.Why = s.Place() + " does not count as a copy: " + s.Why
		}
		for _, p := range c.Replicas {
			if p.RSE == s.RSE {
				d.Why += " (" + describe(p, c.Files) + ")"
			}
		}
		ds = append(ds, d)
	}
	return ds
}

// byHand is in place of the task what a person could do.
const byHand = "cax rm"

// concludeKept says what happens next to a copy that is there and good.
func (x *Explanation) concludeKept(ds []Decision) {
	for _, v := range []Verb{Call, Do} {
		for _, d := range ds {
			switch {
			case d.Verb != v || d.Task == byHand || x.Next != "":
			case v == Do:
				x.Next = fmt.Sprintf("%s of %s does it in its next cycle (%s: %s); see that its daemon runs", d.Task, x.Host, d.What, d.Why)
			default:
				x.Next = fmt.Sprintf("%s: %s; %s", d.Task, d.Why, d.Next)
			}
		}
	}
	x.Decisions = append(x.Decisions, ds...)
}
