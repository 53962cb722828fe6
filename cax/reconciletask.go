package cax

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// reconcileTask is Reconcile: once a day it compares this site's disks with the run
// database and tells what it found. It mends nothing: that is for a person, with cax
// reconcile. A single cycle (--once) has no day, and leaves it out.
type reconcileTask struct{}

func (reconcileTask) Name() string { return "Reconcile" }

// Select finds no run: the disks lead.
func (reconcileTask) Select(*Env) []Candidates { return nil }

func (reconcileTask) Plan(context.Context, *Env, iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return func(func(Action, error) bool) {}
}

const (
	reconcileEvery = 24 * time.Hour

	// reconcileTells is how many findings of one kind are logged one by one.
	reconcileTells = 20
)

// reconciled remembers when this process last reconciled: the time on Clock.Elapsed,
// in nanoseconds, and one more; 0: never.
type reconciled struct{ at atomic.Int64 }

func (r *reconciled) due(now time.Duration) bool {
	at := r.at.Load()
	return at == 0 || now-time.Duration(at-1) >= reconcileEvery
}

func (t reconcileTask) Look(_ context.Context, env *Env) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		if env.Once || env.DryRun || !env.reconciled.due(env.Clock.elapsed()) {
			return
		}
		d := Decision{Task: t.Name(), Verb: Do, What: "reconcile", Key: rundb.Key{Host: env.Site.Name}, Why: "once a day"}
		yield(NewAction(d, "", func(ctx context.Context) error { return t.run(ctx, env) }), nil)
	}
}

// run looks and tells.
func (reconcileTask) run(ctx context.Context, env *Env) error {
	began := env.Clock.elapsed()
	found, err := env.Reconcile(ctx)
	if err != nil {
		return err
	}
	further, err := env.ReconcileCatalogue(ctx)
	if err != nil {
		return err
	}
	found = append(found, further...)
	env.reconciled.at.Store(int64(began) + 1)
	count := map[DiscrepancyKind]int{}
	told := 0
	for i := range found {
		f := &found[i]
		if f.Verb == Skip {
			continue
		}
		told++
		log := env.Log.Info
		if f.Verb != Wait {
			log = env.Log.Warn
		}
		switch count[f.Kind]++; {
		case count[f.Kind] <= reconcileTells:
			log(string(f.Kind), zap.String("path", f.Path), zap.Int64("run", f.Number), zap.String("name", f.Name), zap.String("why", f.Why), zap.String("next", f.Next))
		case count[f.Kind] == reconcileTells+1:
			log("there are more of this kind: see cax reconcile", zap.String("kind", string(f.Kind)))
		}
	}
	if told == 0 {
		env.Log.Info("disks, catalogue and run database agree", zap.String("site", env.Site.Name))
		return nil
	}
	why, evidence := tellCounts(count)
	env.Log.Warn("disks and run database do not agree", zap.String("site", env.Site.Name), zap.String("found", why), zap.String("next", "cax reconcile shows all"))
	env.event(ctx, &rundb.Run{}, rundb.Key{Host: env.Site.Name}, "reconciled", why, evidence)
	return nil
}

// tellCounts gives counts by kind, for people and for an event.
func tellCounts(count map[DiscrepancyKind]int) (why string, evidence bson.D) {
	kinds := make([]DiscrepancyKind, 0, len(count))
	for k := range count {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for i, k := range kinds {
		if i > 0 {
			why += ", "
		}
		why += fmt.Sprintf("%s: %d", k, count[k])
		evidence = append(evidence, bson.E{Key: string(k), Value: int64(count[k])})
	}
	return why, evidence
}
