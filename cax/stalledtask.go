package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// stalledTask is RetryStalledTransfer: it frees copies that nobody goes on with, so
// that CopyPush and CopyPull can begin again. A copy with a claim is judged by its
// lease: what is left for this task are claims that no copy task may take over, for
// example because the source is gone. A copy without a claim, of the old tool's
// making, is judged by its files: it is freed when they have not grown for a day.
// It never touches the files themselves.
type stalledTask struct{}

func (stalledTask) Name() string { return "RetryStalledTransfer" }

// stalledStatuses are those in which software that makes no claims leaves a copy.
func stalledStatuses() []rundb.Status {
	return []rundb.Status{rundb.Transferring, rundb.Failed, rundb.Abandoned}
}

// unattended reports whether nobody at a site looks after the copies there, so that
// whoever pushes to it has to.
func (s *Site) unattended() bool {
	return s.Daemon == "none" || s.Daemon != "python" && s.verifiedByPusher()
}

// attends reports whether this site looks after the copies of another, or its own.
func (e *Env) attends(s *Site) bool {
	return s == e.Site || s.unattended() && s.Method.native() && slices.Contains(e.Site.UploadOptions, s.Name)
}

func (t stalledTask) Select(env *Env) []Candidates {
	var hosts, verified []string
	for _, s := range env.Config.Sites {
		if !env.attends(s) {
			continue
		}
		if hosts = append(hosts, s.Name); s != env.Site && s.verifiedByPusher() {
			verified = append(verified, s.Name)
		}
	}
	ask := func(m rundb.CopyMatch) Candidates {
		return Candidates{Query: rundb.Query{Names: env.Site.DatasetList, Copies: []rundb.CopyMatch{m}}}
	}
	cs := []Candidates{
		ask(rundb.CopyMatch{Hosts: hosts, Statuses: stalledStatuses(), NoClaim: true, NoError: true}),
		ask(rundb.CopyMatch{Hosts: hosts, Statuses: []rundb.Status{rundb.Transferring}}),
		// Begun from here, for sites that may have been taken off upload_options.
		ask(rundb.CopyMatch{Source: env.Site.Name, Statuses: []rundb.Status{rundb.Transferring}}),
	}
	if verified != nil {
		cs = append(cs, ask(rundb.CopyMatch{Hosts: verified, Statuses: []rundb.Status{rundb.Verifying}}))
	}
	return cs
}

func (t stalledTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return atTime(ctx, env, func(now time.Time) iter.Seq2[Action, error] {
		return eachCopy(runs, rundb.CopyMatch{}, func(r *rundb.Run, c rundb.Copy) (Action, error) {
			if s, ok := env.Config.Site(c.Host); !ok || !env.attends(s) && (c.Claim == nil || c.Claim.Owner.Site != env.Site.Name) {
				return Action{}, nil
			}
			d, err := t.consider(ctx, env, r, &c, now, false)
			a := Action{Decision: d}
			if c.Host != env.Site.Name {
				a.remote = c.Host
			}
			if d.Verb == Do {
				a.apply = func(ctx context.Context) error { return t.run(ctx, env, r.ID, c.Key) }
			}
			return a, err
		})
	})
}

// consider decides about one copy, and looks at its files if that has to be.
func (t stalledTask) consider(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, now time.Time, again bool) (Decision, error) {
	d, look := t.decide(env, r, c, now, nil)
	if !look {
		return d, nil
	}
	k := copyOf{r.ID, c.Key}
	g, ok := env.growths.recent(k, env.Policy.LeaseExpired, env.Clock.elapsed())
	if again || !ok {
		if g = t.look(ctx, env, k, c); ctx.Err() != nil {
			return d, ctx.Err()
		}
		if g.err != nil {
			return d, g.err // once a look; until the next one the copy waits
		}
		if !g.told {
			told, err := t.toldBefore(ctx, env, r, c)
			if err != nil {
				return d, err
			}
			if g.told = told; told {
				env.growths.tell(k)
			}
		}
	}
	d, _ = t.decide(env, r, c, now, &g)
	return d, nil
}

// look measures the files of a copy where it is.
func (t stalledTask) look(ctx context.Context, env *Env, k copyOf, c *rundb.Copy) growth {
	var s size
	var err error
	if c.Host == env.Site.Name {
		s, err = lookAt(ctx, env.remotes.local(), c.Location)
	} else {
		site, _ := env.Config.Site(c.Host)
		var l *link
		if l, err = env.remotes.open(ctx, site); err == nil {
			s, err = lookAt(ctx, l.backend, c.Location)
		}
		if err != nil {
			err = fmt.Errorf("look at %s: %w", c.Key, err)
			env.outages.note(c.Host, err, env.Policy, env.Clock.elapsed())
		}
	}
	return env.growths.note(k, s, err, env.Clock.elapsed())
}

// toldBefore reports whether an event says already that this copy does not grow.
func (t stalledTask) toldBefore(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy) (bool, error) {
	for e, err := range env.Store.Events(ctx, r.ID) {
		if err != nil {
			return false, err
		}
		if e.What == eventStalled && e.Key == c.Key && e.Time.After(c.Created) {
			return true, nil
		}
	}
	return false, nil
}

// eventStalled tells, once, that a copy that nobody holds a claim on does not grow.
const eventStalled = "stalled"

// decide says what to do about one copy. It looks at the run, the configuration, the
// time, and at what was seen of the files: nil asks whether that is needed.
func (t stalledTask) decide(env *Env, r *rundb.Run, c *rundb.Copy, now time.Time, g *growth) (d Decision, look bool) {
	d = Decision{Task: t.Name(), Verb: Skip, What: "free", Key: c.Key}
	d.about(r)
	say := func(v Verb, why, next string) (Decision, bool) {
		d.Verb, d.Why, d.Next = v, why, next
		return d, false
	}
	to, known := env.Config.Site(c.Host)
	switch {
	case !known:
		return say(Skip, fmt.Sprintf("%s is no site of the configuration", c.Host), "")
	case !env.Site.Accepts(r.Name):
		return say(Skip, fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name), "")
	case c.Claim != nil:
		return t.decideClaimed(env, d, r, c, to, now), false
	case !slices.Contains(stalledStatuses(), c.Status):
		return say(Skip, fmt.Sprintf("the copy is %s", c.Status), "")
	case c.Error != nil:
		return say(Skip, fmt.Sprintf("the copy failed (%s), and the copy tasks try again by themselves", c.Error.Class), "")
	case to != env.Site && to.Daemon == "python":
		return say(Skip, fmt.Sprintf("the old tool looks after its copies at %s itself", to.Name), "RetryStalledTransfer of that tool drops the record")
	case !env.attends(to):
		return say(Skip, fmt.Sprintf("%s looks after its copies itself", to.Name), fmt.Sprintf("see that the daemon of %s runs", to.Name))
	case c.InPlace || !to.Contains(c.Location):
		return say(Call, fmt.Sprintf("the record says %q, which is outside the directories of %s, and nobody works on it", c.Location, to.Name),
			"correct the location in the run database, or the site's dir_* keys")
	}
	what := fmt.Sprintf("the copy at %s is %s by software that holds no claim", to.Name, c.Status)
	d.Until = c.Created.Add(env.Policy.StalledAfter)
	if c.Created.IsZero() {
		d.Until = time.Time{}
	}
	if !c.Created.IsZero() && now.Sub(c.Created) < env.Policy.StalledAlert {
		return say(Wait, fmt.Sprintf("%s, and was begun %s ago", what, inWords(now.Sub(c.Created))), "")
	}
	if g == nil {
		if err := env.outages.of(to.Name, env.Clock.elapsed()); err != nil {
			return say(Wait, fmt.Sprintf("%s; %s failed a short while ago and is left alone for now: %v", what, to.Name, err), "")
		}
		d, _ = say(Wait, fmt.Sprintf("%s; it is freed when its files have not grown for %s", what, inWords(env.Policy.StalledAfter)), "")
		return d, true
	}
	return t.decideGrowth(env, d, c, what, now, g), false
}

// decideGrowth decides about a copy without a claim by what was seen of its files.
func (t stalledTask) decideGrowth(env *Env, d Decision, c *rundb.Copy, what string, now time.Time, g *growth) Decision {
	if g.err != nil {
		d.Verb, d.Why = Wait, fmt.Sprintf("%s, and its files cannot be looked at: %v", what, g.err)
		return d
	}
	last := c.Created
	if g.newest.After(last) {
		last = g.newest
	}
	// By times of files and of the database; and, for clocks that lie, by our own.
	idle := g.unchanged
	if !last.IsZero() {
		idle = max(idle, now.Sub(last))
		d.Until = last.Add(env.Policy.StalledAfter)
	}
	size := fmt.Sprintf("%d files, %d bytes", g.files, g.bytes)
	named := env.Once && env.Only.Named()
	switch {
	case idle < env.Policy.StalledAlert:
		d.Verb, d.Why = Wait, fmt.Sprintf("%s, and its files (%s) grew %s ago", what, size, inWords(idle))
	case idle < env.Policy.StalledAfter && !g.told:
		d.Verb, d.What, d.Until = Do, "tell", time.Time{}
		d.Why = fmt.Sprintf("%s, and its files (%s) have not grown for %s", what, size, inWords(idle))
		d.Next = fmt.Sprintf("see whether it still runs; after %s without growth it is begun anew", inWords(env.Policy.StalledAfter))
	case idle < env.Policy.StalledAfter:
		d.Verb, d.Why = Wait, fmt.Sprintf("%s, and its files (%s) have not grown for %s", what, size, inWords(idle))
		d.Next = "see whether it still runs"
	case g.unchanged < env.Policy.LeaseExpired && !named:
		// A clock that was set forward makes a living copy look old.
		d.Verb, d.Until = Wait, time.Time{}
		d.Why = fmt.Sprintf("%s, and its files (%s) seem not to have grown for %s; they are watched for %s first", what, size, inWords(idle), inWords(env.Policy.LeaseExpired))
		d.Next = "the daemon frees it then; cax --once does it if the run is named"
	default:
		d.Verb, d.Until = Do, time.Time{}
		d.Why = fmt.Sprintf("%s, and its files (%s) have not grown for %s", what, size, inWords(idle))
		d.Next = "CopyPush or CopyPull begin it anew, and keep aside what is there"
	}
	return d
}

// inWords is a length of time for people: "3 days", "26h", "5m", "12s".
func inWords(d time.Duration) string {
	switch d = max(0, d); {
	case d >= 3*day:
		return fmt.Sprintf("%d days", int(d/day))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", int(d/time.Hour))
	case d >= time.Minute:
		return fmt.Sprintf("%dm", int(d/time.Minute))
	}
	return fmt.Sprintf("%ds", int(d/time.Second))
}

// run frees one copy, or tells people about it.
func (t stalledTask) run(ctx context.Context, env *Env, id rundb.ID, k rundb.Key) error {
	r, err := env.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		return err
	}
	c, ok := r.Copy(k)
	if !ok {
		return ErrNotNeeded
	}
	d, err := t.consider(ctx, env, r, &c, now, true)
	switch {
	case err != nil:
		return err
	case d.Verb != Do:
		return ErrNotNeeded
	case d.What == "tell":
		env.Log.Warn("copy does not grow", append(fields(d), zap.String("why", d.Why), zap.String("next", d.Next))...)
		env.event(ctx, r, k, eventStalled, d.Why, nil)
		env.growths.tell(copyOf{id, k})
		return nil
	}
	if err := t.free(ctx, env, r, &c, d, now); err != nil {
		if errors.Is(err, rundb.ErrConflict) {
			return ErrNotNeeded
		}
		return fmt.Errorf("free %s: %w", d.subject(), err)
	}
	env.Log.Warn("copy is freed", append(fields(d), zap.String("why", d.Why))...)
	return nil
}

// free makes a copy an error that is due now; one that is complete and has to be
// verified only loses its claim.
func (t stalledTask) free(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, d Decision, now time.Time) error {
	fail := &rundb.CopyError{Class: ClassStalled, Text: d.Why, Since: now, Tries: 1, NextTry: now, Left: leftovers(c, env.Owner)}
	if c.Error != nil {
		fail.Tries, fail.Found = c.Error.Tries+1, c.Error.Found
	}
	set := bson.D{{Key: "status", Value: string(rundb.Failed)}, {Key: "error", Value: fail.BSON()}}
	if c.Status == rundb.Verifying {
		set = bson.D{{Key: "status", Value: string(rundb.Verifying)}}
	}
	if c.Claim == nil {
		if err := env.Store.CompareAndSet(ctx, r.ID, *c, set); err != nil {
			return err
		}
	} else {
		// The claim is taken first, by the sequence number that was seen: an owner
		// that still lives then loses it, or keeps it.
		held, err := env.Store.Reclaim(ctx, r.ID, *c, c.Status, rundb.Claim{Kind: c.Claim.Kind, Owner: env.Owner, Left: fail.Left})
		if err != nil {
			return err
		}
		if err := held.Finish(ctx, set); err != nil {
			return err
		}
	}
	env.event(ctx, r, c.Key, "freed", d.Why, bson.D{{Key: "class", Value: ClassStalled}, {Key: "was", Value: string(c.Status)}})
	return nil
}
