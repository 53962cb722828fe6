package cax

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// A Removal is the wish to delete one copy of this site.
type Removal struct {
	// Task and Why say who wants it and why, for people and for the events.
	Task, Why string

	// Keep is how long the bytes stay in the trash folder beside the copy; 0: they
	// are unlinked at once.
	Keep time.Duration

	// Archived lets only raw data go of which both tape and a catalogue have a good copy
	// that counts, whatever the minimum is.
	Archived bool

	// Force deletes although the minimum would not be left. It is for a person who
	// has said so in so many words.
	Force bool
}

// DecideRemoval says whether a copy of this site may be deleted now, and on whose
// strength. It looks at the run, the configuration and the time only.
func (e *Env) DecideRemoval(r *rundb.Run, c *rundb.Copy, w Removal, now time.Time) (Decision, Tally) {
	d := Decision{Task: w.Task, Verb: Skip, What: "delete", Key: c.Key}
	d.about(r)
	say := func(v Verb, why, next string) Decision {
		d.Verb, d.Why, d.Next = v, why, next
		return d
	}
	t := e.tallyWithout(r, c, now)
	if c.Status == rundb.Purging {
		return e.decideHalfDone(d, c, now), t
	}
	switch {
	case c.Host != e.Site.Name:
		return say(Skip, fmt.Sprintf("the copy is at %s, not here", c.Host), fmt.Sprintf("run it with --host %s, on a machine of that site", c.Host)), t
	case c.Claim != nil:
		return say(Wait, fmt.Sprintf("pid %d on %s works on the copy", c.Claim.Owner.PID, c.Claim.Owner.Host), ""), t
	case c.InPlace:
		return say(Skip, "the copy was registered where it lies, outside the directories of this site: it is only read", "delete it by hand, and its record with cax reconcile"), t
	case !e.Site.Contains(c.Location):
		return say(Call, fmt.Sprintf("the record says %q, which is outside the directories of this site", c.Location),
			"correct the location in the run database, or the site's dir_* keys"), t
	case !e.Site.Accepts(r.Name):
		return say(Skip, fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, e.Site.Name), ""), t
	}
	if tag := e.keeps(r); tag != "" && !w.Force {
		return say(Skip, fmt.Sprintf("the run is tagged %q", tag), "remove the tag if it may go"), t
	}
	if who, ok := readFrom(r, c.Key); ok {
		return say(Wait, fmt.Sprintf("a copy at %s is being made from it", who), ""), t
	}
	if w.Archived {
		if why := e.unarchived(c, t); why != "" {
			return say(Skip, why, "see cax explain for tape and ruciax rules for the catalogue"), t
		}
	}
	if ok, why := e.mayGo(r, c.Key, t, now); !ok && !w.Force {
		return say(Skip, why, "verify the copies elsewhere (cax verify, Scrub), or make more of them"), t
	}
	return say(Do, fmt.Sprintf("%s; %s", w.Why, t), ""), t
}

// tallyWithout counts the copies beside one, with it and as if it were gone: it may be
// that only its word says which checksum is right, and then the deletion would be undone.
func (e *Env) tallyWithout(r *rundb.Run, c *rundb.Copy, now time.Time) Tally {
	t := e.tally(r, c.Key, e.minimum(e.Site, c.Type), now)
	if !t.Enough() {
		return t
	}
	left := *r
	left.Data = slices.DeleteFunc(slices.Clone(r.Data), func(o rundb.Copy) bool { return o.Key == c.Key })
	if after := e.tally(&left, c.Key, t.Minimum, now); !after.Enough() {
		return after
	}
	return t
}

// decideHalfDone decides about a deletion that was begun. It is finished, never
// undone, by whoever holds the claim or takes it over.
func (e *Env) decideHalfDone(d Decision, c *rundb.Copy, now time.Time) Decision {
	d.What, d.Verb, d.Why = "finish deletion", Do, "a deletion that was begun has to be finished"
	switch {
	case c.Host != e.Site.Name:
		d.Verb, d.Why = Skip, fmt.Sprintf("it is being deleted at %s", c.Host)
	case !e.Site.Contains(c.Location):
		d.Verb, d.Why = Call, fmt.Sprintf("the record says %q, which is outside the directories of this site", c.Location)
		d.Next = "correct the location in the run database, or the site's dir_* keys"
	case c.Claim != nil && e.liveness(c.Claim, now) == ownerAlive:
		d.Verb, d.Why = Wait, fmt.Sprintf("pid %d on %s is deleting it", c.Claim.Owner.PID, c.Claim.Owner.Host)
	}
	return d
}

// keeps returns the tag that keeps a run from being deleted from; "" if none does.
func (e *Env) keeps(r *rundb.Run) string {
	for _, t := range r.Tags {
		if slices.Contains(e.Policy.KeepTags, t.Name) {
			return t.Name
		}
	}
	return ""
}

// readFrom reports whether a copy is being made from the one with this key, and
// where.
func readFrom(r *rundb.Run, k rundb.Key) (host string, ok bool) {
	for i := range r.Data {
		c := &r.Data[i]
		if c.Claim == nil || c.Claim.Source != k.Host {
			continue
		}
		if c.Type == k.Type && c.Version == k.Version || c.Claim.Kind == rundb.ClaimProcess && madeFrom(c.Type) == k.Type {
			return c.Host, true
		}
	}
	return "", false
}

// mayGo reports whether enough is left when a copy goes: the minimum of its own
// type and version, or, for processed data of a version that is current nowhere,
// the minimum of the raw data that it can be made from again.
func (e *Env) mayGo(r *rundb.Run, k rundb.Key, t Tally, now time.Time) (bool, string) {
	if t.Enough() {
		return true, ""
	}
	why := t.String()
	if k.Type != rundb.Processed {
		return false, why
	}
	if e.current(k.Version) {
		return false, why + "; version " + k.Version + " is current"
	}
	raw := e.tally(r, rundb.Key{Type: rundb.Raw}, e.minimum(e.Site, rundb.Raw), now)
	if !raw.Enough() {
		return false, fmt.Sprintf("%s; nor could it be made again from raw data: %s", why, raw)
	}
	return true, ""
}

// current reports whether a version of processed data is one that a site names, or
// may be: a site that names none wants any.
func (e *Env) current(version string) bool {
	named := false
	for _, s := range e.Config.Sites {
		if s.Dir(rundb.Processed) == "" {
			continue
		}
		if slices.Contains(s.PaxVersions, version) {
			return true
		}
		named = named || len(s.PaxVersions) > 0
	}
	return !named
}

// Remove deletes one copy of this site, if that may be: intent, mark, trash,
// record, count again, unlink. Each step can be the last that happens; what is left
// is then finished by whoever comes next. ErrNotNeeded if, when the run is read
// again, the copy is not to be deleted any more, or not now.
func (e *Env) Remove(ctx context.Context, id rundb.ID, k rundb.Key, w Removal) error {
	r, err := e.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	c, ok := r.Copy(k)
	if !ok {
		return ErrNotNeeded
	}
	d, t := e.DecideRemoval(r, &c, w, now)
	if d.Verb != Do {
		e.Log.Debug("not deleted now", append(fields(d), zap.String("why", d.Why))...)
		return ErrNotNeeded
	}
	m := &removal{env: e, wish: w, run: r, d: d, was: c}
	if c.Status != rundb.Purging {
		m.event(ctx, "intent", d.Why, t.evidence())
	}
	held, err := e.Store.ReclaimIf(ctx, id, c, rundb.Purging, rundb.Claim{Kind: rundb.ClaimDelete, Owner: e.Owner, Left: leftovers(&c, e.Owner)}, m.guards(t))
	if errors.Is(err, rundb.ErrConflict) {
		return ErrNotNeeded
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", d.subject(), err)
	}
	m.held = held
	e.Log.Info(d.What+" begins", append(fields(d), zap.String("why", d.Why))...)
	leased, l := hold(ctx, held, e.Policy, e.Clock, e.Log)
	err = m.carryOut(leased, now)
	cause := context.Cause(leased)
	l.stop()
	if err != nil {
		if errors.Is(cause, ErrLeaseLost) {
			err = ErrLeaseLost
		}
		return fmt.Errorf("delete %s: %w", d.subject(), err)
	}
	e.Log.Info(d.What+" done", fields(d)...)
	return nil
}

// subject names the copy that a decision is about.
func (d *Decision) subject() string {
	return fmt.Sprintf("%s of run %d (%s)", d.Key, d.Number, d.Name)
}

// evidence is what a deletion is justified by, as it stands in an event.
func (t Tally) evidence() bson.D {
	good := bson.A{}
	for _, g := range t.Good {
		good = append(good, bson.D{{Key: "host", Value: g.Place()}, {Key: "domain", Value: g.Domain}, {Key: "location", Value: g.Copy.Location},
			{Key: "checksum", Value: g.Copy.Checksum}, {Key: "verified_at", Value: g.Copy.VerifiedAt}, {Key: "evidence", Value: string(g.Copy.Evidence)}})
	}
	return bson.D{{Key: "good", Value: good}, {Key: "copies", Value: int32(len(t.Good))}, {Key: "domains", Value: int32(t.Domains)},
		{Key: "min_copies", Value: int32(t.Minimum.Copies)}, {Key: "min_domains", Value: int32(t.Minimum.Domains)}}
}

// A removal is one deletion under way.
type removal struct {
	env  *Env
	wish Removal
	run  *rundb.Run
	d    Decision
	was  rundb.Copy
	held *rundb.Held
}

func (m *removal) event(ctx context.Context, what, why string, evidence bson.D) {
	m.env.event(ctx, m.run, m.d.Key, what, why, evidence)
}

// guards name the copies that justify the deletion, which must still be as they
// were read when the mark is set, and forbid that a copy is being made from this
// one. A deletion that was marked before needs none.
func (m *removal) guards(t Tally) rundb.Guards {
	if m.was.Status == rundb.Purging {
		return rundb.Guards{}
	}
	g := rundb.Guards{Forbid: []rundb.CopyMatch{{Types: []rundb.Type{m.was.Type}, Versions: []string{m.was.Version}, Source: m.was.Host}}}
	if m.was.Type == rundb.Raw {
		// Perhaps it is being processed.
		g.Forbid = append(g.Forbid, rundb.CopyMatch{Types: []rundb.Type{rundb.Processed}, Hosts: []string{m.was.Host}, Statuses: []rundb.Status{rundb.Transferring}, Source: m.was.Host})
	}
	for _, s := range t.Good {
		must := s.Copy.Exactly()
		must.Checksum, must.VerifiedAt = s.Copy.Checksum, s.Copy.VerifiedAt
		g.Require = append(g.Require, must)
	}
	return g
}

// carryOut does what follows the mark.
func (m *removal) carryOut(ctx context.Context, now time.Time) error {
	e, disk := m.env, m.env.remotes.local()
	if err := m.alone(ctx); err != nil {
		return err
	}
	t, moved, err := m.toTrash(ctx, disk, now)
	if err != nil {
		return err
	}
	if err := m.held.Delete(ctx, m.wish.Why, t.history()); err != nil {
		return err
	}
	m.event(ctx, "deleted", m.wish.Why, bson.D{{Key: "location", Value: m.was.Location}, {Key: "found", Value: moved}, {Key: "kept_until", Value: t.Until}})
	if t.Until.After(now) {
		return nil
	}
	// The claim went with the record: the trash folder is named by it and nobody
	// else's.
	return e.emptyTrash(context.WithoutCancel(ctx), t)
}

// alone refuses to move bytes that another record names too.
func (m *removal) alone(ctx context.Context) error {
	q := &rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{m.was.Host}, Location: m.was.Location}}}
	n := 0
	var other *rundb.Run
	for r, err := range m.env.Store.Find(ctx, q) {
		if err != nil {
			return err
		}
		for i := range r.Data {
			if c := &r.Data[i]; c.Host == m.was.Host && c.Location == m.was.Location {
				n, other = n+1, r
			}
		}
	}
	if n > 1 {
		return &transfer.Error{Op: "delete", Path: m.was.Location, Kind: transfer.ErrExist,
			Err: fmt.Errorf("%s has a record for the same bytes", other), Hint: "cax reconcile shows records that are there twice"}
	}
	return nil
}

// toTrash moves the dataset into the trash folder of this claim. What an earlier one
// has begun is taken over, under the new name, which fences off a holder that wakes up:
// its folder is not there any more.
func (m *removal) toTrash(ctx context.Context, disk transfer.Backend, now time.Time) (t *trash, moved bool, err error) {
	i := trashInfo{Run: m.run.ID.Hex(), Name: m.run.Name, Type: string(m.was.Type), Version: m.was.Version, Host: m.was.Host,
		Location: m.was.Location, Claim: m.held.ID, Why: m.wish.Why, Force: m.wish.Force, Until: now.Add(m.wish.Keep)}
	left := m.held.Copy.Claim.Left
	for _, claim := range slices.Concat(left.Continue, left.Adopt) {
		dir := trashOf(m.was.Location, claim)
		if old, err := openTrash(ctx, disk, dir); err == nil {
			i.Why, i.Force, i.Until = old.Why, old.Force, old.Until
		} else if !errors.Is(err, transfer.ErrCorrupt) {
			return nil, false, err
		}
		err := disk.Rename(ctx, dir, trashOf(m.was.Location, m.held.ID))
		if err == nil {
			break
		}
		if !errors.Is(err, transfer.ErrNotExist) {
			return nil, false, err
		}
	}
	if t, err = makeTrash(ctx, disk, i); err != nil {
		return nil, false, err
	}
	if err := m.held.Heartbeat(ctx); err != nil { // still ours, at this moment
		return nil, false, err
	}
	moved, err = t.take(ctx)
	return t, moved, err
}
