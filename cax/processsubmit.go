package cax

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strconv"
	"sync"
	"text/template"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// JobVariable is the environment variable that tells a batch job its key.
const JobVariable = "CAX_JOB"

// A submission is what one plan would submit. The first of its actions that is applied
// submits all, so that arrays of jobs save calls of the batch system; the others tell
// what became of theirs.
type submission struct {
	env   *Env
	task  processTask
	jobs  jobView
	items []*submittal
	once  sync.Once
}

// A submittal is one product of one run for which a job is to be submitted.
type submittal struct {
	run     rundb.ID
	product product
	d       Decision
	err     error

	job    process.Job
	now    *rundb.Run
	held   *rundb.Held
	before *rundb.CopyError
	fresh  bool // the record is new
}

func (s *submission) add(r *rundb.Run, p product, d Decision) {
	s.items = append(s.items, &submittal{run: r.ID, product: p, d: d, err: ErrNotNeeded})
}

// actions are those for which there is room; the others wait.
func (s *submission) actions() iter.Seq[Action] {
	return func(yield func(Action) bool) {
		room := max(0, s.jobs.room)
		full := s.items[min(room, len(s.items)):]
		s.items = s.items[:min(room, len(s.items))]
		for _, i := range s.items {
			a := Action{Decision: i.d, remote: batchRemote, apply: func(ctx context.Context) error {
				s.once.Do(func() { s.submit(ctx) })
				return i.err
			}}
			if !yield(a) {
				return
			}
		}
		for _, i := range full {
			i.d.Verb, i.d.Why = Wait, fmt.Sprintf("the queue is full: at most %d jobs", s.env.Site.Batch.WithDefaults().MaxJobs)
			if !yield(Action{Decision: i.d, remote: batchRemote}) {
				return
			}
		}
	}
}

// submit claims all products for which there still is room, then submits their jobs.
func (s *submission) submit(ctx context.Context) {
	env := s.env
	env.queue.submitting.Lock() // so that each sees what the one before took
	defer env.queue.submitting.Unlock()
	fail := func(err error) {
		for _, i := range s.items {
			i.err = err
		}
	}
	q, err := env.jobs()
	if err != nil {
		fail(err)
		return
	}
	v := env.viewJobs(ctx)
	if v.err != nil {
		fail(v.err)
		return
	}
	if err := env.tidyJobs(ctx, q, v); err != nil {
		env.Log.Warn("old jobs stay", zap.Error(err))
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		fail(err)
		return
	}
	var claimed []*submittal
	for _, i := range s.items {
		if len(claimed) >= v.room || ctx.Err() != nil {
			break
		}
		if i.err = s.claim(ctx, i, now, v); i.err == nil {
			claimed = append(claimed, i)
		}
	}
	// Alike ones side by side: they go into one array.
	slices.SortStableFunc(claimed, func(a, b *submittal) int { return a.job.Resources.CPUs - b.job.Resources.CPUs })
	jobs := make([]process.Job, len(claimed))
	for n, i := range claimed {
		jobs[n] = i.job
	}
	receipts, _ := q.Submit(ctx, jobs) // its error joins those of the receipts
	for n, r := range receipts {
		claimed[n].err = s.settled(ctx, claimed[n], r, now)
	}
}

// claim claims one product for a job, and makes the job.
func (s *submission) claim(ctx context.Context, i *submittal, now time.Time, v jobView) error {
	env, site := s.env, s.env.Site
	r, err := env.Store.Get(ctx, i.run)
	if err != nil {
		return err
	}
	if d := s.task.decide(env, r, i.product, now, v); d.Verb != Do || d.What != doSubmit {
		return ErrNotNeeded
	}
	i.now = r
	rec, err := site.recipe(r, i.product)
	if err != nil {
		return err
	}
	key := newJobKey()
	if i.job, err = env.job(r, i.product, rec, key); err != nil {
		return err
	}
	if err := env.noteJob(key, r, i.d.Key); err != nil {
		return err
	}
	i.held, i.before, i.fresh, err = env.claimProduct(ctx, r, i.product, rec, making{job: key})
	if err != nil {
		os.Remove(env.notePath(key))
		if errors.Is(err, rundb.ErrConflict) {
			return ErrNotNeeded
		}
		return err
	}
	return nil
}

// settled does what a receipt asks for.
func (s *submission) settled(ctx context.Context, i *submittal, receipt process.Receipt, now time.Time) error {
	env, err := s.env, receipt.Err
	if err == nil || errors.Is(err, process.ErrUncertain) {
		what := "submitted"
		if err != nil {
			// The claim stays: the next list of jobs tells what came of it.
			env.Log.Warn("job may or may not have been taken", append(fields(i.d), zap.Error(err))...)
			what = "perhaps submitted"
		}
		env.event(ctx, i.now, i.d.Key, "submitted", fmt.Sprintf("%s: %s", what, i.d.Why),
			bson.D{{Key: "job", Value: string(receipt.Key)}, {Key: "id", Value: receipt.ID}})
		env.Log.Info("job "+what, append(fields(i.d), zap.String("job", receipt.ID), zap.String("why", i.d.Why))...)
		return nil
	}
	os.Remove(env.notePath(string(receipt.Key)))
	uctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.Policy.ShutdownGrace)
	defer cancel()
	fail := i.before
	if !errors.Is(err, process.ErrUnavailable) && ctx.Err() == nil {
		fail = env.Policy.failure(i.before, err, now)
		i.fresh = false
		env.event(ctx, i.now, i.d.Key, "failed", err.Error(), bson.D{{Key: "class", Value: fail.Class}, {Key: "tries", Value: int32(fail.Tries)}})
	}
	if i.fresh {
		return errors.Join(err, i.held.Withdraw(uctx))
	}
	return errors.Join(err, i.held.Finish(uctx, bson.D{{Key: "status", Value: string(rundb.Failed)}, {Key: "error", Value: fail.BSON()}}))
}

// newJobKey is 128 random bits. crypto/rand does not fail.
func newJobKey() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// job makes the batch job for a product: cax --once for its run.
func (e *Env) job(r *rundb.Run, p product, rec recipe, key string) (process.Job, error) {
	b := e.Site.Batch.WithDefaults()
	if len(e.Program) == 0 {
		return process.Job{}, errors.New("it is not known how a job calls cax: Env.Program is not set")
	}
	if e.CPUs > 0 {
		b.CPUs = e.CPUs
	}
	cpus := b.CPUs
	if p.part != "" || rec.input.Events < 1000 {
		cpus = 1
	}
	command := append([]string{"env", JobVariable + "=" + key}, e.Program...)
	command = append(command, "--once", "--ncpu", strconv.Itoa(cpus), "--log-file", "cax.log")
	if r.Number > 0 && r.Detector == "tpc" {
		command = append(command, "--run", strconv.FormatInt(r.Number, 10))
	} else {
		command = append(command, "--name="+r.Name)
	}
	data := process.JobData{Use: string(p.typ), Number: int(r.Number), Name: r.Name, Detector: r.Detector, Version: p.version,
		Command: command, Dir: ".", Group: b.Group}
	for _, w := range b.Setup {
		t, err := template.New("setup").Option("missingkey=error").Parse(w)
		if err != nil {
			return process.Job{}, fmt.Errorf("batch.setup: %w", err)
		}
		var out bytes.Buffer
		if err := t.Execute(&out, data); err != nil {
			return process.Job{}, fmt.Errorf("batch.setup: %w", err)
		}
		data.Setup = append(data.Setup, out.String())
	}
	t, err := e.jobTemplate()
	if err != nil {
		return process.Job{}, err
	}
	script, err := t.Execute(data)
	if err != nil {
		return process.Job{}, err
	}
	return process.Job{Key: process.Key(key), Name: jobName(r, p.key(e.Site)), Script: script, Resources: process.Resources{
		CPUs: cpus, MemoryPerCPU: b.Memory, Walltime: b.Walltime, Partition: b.Partition, QOS: b.QOS, Account: b.Account,
		Reservation: b.Reservation, Extra: b.Options}}, nil
}

// jobTemplate reads the template of jobs.
func (e *Env) jobTemplate() (*process.Template, error) {
	name, text := "of package process", process.DefaultTemplate()
	if f := e.Site.Batch.Template; f != "" {
		b, err := os.ReadFile(expandHome(f))
		if err != nil {
			return nil, fmt.Errorf("batch.template: %w", err)
		}
		name, text = f, string(b)
	}
	return process.ParseTemplate(name, text)
}
