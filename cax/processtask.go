package cax

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/cax-go/cax/rundb"
)

// processTask is ProcessBatchQueue and ProcessBatchQueueHax: for each current version it
// has processed data made of raw data, and minitrees of processed data.
//
// Each product is a copy of this site that is claimed before anything else is done. A
// daemon claims it for a job, whose key it chooses, and submits that job; the job, which
// is cax --once too, takes the claim over by naming it, works under a lease, and records
// the outcome. So of any number of submitters one wins, and a job whose claim is not
// there any more does nothing. What a job that has died did not record itself is
// recorded, with the reason that the batch system gives, by whoever looks next.
type processTask struct {
	minitrees bool
}

func (t processTask) Name() string {
	if t.minitrees {
		return "ProcessBatchQueueHax"
	}
	return "ProcessBatchQueue"
}

// batchRemote is whose limits submissions share.
const batchRemote = "the batch system"

func (t processTask) Select(env *Env) []Candidates {
	s := env.Site
	if s.Batch.System == "" && env.Job == "" {
		return nil
	}
	here := []string{s.Name}
	var cs []Candidates
	unfinished := rundb.CopyMatch{Hosts: here, Statuses: []rundb.Status{rundb.Transferring, rundb.Failed}}
	for _, p := range s.products(t.minitrees) {
		if s.Dir(p.typ) == "" {
			return nil
		}
		k, src := p.key(s), p.source(s)
		fresh := rundb.Query{Names: s.DatasetList, NotTags: s.Processing.WithDefaults().SkipTags,
			Copies:   []rundb.CopyMatch{{Types: []rundb.Type{src.Type}, Versions: []string{src.Version}, Hosts: here, Statuses: []rundb.Status{rundb.Transferred}}},
			NoCopies: []rundb.CopyMatch{{Types: []rundb.Type{k.Type}, Versions: []string{k.Version}, Hosts: here}}}
		fresh.From = env.Recent
		cs = append(cs, Candidates{fresh, batchRemote})
		unfinished.Types = appendNew(unfinished.Types, k.Type)
		unfinished.Versions = appendNew(unfinished.Versions, k.Version)
	}
	if cs != nil {
		cs = append(cs, Candidates{rundb.Query{Names: s.DatasetList, Copies: []rundb.CopyMatch{unfinished}}, batchRemote})
	}
	return cs
}

func appendNew[T comparable](s []T, v T) []T {
	for _, o := range s {
		if o == v {
			return s
		}
	}
	return append(s, v)
}

func (t processTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return atTime(ctx, env, func(now time.Time) iter.Seq2[Action, error] {
		return func(yield func(Action, error) bool) {
			var jobs *jobView // asked for when a run is there
			sub := &submission{env: env, task: t}
			for r, err := range runs {
				if err != nil {
					if !yield(Action{}, err) {
						return
					}
					continue
				}
				if jobs == nil {
					v := jobView{}
					if env.Job == "" {
						v = env.viewJobs(ctx)
					}
					jobs, sub.jobs = &v, v
				}
				submitted := false // one job makes all minitrees that a run lacks
				for _, p := range env.Site.products(t.minitrees) {
					d := t.decide(env, r, p, now, *jobs)
					a := Action{Decision: d, remote: batchRemote}
					if d.Verb == Do && d.What == doSubmit {
						if t.minitrees && submitted {
							a.Verb, a.Why = Wait, "the job for another minitree of this run makes it too"
						} else {
							submitted = true
							sub.add(r, p, d)
							continue
						}
					}
					if d.Verb == Do {
						a.apply = func(ctx context.Context) error { return t.run(ctx, env, r.ID, p, sub.jobs) }
					}
					if a.Verb == Do && env.Job != "" {
						a.remote = "" // work on this machine
					}
					if !yield(a, nil) {
						return
					}
				}
			}
			for a := range sub.actions() {
				if !yield(a, nil) {
					return
				}
			}
		}
	})
}

// What processTask does.
const (
	doSubmit  = "submit"
	doProcess = "process"
	doSettle  = "settle"
)

// decide says what to do about one product of one run. It looks at the run, the
// configuration, the time, and at what is known of the jobs.
func (t processTask) decide(env *Env, r *rundb.Run, p product, now time.Time, jobs jobView) Decision {
	return t.decideBy(env, r, p, now, jobs, false)
}

// decideBy is decide, or with direct what to do for somebody who makes it on this machine,
// without a batch system.
func (t processTask) decideBy(env *Env, r *rundb.Run, p product, now time.Time, jobs jobView, direct bool) Decision {
	s := env.Site
	d := Decision{Task: t.Name(), Verb: Skip, What: doSubmit, Key: p.key(s)}
	if env.Job != "" {
		d.What = doProcess
	}
	d.about(r)
	say := func(v Verb, why, next string) Decision {
		d.Verb, d.Why, d.Next = v, why, next
		return d
	}
	c, exists := r.Copy(d.Key)
	if exists && c.Claim != nil {
		return t.decideClaimed(env, d, r, p, &c, now, jobs)
	}
	if exists && c.Status == rundb.Transferred {
		return say(Skip, fmt.Sprintf("%s has it already", s.Name), "")
	}
	if why, next := env.unfit(r, p); why != "" {
		return say(Skip, why, next)
	}
	switch {
	case !exists:
	case c.Status == rundb.Verifying:
		return say(Wait, fmt.Sprintf("the copy at %s waits to be verified", s.Name), "AddChecksum does it")
	case c.Status != rundb.Failed || c.Error == nil:
		return say(Wait, fmt.Sprintf("the copy at %s is %s, and nobody holds a claim on it", s.Name, c.Status),
			fmt.Sprintf("RetryStalledTransfer frees it when its files have not grown for %s", inWords(env.Policy.StalledAfter)))
	case !s.Contains(c.Location):
		return say(Call, fmt.Sprintf("the record says %q, which is outside the directories of %s", c.Location, s.Name),
			"correct the location in the run database, or the site's dir_* keys")
	case env.Only.Named() && env.Job == "":
	case c.Error.Tries >= s.Processing.WithDefaults().Tries:
		return say(Call, fmt.Sprintf("it failed %d times, the last time (%s): %s", c.Error.Tries, c.Error.Class, c.Error.Text),
			"see what is wrong, then try again by naming the run: cax process --run, or cax massive --once --run")
	case !env.Policy.due(c.Error, now):
		d.Until = c.Error.NextTry
		return say(Wait, fmt.Sprintf("try %d failed (%s): %s", c.Error.Tries, c.Error.Class, c.Error.Text), "name the run with --run to try at once")
	}
	switch {
	case direct:
		return say(Do, "somebody asked for it", "")
	case env.Job != "" && !t.minitrees:
		return say(Wait, "it was not claimed for this job", "the daemon submits another job for it")
	case env.Job == "" && s.Batch.System == "":
		return say(Skip, fmt.Sprintf("%s has no batch system", s.Name), "set batch, or process it with cax process")
	case env.Job == "" && jobs.err != nil && jobs.err != errNotAsked:
		return say(Wait, fmt.Sprintf("the batch system cannot be asked: %v", jobs.err), "nothing is submitted until it answers")
	case exists:
		return say(Do, fmt.Sprintf("try %d failed (%s) and it is due again", c.Error.Tries, c.Error.Class), "")
	}
	return say(Do, fmt.Sprintf("%s has a good %s copy and no %s of it", s.Name, madeFrom(p.typ), p.typ), "")
}

// decideClaimed decides about a product on which somebody works, or a job is to.
func (t processTask) decideClaimed(env *Env, d Decision, r *rundb.Run, p product, c *rundb.Copy, now time.Time, jobs jobView) Decision {
	say := func(v Verb, what, why, next string) Decision {
		d.Verb, d.What, d.Why, d.Next = v, what, why, next
		return d
	}
	k := c.Claim
	who := fmt.Sprintf("pid %d on %s", k.Owner.PID, k.Owner.Host)
	heard := fmt.Sprintf("last heard of %s ago", inWords(now.Sub(k.Heartbeat)))
	switch {
	case k.Kind != rundb.ClaimProcess:
		return say(Wait, d.What, fmt.Sprintf("%s works on the copy (%s), %s", who, k.Kind, heard), "")
	case k.Job == "":
		// Somebody processes it without a batch system.
		if env.liveness(k, now) == ownerAlive {
			return say(Wait, d.What, fmt.Sprintf("it is being processed by %s, %s", who, heard), "")
		}
		return say(Do, doSettle, fmt.Sprintf("it was being processed by %s, which has ended or is silent", who), "")
	case k.Job == env.Job:
		if why, next := env.unfit(r, p); why != "" {
			return say(Wait, doProcess, "this job was submitted to make it, and now "+why, next)
		}
		return say(Do, doProcess, "this job was submitted to make it", "")
	case env.Job != "":
		return say(Wait, d.What, "another job makes it", "")
	}
	s, known := jobs.byKey[k.Job]
	switch {
	case known && s.State.Final():
		return say(Do, doSettle, fmt.Sprintf("its job has ended, and did not record it: %s", jobReason(s)), "")
	case known && !s.State.Final():
		why := fmt.Sprintf("its job %s is %s", s.ID, s.State)
		if s.Reason != "" {
			why += ": " + s.Reason
		}
		return say(Wait, d.What, why, "see cax jobs")
	case jobs.err != nil:
		return say(Wait, d.What, fmt.Sprintf("a job was submitted for it by %s, and the batch system cannot be asked: %v", who, jobs.err), "")
	}
	// No such job: its submitter has not come to it, or has died before.
	lost := *k
	lost.Job = ""
	if env.liveness(&lost, now) == ownerAlive {
		return say(Wait, d.What, fmt.Sprintf("%s is submitting a job for it, %s", who, heard), "")
	}
	return say(Do, doSettle, fmt.Sprintf("%s claimed it for a job, has ended or is silent, and there is no such job", who), "")
}

// run carries out what is no submission.
func (t processTask) run(ctx context.Context, env *Env, id rundb.ID, p product, jobs jobView) error {
	r, err := env.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		return err
	}
	d := t.decide(env, r, p, now, jobs)
	switch {
	case d.Verb != Do:
		return ErrNotNeeded
	case d.What == doSettle:
		return t.settle(ctx, env, r, p, d, now, jobs)
	case d.What == doProcess:
		return env.make(ctx, r, p, d, making{job: env.Job, cpus: env.CPUs})
	}
	return ErrNotNeeded // it is to be submitted, in the next cycle
}
