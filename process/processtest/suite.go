package processtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/process"
)

// A Harness tells the suite how to get a batch system.
type Harness struct {
	// Open gives a system with room for two jobs at a time at least. It is called
	// once for each test.
	Open func(t *testing.T) process.Batch
	// Walltime is the shortest that the system keeps; 0: a second.
	Walltime time.Duration
}

// Run runs the conformance suite.
func Run(t *testing.T, h Harness) {
	for _, tc := range []struct {
		name string
		f    func(t *testing.T, h Harness)
	}{
		{"Succeeds", testSucceeds},
		{"ExitCode", testExitCode},
		{"Array", testArray},
		{"EveryByte", testEveryByte},
		{"CancelRunning", testCancelRunning},
		{"CancelWaiting", testCancelWaiting},
		{"Walltime", testWalltime},
		{"After", testAfter},
		{"LogCannotBeWritten", testLog},
		{"SameKey", testSameKey},
		{"AnswerLost", testAnswerLost},
		{"WordLost", testWordLost},
		{"WordLostWithoutList", testWordLostWithoutList},
		{"ListLost", testListLost},
		{"Reopen", testReopen},
		{"Forget", testForget},
		{"Invalid", testInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.f(t, h)
		})
	}
}

// A bench is a queue in a folder with a difficult name, and its batch system.
type bench struct {
	*process.Queue
	t     *testing.T
	dir   string
	batch *Faulty
	o     process.QueueOptions
}

func open(t *testing.T, h Harness) *bench {
	t.Helper()
	b := &bench{t: t, dir: filepath.Join(t.TempDir(), `jobs of "us" & 'them' 100%J $HOME`), batch: &Faulty{Batch: h.Open(t)}}
	b.reopen()
	return b
}

func (b *bench) reopen() {
	b.t.Helper()
	q, err := process.OpenQueue(b.dir, b.batch, &b.o)
	must(b.t, err)
	b.Queue = q
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func job(key process.Key, lines ...string) process.Job {
	return process.Job{Key: key, Name: "raw_" + string(key), Script: process.Script("#!/bin/sh\n" + strings.Join(lines, "\n") + "\n")}
}

func (b *bench) submit(jobs ...process.Job) []process.Receipt {
	b.t.Helper()
	r, err := b.Submit(b.t.Context(), jobs)
	must(b.t, err)
	return r
}

// status is that of one job.
func (b *bench) status(k process.Key) process.Status {
	b.t.Helper()
	all, err := b.Jobs(b.t.Context(), k)
	must(b.t, err)
	if len(all) != 1 || all[0].Key != k {
		b.t.Fatalf("%d statuses of job %s", len(all), k)
	}
	return all[0]
}

// await polls until a job is as wanted.
func (b *bench) await(k process.Key, ok func(process.Status) bool) process.Status {
	b.t.Helper()
	var s process.Status
	for range 1500 {
		if s = b.status(k); ok(s) {
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.t.Fatalf("job %s does not become what it should; it is %+v", k, s)
	return s
}

func (b *bench) end(k process.Key) process.Status {
	b.t.Helper()
	return b.await(k, func(s process.Status) bool { return s.State.Final() })
}

func (b *bench) runs(k process.Key) process.Status {
	b.t.Helper()
	return b.await(k, func(s process.Status) bool { return s.State == process.StateRunning && !s.Started.IsZero() })
}

func (b *bench) want(k process.Key, state process.State, code int) process.Status {
	b.t.Helper()
	s := b.end(k)
	if s.State != state || s.ExitCode != code {
		b.t.Errorf("job %s is %q with exit code %d (%s), want %q with %d", k, s.State, s.ExitCode, s.Reason, state, code)
	}
	if state != process.StateSucceeded && s.Reason == "" {
		b.t.Errorf("job %s is %q without a reason", k, s.State)
	}
	return s
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func testSucceeds(t *testing.T, h Harness) {
	b := open(t, h)
	before := time.Now().Add(-time.Minute)
	r := b.submit(job("one", "echo to stdout", "echo to stderr >&2", "pwd >where"))
	s := b.want("one", process.StateSucceeded, 0)
	if s.ID == "" || s.ID != r[0].ID {
		t.Errorf("the job is called %q, the receipt said %q", s.ID, r[0].ID)
	}
	if log := read(t, s.Log); log != "to stdout\nto stderr\n" {
		t.Errorf("the log is %q", log)
	}
	if at := read(t, filepath.Join(s.Dir, "where")); at != s.Dir+"\n" {
		t.Errorf("it ran in %q, want %q", at, s.Dir)
	}
	if s.Node == "" || s.Name != "raw_one" || s.Submitted.Before(before) || s.Started.Before(before) || s.Ended.Before(s.Started) {
		t.Errorf("status %+v", s)
	}
}

func testExitCode(t *testing.T, h Harness) {
	b := open(t, h)
	b.submit(job("three", "echo so far; exit 3"))
	s := b.want("three", process.StateFailed, 3)
	if log := read(t, s.Log); log != "so far\n" {
		t.Errorf("the log is %q", log)
	}
	// It is still known when the batch system knows nothing any more.
	b.batch.Set(Faults{NoList: true})
	if again := b.status("three"); again.State != s.State || again.ExitCode != 3 {
		t.Errorf("later it is %+v", again)
	}
}

func testArray(t *testing.T, h Harness) {
	b := open(t, h)
	b.o.AtOnce = 2
	b.reopen()
	var jobs []process.Job
	for i := range 6 {
		jobs = append(jobs, job(process.Key(fmt.Sprint("run-", i)), fmt.Sprintf("echo %d; exit %d", i, i)))
	}
	r := b.submit(jobs...)
	ids := map[string]bool{}
	for i, j := range jobs {
		state := process.StateFailed
		if i == 0 {
			state = process.StateSucceeded
		}
		s := b.want(j.Key, state, i)
		if log := read(t, s.Log); log != fmt.Sprintln(i) {
			t.Errorf("the log of job %d is %q", i, log)
		}
		ids[r[i].ID] = true
	}
	if len(ids) != len(jobs) {
		t.Errorf("%d identifiers for %d jobs: %v", len(ids), len(jobs), ids)
	}
}

// testEveryByte: a value of any bytes reaches a program as it is.
func testEveryByte(t *testing.T, h Harness) {
	b := open(t, h)
	var all []byte
	for c := 1; c < 256; c++ {
		all = append(all, byte(c))
	}
	value := string(all) + "' $(touch evil) `touch evil` \"; touch evil #\n\\"
	for _, shell := range []string{"/bin/sh", "/bin/bash"} {
		tmpl, err := process.ParseTemplate("test", "#!"+shell+`
value={{.Value}}
printf %s "$value" >one
printf '%s\n' {{.List}} >many
`)
		must(t, err)
		script, err := tmpl.Execute(map[string]any{"Value": value, "List": []string{"a b", "", value, "$x"}})
		must(t, err)
		k := process.Key(filepath.Base(shell))
		b.submit(process.Job{Key: k, Name: value, Script: script})
		s := b.want(k, process.StateSucceeded, 0)
		if got := read(t, filepath.Join(s.Dir, "one")); got != value {
			t.Errorf("%s: the value came as %q", shell, got)
		}
		if got := read(t, filepath.Join(s.Dir, "many")); got != "a b\n\n"+value+"\n$x\n" {
			t.Errorf("%s: the list came as %q", shell, got)
		}
		if _, err := os.Stat(filepath.Join(s.Dir, "evil")); err == nil {
			t.Errorf("%s: a part of the value was run", shell)
		}
	}
}

func testCancelRunning(t *testing.T, h Harness) {
	b := open(t, h)
	b.submit(job("long", "sleep 1000 & sleep 1000"))
	b.runs("long")
	must(t, b.Cancel(t.Context(), "long"))
	if s := b.end("long"); s.State != process.StateCancelled || s.Reason == "" {
		t.Errorf("it is %+v", s)
	}
	must(t, b.Cancel(t.Context(), "long")) // once more is no error
}

func testCancelWaiting(t *testing.T, h Harness) {
	b := open(t, h)
	b.submit(job("first", "sleep 1000"))
	second := job("second", "touch ran")
	second.After = []process.Key{"first"}
	b.submit(second)
	if s := b.status("second"); s.State != process.StatePending {
		t.Errorf("it is %+v", s)
	}
	must(t, b.Cancel(t.Context(), "second"))
	s := b.want("second", process.StateCancelled, -1)
	if !s.Started.IsZero() {
		t.Errorf("it started: %+v", s)
	}
	must(t, b.Cancel(t.Context(), "first"))
	b.end("first")
	if _, err := os.Stat(filepath.Join(s.Dir, "ran")); err == nil {
		t.Error("it ran")
	}
}

func testWalltime(t *testing.T, h Harness) {
	b := open(t, h)
	j := job("slow", "echo begun; sleep 1000")
	j.Resources.Walltime = max(h.Walltime, time.Second)
	b.submit(j)
	s := b.end("slow")
	if s.State != process.StateTimeout || s.Reason == "" {
		t.Errorf("it is %+v", s)
	}
	if log := read(t, s.Log); !strings.HasPrefix(log, "begun\n") {
		t.Errorf("the log is %q", log)
	}
}

func testAfter(t *testing.T, h Harness) {
	b := open(t, h)
	b.submit(job("good", "while [ ! -e go ]; do sleep 0.05; done"), job("bad", "while [ ! -e go ]; do sleep 0.05; done; exit 1"))
	afterGood, afterBad, second := job("after-good", "cat \"$(dirname \"$(pwd)\")\"/ids"), job("after-bad", "touch ran"), job("second", "true")
	afterGood.After, afterBad.After, second.After = []process.Key{"good"}, []process.Key{"good", "bad"}, []process.Key{"after-bad"}
	b.submit(afterGood, afterBad, second)
	for _, k := range []process.Key{"after-good", "after-bad", "second"} {
		if s := b.status(k); s.State != process.StatePending {
			t.Errorf("before, %s is %+v", k, s)
		}
	}
	for _, k := range []process.Key{"good", "bad"} {
		dir, err := b.Dir(k)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o644))
	}
	b.want("after-good", process.StateSucceeded, 0)
	if s := b.end("after-bad"); s.State != process.StateCancelled || !s.Started.IsZero() {
		t.Errorf("after a failed job it is %+v", s)
	}
	if s := b.end("second"); s.State != process.StateCancelled {
		t.Errorf("after a cancelled job it is %+v", s)
	}
	// Of jobs that have ended, one that succeeded is no obstacle, another is.
	late := job("late", "true")
	late.After = []process.Key{"good"}
	b.submit(late)
	b.want("late", process.StateSucceeded, 0)
	never := job("never", "true")
	never.After = []process.Key{"bad"}
	if _, err := b.Submit(t.Context(), []process.Job{never}); !errors.Is(err, process.ErrInvalid) {
		t.Errorf("after a failed job: %v", err)
	}
	never.After = []process.Key{"nobody"}
	if _, err := b.Submit(t.Context(), []process.Job{never}); !errors.Is(err, process.ErrNotExist) {
		t.Errorf("after no job: %v", err)
	}
}

func testLog(t *testing.T, h Harness) {
	b := open(t, h)
	first := job("first", "while [ ! -e go ]; do sleep 0.05; done")
	b.submit(first)
	j := job("mute", "touch ran")
	j.After = []process.Key{"first"}
	b.submit(j)
	dir, err := b.Dir("mute")
	must(t, err)
	must(t, os.Mkdir(filepath.Join(dir, "log"), 0o755)) // also root cannot write into that
	goDir, err := b.Dir("first")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(goDir, "go"), nil, 0o644))
	s := b.end("mute")
	if s.State != process.StateNotStarted || s.Reason == "" {
		t.Errorf("it is %+v", s)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("it ran")
	}
}

// testSameKey: of many that submit a job at once, one gets it, and it runs once.
func testSameKey(t *testing.T, h Harness) {
	b := open(t, h)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			q, err := process.OpenQueue(b.dir, b.batch, nil)
			if err == nil {
				_, err = q.Submit(t.Context(), []process.Job{job("same", "echo ran >>../../../ran")})
			}
			errs[i] = err
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, process.ErrExist) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d got it", won)
	}
	b.want("same", process.StateSucceeded, 0)
	if got := read(t, filepath.Join(b.dir, "ran")); got != "ran\n" {
		t.Errorf("it left %q", got)
	}
	all, err := b.Jobs(t.Context())
	must(t, err)
	if len(all) != 1 || process.Active(all) != 0 {
		t.Errorf("the jobs are %+v", all)
	}
}

// testAnswerLost: a submission that was taken, and whose answer was lost, is found.
func testAnswerLost(t *testing.T, h Harness) {
	b := open(t, h)
	b.batch.Set(Faults{LoseAnswer: true})
	r := b.submit(job("a", "true"), job("b", "exit 2"))
	if r[0].ID == "" || r[0].ID == r[1].ID {
		t.Errorf("receipts %+v", r)
	}
	b.want("a", process.StateSucceeded, 0)
	b.want("b", process.StateFailed, 2)

	// And later, if the list does not come either.
	b.batch.Set(Faults{LoseAnswer: true, NoList: true})
	if _, err := b.Submit(t.Context(), []process.Job{job("c", "exit 4")}); !errors.Is(err, process.ErrUncertain) {
		t.Errorf("error %v, want ErrUncertain", err)
	}
	if _, err := b.Submit(t.Context(), []process.Job{job("c", "exit 4")}); !errors.Is(err, process.ErrExist) {
		t.Errorf("error %v, want ErrExist", err)
	}
	b.batch.Set(Faults{})
	b.want("c", process.StateFailed, 4)
}

// testWordLost: a submission that is not in the list will never run, however late
// it comes.
func testWordLost(t *testing.T, h Harness) {
	b := open(t, h)
	var held process.Submission
	b.batch.Set(Faults{LoseWord: true, Held: func(s process.Submission) { held = s }})
	if _, err := b.Submit(t.Context(), []process.Job{job("a", "touch ../../../ran")}); !errors.Is(err, process.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if _, err := b.Jobs(t.Context(), "a"); !errors.Is(err, process.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
	b.batch.Set(Faults{})
	_, _ = b.batch.Submit(t.Context(), held)
	b.submit(job("a", "exit 7"))
	b.want("a", process.StateFailed, 7)
	b.noneLeft()
	if _, err := os.Stat(filepath.Join(b.dir, "ran")); err == nil {
		t.Error("it ran")
	}
}

// noneLeft waits until the batch system has nothing of the queue that goes on.
func (b *bench) noneLeft() {
	b.t.Helper()
	id := strings.TrimSpace(read(b.t, filepath.Join(b.dir, "queue")))
	for range 600 {
		entries, err := b.batch.Entries(b.t.Context(), id)
		must(b.t, err)
		open := 0
		for _, e := range entries {
			if !e.State.Final() {
				open++
			}
		}
		if open == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.t.Fatal("the batch system does not come to an end")
}

// testWordLostWithoutList: the same when the list is lost too. What is uncertain
// stays so until it is old, and is then kept from running.
func testWordLostWithoutList(t *testing.T, h Harness) {
	b := open(t, h)
	var shift time.Duration
	b.o.Now = func() time.Time { return time.Now().Add(shift) }
	b.reopen()
	var held process.Submission
	b.batch.Set(Faults{LoseWord: true, NoList: true, Held: func(s process.Submission) { held = s }})
	if _, err := b.Submit(t.Context(), []process.Job{job("a", "touch ran")}); !errors.Is(err, process.ErrUncertain) {
		t.Errorf("error %v, want ErrUncertain", err)
	}
	b.batch.Set(Faults{})
	if s := b.status("a"); s.State != process.StateSubmitting {
		t.Errorf("it is %+v", s)
	}
	shift = time.Hour
	if s := b.status("a"); s.State != process.StateNotStarted || s.Reason == "" {
		t.Errorf("later it is %+v", s)
	}
	_, _ = b.batch.Submit(t.Context(), held)
	b.noneLeft()
	if s := b.status("a"); s.State != process.StateNotStarted {
		t.Errorf("when it came it is %+v", s)
	}
	dir, err := b.Dir("a")
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("it ran")
	}
}

// testListLost: no answer is not an empty queue.
func testListLost(t *testing.T, h Harness) {
	b := open(t, h)
	b.submit(job("a", "while [ ! -e go ]; do sleep 0.05; done"))
	b.runs("a")
	b.batch.Set(Faults{NoList: true})
	all, err := b.Jobs(t.Context())
	if !errors.Is(err, process.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if len(all) != 1 || all[0].State != process.StateUnknown || process.Active(all) != 1 {
		t.Errorf("the jobs are %+v", all)
	}
	b.batch.Set(Faults{})
	dir, err := b.Dir("a")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o644))
	b.want("a", process.StateSucceeded, 0)
}

// testReopen: whoever opens the queue later sees the same jobs.
func testReopen(t *testing.T, h Harness) {
	b := open(t, h)
	b.submit(job("a", "while [ ! -e go ]; do sleep 0.05; done; exit 5"))
	b.runs("a")
	b.reopen()
	if s := b.status("a"); s.State != process.StateRunning {
		t.Errorf("it is %+v", s)
	}
	dir, err := b.Dir("a")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o644))
	b.want("a", process.StateFailed, 5)
}

func testForget(t *testing.T, h Harness) {
	b := open(t, h)
	b.submit(job("a", "while [ ! -e go ]; do sleep 0.05; done"), job("b", "true"))
	b.runs("a")
	if err := b.Forget(t.Context(), "a"); !errors.Is(err, process.ErrInvalid) {
		t.Errorf("forgetting a job that runs: %v", err)
	}
	b.end("b")
	must(t, b.Forget(t.Context(), "b"))
	if _, err := b.Jobs(t.Context(), "b"); !errors.Is(err, process.ErrNotExist) {
		t.Errorf("a forgotten job: %v", err)
	}
	must(t, b.Cancel(t.Context(), "a"))
	b.end("a")
	must(t, b.Forget(t.Context(), "a"))
	if left, err := os.ReadDir(filepath.Join(b.dir, "submissions")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	b.submit(job("b", "exit 6"))
	b.want("b", process.StateFailed, 6)
}

func testInvalid(t *testing.T, h Harness) {
	b := open(t, h)
	python := job("python", "true")
	python.Script = "#!/usr/bin/python3\nprint()\n"
	self, extra := job("self", "true"), job("extra", "true")
	self.After = []process.Key{"self"}
	extra.Resources.Extra = []string{"touch x"}
	jobs := []process.Job{job("../evil", "true"), python, self, extra, job("good", "true")}
	r, err := b.Submit(t.Context(), jobs)
	if !errors.Is(err, process.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	for i, want := range []bool{false, false, false, false, true} {
		if (r[i].Err == nil) != want || !want && !errors.Is(r[i].Err, process.ErrInvalid) {
			t.Errorf("job %s: %v", r[i].Key, r[i].Err)
		}
	}
	b.want("good", process.StateSucceeded, 0)
}
