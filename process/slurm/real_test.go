package slurm_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/processtest"
	"github.com/cax-go/cax/process/slurm"
	"github.com/cax-go/cax/process/slurmtest"
)

// TestSuite: as every batch system. Slurm counts walltime in minutes.
func TestSuite(t *testing.T) {
	c := slurmtest.Start(t, &slurmtest.Options{CPUs: 32})
	processtest.Run(t, processtest.Harness{
		Open:     func(*testing.T) process.Batch { return slurm.New(&slurm.Options{Env: c.Env()}) },
		Walltime: time.Minute,
	})
}

// A lab is a queue on a cluster.
type lab struct {
	*process.Queue
	*slurmtest.Cluster
	t *testing.T
}

func newLab(t *testing.T, c *slurmtest.Cluster, env []string, o *slurm.Options) *lab {
	t.Helper()
	if o == nil {
		o = &slurm.Options{}
	}
	o.Env = append(c.Env(), env...)
	q, err := process.OpenQueue(t.TempDir(), slurm.New(o), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &lab{q, c, t}
}

func job(key process.Key, lines string) process.Job {
	return process.Job{Key: key, Name: string(key), Script: process.Script("#!/bin/sh\n" + lines + "\n")}
}

func (l *lab) submit(jobs ...process.Job) {
	l.t.Helper()
	if _, err := l.Submit(l.t.Context(), jobs); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) await(k process.Key, ok func(process.Status) bool) process.Status {
	l.t.Helper()
	var s process.Status
	for range 600 {
		all, err := l.Jobs(l.t.Context(), k)
		if err != nil {
			l.t.Fatal(err)
		}
		if s = all[0]; ok(s) {
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.t.Fatalf("job %s is %+v", k, s)
	return s
}

func (l *lab) want(k process.Key, state process.State, code int) {
	l.t.Helper()
	s := l.await(k, func(s process.Status) bool { return s.State.Final() })
	if s.State != state || s.ExitCode != code || state != process.StateSucceeded && s.Reason == "" {
		l.t.Errorf("job %s is %+v; want %q with exit code %d", k, s, state, code)
	}
}

func (l *lab) runs(k process.Key) process.Status {
	l.t.Helper()
	return l.await(k, func(s process.Status) bool { return s.State == process.StateRunning && !s.Started.IsZero() })
}

// TestCluster: what goes wrong with a cluster.
func TestCluster(t *testing.T) {
	c := slurmtest.Start(t, &slurmtest.Options{CPUs: 8})
	for _, tc := range []struct {
		name string
		f    func(*testing.T, *slurmtest.Cluster)
	}{
		{"ControllerDown", testControllerDown},
		{"NodeLost", testNodeLost},
		{"Drained", testDrained},
		{"CancelledByOthers", testCancelledByOthers},
		{"Killed", testKilled},
		{"Refused", testRefused},
		{"AnswerTooLate", testAnswerTooLate},
		{"WithinAJob", testWithinAJob},
		{"Directives", testDirectives},
		{"Fifty", testFifty},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.f(t, c) })
	}
}

// testControllerDown: nothing is known, nothing is submitted twice, and jobs that
// end meanwhile are not lost.
func testControllerDown(t *testing.T, c *slurmtest.Cluster) {
	l := newLab(t, c, nil, nil)
	l.submit(job("before", "while [ ! -e go ]; do sleep 0.1; done; exit 3"))
	dir := l.runs("before").Dir
	c.StopController()
	all, err := l.Jobs(t.Context())
	if !errors.Is(err, process.ErrUnavailable) || process.Active(all) != 1 {
		t.Errorf("%+v, error %v, want ErrUnavailable", all, err)
	}
	_, err = l.Submit(t.Context(), []process.Job{job("while", "echo ran >>ran")})
	if !errors.Is(err, process.ErrUncertain) {
		t.Errorf("error %v, want ErrUncertain", err)
	}
	if _, err = l.Submit(t.Context(), []process.Job{job("while", "echo ran >>ran")}); !errors.Is(err, process.ErrExist) {
		t.Errorf("error %v, want ErrExist", err)
	}
	if err := l.Cancel(t.Context(), "before"); !errors.Is(err, process.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.StartController()
	l.await("before", func(s process.Status) bool { return s.State.Final() && s.ExitCode == 3 })
	// It was not taken; nobody knows that before a while has passed.
	l.await("while", func(s process.Status) bool { return s.State == process.StateSubmitting })
}

func testNodeLost(t *testing.T, c *slurmtest.Cluster) {
	l := newLab(t, c, nil, nil)
	l.submit(job("a", "sleep 1000"), job("b", "sleep 1000"))
	l.runs("a")
	l.runs("b")
	c.LoseNode()
	l.want("a", process.StateNodeLost, -1)
	l.want("b", process.StateNodeLost, -1)
	l.submit(job("waits", "true"))
	l.await("waits", func(s process.Status) bool { return s.State == process.StatePending && s.Reason != "" })
	c.RestoreNode()
	l.want("waits", process.StateSucceeded, 0)
}

func testDrained(t *testing.T, c *slurmtest.Cluster) {
	l := newLab(t, c, nil, nil)
	c.Drain()
	l.submit(job("a", "true"), job("b", "touch ran"))
	l.await("a", func(s process.Status) bool { return s.State == process.StatePending })
	if err := l.Cancel(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	l.want("b", process.StateCancelled, -1)
	c.RestoreNode()
	l.want("a", process.StateSucceeded, 0)
}

func testCancelledByOthers(t *testing.T, c *slurmtest.Cluster) {
	l := newLab(t, c, nil, nil)
	l.submit(job("a", "sleep 1000"), job("b", "while [ ! -L ../0/started ]; do sleep 0.1; done; sleep 1"))
	c.Run("scancel", l.runs("a").ID)
	s := l.await("a", func(s process.Status) bool { return s.State.Final() })
	if s.State != process.StateCancelled {
		t.Errorf("it is %+v", s)
	}
	l.want("b", process.StateSucceeded, 0)
}

// testKilled: somebody kills all processes of a job.
func testKilled(t *testing.T, c *slurmtest.Cluster) {
	l := newLab(t, c, nil, nil)
	l.submit(job("a", "kill -KILL $PPID; sleep 1000"))
	l.want("a", process.StateFailed, -1)
}

func testRefused(t *testing.T, c *slurmtest.Cluster) {
	l := newLab(t, c, nil, nil)
	for name, r := range map[string]process.Resources{
		"partition": {Partition: "nope"}, "walltime": {Partition: "short", Walltime: 48 * time.Hour}, "cores": {CPUs: 1000},
		"reservation": {Reservation: "nope"}, "option": {Extra: []string{"--no-such-option"}},
	} {
		j := job("a", "true")
		j.Resources = r
		if _, err := l.Submit(t.Context(), []process.Job{j}); !errors.Is(err, process.ErrRefused) {
			t.Errorf("%s: error %v, want ErrRefused", name, err)
		}
	}
	// The key is free again.
	j := job("a", "true")
	j.Resources = process.Resources{Partition: "short", Walltime: time.Minute, CPUs: 2, MemoryPerCPU: 1, Extra: []string{"--nice=1"}}
	l.submit(j)
	l.want("a", process.StateSucceeded, 0)
}

// testAnswerTooLate: sbatch has done its work and does not come back in time.
func testAnswerTooLate(t *testing.T, c *slurmtest.Cluster) {
	real, err := exec.LookPath("sbatch")
	if err != nil {
		t.Fatal(err)
	}
	env := programs(t, map[string]string{"sbatch": process.Quote(real) + ` "$@" >/dev/null; exec sleep 60`})
	l := newLab(t, c, env, &slurm.Options{Timeout: 3 * time.Second})
	l.submit(job("a", "echo ran >>../../../ran"), job("b", "exit 3"))
	l.want("a", process.StateSucceeded, 0)
	l.want("b", process.StateFailed, 3)
}

// testWithinAJob: a program that is itself a task of an array submits.
func testWithinAJob(t *testing.T, c *slurmtest.Cluster) {
	l := newLab(t, c, []string{"SLURM_JOB_ID=1", "SLURM_ARRAY_JOB_ID=1", "SLURM_ARRAY_TASK_ID=7", "SBATCH_PARTITION=nope", "SQUEUE_STATES=COMPLETED", "SQUEUE_FORMAT=%i"}, nil)
	l.submit(job("one", "exit 3"))
	l.want("one", process.StateFailed, 3)
	l.submit(job("a", "exit 4"), job("b", "exit 5"))
	l.want("a", process.StateFailed, 4)
	l.want("b", process.StateFailed, 5)
}

// testDirectives: lines #SBATCH of a template reach Slurm; what we say goes before.
func testDirectives(t *testing.T, c *slurmtest.Cluster) {
	l := newLab(t, c, nil, nil)
	l.submit(process.Job{Key: "a", Name: "ours", Script: "#!/bin/bash\n#SBATCH --partition=short\n#SBATCH --job-name=theirs\necho \"$SLURM_JOB_PARTITION $SLURM_JOB_NAME\"\n"})
	l.want("a", process.StateSucceeded, 0)
	s := l.await("a", func(process.Status) bool { return true })
	if log, err := os.ReadFile(s.Log); err != nil || string(log) != "short ours\n" {
		t.Errorf("the log is %q, %v", log, err)
	}
}

// testFifty: fifty jobs are one submission, and each runs once.
func testFifty(t *testing.T, c *slurmtest.Cluster) {
	l := newLab(t, c, nil, nil)
	var jobs []process.Job
	for i := range 50 {
		jobs = append(jobs, job(process.Key(fmt.Sprint("run-", i)), fmt.Sprintf("echo %d >>../../../ran; exit %d", i, i%2*3)))
	}
	l.submit(jobs...)
	ids := map[string]bool{}
	for i, j := range jobs {
		state := process.StateSucceeded
		if i%2 == 1 {
			state = process.StateFailed
		}
		l.want(j.Key, state, i%2*3)
		id, _, _ := strings.Cut(l.await(j.Key, func(process.Status) bool { return true }).ID, "_")
		ids[id] = true
	}
	if len(ids) != 1 {
		t.Errorf("%d submissions", len(ids))
	}
	s := l.await("run-0", func(process.Status) bool { return true })
	ran, err := os.ReadFile(filepath.Join(s.Dir, "../../../ran"))
	if err != nil || strings.Count(string(ran), "\n") != 50 {
		t.Errorf("%d ran, %v", strings.Count(string(ran), "\n"), err)
	}
}

// TestForgotten: a controller that forgets a job at once. What the job left is
// enough; of one that left nothing it is said that it is lost.
func TestForgotten(t *testing.T) {
	c := slurmtest.Start(t, &slurmtest.Options{MinJobAge: 2})
	l := newLab(t, c, nil, nil)
	l.submit(job("good", "true"), job("bad", "exit 3"), job("killed", "kill -KILL $PPID; sleep 1000"))
	for range 300 {
		if out := c.Run("squeue", "--noheader", "--states=all"); strings.TrimSpace(out) == "" {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	l.want("good", process.StateSucceeded, 0)
	l.want("bad", process.StateFailed, 3)
	l.want("killed", process.StateLost, -1)
}
