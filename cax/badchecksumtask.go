package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// badChecksumTask is RetryBadChecksumTransfer. A copy of this site whose checksum on
// record is not the right one is read again: then it is an error, or its record was
// wrong. A copy whose bytes are damaged or gone is fetched again from the best other
// one, file by file; what was there is kept aside. The original deletes such copies.
type badChecksumTask struct{}

func (badChecksumTask) Name() string { return "RetryBadChecksumTransfer" }

func (badChecksumTask) Select(env *Env) []Candidates {
	here := []string{env.Site.Name}
	return []Candidates{
		{Query: rundb.Query{Disagree: &rundb.CopyMatch{Hosts: here}}},
		{Query: rundb.Query{Names: env.Site.DatasetList, Copies: []rundb.CopyMatch{
			{Hosts: here, Statuses: []rundb.Status{rundb.Failed, rundb.Transferring}}}}},
	}
}

func (t badChecksumTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return atTime(ctx, env, func(now time.Time) iter.Seq2[Action, error] {
		return eachCopy(runs, env.here(), func(r *rundb.Run, c rundb.Copy) (Action, error) { return t.plan(ctx, env, r, &c, now) })
	})
}

// plan decides about one copy of this site.
func (t badChecksumTask) plan(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, now time.Time) (Action, error) {
	var a Action
	var err error
	if c.Status == rundb.Transferred {
		a, err = t.planReading(ctx, env, r, c, now)
	} else {
		a, err = t.planRepair(ctx, env, r, c, now, false)
	}
	if err == nil && a.Verb == Call && a.What == "repair" {
		a, err = t.dispute(ctx, env, r, a)
	}
	return a, err
}

// start is a decision about a copy that is not more than begun.
func (t badChecksumTask) start(r *rundb.Run, c *rundb.Copy, what string) Decision {
	d := Decision{Task: t.Name(), Verb: Skip, What: what, Key: c.Key}
	d.about(r)
	return d
}

// planReading decides whether a transferred copy is read again because of its
// checksum on record.
func (t badChecksumTask) planReading(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, now time.Time) (Action, error) {
	d := t.start(r, c, "read again")
	say := func(v Verb, why, next string) (Action, error) {
		d.Verb, d.Why, d.Next = v, why, next
		return Action{Decision: d}, nil
	}
	v := master(env.Config, r, c.Type, c.Version)
	mine, err := legacySum(c)
	switch {
	case err != nil:
		return say(Call, err.Error(), "correct the record, or run cax verify")
	case mine.IsZero():
		return say(Skip, "the copy has no checksum on record", "AddChecksum gives it one when there is a master to compare with")
	case v.sum == mine:
		return say(Skip, "its checksum is the master's", "")
	case v.sum.IsZero():
		return say(Skip, "no master says which checksum is right", "")
	case v.sum.Algorithm() != mine.Algorithm():
		return say(Skip, "its checksum is of another kind than the master's", "")
	case !c.InPlace && !env.Site.Contains(c.Location):
		return say(Call, fmt.Sprintf("the record says %q, which is outside the directories of this site", c.Location),
			"correct the location in the run database, or the site's dir_* keys")
	case !env.Site.Accepts(r.Name):
		return say(Skip, fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name), "")
	case c.Claim != nil:
		return say(Wait, fmt.Sprintf("pid %d on %s works on the copy", c.Claim.Owner.PID, c.Claim.Owner.Host), "")
	case c.Error != nil && !env.Only.Named() && !env.Policy.due(c.Error, now):
		d.Until = c.Error.NextTry
		return say(Wait, c.Error.Text, "")
	}
	if why, ok := disputed(env.Config, r, c.Key); ok {
		d.What = "repair"
		return say(Call, why, settle)
	}
	switch sum, ok, err := env.manifestSum(ctx, r, c.Key); {
	case err != nil:
		return Action{Decision: d}, err
	case ok && sum == mine:
		return say(Skip, fmt.Sprintf("its checksum is that of the manifest; it is the master (%s) that differs", v.by), "")
	}
	d.Verb, d.Why = Do, fmt.Sprintf("its checksum %s is not that of the master (%s), %s", brief(mine), v.by, brief(v.sum))
	return Action{Decision: d, apply: func(ctx context.Context) error {
		return env.rereadIf(ctx, r.ID, *c, reading{d: d, keep: true})
	}}, nil
}

// rereadIf re-reads a copy if its record is still what it was.
func (e *Env) rereadIf(ctx context.Context, id rundb.ID, was rundb.Copy, o reading) error {
	r, err := e.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	c, ok := r.Copy(was.Key)
	if !ok || c.Status != was.Status || c.Claim != nil || c.Location != was.Location || c.Checksum != was.Checksum || !c.VerifiedAt.Equal(was.VerifiedAt) {
		return ErrNotNeeded
	}
	err = e.reread(ctx, r, &c, o)
	if errors.Is(err, rundb.ErrConflict) {
		e.Log.Debug("the record has changed meanwhile", append(fields(o.d), zap.Error(err))...)
		return ErrNotNeeded
	}
	return err
}

// damaged reports whether a copy has been found to be damaged or gone, or was good
// once and could not be replaced yet.
func damaged(c *rundb.Copy) bool {
	if c.Error == nil || c.Status != rundb.Failed && c.Status != rundb.Transferring {
		return false
	}
	return ofBytes(c.Error.Class) || c.Error.Found != "" || !c.VerifiedAt.IsZero()
}

// partial reports whether a copy was good once and is damaged, so that it may have
// files that others lack.
func partial(c *rundb.Copy) bool {
	return c.Status == rundb.Failed && c.Claim == nil && c.Error != nil && c.Error.Class == ClassCorrupt && !c.VerifiedAt.IsZero()
}

// planRepair decides about a copy whose bytes are damaged or gone. asked tells that
// somebody waits for it.
func (t badChecksumTask) planRepair(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, now time.Time, asked bool) (Action, error) {
	d := t.start(r, c, "fetch again")
	say := func(v Verb, why, next string) (Action, error) {
		d.Verb, d.Why, d.Next = v, why, next
		return Action{Decision: d}, nil
	}
	switch {
	case !damaged(c):
		return say(Skip, fmt.Sprintf("the copy is %s, and nothing says that it is damaged", c.Status), "")
	case !env.Site.Accepts(r.Name):
		return say(Skip, fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name), "")
	case c.InPlace:
		return say(Call, "the copy was registered where it lies, outside the directories of this site: it is only read",
			"mend it by hand and run cax verify, or delete its record")
	}
	if by, ok := fed(env, r, c); ok {
		return say(Skip, fmt.Sprintf("%s sends it again, as it did the first time", by), fmt.Sprintf("CopyPush of %s does it; see that its daemon runs", by))
	}
	if why, ok := disputed(env.Config, r, c.Key); ok {
		d.What = "repair"
		return say(Call, why, settle)
	}
	whole, parts := t.sources(env, r, c, now)
	sum, known, err := env.manifestSum(ctx, r, c.Key)
	if err != nil {
		return Action{Decision: d}, err
	}
	if known {
		if why, ok := outvoted(env.Config, master(env.Config, r, c.Type, c.Version), sum, "the manifest"); ok {
			d.What = "repair"
			return say(Call, why, settle)
		}
		whole = slices.DeleteFunc(whole, func(s *Site) bool {
			o, _ := r.Copy(rundb.Key{Type: c.Type, Version: c.Version, Host: s.Name})
			has, err := legacySum(&o)
			return err != nil || has.Algorithm() == sum.Algorithm() && has != sum
		})
	}
	if !known || len(whole) == 0 && c.Error.Tries > 2*len(parts) {
		parts = nil // each was asked for what it has
	}
	all := slices.Concat(whole, parts)
	if len(all) == 0 {
		for o := range r.Copies(rundb.CopyMatch{Types: []rundb.Type{c.Type}, Versions: []string{c.Version}}) {
			if o.Host != c.Host && (o.Status == rundb.Transferring || o.Status == rundb.Verifying) {
				return say(Wait, fmt.Sprintf("the copy at %s is %s, and there is no other", o.Host, o.Status), "")
			}
		}
		if !asked && c.Status == rundb.Failed && ofBytes(c.Error.Class) && t.mayBeMended(env, c, now) {
			d.Verb, d.What, d.Why = Do, "read again", fmt.Sprintf(
				"the copy was damaged or gone (%s), no other one is good, and somebody may have mended it", c.Error.Text)
			return Action{Decision: d, apply: func(ctx context.Context) error {
				return env.rereadIf(ctx, r.ID, *c, reading{d: d})
			}}, nil
		}
		return say(Call, fmt.Sprintf("the copy is damaged or gone (%s), and no site that can be reached from here has a good one", c.Error.Text),
			"bring a good copy back, from tape or from wherever there is one; nothing was deleted: what is left of this one is in its place, or beside it")
	}
	i := max(0, c.Error.Tries-1) % len(all) // the first failure was to find it
	a := Action{}
	for n, remote := range slices.Concat(all[i:], all[:i]) {
		task := copyTask{heal: true, now: asked}
		next := task.decide(env, r, c.Key, remote, now)
		if n == 0 || next.Verb == Do {
			a = Action{Decision: next, remote: remote.Name}
		}
		if next.Verb == Do {
			a.apply = func(ctx context.Context) error { return task.run(ctx, env, r.ID, c.Key, remote) }
			break
		}
		if next.Verb == Wait && !next.Until.IsZero() {
			break // it is the copy that waits
		}
	}
	return a, nil
}

// mayBeMended reports whether it is time to read a damaged copy again that cannot be
// replaced: as often as other failures are tried again at first, and once a day when
// that did not help, because it may be large.
func (badChecksumTask) mayBeMended(env *Env, c *rundb.Copy, now time.Time) bool {
	const often = 8
	switch {
	case env.Only.Named():
		return true
	case c.Error.Tries > often:
		return now.Sub(c.Error.NextTry) >= day
	}
	return env.Policy.due(c.Error, now)
}

// sources are the sites from which a damaged copy can be fetched, the best first:
// those whose copy should be good, and those whose copy is damaged too, but perhaps
// in other files.
func (t badChecksumTask) sources(env *Env, r *rundb.Run, c *rundb.Copy, now time.Time) (whole, parts []*Site) {
	v := master(env.Config, r, c.Type, c.Version)
	counts := map[string]bool{}
	for _, s := range env.standings(r, c.Type, c.Version, now) {
		counts[s.Copy.Host] = s.Counts
	}
	var second []*Site
	names := slices.Clone(env.Site.DownloadOptions)
	for _, s := range env.Config.Sites {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	for _, n := range names {
		s, ok := env.Config.Site(n)
		if !ok || !s.Method.native() && !slices.Contains(env.Config.tapes(env.Site), n) || env.Config.SameStorage(n, env.Site.Name) {
			continue
		}
		o, ok := r.Copy(rundb.Key{Type: c.Type, Version: c.Version, Host: n})
		sum, err := legacySum(&o)
		switch {
		case !ok:
		case partial(&o):
			parts = append(parts, s)
		case o.Status != rundb.Transferred || err != nil || sum.IsZero():
		case sum.Algorithm() == checksum.SHA512 && !v.sum.IsZero() && v.sum != sum:
		case counts[n]:
			whole = append(whole, s)
		default:
			second = append(second, s)
		}
	}
	return append(whole, second...), parts
}

// fed reports whether another site sends a copy that was never good here, and so
// goes on sending it.
func fed(env *Env, r *rundb.Run, c *rundb.Copy) (by string, ok bool) {
	if !c.VerifiedAt.IsZero() {
		return "", false
	}
	for _, s := range env.Config.Sites {
		o, has := r.Copy(rundb.Key{Type: c.Type, Version: c.Version, Host: s.Name})
		if has && o.Status == rundb.Transferred && slices.Contains(s.UploadOptions, env.Site.Name) && s.Wants("CopyPush") && s.Daemon != "none" {
			return s.Name, true
		}
	}
	return "", false
}

// dispute turns the finding that copies agree against the manifest into an event,
// once.
func (t badChecksumTask) dispute(ctx context.Context, env *Env, r *rundb.Run, a Action) (Action, error) {
	for e, err := range env.Store.Events(ctx, r.ID) {
		if err != nil {
			return a, err
		}
		if e.What == "dispute" && e.Key.Type == a.Key.Type && e.Key.Version == a.Key.Version && e.Why == a.Why {
			return a, nil
		}
	}
	told := a
	told.Verb, told.What = Do, "report dispute"
	told.apply = func(ctx context.Context) error {
		env.Log.Error("copies agree with each other against the manifest", append(fields(a.Decision), zap.String("why", a.Why), zap.String("next", a.Next))...)
		env.event(ctx, r, a.Key, "dispute", a.Why, bson.D{{Key: "next", Value: a.Next}})
		return nil
	}
	return told, nil
}

// repair fetches a damaged copy of this site again, now, from one source after the
// other until it is good or none has anything new. It returns the last decision; its
// verb is Do if the copy was brought back or was tried to be.
func (t badChecksumTask) repair(ctx context.Context, env *Env, id rundb.ID, k rundb.Key) (Decision, error) {
	var last Decision
	var errs []error
	for tries := 0; ; tries++ {
		r, err := env.Store.Get(ctx, id)
		if err != nil {
			return last, err
		}
		now, err := env.Store.Now(ctx)
		if err != nil {
			return last, err
		}
		c, ok := r.Copy(k)
		if !ok || c.Status == rundb.Transferred {
			return last, nil
		}
		if tries > 2*len(r.Data) {
			return last, errors.Join(errs...)
		}
		a, err := t.planRepair(ctx, env, r, &c, now, true)
		if err != nil {
			return last, err
		}
		if a.Verb == Call && a.What == "repair" {
			told, err := t.dispute(ctx, env, r, a)
			if err == nil && told.Verb == Do && !env.DryRun {
				err = told.Apply(ctx)
			}
			if err != nil {
				return a.Decision, err
			}
		}
		last = a.Decision
		if a.Verb != Do || env.DryRun {
			return last, errors.Join(errs...)
		}
		err = a.Apply(ctx)
		if ctx.Err() != nil {
			return last, ctx.Err()
		}
		if err != nil && !errors.Is(err, ErrNotNeeded) {
			errs = append(errs, err)
		}
	}
}
