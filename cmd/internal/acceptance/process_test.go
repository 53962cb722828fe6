package acceptance

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/json"
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
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/local"
	"github.com/cax-go/cax/process/slurm"
	"github.com/cax-go/cax/process/slurmtest"
	"github.com/cax-go/cax/rundb/mongostore/mongotest"
	"github.com/cax-go/cax/transfer/transfertest"
)

// standIn is a processor that leaves a line in ran/RUN each time that it runs, and then
// does what do/RUN says: end with an exit code, or sleep. Its products differ each time.
const standIn = `#!/bin/sh
echo "$$" >> "$1/ran/$3"
case $(cat "$1/do/$3" 2>/dev/null) in
fail) echo "no luck with $3" >&2; exit 3 ;;
empty) : > "$5"; exit 0 ;;
sleep) sleep 300 ;;
esac
{ cat "$4"/*; date +%s%N; } > "$5"
`

// A plant is a site "a" that processes its raw data on a batch system.
type plant struct {
	*world
	env     []string // of cax
	cluster *slurmtest.Cluster
	runs    []string
}

func newPlant(t *testing.T, system string, runs int, batch map[string]any, db string) *plant {
	t.Helper()
	p := &plant{env: os.Environ()}
	if system == "slurm" {
		p.cluster = slurmtest.Start(t, nil)
		p.env = p.cluster.Env()
	}
	p.world = newWorld(t, options{method: "local", db: db, policy: map[string]any{"backoff_min": "1ms", "backoff_max": "2ms", "interval": "300ms"}})
	dir := p.dir
	settings := map[string]any{"system": system, "folder": dir + "/batch", "slots": 4, "pace": "1ms", "walltime": "20m", "memory_per_cpu": "10MB"}
	for k, v := range batch {
		settings[k] = v
	}
	for k, v := range map[string]any{
		"dir_processed": dir + "/processed", "upload_options": nil, "pax_versions": []string{"v1"}, "task_list": []string{"AddSize", "ProcessBatchQueue"},
		"batch": settings,
		"processing": map[string]any{"work": dir + "/work", "tries": 2, "processors": []any{map[string]any{"name": "pax", "version": "v1", "output": "{{.Name}}.root",
			"needs":   []string{"gains"},
			"command": []string{dir + "/pax", dir, "{{.Number}}", "{{.Name}}", "{{.Path}}", "{{.Dir}}/{{.Name}}.root"}}}},
	} {
		p.sites["a"][k] = v
	}
	p.configure()
	for _, d := range []string{"processed", "work", "ran", "do"} {
		if err := os.Mkdir(dir+"/"+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/pax", []byte(standIn), 0o755); err != nil {
		t.Fatal(err)
	}
	var dump bytes.Buffer
	for n := range runs {
		name := fmt.Sprintf("170315_%04d", n)
		p.runs = append(p.runs, name)
		raw := p.at("a", name)
		transfertest.MakeTree(t, raw, map[string]string{"a.zip": name})
		sum, err := checksum.DirSum(t.Context(), raw, checksum.SHA512)
		if err != nil {
			t.Fatal(err)
		}
		date := map[string]any{"$date": time.Date(2017, 3, 15, n/60, n%60, 0, 0, time.UTC).UnixMilli()}
		doc := map[string]any{"_id": map[string]any{"$oid": fmt.Sprintf("%024x", n+1)}, "number": n + 1, "name": name, "detector": "tpc", "start": date,
			"reader": map[string]any{"self_trigger": true, "ini": map[string]any{"write_mode": 2}}, "trigger": map[string]any{"events_built": 2000},
			"processor": map[string]any{"DEFAULT": map[string]any{"gains": []int{1}}},
			"data":      []any{map[string]any{"type": "raw", "host": "a", "status": "transferred", "location": raw, "checksum": sum.Bare(), "creation_time": date}}}
		if err := json.NewEncoder(&dump).Encode(doc); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(p.dir+"/runs_new.json", dump.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	p.must("db", "import", p.dir+"/runs_new.json")
	t.Cleanup(p.stop)
	return p
}

// stop cancels what still runs, so that nothing of it outlives the test.
func (p *plant) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	q := p.queue()
	for {
		all, err := q.Jobs(ctx)
		if err != nil || process.Active(all) == 0 {
			return
		}
		for _, s := range all {
			if !s.State.Final() {
				q.Cancel(ctx, s.Key)
			}
		}
		select {
		case <-ctx.Done():
			p.t.Errorf("jobs do not end")
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// queue is the plant's, as another process sees it.
func (p *plant) queue() *process.Queue {
	p.t.Helper()
	folder := p.dir + "/batch"
	var b process.Batch
	if p.cluster != nil {
		b = slurm.New(&slurm.Options{Env: p.env})
	} else {
		pool, err := local.New(folder+"/pool", nil)
		if err != nil {
			p.t.Fatal(err)
		}
		b = pool
	}
	q, err := process.OpenQueue(folder, b, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return q
}

func (p *plant) command(args ...string) *exec.Cmd {
	cmd := p.world.command(p.t.Context(), args...)
	cmd.Env = append(p.env, "HOME="+p.dir, "SSH_AUTH_SOCK=", "TZ=America/Chicago")
	return cmd
}

// cax runs a command, and wants an exit code.
func (p *plant) cax(code int, args ...string) string {
	p.t.Helper()
	var out, errs bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		p.t.Fatalf("cax %q: %v, want exit code %d\n%s%s", args, err, code, out.String(), errs.String())
	}
	return out.String()
}

// massive is one pass of cax massive; it returns how much was submitted or settled.
func (p *plant) massive(args ...string) int {
	p.t.Helper()
	out := p.cax(0, append([]string{"massive", "--once", "--host", "a", "--json"}, args...)...)
	var line struct{ Done int }
	if err := json.Unmarshal([]byte(out), &line); err != nil {
		p.t.Fatalf("%v in %q", err, out)
	}
	return line.Done
}

// A job is one as cax jobs --json prints it.
type job struct {
	Key, Name, Job, State, Reason, Log, Dir, ID string
	Number                                      int
	Exit                                        int `json:"exit_code"`
}

func (p *plant) jobs(args ...string) []job {
	p.t.Helper()
	var jobs []job
	for line := range strings.Lines(p.cax(0, append([]string{"jobs", "--host", "a", "--all", "--json"}, args...)...)) {
		var j job
		if err := json.Unmarshal([]byte(line), &j); err != nil {
			p.t.Fatalf("%v in %q", err, line)
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// until waits for something that has to come.
func (p *plant) until(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(4 * time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) || p.t.Context().Err() != nil {
			p.t.Fatalf("never: %s; jobs: %+v", what, p.jobs())
		}
	}
}

// ended waits until no job waits or runs.
func (p *plant) ended() {
	p.t.Helper()
	p.until("all jobs have ended", func() bool { return p.active() == 0 })
}

// processed is the processed record of a run.
func (p *plant) processed(run string) copyRecord {
	p.t.Helper()
	for _, c := range p.copies("a", run) {
		if c.Type == "processed" {
			return c
		}
	}
	return copyRecord{}
}

// done fails unless a run was processed so many times, and its product is good.
func (p *plant) done(run string, times int) {
	p.t.Helper()
	c := p.processed(run)
	if c.Status != "transferred" || c.Claim != nil || c.Error != nil || c.Location != p.dir+"/processed/pax_v1/"+run+".root" {
		p.t.Errorf("%s: %+v, want transferred", run, c)
		return
	}
	b := p.read(c.Location)
	if sum := fmt.Sprintf("%x", sha512.Sum512(b)); !bytes.HasPrefix(b, []byte(run)) || sum != c.Checksum {
		p.t.Errorf("%s: product %q with sum %s, the record says %s", run, b, sum, c.Checksum)
	}
	if n := p.ran(run); n != times {
		p.t.Errorf("%s was processed %d times, want %d", run, n, times)
	}
}

func (p *plant) ran(run string) int {
	b, _ := os.ReadFile(p.dir + "/ran/" + run)
	return bytes.Count(b, []byte("\n"))
}

// do says what the stand-in does with a run.
func (p *plant) do(run, what string) {
	p.t.Helper()
	if err := os.WriteFile(p.dir+"/do/"+run, []byte(what), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

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
