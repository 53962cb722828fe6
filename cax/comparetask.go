package cax

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// compareTask is CompareChecksums: it reports copies of this site whose checksum
// is not the master's, and changes none. What it finds goes to the log and, once
// per finding, to the run's events.
type compareTask struct{}

func (compareTask) Name() string { return "CompareChecksums" }

func (compareTask) Select(env *Env) []Candidates {
	return []Candidates{{Query: rundb.Query{Disagree: &rundb.CopyMatch{Hosts: []string{env.Site.Name}}}}}
}

func (t compareTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	mine := env.here()
	mine.Statuses = []rundb.Status{rundb.Transferred}
	return eachCopy(runs, mine, func(r *rundb.Run, c rundb.Copy) (Action, error) {
		d, known, err := t.decide(ctx, env, r, &c)
		a := Action{Decision: d}
		if d.Verb == Call && !known {
			a.Verb = Do
			a.apply = func(ctx context.Context) error { t.report(ctx, env, r, d); return nil }
		}
		return a, err
	})
}

// decide compares one copy. known tells that the same finding is in the run's
// events already.
func (t compareTask) decide(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy) (d Decision, known bool, err error) {
	d = Decision{Task: t.Name(), Verb: Skip, What: "report", Key: c.Key}
	d.about(r)
	v := master(env.Config, r, c.Type, c.Version)
	mine, err := legacySum(c)
	agree := 0
	for _, o := range v.votes {
		if o.sum == mine {
			agree = len(o.hosts)
		}
	}
	switch {
	case err != nil:
		d.Verb, d.Why, d.Next = Call, err.Error(), "correct the record, or run cax verify"
	case mine.IsZero():
		d.Why = "the copy has no checksum on record"
		d.Next = "cax verify reads it and adds one"
		return d, true, nil
	case v.sum == mine, v.sum.IsZero() && len(v.votes) == 1:
		d.Why = fmt.Sprintf("checksum agrees; %d transferred copies share it", agree)
		return d, true, nil
	case !v.sum.IsZero():
		d.Verb = Call
		d.Why = fmt.Sprintf("checksum %s is not that of the master (%s), %s; %d transferred copies share it", brief(mine), v.by, brief(v.sum), agree)
		d.Next = fmt.Sprintf("cax verify --name %s at %s tells which files differ", r.Name, env.Site.Name)
	default:
		var said []string
		for _, o := range v.votes {
			said = append(said, strings.Join(o.hosts, " and ")+" "+brief(o.sum))
		}
		d.Verb = Call
		d.Why = "checksums differ and no master decides: " + strings.Join(said, ", ")
		d.Next = fmt.Sprintf("cax verify --name %s at each of these sites tells which copy is damaged", r.Name)
	}
	for e, err := range env.Store.Events(ctx, r.ID) {
		if err != nil {
			return d, false, err
		}
		if e.What == "differs" && e.Key == c.Key {
			known = e.Why == d.Why
		}
	}
	return d, known, nil
}

func (t compareTask) report(ctx context.Context, env *Env, r *rundb.Run, d Decision) {
	env.Log.Error("copies differ", append(fields(d), zap.String("why", d.Why), zap.String("next", d.Next))...)
	env.event(ctx, r, d.Key, "differs", d.Why, bson.D{})
}
