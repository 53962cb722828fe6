package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/local"
)

// A lab is a queue on a pool that the test serves by itself, or kills.
type lab struct {
	*process.Queue
	t         *testing.T
	dir, pool string
	slots     int
	batch     *local.Batch
}

func newLab(t *testing.T, slots int) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{t: t, dir: dir, pool: filepath.Join(dir, "pool"), slots: slots}
	o := options(l.pool, slots)
	o.Server = nil
	var err error
	if l.batch, err = local.New(l.pool, o); err != nil {
		t.Fatal(err)
	}
	if l.Queue, err = process.OpenQueue(filepath.Join(dir, "queue"), l.batch, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drain(t, l.pool) })
	return l
}

func (l *lab) submit(key process.Key, script string, r process.Resources) {
	l.t.Helper()
	if _, err := l.Submit(l.t.Context(), []process.Job{{Key: key, Script: process.Script("#!/bin/sh\n" + script + "\n"), Resources: r}}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) status(k process.Key) process.Status {
	l.t.Helper()
	all, err := l.Jobs(l.t.Context(), k)
	if err != nil || len(all) != 1 {
		l.t.Fatal(all, err)
	}
	return all[0]
}

// server starts a process that serves the pool.
func (l *lab) server() *exec.Cmd {
	l.t.Helper()
	cmd := exec.Command(os.Args[0], serve, l.pool, strconv.Itoa(l.slots))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func (l *lab) kill(cmd *exec.Cmd) {
	l.t.Helper()
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
}

// file waits for a file and returns what is in it.
func (l *lab) file(path string) string {
	l.t.Helper()
	for range 1000 {
		if b, err := os.ReadFile(path); err == nil && strings.HasSuffix(string(b), "\n") {
			return strings.TrimSpace(string(b))
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.t.Fatalf("%s does not come", path)
	return ""
}

func (l *lab) want(k process.Key, state process.State, code int) process.Status {
	l.t.Helper()
	s := l.status(k)
	for i := 0; i < 1000 && !s.State.Final(); i++ {
		time.Sleep(20 * time.Millisecond)
		s = l.status(k)
	}
	if s.State != state || s.ExitCode != code {
		l.t.Errorf("job %s is %+v; want %q with exit code %d", k, s, state, code)
	}
	return s
}

// TestServerDies: jobs go on when the process that serves is killed, and the next
// one counts them, ends them at their walltime, and learns their exit codes.
func TestServerDies(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.submit("exits", "echo $$ >pid; while [ ! -e go ]; do sleep 0.02; done; exit 3", process.Resources{})
	l.submit("slow", "echo $$ >pid; sleep 1000", process.Resources{Walltime: time.Second})
	l.submit("cancelled", "echo $$ >pid; sleep 1000", process.Resources{})
	l.submit("waits", "true", process.Resources{})
	first := l.server()
	pids := map[process.Key]string{}
	for _, k := range []process.Key{"exits", "slow", "cancelled"} {
		pids[k] = l.file(l.status(k).Dir + "/pid")
	}
	l.kill(first)
	for k, pid := range pids {
		n, err := strconv.Atoi(pid)
		if err != nil || syscall.Kill(n, 0) != nil {
			t.Errorf("job %s has ended with the server", k)
		}
	}
	if s := l.status("exits"); s.State != process.StateRunning {
		t.Errorf("it is %+v", s)
	}
	l.server()
	if s := l.status("waits"); s.State != process.StatePending {
		t.Errorf("with three that run, the fourth is %+v", s)
	}
	if err := l.Cancel(t.Context(), "cancelled"); err != nil {
		t.Error(err)
	}
	if s := l.want("slow", process.StateTimeout, 143); s.Reason == "" {
		t.Error("no reason")
	}
	l.want("cancelled", process.StateCancelled, 143)
	l.want("waits", process.StateSucceeded, 0)
	if err := os.WriteFile(l.status("exits").Dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.want("exits", process.StateFailed, 3)
}

// TestReboot: jobs of an earlier boot are lost, those that waited are started.
func TestReboot(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.submit("ran", "echo $$ >pid; sleep 1000", process.Resources{})
	l.submit("waited", "true", process.Resources{})
	first := l.server()
	pid, err := strconv.Atoi(l.file(l.status("ran").Dir + "/pid"))
	if err != nil {
		t.Fatal(err)
	}
	l.kill(first)
	files, err := filepath.Glob(l.pool + "/tasks/*.run")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var run map[string]any
	if err := json.Unmarshal(b, &run); err != nil {
		t.Fatal(err)
	}
	group := int(run["pid"].(float64))
	run["boot"] = "another"
	if b, err = json.Marshal(run); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	l.server()
	if s := l.want("ran", process.StateNodeLost, -1); s.Reason == "" {
		t.Error("no reason")
	}
	l.want("waited", process.StateSucceeded, 0)
	// Nothing of a number of an earlier boot is ours to kill.
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("process %d: %v", pid, err)
	}
	_ = syscall.Kill(-group, syscall.SIGKILL)
}

// TestKilledJob: of a job that was killed with all its processes there is a truth
// to tell too.
func TestKilledJob(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.submit("a", "kill -KILL $PPID; sleep 1000", process.Resources{})
	l.server()
	if s := l.want("a", process.StateFailed, 137); s.Reason == "" {
		t.Error("no reason")
	}
}

// TestSlots: the cores of all jobs together, of several queues and several servers,
// never exceed the slots, and a job that wants more than there are runs alone.
func TestSlots(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	other, err := process.OpenQueue(filepath.Join(l.dir, "other"), l.batch, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Each says how many run when it begins: itself, by its cores.
	script := func(cores int) process.Script {
		return process.Script(fmt.Sprintf(`#!/bin/sh
d=%s; mkdir -p "$d"
for i in $(seq %d); do : >"$d/$$.$i"; done
ls "$d" | wc -l >used
sleep 0.15
rm "$d/$$".*
`, process.Quote(l.dir+"/used"), cores))
	}
	for i := range 8 {
		q := l.Queue
		if i%2 == 1 {
			q = other
		}
		asks := []int{1, 2, 1, 5}[i/2]
		j := process.Job{Key: process.Key(fmt.Sprint("k", i)), Script: script(min(asks, 3)), Resources: process.Resources{CPUs: asks}}
		if _, err := q.Submit(t.Context(), []process.Job{j}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		l.server()
	}
	sums := map[string]int{}
	for i := range 8 {
		k := process.Key(fmt.Sprint("k", i))
		if i%2 == 1 {
			l.Queue, other = other, l.Queue
		}
		s := l.want(k, process.StateSucceeded, 0)
		if i%2 == 1 {
			l.Queue, other = other, l.Queue
		}
		sums[l.file(s.Dir+"/used")]++
	}
	for used := range sums {
		if !slices.Contains([]string{"1", "2", "3"}, used) {
			t.Errorf("%s cores of 3 were used: %v", used, sums)
		}
	}
	if sums["2"]+sums["3"] == 0 {
		t.Errorf("jobs never ran side by side: %v", sums)
	}
}

// TestForgets: the pool forgets, the queue does not.
func TestForgets(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	o := options(l.pool, 1)
	o.Server, o.Keep = nil, time.Nanosecond
	b, err := local.New(l.pool, o)
	if err != nil {
		t.Fatal(err)
	}
	l.submit("good", "true", process.Resources{})
	l.submit("bad", "exit 5", process.Resources{})
	for range 2 { // the second finds what the first has left
		l.submit(process.Key(fmt.Sprint("more", time.Now().UnixNano())), "true", process.Resources{})
		if err := b.Serve(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(l.pool + "/tasks/*")
	if err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
	l.want("good", process.StateSucceeded, 0)
	l.want("bad", process.StateFailed, 5)
}

// TestServeEnds: Serve obeys its context, and the job goes on.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.submit("a", "echo $$ >pid; while [ ! -e go ]; do sleep 0.02; done; exit 4", process.Resources{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.batch.Serve(ctx) }()
	l.file(l.status("a").Dir + "/pid")
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("error %v", err)
	}
	if s := l.status("a"); s.State != process.StateRunning {
		t.Errorf("it is %+v", s)
	}
	go func() { done <- l.batch.Serve(t.Context()) }()
	if err := os.WriteFile(l.status("a").Dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	l.want("a", process.StateFailed, 4)
}

// TestKills: servers are killed again and again, at any moment. Each job runs once,
// and its exit code is right.
func TestKills(t *testing.T) {
	t.Parallel()
	jobs, kills := 12, 8
	if os.Getenv("CAX_INTEGRATION") == "1" {
		jobs, kills = 150, 120
	}
	l := newLab(t, 4)
	ran := filepath.Join(l.dir, "ran")
	for i := range jobs {
		l.submit(process.Key(fmt.Sprint("k", i)), fmt.Sprintf("echo %d >>%s; sleep 0.1; exit %d", i, process.Quote(ran), i), process.Resources{})
	}
	for i := range kills {
		cmd := l.server()
		// At another moment of its round each time.
		time.Sleep(time.Duration(20+37*i%150) * time.Millisecond)
		l.kill(cmd)
	}
	l.server()
	for i := range jobs {
		state := process.StateFailed
		if i == 0 {
			state = process.StateSucceeded
		}
		l.want(process.Key(fmt.Sprint("k", i)), state, i)
	}
	b, err := os.ReadFile(ran)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(b))
	slices.Sort(lines)
	if n := len(slices.Compact(lines)); n != jobs || strings.Count(string(b), "\n") != jobs {
		t.Errorf("%d jobs ran %d times", n, strings.Count(string(b), "\n"))
	}
}
