package acceptance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/rundb/mongostore/mongotest"
)

// systems are the batch systems, and how many runs are processed on each.
func systems(t *testing.T, f func(t *testing.T, system string, runs int)) {
	t.Run("local", func(t *testing.T) { f(t, "local", 8) })
	t.Run("slurm", func(t *testing.T) { f(t, "slurm", 50) })
}

// TestMassive: one job a run, each of which is cax --once --run N and does the work;
// nothing is submitted again.
func TestMassive(t *testing.T) {
	systems(t, func(t *testing.T, system string, runs int) {
		p := newPlant(t, system, runs, nil, "")
		p.cax(0, "massive", "--once", "--host", "a", "--dry-run")
		if _, err := os.Stat(p.dir + "/batch"); err == nil {
			t.Error("a dry run made the folder of the batch system")
		}
		if n := p.massive("--start", "2"); n != runs-1 {
			t.Errorf("%d jobs, want %d", n, runs-1)
		}
		if n := p.massive(); n != 1 {
			t.Errorf("%d further jobs, want that of run 1", n)
		}
		p.ended()
		for _, r := range p.runs {
			p.done(r, 1)
		}
		jobs := p.jobs()
		if len(jobs) != runs {
			t.Errorf("%d jobs, want %d", len(jobs), runs)
		}
		for _, j := range jobs {
			script, err := os.ReadFile(j.Dir + "/script")
			if err != nil || !bytes.Contains(script, []byte("'--once'")) || !bytes.Contains(script, []byte("'--run' '"+strconv.Itoa(j.Number)+"'")) {
				t.Errorf("job %+v runs\n%s%v", j, script, err)
			}
			if j.State != "succeeded" || j.Exit != 0 {
				t.Errorf("job %+v", j)
			}
		}
		if n := p.massive(); n != 0 {
			t.Errorf("%d jobs were submitted again", n)
		}
		p.cax(0, "--once", "--host", "a")
		if got := p.jobs(); len(got) != runs {
			t.Errorf("%d jobs after a cycle of the daemon, want %d", len(got), runs)
		}
		p.cax(0, "verify", "--host", "a")
		if left, err := os.ReadDir(p.dir + "/work"); err != nil || len(left) > 0 {
			t.Errorf("left in the work folder: %v, %v", left, err)
		}
	})
}

// TestC7MassiveLimits: at most so many jobs at a time, all at once and not one by one, and
// no folder for logs that is known by the name of a host.
func TestC7MassiveLimits(t *testing.T) {
	p := newPlant(t, "local", 5, map[string]any{"max_jobs": 3, "slots": 3}, "")
	for _, r := range p.runs {
		p.do(r, "sleep")
	}
	if n := p.massive(); n != 3 {
		t.Fatalf("%d jobs, want 3", n)
	}
	p.until("three runs are processed side by side", func() bool {
		n := 0
		for _, r := range p.runs {
			n += p.ran(r)
		}
		return n == 3
	})
	var numbers []int
	for _, j := range p.jobs() {
		numbers = append(numbers, j.Number)
		if !strings.HasPrefix(j.Log, p.dir+"/batch/") {
			t.Errorf("the log of %+v is elsewhere", j)
		}
	}
	slices.Sort(numbers)
	if !slices.Equal(numbers, []int{3, 4, 5}) {
		t.Errorf("runs %v, want the newest", numbers)
	}
	if n := p.massive(); n != 0 {
		t.Errorf("%d jobs beyond the limit", n)
	}
}

// kill ends all processes of the session in which the last processing of a run is.
func (p *plant) kill(run string) {
	p.t.Helper()
	p.until(run+" is being processed", func() bool { return p.ran(run) > 0 })
	pids := strings.Fields(string(p.read(p.dir + "/ran/" + run)))
	session := func(pid string) string {
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			return ""
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		return f[3]
	}
	sid := session(pids[len(pids)-1])
	if sid == "" {
		p.t.Fatalf("%s is not being processed", run)
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		p.t.Fatal(err)
	}
	// All are stopped first, so that none sees another end.
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, proc := range procs {
			if pid := filepath.Base(proc); session(pid) == sid {
				n, _ := strconv.Atoi(pid)
				syscall.Kill(n, signal)
			}
		}
	}
}

func (p *plant) read(file string) []byte {
	p.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// TestJobsThatFail: how a job ended is on the record, with class, reason and the end of
// the log; it is tried again, and left to a person after so many tries.
func TestJobsThatFail(t *testing.T) {
	systems(t, func(t *testing.T, system string, _ int) {
		p := newPlant(t, system, 6, nil, "")
		fails, empty, cancelled, slow, killed, unlogged := p.runs[0], p.runs[1], p.runs[2], p.runs[3], p.runs[4], p.runs[5]
		submit := func(run, does string, more ...string) job {
			t.Helper()
			p.do(run, does)
			if n := p.massive(append([]string{"--name", run}, more...)...); n != 1 {
				t.Fatalf("%d jobs for %s", n, run)
			}
			return p.jobs("--name", run)[0]
		}
		want := map[string]struct{ class, text string }{
			fails: {"processor", "no luck with " + fails}, empty: {"output", "it is empty"}, cancelled: {"cancelled", "it was cancelled"},
			slow: {"walltime", "its walltime was over"}, killed: {"job", "exit code 137 (killed)"},
		}
		if p.cluster != nil {
			// Its log cannot be written: in its place is a folder.
			p.cluster.Drain()
			if err := os.Mkdir(submit(unlogged, "").Log, 0o755); err != nil {
				t.Fatal(err)
			}
			p.cluster.RestoreNode()
			want[unlogged] = struct{ class, text string }{"not started", "its log cannot be written"}
			want[killed] = struct{ class, text string }{"node", "its node was lost"}
		}
		submit(slow, "sleep", "--walltime", map[string]string{"local": "2s", "slurm": "1"}[system])
		submit(fails, "fail")
		submit(empty, "empty")
		key := submit(cancelled, "sleep").Key
		p.until("it runs", func() bool { return p.ran(cancelled) == 1 })
		if err := p.queue().Cancel(t.Context(), process.Key(key)); err != nil {
			t.Fatal(err)
		}
		submit(killed, "sleep")
		p.until("it runs", func() bool { return p.ran(killed) == 1 })
		if p.cluster == nil {
			p.kill(killed)
		} else {
			p.until("all others have ended", func() bool { return p.active() == 1 })
			p.cluster.LoseNode()
		}
		p.ended()
		for run, w := range want {
			if run != fails && run != empty {
				// Those recorded it themselves; this is for the next who looks.
				if n := p.massive("--name", run); n != 1 {
					t.Errorf("%s: %d settled", run, n)
				}
			}
			c := p.processed(run)
			if c.Error == nil || c.Status != "error" || c.Claim != nil || c.Error.Class != w.class || !strings.Contains(c.Error.Text, w.text) || c.Error.Tries != 1 {
				t.Errorf("%s: %+v, error %+v; want %v", run, c, c.Error, w)
			}
		}
		if p.cluster != nil {
			p.cluster.RestoreNode()
		}
		// What works now is processed, and what fails again is left to a person.
		for _, run := range []string{cancelled, slow, killed} {
			p.do(run, "")
		}
		tried := 6 // on a local pool one is new
		if n := p.massive(); n != tried {
			t.Errorf("%d jobs for the second try, want %d", n, tried)
		}
		p.ended()
		for _, run := range []string{cancelled, slow, killed} {
			p.done(run, 2)
		}
		if n := p.massive(); n != 0 {
			t.Errorf("%d jobs for what failed twice", n)
		}
		out := p.cax(0, "explain", "--name", fails, "--host", "a")
		if !strings.Contains(out, "it failed 2 times") || !strings.Contains(out, "cax process --run") {
			t.Errorf("cax explain says\n%s", out)
		}
		// A person asks for it.
		p.do(fails, "")
		p.cax(0, "process", "--host", "a", "--name", fails)
		p.done(fails, 3)
	})
}

// active counts the jobs that wait or run.
func (p *plant) active() int {
	n := 0
	for _, j := range p.jobs() {
		if slices.Contains([]string{"running", "pending", "submitting", "unknown"}, j.State) {
			n++
		}
	}
	return n
}

// TestC6ControllerDown: a batch system that does not answer is no empty queue. Nothing is
// submitted twice, other tasks go on, and jobs that end meanwhile are recorded.
func TestC6ControllerDown(t *testing.T) {
	p := newPlant(t, "slurm", 4, nil, "")
	p.do(p.runs[0], "sleep")
	if n := p.massive("--start", "1", "--stop", "2"); n != 2 {
		t.Fatalf("%d jobs", n)
	}
	p.until("both run", func() bool { return p.ran(p.runs[0])+p.ran(p.runs[1]) == 2 })
	if out := p.cax(0, "check", "--host", "a"); !strings.Contains(out, "batch system: slurm answers; ") {
		t.Errorf("cax check says\n%s", out)
	}
	p.cluster.StopController()
	if out := p.cax(1, "check", "--host", "a"); !strings.Contains(out, "batch system") {
		t.Errorf("cax check says\n%s", out)
	}
	if n := p.massive(); n != 0 {
		t.Errorf("%d jobs were submitted while the controller was down", n)
	}
	// The daemon goes on: AddSize gives all runs a size.
	p.cax(0, "--once", "--host", "a")
	p.cax(1, "jobs", "--host", "a")
	p.cax(0, "plan", "--host", "a")
	for _, r := range p.runs[2:] {
		if c := p.processed(r); c.Status != "" {
			t.Errorf("%s was claimed: %+v", r, c)
		}
	}
	out := p.cax(0, "plan", "--explain", "--host", "a", "--name", p.runs[3])
	if !strings.Contains(out, "the batch system cannot be asked") {
		t.Errorf("cax plan says\n%s", out)
	}
	p.cluster.StartController()
	if n := p.massive(); n != 2 {
		t.Errorf("%d jobs afterwards, want those of the other two runs", n)
	}
	p.until("three are processed", func() bool { return p.active() <= 1 })
	for _, r := range p.runs[1:] {
		p.done(r, 1)
	}
	if n := len(p.jobs()); n != 4 {
		t.Errorf("%d jobs, want 4", n)
	}
}

// TestC2ProcessCrowd: two daemons, cax massive and a person that process at once: no run is
// processed twice, and each has one record.
func TestC2ProcessCrowd(t *testing.T) {
	runs := 12
	if long() {
		runs = 100
	}
	for _, store := range []string{"embedded", "mongodb"} {
		t.Run(store, func(t *testing.T) {
			db := ""
			if store == "mongodb" {
				db = mongotest.Start(t)
			}
			p := newPlant(t, "local", runs, nil, db)
			var daemons, others sync.WaitGroup
			var running []*exec.Cmd
			for i := range 2 {
				cmd := p.command("--host", "a", "--log", "warning", "--log-file", fmt.Sprintf("%s/%d.log", p.dir, i))
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				running = append(running, cmd)
				daemons.Go(func() {
					if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
						t.Errorf("daemon %d: %v", i, err)
					}
				})
			}
			start := func(args ...string) {
				cmd := p.command(append(args, "--host", "a", "--log", "warning")...)
				others.Go(func() {
					// For a person, that somebody was faster is exit code 1.
					if out, err := cmd.CombinedOutput(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() > 1 {
						t.Errorf("cax %q: %v\n%s", args, err, out)
					}
				})
			}
			start("massive", "--once")
			for _, r := range p.runs[:runs/4] {
				start("process", "--name", r)
			}
			others.Wait()
			p.until("all are processed", func() bool {
				left := len(p.runs)
				for _, r := range p.all() {
					for _, c := range r.Data {
						if c.Type == "processed" && c.Status == "transferred" {
							left--
						}
					}
				}
				return left == 0
			})
			for _, cmd := range running {
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Error(err)
				}
			}
			daemons.Wait()
			p.ended()
			for _, r := range p.runs {
				p.done(r, 1)
			}
			for _, r := range p.all() {
				n := 0
				for _, c := range r.Data {
					if c.Type == "processed" {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%s has %d processed records", r.Name, n)
				}
			}
			if n := p.massive(); n != 0 {
				t.Errorf("%d jobs afterwards", n)
			}
		})
	}
}
