package cax

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// work is one copy that this process has claimed and works on.
type work struct {
	env      *Env
	run      *rundb.Run
	d        Decision
	held     *rundb.Held
	before   *rundb.CopyError // of the record before it was claimed
	left     rundb.Leftovers  // of earlier claims, until they are taken over
	evidence bson.D
	progress transfer.Progress
	mu       sync.Mutex // guards left

	// keep, if not "", is the status that the copy keeps after a failure that says
	// nothing against its bytes.
	keep rundb.Status

	// leave, if not nil, reports that nothing is recorded about a failure: the claim
	// stays as it is, for whoever looks after it.
	leave func(error) bool

	// done, if not nil, is called when the outcome is on record.
	done func(context.Context) error

	// failed, if not nil, is the status that a failure leaves; nil: error.
	failed func(error) rundb.Status
}

// under runs f under a lease and records its outcome. f returns the status that
// the copy gets and further fields of its record. confirm, given to f, succeeds
// only if the claim is ours at that moment.
func (w *work) under(ctx context.Context, f func(ctx context.Context, confirm func(context.Context) error) (rundb.Status, bson.D, error)) error {
	env := w.env
	w.event(ctx, "claimed", w.d.Why, bson.D{{Key: "what", Value: w.d.What}, {Key: "claim", Value: w.held.ID}})
	env.Log.Info(w.d.What+" begins", append(fields(w.d), zap.String("why", w.d.Why))...)

	var end func(error)
	w.progress, end = env.begin(w.d)
	began := env.Clock.elapsed()
	leased, l := hold(ctx, w.held, env.Policy, env.Clock, env.Log)
	status, set, err := safely(func() (rundb.Status, bson.D, error) { return f(leased, l.confirm) })
	cause := context.Cause(leased)
	l.stop()
	took := (env.Clock.elapsed() - began).Round(time.Millisecond)

	if err != nil && errors.Is(cause, ErrLeaseLost) {
		err = fmt.Errorf("%w: another process may go on with it", ErrLeaseLost)
	}
	err = w.record(ctx, status, set, err)
	end(err)
	switch {
	case err == nil:
		env.Log.Info(w.d.What+" done", append(fields(w.d), zap.String("status", string(status)), zap.Duration("took", took))...)
	case errors.Is(err, context.Canceled):
		env.Log.Info(w.d.What+" interrupted, goes on at the next start", fields(w.d)...)
	}
	return err
}

// A defect is a panic in a task.
type defect struct {
	what  any
	stack []byte
}

func (d *defect) Error() string {
	return fmt.Sprintf("internal error: %v; please report it, with the stack from the log", d.what)
}

// safely turns a panic into an error: a defect that one dataset meets must not end
// the work on all others, nor leave a claim that looks alive.
func safely(f func() (rundb.Status, bson.D, error)) (status rundb.Status, set bson.D, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &defect{what: p, stack: debug.Stack()}
		}
	}()
	return f()
}

// record writes what became of the work, under the claim. What it returns is the
// error of the work, or its own.
func (w *work) record(ctx context.Context, status rundb.Status, set bson.D, err error) error {
	if errors.Is(err, ErrLeaseLost) {
		// The record is somebody else's now.
		return w.error(err)
	}
	// The signal that ended the work must not keep its end from being recorded.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.env.Policy.ShutdownGrace)
	defer cancel()
	if err == nil {
		set = append(bson.D{{Key: "status", Value: string(status)}, {Key: "error", Value: nil}}, set...)
		if w.keep == "" {
			set = append(set, bson.E{Key: "permissions", Value: nil}) // its files are new
		}
		if err = w.held.Finish(ctx, set); err == nil {
			what := map[rundb.Status]string{rundb.Transferred: "transferred", rundb.Verifying: "copied"}[status]
			w.event(ctx, what, fmt.Sprintf("%s: %s", w.d.What, w.d.Why), w.evidence)
			if w.done != nil {
				if err := w.done(ctx); err != nil {
					return w.error(err)
				}
			}
			return nil
		}
		if errors.Is(err, rundb.ErrConflict) {
			return w.error(fmt.Errorf("%w: %w", ErrLeaseLost, err))
		}
	}
	if w.leave != nil && w.leave(err) {
		return w.error(err)
	}
	now, nerr := w.env.Store.Now(ctx)
	if nerr != nil {
		now = w.env.Clock.now()
	}
	err = w.env.contested(ctx, w.run, w.d.Key, err)
	fail := w.env.Policy.failure(w.before, err, now)
	if w.keep == "" {
		fail.Left = w.leaves(err)
	}
	status = rundb.Failed
	if w.failed != nil {
		status = w.failed(err)
	}
	if w.keep != "" && !ofBytes(fail.Class) {
		status = w.keep
	}
	ferr := w.held.Finish(ctx, bson.D{{Key: "status", Value: string(status)}, {Key: "error", Value: fail.BSON()}})
	if ferr != nil {
		return w.error(errors.Join(err, fmt.Errorf("recording the failure: %w", ferr)))
	}
	if w.before == nil || w.before.Class != fail.Class || w.before.Text != fail.Text {
		// The same failure again is counted in the record, not told again.
		w.event(ctx, happened(fail.Class), err.Error(), append(bson.D{{Key: "class", Value: fail.Class}, {Key: "tries", Value: int32(fail.Tries)},
			{Key: "next_try", Value: fail.NextTry}}, foundEvidence(err)...))
	}
	return w.error(err)
}

// happened is the event of a failure.
func happened(class string) string {
	switch class {
	case ClassConflict:
		return "conflict"
	case ClassInterrupted:
		return "interrupted"
	}
	return "failed"
}

// staged notes that what earlier claims left is in this one's staging, in the
// record too, so that the next holder need not look for it.
func (w *work) staged(ctx context.Context) {
	w.mu.Lock()
	had := len(w.left.Continue)+len(w.left.Adopt) > 0
	w.left = rundb.Leftovers{}
	w.mu.Unlock()
	if !had {
		return
	}
	if err := w.held.Set(ctx, bson.D{{Key: "claim.continue", Value: nil}, {Key: "claim.adopt", Value: nil}}); err != nil {
		w.env.Log.Debug("leftovers stay on record", append(fields(w.d), zap.Error(err))...)
	}
}

// leaves says what the next holder may find in staging after this one's failure.
func (w *work) leaves(err error) rundb.Leftovers {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.left
	if errors.Is(err, transfer.ErrLingering) {
		l.Adopt = append([]string{w.held.ID}, l.Adopt...)
	} else {
		l.Continue = append([]string{w.held.ID}, l.Continue...)
	}
	return l
}

// error names the run and the copy in front of an error.
func (w *work) error(err error) error {
	return fmt.Errorf("%s of %s to %s: %w", w.d.What, w.run, w.d.Key.Host, err)
}

// event appends to the run's history. It never fails the work: what happened has
// happened, and is in the log too.
func (w *work) event(ctx context.Context, what, why string, evidence bson.D) {
	w.env.event(ctx, w.run, w.d.Key, what, why, evidence)
}

// event appends an event about one copy of a run.
func (e *Env) event(ctx context.Context, r *rundb.Run, k rundb.Key, what, why string, evidence bson.D) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.Policy.ShutdownGrace)
	defer cancel()
	err := e.Store.Record(ctx, rundb.Event{Run: r.ID, Number: r.Number, Name: r.Name, Key: k, What: what, Why: why, Evidence: evidence})
	if err != nil {
		e.Log.Warn("event not recorded", zap.String("event", what), zap.String("run", r.Name), zap.String("why", why), zap.Error(err))
	}
}

// fields are what every log line about a decision carries.
func fields(d Decision) []zap.Field {
	f := []zap.Field{zap.String("task", d.Task), zap.Int64("run", d.Number), zap.String("name", d.Name)}
	if d.Key.Type != "" { // else it is about the run
		f = append(f, zap.String("type", string(d.Key.Type)))
	}
	f = append(f, zap.String("site", d.Key.Host))
	if d.Veto {
		f = append(f, zap.String("detector", muonVeto))
	}
	if d.From != "" {
		f = append(f, zap.String("from", d.From))
	}
	if d.Key.Version != "" {
		f = append(f, zap.String("version", d.Key.Version))
	}
	return f
}
