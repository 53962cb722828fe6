package cax

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/local"
	"github.com/cax-go/cax/process/slurm"
	"github.com/cax-go/cax/rundb"
)

// jobQueue is the queue of a site, opened when it is first needed. It is safe for
// concurrent use.
type jobQueue struct {
	mu     sync.Mutex
	queue  *process.Queue
	system process.Batch
	tidied time.Duration // when old jobs were forgotten, on Clock.Elapsed

	submitting sync.Mutex
}

// The folders below that of a site's batch system.
const (
	poolDir = "pool"
	runsDir = "runs"
)

// Pool opens the local pool of this site. It is served where that is called: see
// [local.Batch.Serve].
func (e *Env) Pool() (*local.Batch, error) { return e.pool(nil) }

func (e *Env) pool(server []string) (*local.Batch, error) {
	b := e.Site.Batch.WithDefaults()
	if b.System != BatchLocal {
		return nil, fmt.Errorf("%s has no local pool: its batch system is %q", e.Site.Name, b.System)
	}
	return local.New(filepath.Join(b.Folder, poolDir), &local.Options{Slots: b.Slots, Server: server, Env: append(os.Environ(), e.Environ...), Keep: b.Keep})
}

// jobs opens the queue.
func (e *Env) jobs() (*process.Queue, error) {
	e.queue.mu.Lock()
	defer e.queue.mu.Unlock()
	if e.queue.queue != nil {
		return e.queue.queue, nil
	}
	b := e.Site.Batch.WithDefaults()
	var system process.Batch
	switch b.System {
	case BatchSlurm:
		// Accounting is asked only where it is: without it sacct knows nothing.
		system = slurm.New(&slurm.Options{Env: append(os.Environ(), e.Environ...), Accounting: true})
	case BatchLocal:
		var server []string
		if e.Program != nil {
			server = append(append(server, e.Program...), "pool")
		}
		pool, err := e.pool(server)
		if err != nil {
			return nil, err
		}
		system = pool
	default:
		return nil, fmt.Errorf("%s has no batch system", e.Site.Name)
	}
	q, err := process.OpenQueue(b.Folder, system, &process.QueueOptions{MaxArray: b.MaxArray, AtOnce: b.AtOnce, Pace: b.Pace})
	if err == nil {
		err = os.MkdirAll(filepath.Join(b.Folder, runsDir), 0o755)
	}
	if err != nil {
		return nil, err
	}
	e.queue.queue, e.queue.system = q, system
	return q, nil
}

// askBatch asks the batch system itself, which a queue without open jobs does not.
func (e *Env) askBatch(ctx context.Context) error {
	if _, err := e.jobs(); err != nil {
		return err
	}
	_, err := e.queue.system.Entries(ctx, "")
	return err
}

// A jobView is what is known of the jobs of a site at one moment.
type jobView struct {
	byKey map[string]process.Status
	err   error // the batch system does not answer, or was not asked
	room  int   // how many may be submitted
}

// errNotAsked: a dry run does nothing, and the batch system's list is kept in files.
var errNotAsked = errors.New("the batch system was not asked")

// viewJobs asks the batch system.
func (e *Env) viewJobs(ctx context.Context) jobView {
	b := e.Site.Batch.WithDefaults()
	v := jobView{room: b.MaxJobs}
	if b.System == "" {
		return jobView{err: fmt.Errorf("%s has no batch system", e.Site.Name)}
	}
	if _, err := os.Stat(filepath.Join(b.Folder, runsDir)); errors.Is(err, fs.ErrNotExist) {
		return v
	}
	if e.DryRun {
		return jobView{err: errNotAsked, room: b.MaxJobs}
	}
	q, err := e.jobs()
	if err != nil {
		return jobView{err: err}
	}
	all, err := q.Jobs(ctx)
	v.err, v.byKey = err, map[string]process.Status{}
	for _, s := range all {
		v.byKey[string(s.Key)] = s
	}
	if v.room = b.MaxJobs - process.Active(all); err != nil {
		v.room = 0
	}
	return v
}

// A JobNote says what a job is for. It lies beside the queue, because names of jobs are
// for people.
type JobNote struct {
	Number  int64      `json:"number"`
	Name    string     `json:"name"`
	Type    rundb.Type `json:"type"`
	Version string     `json:"pax_version,omitempty"`
	Host    string     `json:"host"`
}

func (e *Env) notePath(key string) string {
	return filepath.Join(e.Site.Batch.Folder, runsDir, key+".json")
}

func (e *Env) noteJob(key string, r *rundb.Run, k rundb.Key) error {
	b, err := json.Marshal(JobNote{Number: r.Number, Name: r.Name, Type: k.Type, Version: k.Version, Host: k.Host})
	if err != nil {
		return err
	}
	return os.WriteFile(e.notePath(key), b, 0o644)
}

// A SiteJob is a job of a site's queue.
type SiteJob struct {
	process.Status
	For JobNote
	Age time.Duration // since it was submitted; 0: not known
}

// MarshalJSON gives it as one object, as cax jobs prints it.
func (j SiteJob) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		process.Status
		Job     string     `json:"job"`
		Number  int64      `json:"number"`
		Name    string     `json:"name"` // of the run, not of the job
		Type    rundb.Type `json:"type"`
		Version string     `json:"pax_version"`
		Host    string     `json:"host"`
		Age     float64    `json:"age_seconds"`
	}{j.Status, j.Status.Name, j.For.Number, j.For.Name, j.For.Type, j.For.Version, j.For.Host, j.Age.Seconds()})
}

// Jobs lists the jobs of this site's queue. If the batch system does not answer, the
// error wraps [process.ErrUnavailable], and with it comes what is known without it.
func (e *Env) Jobs(ctx context.Context) ([]SiteJob, error) {
	b := e.Site.Batch
	if b.System == "" {
		return nil, fmt.Errorf("%s has no batch system: set its key batch", e.Site.Name)
	}
	if _, err := os.Stat(filepath.Join(b.Folder, runsDir)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	q, err := e.jobs()
	if err != nil {
		return nil, err
	}
	all, err := q.Jobs(ctx)
	var out []SiteJob
	for _, s := range all {
		j := SiteJob{Status: s}
		if text, err := os.ReadFile(e.notePath(string(s.Key))); err == nil && json.Unmarshal(text, &j.For) != nil {
			j.For = JobNote{}
		}
		if !s.Submitted.IsZero() {
			j.Age = max(0, e.Clock.now().Sub(s.Submitted))
		}
		out = append(out, j)
	}
	return out, err
}

// tidyJobs forgets jobs that ended long ago, now and then.
func (e *Env) tidyJobs(ctx context.Context, q *process.Queue, v jobView) error {
	now := e.Clock.elapsed()
	e.queue.mu.Lock()
	due := e.queue.tidied == 0 || now-e.queue.tidied >= time.Hour
	if due {
		e.queue.tidied = max(now, 1)
	}
	e.queue.mu.Unlock()
	if !due {
		return nil
	}
	keep := e.Site.Batch.WithDefaults().Keep
	var errs []error
	for k, s := range v.byKey {
		if s.State.Final() && e.Clock.now().Sub(s.Ended) >= keep {
			if err := q.Forget(ctx, s.Key); err != nil {
				errs = append(errs, err)
				continue
			}
			if err := os.Remove(e.notePath(k)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// jobName is what people see in the queue, as the original has it.
func jobName(r *rundb.Run, k rundb.Key) string {
	run := strconv.FormatInt(r.Number, 10)
	if r.Number == 0 || r.Detector != "tpc" {
		run = r.Name
	}
	return fmt.Sprintf("%s_%s_%s", k.Type, run, k.Version)
}
