package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/process"
)

// Serve starts jobs and looks after those that run, until nothing waits or runs.
// If another process serves this folder it returns at once. When the context ends
// it returns the context's error, and the jobs that run go on.
func (b *Batch) Serve(ctx context.Context) error {
	for {
		unlock, ok, err := tryLock(filepath.Join(b.dir, "lock"))
		if err != nil {
			return &process.Error{Op: "serve", What: b.dir, Err: err}
		}
		if !ok {
			return nil
		}
		err = b.serve(ctx)
		unlock()
		if err != nil {
			return err
		}
		// Who submitted since our last look found the pool served.
		if left, err := b.submissions("active"); err != nil || len(left) == 0 {
			return err
		}
	}
}

// serveSoon starts Options.Server if nobody serves. A lock that we hold for this
// look can turn another server away; but then we start one, after the look.
func (b *Batch) serveSoon() error {
	if len(b.o.Server) == 0 {
		return nil
	}
	unlock, free, err := tryLock(filepath.Join(b.dir, "lock"))
	if err != nil || !free {
		return err
	}
	unlock()
	out, err := os.OpenFile(filepath.Join(b.dir, "server.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	// The shell ends at once, so that the server is no child of ours.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `"$@" &`, "sh"}, b.o.Server...)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = b.o.Env, "/", out, out
	detach(cmd)
	return cmd.Run()
}

// A proc is a task that was started.
type proc struct {
	Host  string        `json:"host"`
	PID   int           `json:"pid"`
	Start int64         `json:"start"` // of the process, as the kernel counts it
	Boot  string        `json:"boot"`
	Began time.Duration `json:"began"` // since boot
}

// An ending is how a task ended.
type ending struct {
	State    process.State `json:"state"`
	ExitCode int           `json:"exit_code"` // -1: not known
	Reason   string        `json:"reason,omitempty"`
}

// A running is a task that runs, of this server or of one before it.
type running struct {
	proc
	sub   submission
	task  int
	child bool
	why   process.State // it is being ended: StateCancelled or StateTimeout
	since time.Time     // when it was told so
}

func (r *running) id() string { return taskID(r.sub.ID, r.task) }

// A server is one call of Serve.
type server struct {
	*Batch
	runs map[string]*running
	ends map[string]process.State // of tasks in active submissions
	subs map[string]submission    // by file
}

const lookEvery = 100 * time.Millisecond

func (b *Batch) serve(ctx context.Context) error {
	s := &server{Batch: b, runs: map[string]*running{}, ends: map[string]process.State{}, subs: map[string]submission{}}
	if err := b.forget(time.Now()); err != nil {
		return &process.Error{Op: "serve", What: b.dir, Err: err}
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		left, err := s.round()
		if err != nil {
			return &process.Error{Op: "serve", What: b.dir, Err: err}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// round looks once at everything; it tells how many submissions are not done.
func (s *server) round() (int, error) {
	subs, err := s.active()
	if err != nil {
		return 0, err
	}
	names, err := os.ReadDir(filepath.Join(s.dir, "tasks"))
	if err != nil {
		return 0, err
	}
	files := map[string]bool{}
	for _, n := range names {
		files[n.Name()] = true
	}
	if err := s.recall(subs, files); err != nil {
		return 0, err
	}
	for _, r := range s.runs {
		if err := s.watch(r, files[r.id()+".stop"]); err != nil {
			return 0, err
		}
	}
	free := s.o.Slots
	for _, r := range s.runs {
		free -= s.cores(r.sub)
	}
	left := len(subs)
	for _, sub := range subs {
		done := true
		atOnce := 0
		for task := range sub.Tasks {
			id := taskID(sub.ID, task)
			if _, ended := s.ends[id]; ended {
				continue
			}
			if s.runs[id] == nil {
				started, err := s.consider(sub, task, files[id+".stop"], &free, atOnce)
				if err != nil {
					return 0, err
				}
				if !started {
					_, ended := s.ends[id]
					done = done && ended
					continue
				}
			}
			atOnce++
			done = false
		}
		if done {
			if err := s.retire(sub); err != nil {
				return 0, err
			}
			left--
		}
	}
	return left, nil
}

func (s *server) cores(sub submission) int { return min(sub.Resources.Cores(), s.o.Slots) }

// active reads submissions that are new, and drops those that are gone.
func (s *server) active() ([]submission, error) {
	names, err := os.ReadDir(filepath.Join(s.dir, "active"))
	if err != nil {
		return nil, err
	}
	var all []submission
	for _, n := range names {
		if strings.HasPrefix(n.Name(), ".") {
			continue
		}
		sub, ok := s.subs[n.Name()]
		if !ok {
			sub.file = n.Name()
			if ok, err := readJSON(filepath.Join(s.dir, "active", n.Name()), &sub.Submission); err != nil || !ok {
				return nil, errors.Join(err, os.ErrNotExist)
			}
			s.subs[n.Name()] = sub
		}
		all = append(all, sub)
	}
	return all, nil
}

// recall learns from the folder what a server before this one did.
func (s *server) recall(subs []submission, files map[string]bool) error {
	for _, sub := range subs {
		for task := range sub.Tasks {
			id := taskID(sub.ID, task)
			if _, known := s.ends[id]; known || s.runs[id] != nil {
				continue
			}
			if files[id+".end"] {
				var e ending
				if _, err := readJSON(s.task(id, "end"), &e); err != nil {
					return err
				}
				s.ends[id] = e.State
			} else if files[id+".run"] {
				r := &running{sub: sub, task: task}
				if _, err := readJSON(s.task(id, "run"), &r.proc); err != nil {
					return err
				}
				s.runs[id] = r
			}
		}
	}
	return nil
}

// watch looks whether a task still runs, and ends it where it has to.
func (s *server) watch(r *running, stop bool) error {
	if r.Boot != bootID() {
		return s.conclude(r, ending{State: process.StateNodeLost, ExitCode: -1, Reason: "the machine was started again"})
	}
	code, alive, err := look(r.proc, r.child)
	if err != nil {
		return err
	}
	if !alive {
		return s.ended(r, code)
	}
	switch limit := r.sub.Resources.Walltime; {
	case r.why != "":
		if time.Since(r.since) > s.o.Grace {
			kill(r.PID, true)
		}
	case stop:
		r.why, r.since = process.StateCancelled, time.Now()
		kill(r.PID, false)
	case limit > 0 && sinceBoot()-r.Began > limit:
		r.why, r.since = process.StateTimeout, time.Now()
		kill(r.PID, false)
	}
	return nil
}

// ended writes down the end of a task whose process is gone. Of a child the exit
// code is known; else the launcher has left it.
func (s *server) ended(r *running, code int) error {
	left, ok, err := process.ExitCode(filepath.Join(r.sub.Dir, fmt.Sprint(r.task)))
	if err != nil {
		return err
	}
	if ok {
		code = left
	}
	e := ending{State: process.StateFailed, ExitCode: code}
	switch {
	case code == 0:
		e.State = process.StateSucceeded
	case r.why != "":
		e.State = r.why
	}
	return s.conclude(r, e)
}

func (s *server) conclude(r *running, e ending) error {
	delete(s.runs, r.id())
	return s.end(r.id(), e)
}

func (s *server) end(id string, e ending) error {
	s.ends[id] = e.State
	return writeJSON(s.task(id, "end"), e)
}

// consider starts a task that waits, if it may: in the order of submission, nobody
// overtakes.
func (s *server) consider(sub submission, task int, stop bool, free *int, atOnce int) (bool, error) {
	id := taskID(sub.ID, task)
	if stop {
		return false, s.end(id, ending{State: process.StateCancelled, ExitCode: -1})
	}
	for _, dep := range sub.After {
		state, err := s.stateOf(dep)
		if err != nil {
			return false, err
		}
		if state.Final() && state != process.StateSucceeded {
			return false, s.end(id, ending{State: process.StateCancelled, ExitCode: -1, Reason: "a job that it depends on did not succeed"})
		}
		if !state.Final() {
			return false, nil
		}
	}
	if sub.AtOnce > 0 && atOnce >= sub.AtOnce {
		return false, nil
	}
	if *free < s.cores(sub) {
		*free = 0
		return false, nil
	}
	r, err := s.start(sub, task)
	if err != nil || r == nil {
		return false, err
	}
	*free -= s.cores(sub)
	return true, nil
}

// stateOf tells how a task that others wait for stands. One that nobody knows any
// more has succeeded: the queue looked before it was submitted.
func (s *server) stateOf(id string) (process.State, error) {
	if state, ok := s.ends[id]; ok {
		return state, nil
	}
	var e ending
	if ok, err := readJSON(s.task(id, "end"), &e); err != nil || ok {
		return e.State, err
	}
	if slices.ContainsFunc(s.known(), func(k string) bool { return k == id }) {
		return process.StatePending, nil
	}
	return process.StateSucceeded, nil
}

func (s *server) known() []string {
	var all []string
	for _, sub := range s.subs {
		for i := range sub.Tasks {
			all = append(all, taskID(sub.ID, i))
		}
	}
	return all
}

// start starts a task. Its process waits behind a pipe until it is on record: if
// we die before, it ends without having done anything. Without a result and an
// error the task could not be started, and that is on record.
func (s *server) start(sub submission, task int) (*running, error) {
	id := taskID(sub.ID, task)
	dir := filepath.Join(sub.Dir, fmt.Sprint(task))
	fail := func(err error) (*running, error) {
		return nil, s.end(id, ending{State: process.StateNotStarted, ExitCode: -1, Reason: err.Error()})
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fail(fmt.Errorf("its log cannot be written: %w", err))
	}
	defer log.Close()
	gate, open, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer open.Close()
	defer gate.Close()
	cmd := exec.Command("/bin/sh", "-c", `read -r go <&3 || exit 75; exec 3<&-; exec /bin/sh "$1" "$2"`, "sh", sub.Launcher, fmt.Sprint(task))
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.o.Env, dir, log, log
	cmd.ExtraFiles = []*os.File{gate}
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	r := &running{sub: sub, task: task, child: true}
	r.PID, r.Boot, r.Began = cmd.Process.Pid, bootID(), sinceBoot()
	r.Host, _ = os.Hostname() // for people
	r.Start, err = startOf(r.PID)
	if err == nil {
		err = writeJSON(s.task(id, "run"), r.proc)
	}
	if err == nil {
		_, err = open.WriteString("go\n")
	}
	if err != nil {
		open.Close()
		return nil, errors.Join(err, cmd.Wait())
	}
	s.runs[id] = r
	// It is waited for by its number, so that it can outlive this call.
	return r, cmd.Process.Release()
}
