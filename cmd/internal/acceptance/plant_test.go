package acceptance

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/local"
	"github.com/cax-go/cax/process/slurm"
	"github.com/cax-go/cax/process/slurmtest"
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
