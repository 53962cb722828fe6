package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.uber.org/zap"
)

// ScrubOptions say what [Env.Scrub] reads.
type ScrubOptions struct {
	Rate int64 // bytes per second; 0: as fast as it goes
	All  bool  // copies that were verified lately too
}

// A ScrubOutcome is what became of a copy that was scrubbed.
type ScrubOutcome string

// The outcomes.
const (
	ScrubGood   ScrubOutcome = "good"
	ScrubHealed ScrubOutcome = "healed"      // it was damaged or gone, was fetched again, and is good
	ScrubBad    ScrubOutcome = "bad"         // it is damaged or gone, and could not be fetched again
	ScrubFailed ScrubOutcome = "failed"      // nothing can be said of it
	ScrubBusy   ScrubOutcome = "busy"        // somebody works on it: it was left alone
	ScrubDry    ScrubOutcome = "would scrub" // of a dry run
)

// A Scrubbed is the report about one copy.
type Scrubbed struct {
	Run     *rundb.Run
	Copy    rundb.Copy // as its record is now
	Outcome ScrubOutcome
	Found   error  // what was wrong with it; nil if it was good
	Err     error  // why it could not be healed; nil if it is good now
	Next    string // what a person can do; may be ""
}

// Scrub reads the copies of this site again now, oldest verified first: those that
// are due, or with All, or if runs are named (Env.Only), whatever the age of their
// verification, and those that were found damaged before. One that is damaged or
// gone is fetched again from other sites, if one has the files, and read once more.
// What was read has a new verified_at, so that a scrub that was ended goes on where
// it was. The error is that of the run database, or of ctx, and ends it.
func (e *Env) Scrub(ctx context.Context, o ScrubOptions) iter.Seq2[Scrubbed, error] {
	return func(yield func(Scrubbed, error) bool) {
		if err := e.onDisk("scrub"); err != nil {
			yield(Scrubbed{}, err)
			return
		}
		var pace *pacer
		if o.Rate > 0 {
			pace = newPacer(e.Clock, func(time.Time) int64 { return o.Rate })
		}
		list, err := e.scrubList(ctx, rundb.Transferred, rundb.Failed, rundb.Transferring)
		if err != nil {
			yield(Scrubbed{}, err)
			return
		}
		for _, item := range list {
			s, ok, err := e.scrubOne(ctx, item, o, pace)
			if err != nil || ok {
				if !yield(s, err) || err != nil {
					return
				}
			}
		}
	}
}

// scrubOne scrubs one copy; ok is false if it is none to be scrubbed.
func (e *Env) scrubOne(ctx context.Context, item scrubItem, o ScrubOptions, pace *pacer) (s Scrubbed, ok bool, err error) {
	r, err := e.Store.Get(ctx, item.run)
	if errors.Is(err, rundb.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return s, false, err
	}
	k := item.copy.Key
	c, there := r.Copy(k)
	s = Scrubbed{Run: r, Copy: c}
	switch {
	case !there, c.Status != rundb.Transferred && !damaged(&c),
		c.Status == rundb.Transferred && !o.All && !e.Only.Named() && !e.Policy.stale(&c, now):
		return s, false, nil
	case c.Claim != nil && e.liveness(c.Claim, now) == ownerAlive:
		s.Outcome, s.Err = ScrubBusy, fmt.Errorf("pid %d on %s works on the copy", c.Claim.Owner.PID, c.Claim.Owner.Host)
		return s, true, nil
	case e.DryRun:
		s.Outcome = ScrubDry
		return s, true, nil
	}
	d := Decision{Task: "Scrub", Verb: Do, What: "scrub", Key: k, Why: "asked for by " + e.Store.By}
	d.about(r)
	again := reading{d: d, keep: true, pace: pace}
	if c.Status == rundb.Failed && ofBytes(c.Error.Class) || c.Status == rundb.Transferred {
		s.Found = e.reread(ctx, r, &c, again)
	} else {
		s.Found = fmt.Errorf("%s at %s: %s", r, k.Host, c.Error.Text)
	}
	switch class := classify(s.Found); {
	case ctx.Err() != nil:
		return s, true, ctx.Err()
	case s.Found == nil:
		s.Outcome = ScrubGood
	case errors.Is(s.Found, rundb.ErrConflict):
		s.Outcome, s.Err, s.Found = ScrubBusy, errors.New("its record has changed meanwhile"), nil
	case c.Status == rundb.Transferred && !ofBytes(class):
		s.Outcome, s.Err, s.Found = ScrubFailed, s.Found, nil
	default:
		err = e.heal(ctx, &s, again)
	}
	if err != nil {
		return s, true, err
	}
	if s.Run, err = e.Store.Get(ctx, item.run); err == nil {
		s.Copy, _ = s.Run.Copy(k)
	}
	return s, true, err
}

// heal fetches a damaged copy again and reads what came. err is that of ctx.
func (e *Env) heal(ctx context.Context, s *Scrubbed, o reading) error {
	k := s.Copy.Key
	s.Outcome = ScrubBad
	e.Log.Error("a copy is damaged", append(fields(o.d), zap.Error(s.Found))...)
	d, err := badChecksumTask{}.repair(ctx, e, s.Run.ID, k)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.Err = err; err == nil && d.Verb != Do && d.Why != "" {
		s.Err = errors.New(d.Why)
	}
	s.Next = d.Next
	r, err := e.Store.Get(ctx, s.Run.ID)
	if err != nil {
		return err
	}
	c, ok := r.Copy(k)
	if !ok || c.Status != rundb.Transferred {
		return nil
	}
	if s.Err, s.Next = e.reread(ctx, r, &c, o), ""; ctx.Err() != nil {
		return ctx.Err()
	}
	if s.Err == nil {
		s.Outcome = ScrubHealed
		e.event(ctx, r, k, "healed", "what was damaged was fetched again and has been read from the disk", nil)
	}
	return nil
}
