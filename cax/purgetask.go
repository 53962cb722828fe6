package cax

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/cax-go/cax/rundb"
)

// purgeTask is BufferPurger and PurgeProcessed: they delete copies of this site that
// its configuration says may go, where enough good ones are left elsewhere.
type purgeTask struct{ processed bool }

func (t purgeTask) Name() string {
	if t.processed {
		return "PurgeProcessed"
	}
	return "BufferPurger"
}

func (t purgeTask) Select(env *Env) []Candidates {
	m := rundb.CopyMatch{Hosts: []string{env.Site.Name}, Statuses: []rundb.Status{rundb.Transferred}}
	q := rundb.Query{Names: env.Site.DatasetList, NotTags: env.Policy.KeepTags}
	switch {
	case t.processed && env.Site.PaxVersionPurge != "":
		m.Types, m.Versions = []rundb.Type{rundb.Processed}, []string{env.Site.PaxVersionPurge}
	case !t.processed && env.Site.Purge != nil:
		m.Types = []rundb.Type{rundb.Raw, rundb.Untriggered}
		// A day more, for clocks that differ: decide looks at the run itself.
		q.Until = env.Clock.now().Add(time.Duration(1-*env.Site.Purge) * 24 * time.Hour)
	default:
		return nil
	}
	if q.Copies = []rundb.CopyMatch{m}; !t.processed {
		// Whether the others count is decided on the run; too few can never be enough.
		q.Spare = &rundb.Spare{Have: m, Others: env.minimum(env.Site, rundb.Raw).Copies}
	}
	cs := []Candidates{{Query: q}}
	if hosts := env.Config.catalogues(); q.Spare != nil && len(hosts) > 0 {
		// What a catalogue has is more than one copy, and its checksum is of another form.
		q.Spare, q.Copies = nil, []rundb.CopyMatch{m, {Types: m.Types, Hosts: hosts, Statuses: m.Statuses}}
		cs = append(cs, Candidates{Query: q})
	}
	return cs
}

func (t purgeTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return atTime(ctx, env, func(now time.Time) iter.Seq2[Action, error] {
		copies, bytes := 0, int64(0)
		return eachCopy(runs, env.here(), func(r *rundb.Run, c rundb.Copy) (Action, error) {
			w, d := t.decide(env, r, &c, now)
			if d.Verb == Do {
				copies, bytes = copies+1, bytes+c.Size
				if copies > env.Policy.PurgeCopies || bytes > env.Policy.PurgeBytes && copies > 1 {
					d.Verb, d.Why = Wait, fmt.Sprintf("this cycle deletes no more than %d copies and %d bytes", env.Policy.PurgeCopies, env.Policy.PurgeBytes)
					d.Next = "the next cycle goes on"
				}
			}
			return NewAction(d, "", func(ctx context.Context) error { return env.Remove(ctx, r.ID, c.Key, w) }), nil
		})
	})
}

// decide says whether the configuration lets a copy go, and if so whether it may.
func (t purgeTask) decide(env *Env, r *rundb.Run, c *rundb.Copy, now time.Time) (Removal, Decision) {
	w := Removal{Task: t.Name()}
	d := Decision{Task: t.Name(), Verb: Skip, What: "delete", Key: c.Key}
	d.about(r)
	skip := func(format string, args ...any) (Removal, Decision) {
		d.Why = fmt.Sprintf(format, args...)
		return w, d
	}
	switch {
	case c.Status != rundb.Transferred:
		return skip("the copy is %s", c.Status)
	case t.processed && c.Type != rundb.Processed, !t.processed && c.Type == rundb.Processed:
		return skip("%s is not of the type that this task deletes", c.Type)
	case t.processed && (env.Site.PaxVersionPurge == "" || c.Version != env.Site.PaxVersionPurge):
		return skip("version %s is not that of pax_version_purge (%q)", c.Version, env.Site.PaxVersionPurge)
	case t.processed:
		w.Why = fmt.Sprintf("version %s is to be deleted at %s", c.Version, env.Site.Name)
	case env.Site.Purge == nil:
		return skip("%s purges nothing", env.Site.Name)
	default:
		// Age only ever delays: a copy that came back a moment ago is young.
		since := r.Start
		if c.Created.After(since) {
			since = c.Created
		}
		limit := time.Duration(*env.Site.Purge) * 24 * time.Hour
		if age := now.Sub(since); since.IsZero() || age <= limit {
			d.Verb, d.Until = Wait, since.Add(limit)
			return skip("it has been here for %d days, and %s purges after %d", int(age.Hours()/24), env.Site.Name, *env.Site.Purge)
		}
		w.Why = fmt.Sprintf("older than %d days at %s", *env.Site.Purge, env.Site.Name)
	}
	d, _ = env.DecideRemoval(r, c, w, now)
	return w, d
}
