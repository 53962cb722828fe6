package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/process/correction"
	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// correctionTask is AddGains, AddDriftVelocity, SetNeuralNetwork, …: it gives runs that
// have ended the value of a correction by its newest document, and notes the version
// in processor.correction_versions. A run that has the version is left alone. A
// document that cannot be used is told, and nothing else stops.
type correctionTask struct{ kind correction.Kind }

// correctionTasks are the tasks of all corrections, in the original's order.
func correctionTasks() []Task {
	var ts []Task
	for _, k := range correction.Kinds() {
		ts = append(ts, correctionTask{k})
	}
	return ts
}

// onRequest are tasks that run only where a task_list names them, as in the original.
func onRequest(task string) bool {
	return slices.Contains([]string{"SetFieldDistortion", "SetLightCollectionEfficiency", "SetS2xyMap"}, task)
}

// slowControl stands for slow control where others name the site that they talk to.
const slowControl = "slow control"

func (t correctionTask) Name() string { return t.kind.Task }

// Select finds named runs only: which others need the task depends on the newest
// document, which Look reads.
func (t correctionTask) Select(env *Env) []Candidates {
	if !env.Only.Named() {
		return nil
	}
	return []Candidates{{}}
}

func (t correctionTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		doc, err := env.corrected.newest(ctx, env, t.kind)
		if err != nil && !ofDocument(err) {
			yield(Action{}, err)
			return
		}
		for r, rerr := range runs {
			if rerr != nil {
				if !yield(Action{}, rerr) {
					return
				}
				continue
			}
			if !yield(t.action(env, r, doc, err), nil) {
				return
			}
		}
	}
}

// correctedAtOnce is how many runs a cycle of a daemon reads at most: the next one,
// which comes as soon as something is done, finds the others.
const correctedAtOnce = 100

// Look finds the runs that have another version than the newest, by an index, or says
// why the newest document cannot be used.
func (t correctionTask) Look(ctx context.Context, env *Env) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		doc, err := env.corrected.newest(ctx, env, t.kind)
		switch {
		case err != nil && !ofDocument(err):
			yield(Action{}, err)
			return
		case errors.Is(err, errNoCorrection):
			return // this fleet has none
		case err != nil:
			yield(Action{Decision: t.broken(env, err)}, nil)
			return
		}
		if err := t.lacks(env, doc); err != nil {
			if !yield(Action{Decision: t.broken(env, err)}, nil) || t.Name() != correction.Gains {
				return // gains of some runs need nobody
			}
		}
		q := rundb.Query{Names: env.Site.DatasetList, Numbers: doc.Numbers(), Copies: []rundb.CopyMatch{{}},
			Uncorrected: &rundb.Uncorrected{Task: t.Name(), Version: doc.Version}}
		if !env.Once {
			q.Limit = correctedAtOnce
		}
		env.Only.Narrow(&q)
		for r, err := range bothEnds(ctx, env.Store, q, map[rundb.ID]bool{}) {
			a := Action{}
			if err == nil {
				a = t.action(env, r, doc, nil)
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// broken says that the newest document cannot be used.
func (t correctionTask) broken(env *Env, err error) Decision {
	d := Decision{Task: t.Name(), Verb: Call, What: "read correction", Key: rundb.Key{Host: env.Site.Name}}
	d.Why, d.Next = whyAndNext(err)
	if env.corrected.tells(t.Name(), err) {
		env.Log.Error("correction cannot be used", zap.String("task", t.Name()), zap.Error(err))
	}
	return d
}

// whyAndNext takes the next step out of an error.
func whyAndNext(err error) (why, next string) {
	var e *correction.Error
	if !errors.As(err, &e) {
		return err.Error(), ""
	}
	bare := *e
	bare.Hint = ""
	return bare.Error(), e.Hint
}

func (t correctionTask) action(env *Env, r *rundb.Run, doc *correction.Document, err error) Action {
	d := t.decide(env, r, doc, err)
	remote := ""
	if doc != nil && doc.NeedsSlowControl(correction.RunOf(r)) {
		remote = slowControl
	}
	return NewAction(d, remote, func(ctx context.Context) error { return t.run(ctx, env, r.ID, doc) })
}

// decide says whether a run needs the value of a document; err is why there is none.
func (t correctionTask) decide(env *Env, r *rundb.Run, doc *correction.Document, err error) Decision {
	d := Decision{Task: t.Name(), Verb: Skip, What: "set " + t.kind.Field, Key: rundb.Key{Host: env.Site.Name}}
	d.about(r)
	switch has := r.Corrected[t.Name()]; {
	case errors.Is(err, errNoCorrection):
		d.Why = fmt.Sprintf("the run database has no document in %s", t.kind.Collection)
		d.Next = "import one with cax db import, or name a file in corrections of the configuration"
	case err != nil:
		d.Verb = Call
		d.Why, d.Next = whyAndNext(err)
	case !env.Site.Accepts(r.Name):
		d.Why = fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name)
	case r.End.IsZero():
		d.Verb, d.Why = Wait, "the run has not ended"
	case len(r.Data) == 0:
		d.Verb, d.Why = Wait, "the run has no data on record"
	case has == doc.Version:
		d.Why = fmt.Sprintf("it is that of version %s, the newest", has)
	default:
		t.decideValue(env, r, doc, &d)
	}
	return d
}

// decideValue decides about a run that has another version.
func (t correctionTask) decideValue(env *Env, r *rundb.Run, doc *correction.Document, d *Decision) {
	has := r.Corrected[t.Name()]
	if wrote := env.corrected.wrote(r.ID, t.Name()); wrote == doc.Version && has != "" {
		// Two sites with different files would go on like this for ever.
		d.Verb = Call
		d.Why = fmt.Sprintf("we set version %s, the newest here, and somebody else has set version %s since", wrote, has)
		d.Next = "give all sites the same file in corrections of the configuration, or none"
		return
	}
	if f, ok := env.corrected.failed(r.ID, doc, env.Clock.elapsed()); ok && !env.Only.Named() {
		d.Verb = f.verb
		d.Why, d.Next = whyAndNext(f.err)
		return
	}
	run := correction.RunOf(r)
	asks := doc.NeedsSlowControl(run)
	// Values by number cost nothing; others only for runs that somebody asks about.
	if doc.Formula == nil || !asks && env.Only.Named() {
		if _, err := t.value(context.Background(), env, r, doc); err != nil {
			d.Verb = verbOf(err)
			d.Why, d.Next = whyAndNext(err)
			return
		}
	}
	if asks {
		if err := t.lacks(env, doc); err != nil {
			d.Verb = Call
			d.Why, d.Next = whyAndNext(err)
			return
		}
		if err := env.outages.of(slowControl, env.Clock.elapsed()); err != nil {
			d.Verb, d.Why = Wait, "slow control is left alone for now: "+err.Error()
			return
		}
	}
	d.Verb, d.Why = Do, fmt.Sprintf("it has none, and the newest is version %s", doc.Version)
	if has != "" {
		d.Why = fmt.Sprintf("it is that of version %s, and the newest is %s", has, doc.Version)
	}
}

// verbOf is what a failure to compute a value means.
func verbOf(err error) Verb {
	switch {
	case errors.Is(err, correction.ErrNotExist):
		return Skip // there is no value for this run
	case errors.Is(err, correction.ErrUnavailable):
		return Wait
	}
	return Call
}

// lacks says what a document needs and the configuration has not.
func (t correctionTask) lacks(env *Env, doc *correction.Document) error {
	in, err := env.Config.Corrections.inputs()
	if err != nil {
		return err
	}
	return doc.Check(in)
}

func (t correctionTask) value(ctx context.Context, env *Env, r *rundb.Run, doc *correction.Document) (any, error) {
	in, err := env.Config.Corrections.inputs()
	if err != nil {
		return nil, err
	}
	return doc.Value(ctx, correction.RunOf(r), in)
}

// run computes one value and writes it.
func (t correctionTask) run(ctx context.Context, env *Env, id rundb.ID, doc *correction.Document) error {
	r, err := env.Store.Get(ctx, id)
	if errors.Is(err, rundb.ErrNotExist) {
		return ErrNotNeeded
	}
	if err != nil {
		return err
	}
	d := t.decide(env, r, doc, nil)
	if d.Verb != Do {
		return ErrNotNeeded
	}
	began := env.Clock.elapsed()
	v, err := t.value(ctx, env, r, doc)
	if err != nil {
		// What only depends on document and run, and what was not recorded, is so tomorrow too.
		if (!doc.NeedsSlowControl(correction.RunOf(r)) || errors.Is(err, correction.ErrNotExist)) && ctx.Err() == nil {
			env.corrected.fails(id, doc, verbOf(err), err, env.Clock.elapsed())
		}
		return fmt.Errorf("%s of %s: %w", t.kind.Field, r, err)
	}
	if null := nullAbove(r, t.kind.Field, t.kind.VersionField()); null != nil {
		// Nothing can be set below a null.
		err = env.Store.SetRun(ctx, id, null)
	}
	if err == nil {
		err = env.Store.SetRun(ctx, id, bson.D{{Key: t.kind.Field, Value: v}, {Key: t.kind.VersionField(), Value: doc.VersionValue()}})
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", t.kind.Field, r, err)
	}
	env.corrected.writes(id, t.Name(), doc.Version)
	env.event(ctx, r, d.Key, "corrected", fmt.Sprintf("%s: %s", t.Name(), d.Why), bson.D{{Key: "field", Value: t.kind.Field},
		{Key: "collection", Value: string(t.kind.Collection)}, {Key: "document", Value: doc.ID}, {Key: "calculation_time", Value: bson.NewDateTimeFromTime(doc.Calculated)},
		{Key: "version", Value: doc.Version}, {Key: "was", Value: r.Corrected[t.Name()]}})
	env.Log.Info("run corrected", append(fields(d), zap.String("field", t.kind.Field), zap.String("version", doc.Version), zap.String("why", d.Why),
		zap.Duration("took", (env.Clock.elapsed()-began).Round(time.Millisecond)))...)
	return nil
}

// nullAbove removes the fields above some others that are null in a run; nil if there
// are none.
func nullAbove(r *rundb.Run, fields ...string) bson.D {
	var set bson.D
	for _, f := range fields {
		for i := range f {
			if f[i] != '.' {
				continue
			}
			v, err := r.Raw().LookupErr(strings.Split(f[:i], ".")...)
			if err == nil && v.Type == bson.TypeNull && !slices.ContainsFunc(set, func(e bson.E) bool { return e.Key == f[:i] }) {
				set = append(set, bson.E{Key: f[:i], Value: nil})
			}
		}
	}
	return set
}

// correcting collects what the corrections of this site make of a run; those of which
// there is no document say nothing.
func (e *Env) correcting(ctx context.Context, r *rundb.Run) ([]Decision, error) {
	var ds []Decision
	for _, k := range correction.Kinds() {
		t := correctionTask{k}
		if !e.Site.Wants(t.Name()) {
			continue
		}
		doc, err := e.corrected.newest(ctx, e, k)
		switch {
		case errors.Is(err, errNoCorrection):
			continue
		case err != nil && !ofDocument(err):
			return nil, err
		}
		ds = append(ds, t.decide(e, r, doc, err))
	}
	return ds, nil
}
