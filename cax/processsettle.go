package cax

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// A jobError says how a job ended that did not record its outcome itself.
type jobError struct {
	class string
	text  string
}

func (e *jobError) Error() string { return e.text }

// jobReason is why a job ended, in words.
func jobReason(s process.Status) string {
	why := fmt.Sprintf("job %s: %s", s.ID, s.State)
	if s.State == process.StateSucceeded {
		why = fmt.Sprintf("job %s ended well, and left nothing", s.ID)
	}
	if s.Reason != "" {
		why += ", " + s.Reason
	}
	if s.Node != "" {
		why += " (on " + s.Node + ")"
	}
	return why
}

// jobClass is the class of a failure by how a job ended.
func jobClass(s process.State) string {
	switch s {
	case process.StateCancelled:
		return ClassCancelled
	case process.StateTimeout:
		return ClassTimeout
	case process.StateMemory:
		return ClassMemory
	case process.StateNodeLost, process.StateLost:
		return ClassNode
	case process.StateNotStarted:
		return ClassNotStarted
	}
	return ClassJob
}

// logTail is how much of a log goes into a record, in bytes.
const logTail = 2000

// ended makes the error of a job that has ended.
func ended(s process.Status) error {
	e := &jobError{jobClass(s.State), jobReason(s)}
	if tail, err := process.Tail(s.Log, logTail); err == nil && tail != "" {
		e.text += "; the end of its log:\n" + tail
	}
	return e
}

// settle records what became of a product whose maker did not do so.
func (t processTask) settle(ctx context.Context, env *Env, r *rundb.Run, p product, d Decision, now time.Time, jobs jobView) error {
	c, _ := r.Copy(p.key(env.Site))
	job := c.Claim.Job
	left := leftovers(&c, env.Owner)
	var cause error
	if s, ok := jobs.byKey[job]; ok {
		cause = ended(s)
	}
	held, err := env.Store.Reclaim(ctx, r.ID, c, c.Status, rundb.Claim{Kind: rundb.ClaimProcess, Source: env.Site.Name, Owner: env.Owner, Left: left})
	if errors.Is(err, rundb.ErrConflict) {
		return ErrNotNeeded // it recorded its outcome after all
	}
	if err != nil {
		return err
	}
	if cause == nil {
		// Not a failure of the product: it was never begun, or broken off.
		cause = fmt.Errorf("%s: %w", d.Why, context.Canceled)
	}
	fail := env.Policy.failure(c.Error, cause, now)
	fail.Left = left
	if err := held.Finish(ctx, bson.D{{Key: "status", Value: string(rundb.Failed)}, {Key: "error", Value: fail.BSON()}}); err != nil {
		return err
	}
	env.event(ctx, r, d.Key, happened(fail.Class), cause.Error(), bson.D{{Key: "class", Value: fail.Class}, {Key: "tries", Value: int32(fail.Tries)},
		{Key: "next_try", Value: fail.NextTry}, {Key: "job", Value: job}})
	env.Log.Warn("job left no outcome", append(fields(d), zap.String("class", fail.Class), zap.Int("tries", fail.Tries), zap.String("why", d.Why))...)
	return nil
}
