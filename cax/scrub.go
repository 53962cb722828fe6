package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.uber.org/zap"
)

// scrubTask is Scrub: it reads transferred copies of this site again, those first
// whose last verification is the longest ago, one at a time and no faster than
// [Policy.Scrub]. What it finds damaged is fetched again by badChecksumTask. It needs
// no note of where it was: what was read has a new verified_at.
type scrubTask struct{}

func (scrubTask) Name() string { return "Scrub" }

// Select is empty: the oldest copies are found once a day, not by a query in each
// cycle; see Look.
func (scrubTask) Select(*Env) []Candidates { return nil }

// Plan explains what becomes of runs that were named.
func (t scrubTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return atTime(ctx, env, func(now time.Time) iter.Seq2[Action, error] {
		return eachCopy(runs, env.here(), func(r *rundb.Run, c rundb.Copy) (Action, error) {
			return Action{Decision: t.decide(env, r, &c, now)}, nil
		})
	})
}

// decide says whether a copy is to be read again.
func (t scrubTask) decide(env *Env, r *rundb.Run, c *rundb.Copy, now time.Time) Decision {
	d := Decision{Task: t.Name(), Verb: Skip, What: "scrub", Key: c.Key}
	d.about(r)
	due := c.VerifiedAt.Add(env.Policy.ScrubAfter)
	switch p := env.Policy; {
	case !p.scrubs():
		d.Why, d.Next = "scrubbing is off", `set "scrub" in the policy, or run cax scrub`
	case c.Status != rundb.Transferred:
		d.Why = fmt.Sprintf("the copy is %s, and only transferred ones are scrubbed", c.Status)
	case !env.Site.Accepts(r.Name):
		d.Why = fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name)
	case !c.InPlace && !env.Site.Contains(c.Location):
		d.Verb, d.Why = Call, fmt.Sprintf("the record says %q, which is outside the directories of this site", c.Location)
		d.Next = "correct the location in the run database, or the site's dir_* keys"
	case c.Claim != nil:
		d.Verb, d.Why = Wait, fmt.Sprintf("pid %d on %s works on the copy", c.Claim.Owner.PID, c.Claim.Owner.Host)
	case !p.stale(c, now):
		d.Verb, d.Until = Wait, due
		d.Why = fmt.Sprintf("it was verified %d days ago", int(now.Sub(c.VerifiedAt).Hours()/24))
	case p.Scrub.At(env.Clock.now()) <= 0:
		d.Verb, d.Why = Wait, "scrubbing rests at this time of day"
	default:
		d.Verb, d.Why = Do, "it was never verified"
		if !c.VerifiedAt.IsZero() {
			d.Why = "it was last verified on " + c.VerifiedAt.UTC().Format(time.DateOnly)
		}
	}
	return d
}

// scrubs reports whether there is a time of day at which Scrub reads.
func (p Policy) scrubs() bool {
	return p.Scrub.BytesPerSecond > 0 || slices.ContainsFunc(p.Scrub.Table, func(w BandwidthWindow) bool { return w.BytesPerSecond > 0 })
}

// stale reports whether a copy's last verification is long enough ago for it to be
// read again. One in the future is somebody's wrong clock.
func (p Policy) stale(c *rundb.Copy, now time.Time) bool {
	return c.VerifiedAt.IsZero() || c.VerifiedAt.After(now) || now.Sub(c.VerifiedAt) >= p.ScrubAfter
}

// scrubbing is where the Scrub of this process is.
type scrubbing struct {
	mu   sync.Mutex
	list []scrubItem // what is still to be looked at, oldest verified first
	made time.Duration
	has  bool // list was made
	busy bool
	pace *pacer
}

// A scrubItem is a copy of this site.
type scrubItem struct {
	run  rundb.ID
	copy rundb.Copy // as it was then; the record is read again
	name string
	num  int64
}

// scrubList lists the copies of this site in certain states, oldest verified first.
func (e *Env) scrubList(ctx context.Context, statuses ...rundb.Status) ([]scrubItem, error) {
	here := rundb.CopyMatch{Hosts: []string{e.Site.Name}, Statuses: statuses}
	q := rundb.Query{Names: e.Site.DatasetList, Copies: []rundb.CopyMatch{here}}
	e.Only.Narrow(&q)
	var list []scrubItem
	for r, err := range e.Store.Find(ctx, &q) {
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, rundb.ErrTransient) {
				return nil, err
			}
			e.Log.Error("run skipped", zap.String("task", "Scrub"), zap.Error(err))
			continue
		}
		for c := range r.Copies(here) {
			if e.Site.Accepts(r.Name) {
				list = append(list, scrubItem{run: r.ID, copy: c, name: r.Name, num: r.Number})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b scrubItem) int { return a.copy.VerifiedAt.Compare(b.copy.VerifiedAt) })
	return list, nil
}

// scrubSlots is under what name the daemon counts scrubs: beside verifications, not
// in their place.
const scrubSlots = "(scrub)"

// Look gives the next copy to be read, if it is time for one.
func (t scrubTask) Look(ctx context.Context, env *Env) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		if !env.Policy.scrubs() || env.Policy.Scrub.At(env.Clock.now()) <= 0 {
			return
		}
		first, err := env.scrubbing.next(ctx, env)
		if first == nil && err == nil {
			return
		}
		if err != nil {
			yield(Action{}, err)
			return
		}
		now, err := env.Store.Now(ctx)
		if err != nil {
			yield(Action{}, err)
			return
		}
		d := t.decide(env, &rundb.Run{ID: first.run, Name: first.name, Number: first.num}, &first.copy, now)
		if d.Verb == Wait && first.copy.Claim == nil {
			return // nothing is due
		}
		d.Verb = Do // what cannot be read is passed over
		yield(Action{Decision: d, remote: scrubSlots, apply: func(ctx context.Context) error { return t.run(ctx, env) }}, nil)
	}
}

// next is the copy at the head of the list, which is made anew when it is a day old
// or at its end; nil if there is none, or if a scrub is under way.
func (s *scrubbing) next(ctx context.Context, env *Env) (*scrubItem, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return nil, nil
	}
	if !s.has || len(s.list) == 0 || env.Clock.elapsed()-s.made > day {
		list, err := env.scrubList(ctx, rundb.Transferred)
		if err != nil {
			return nil, err
		}
		s.list, s.made, s.has = list, env.Clock.elapsed(), true
	}
	if len(s.list) == 0 {
		return nil, nil
	}
	first := s.list[0]
	return &first, nil
}

// run reads what is due: in a daemon one copy, of a single cycle as much as the
// budget allows in the time between two cycles.
func (t scrubTask) run(ctx context.Context, env *Env) error {
	s := &env.scrubbing
	s.mu.Lock()
	if s.busy {
		s.mu.Unlock()
		return ErrNotNeeded
	}
	s.busy = true
	if s.pace == nil {
		s.pace = newPacer(env.Clock, env.Policy.Scrub.At)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy = false
		s.mu.Unlock()
	}()
	budget := int64(0)
	if env.Once {
		budget = int64(float64(env.Policy.Scrub.At(env.Clock.now())) * env.Policy.Interval.Seconds())
	}
	var errs []error
	done := false
	for {
		s.mu.Lock()
		if len(s.list) == 0 || done && budget <= 0 {
			s.mu.Unlock()
			break
		}
		item := s.list[0]
		s.list = s.list[1:]
		s.mu.Unlock()
		read, due, err := t.one(ctx, env, item)
		if err != nil && !errors.Is(err, ErrNotNeeded) {
			errs = append(errs, err)
		}
		if !due {
			s.mu.Lock()
			s.list = append([]scrubItem{item}, s.list...)
			s.mu.Unlock()
			break
		}
		done = done || read > 0
		if budget -= read; ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if !done && len(errs) == 0 {
		return ErrNotNeeded
	}
	return errors.Join(errs...)
}

// one reads one copy again, if that is still to be done; due is false if it is not
// time for it yet, nor for those behind it.
func (t scrubTask) one(ctx context.Context, env *Env, item scrubItem) (read int64, due bool, err error) {
	r, err := env.Store.Get(ctx, item.run)
	if errors.Is(err, rundb.ErrNotExist) {
		return 0, true, nil
	}
	if err != nil {
		return 0, true, err
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		return 0, true, err
	}
	c, ok := r.Copy(item.copy.Key)
	if !ok {
		return 0, true, nil
	}
	d := t.decide(env, r, &c, now)
	switch {
	case d.Verb == Do:
	case d.Verb == Wait && d.Until.IsZero() && c.Claim == nil: // the window has closed
		return 0, false, nil
	case !d.Until.IsZero() && c.VerifiedAt.Equal(item.copy.VerifiedAt):
		return 0, false, nil
	default:
		return 0, true, nil
	}
	return max(c.Size, 1), true, env.rereadIf(ctx, r.ID, c, reading{d: d, keep: true, pace: env.scrubbing.pace})
}
