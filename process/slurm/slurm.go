package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/process"
)

// Options say how to reach Slurm. nil is the same as the zero value.
type Options struct {
	// Env is the environment of the programs, and so of the jobs; nil: that of this
	// process. See the package comment for what is left out.
	Env []string
	// Timeout is for one call of one program; 0: 90 s. A controller that is down
	// takes sbatch and squeue about 10 s each.
	Timeout time.Duration
	// Accounting: sacct can tell about jobs that squeue has forgotten.
	Accounting bool
	// Extra are options of sbatch for all jobs, one a word, as "--clusters=a".
	// Those of a job come after them.
	Extra []string
}

// Batch is a Slurm cluster. It is safe for concurrent use.
type Batch struct {
	env     []string
	timeout time.Duration
	account bool
	extra   []string
}

// New makes a Batch. Nothing is asked of Slurm yet.
func New(o *Options) *Batch {
	if o == nil {
		o = &Options{}
	}
	b := &Batch{env: environment(o.Env), timeout: o.Timeout, account: o.Accounting, extra: slices.Clone(o.Extra)}
	if b.timeout == 0 {
		b.timeout = 90 * time.Second
	}
	return b
}

var _ interface {
	process.Batch
	process.Accounter
} = (*Batch)(nil)

// environment leaves out what would change the programs' defaults.
func environment(env []string) []string {
	if env == nil {
		env = os.Environ()
	}
	kept := []string{} // not nil, which would mean all
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		foreign := slices.ContainsFunc([]string{"SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_", "SACCT_"},
			func(p string) bool { return strings.HasPrefix(name, p) })
		if !foreign || name == "SLURM_CONF" {
			kept = append(kept, e)
		}
	}
	return kept
}

// Submit gives one job, or an array of jobs, to sbatch.
func (b *Batch) Submit(ctx context.Context, s process.Submission) ([]string, error) {
	args, err := sbatchArgs(s, b.extra)
	if err != nil {
		return nil, &process.Error{Op: "sbatch", What: s.Name, Kind: process.ErrInvalid, Err: err}
	}
	out, err := b.run(ctx, "sbatch", args...)
	if err != nil {
		return nil, err
	}
	id, err := parseSbatch(out)
	if err != nil {
		return nil, &process.Error{Op: "sbatch", Kind: process.ErrUnavailable, Err: err}
	}
	ids := make([]string, s.Tasks)
	for i := range ids {
		ids[i] = id
		if s.Tasks > 1 {
			ids[i] += "_" + strconv.Itoa(i)
		}
	}
	return ids, nil
}

// Entries asks squeue for all jobs of this user, and keeps those of the queue.
func (b *Batch) Entries(ctx context.Context, queue string) ([]process.Entry, error) {
	out, err := b.run(ctx, "squeue", "--me", "--states=all", "--array", "--noheader", "--format="+squeueFormat)
	if err != nil {
		return nil, unavailable(err)
	}
	entries, err := parseSqueue(out, queue)
	if err != nil {
		return nil, &process.Error{Op: "squeue", Kind: process.ErrUnavailable, Err: err}
	}
	return entries, nil
}

// Account asks sacct; without Options.Accounting it knows nothing.
func (b *Batch) Account(ctx context.Context, ids []string) ([]process.Entry, error) {
	if !b.account {
		return nil, nil
	}
	var all []process.Entry
	for part := range slices.Chunk(ids, 200) {
		out, err := b.run(ctx, "sacct", "--allocations", "--noheader", "--parsable2", "--format="+sacctFormat, "--jobs="+strings.Join(part, ","))
		if err != nil {
			return nil, unavailable(err)
		}
		entries, err := parseSacct(out)
		if err != nil {
			return nil, &process.Error{Op: "sacct", Kind: process.ErrUnavailable, Err: err}
		}
		all = append(all, entries...)
	}
	return all, nil
}

// Cancel calls scancel. It says nothing about jobs that have ended.
func (b *Batch) Cancel(ctx context.Context, ids []string) error {
	var errs []error
	for part := range slices.Chunk(ids, 200) {
		if _, err := b.run(ctx, "scancel", part...); err != nil {
			errs = append(errs, unavailable(err))
		}
	}
	return errors.Join(errs...)
}

// unavailable: whatever keeps squeue, sacct and scancel from working, nothing is
// known then.
func unavailable(err error) error {
	var e *process.Error
	if errors.As(err, &e) {
		e.Kind = process.ErrUnavailable
	}
	return err
}

// sbatchArgs are the arguments of sbatch. All values are words of their own:
// no shell and no #SBATCH line comes between.
func sbatchArgs(s process.Submission, extra []string) ([]string, error) {
	if strings.ContainsFunc(s.Dir, func(c rune) bool { return c < ' ' || c == '\\' }) {
		return nil, fmt.Errorf("sbatch cannot take the folder %q: no backslashes and control characters", s.Dir)
	}
	r := s.Resources
	dir := strings.ReplaceAll(s.Dir, "%", "%%") // % stands for more in file names
	args := append([]string{"--parsable"}, extra...)
	args = append(args, r.Extra...)
	args = append(args, "--comment="+comment(s.Queue, s.ID), "--job-name="+jobName(s.Name),
		"--open-mode=append", "--chdir=/", "--export=ALL", "--no-requeue", "--kill-on-invalid-dep=yes",
		"--nodes=1", "--ntasks=1", "--cpus-per-task="+strconv.Itoa(r.Cores()))
	if s.Tasks > 1 {
		array := "--array=0-" + strconv.Itoa(s.Tasks-1)
		if s.AtOnce > 0 {
			array += "%" + strconv.Itoa(s.AtOnce)
		}
		args = append(args, array, "--output="+dir+"/%a/log")
	} else {
		args = append(args, "--output="+dir+"/0/log")
	}
	if r.MemoryPerCPU > 0 {
		args = append(args, fmt.Sprintf("--mem-per-cpu=%dM", (r.MemoryPerCPU+1<<20-1)>>20))
	}
	if r.Walltime > 0 {
		args = append(args, "--time="+strconv.FormatInt(int64((r.Walltime+time.Minute-1)/time.Minute), 10))
	}
	for _, o := range []struct{ name, value string }{
		{"partition", r.Partition}, {"qos", r.QOS}, {"account", r.Account}, {"reservation", r.Reservation},
	} {
		if o.value != "" {
			args = append(args, "--"+o.name+"="+o.value)
		}
	}
	if len(s.After) > 0 {
		args = append(args, "--dependency=afterok:"+strings.Join(s.After, ":"))
	}
	args = append(args, s.Launcher)
	if s.Tasks == 1 {
		args = append(args, "0")
	}
	return args, nil
}

// comment is how a submission is found again.
func comment(queue, id string) string { return "cax:" + queue + ":" + id }

// jobName is what people see. Slurm takes up to 1024 bytes; 128 fit on a screen.
func jobName(name string) string {
	clean := strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' {
			return '_'
		}
		return c
	}, name)
	if clean == "" {
		clean = "cax"
	}
	return clean[:min(len(clean), 128)]
}
