package cax

import (
	"context"
	"iter"
	"time"

	"github.com/cax-go/cax/rundb"
)

// eachCopy makes an action of each copy that matches, of each run. Runs that cannot be
// read are passed on as errors; an action without a verb is left out.
func eachCopy(runs iter.Seq2[*rundb.Run, error], m rundb.CopyMatch, decide func(r *rundb.Run, c rundb.Copy) (Action, error)) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		for r, err := range runs {
			if err != nil {
				if !yield(Action{}, err) {
					return
				}
				continue
			}
			for c := range r.Copies(m) {
				a, err := decide(r, c)
				if (err != nil || a.Verb != "") && !yield(a, err) {
					return
				}
			}
		}
	}
}

// atTime asks the database for the time, once, when the actions are wanted.
func atTime(ctx context.Context, env *Env, actions func(now time.Time) iter.Seq2[Action, error]) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		now, err := env.Store.Now(ctx)
		if err != nil {
			yield(Action{}, err)
			return
		}
		actions(now)(yield)
	}
}

// here matches the copies of this site.
func (e *Env) here() rundb.CopyMatch { return rundb.CopyMatch{Hosts: []string{e.Site.Name}} }
