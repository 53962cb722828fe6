package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/process"
)

// Options change how the pool works. nil is the same as the zero value.
type Options struct {
	// Slots is how many cores all jobs together may use; 0: 1. If processes with
	// different numbers share a folder, that of the one that serves counts.
	Slots int
	// Server is a command, with its arguments, that calls Serve for this folder and
	// ends when that returns. It is started detached when it is needed. nil: the
	// caller calls Serve by itself.
	Server []string
	// Env is the environment of Server and of the jobs; nil: that of this process.
	Env []string
	// Grace is the time between SIGTERM and SIGKILL for a job that is cancelled or
	// over time; 0: 10 s.
	Grace time.Duration
	// Keep is how long Entries tells of tasks that have ended; 0: 1 h.
	Keep time.Duration
}

// Batch is a pool. It is safe for concurrent use.
type Batch struct {
	dir string
	o   Options
}

var _ process.Batch = (*Batch)(nil)

// New opens the pool in a folder, an absolute path, and makes the folder if it is
// not there.
func New(dir string, o *Options) (*Batch, error) {
	b := &Batch{dir: dir}
	if o != nil {
		b.o = *o
	}
	b.o.Slots = max(b.o.Slots, 1)
	if b.o.Grace == 0 {
		b.o.Grace = 10 * time.Second
	}
	if b.o.Keep == 0 {
		b.o.Keep = time.Hour
	}
	if !filepath.IsAbs(dir) {
		return nil, &process.Error{Op: "open pool", What: dir, Kind: process.ErrInvalid, Err: errors.New("not an absolute path")}
	}
	for _, d := range []string{"active", "ended", "tasks"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, &process.Error{Op: "open pool", What: dir, Err: err}
		}
	}
	return b, nil
}

// Submit writes the submission down, and has the pool served if Options.Server
// says how.
func (b *Batch) Submit(ctx context.Context, s process.Submission) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if strings.ContainsAny(s.ID, "./") || s.ID == "" {
		return nil, &process.Error{Op: "submit", What: s.Name, Kind: process.ErrInvalid, Err: fmt.Errorf("%q is no name of a submission", s.ID)}
	}
	// Names sort by time, which is the order in which jobs are started.
	name := fmt.Sprintf("%020d-%s.json", time.Now().UnixNano(), s.ID)
	if err := writeJSON(filepath.Join(b.dir, "active", name), s); err != nil {
		return nil, &process.Error{Op: "submit", What: s.Name, Kind: process.ErrRefused, Err: err}
	}
	ids := make([]string, s.Tasks)
	for i := range ids {
		ids[i] = taskID(s.ID, i)
	}
	// It is taken; that nobody serves now is seen, and mended, with the next list.
	_ = b.serveSoon()
	return ids, nil
}

// Entries lists the tasks of a queue: all that have not ended, and for
// Options.Keep those that have.
func (b *Batch) Entries(ctx context.Context, queue string) ([]process.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// A submission only ever moves from active to ended.
	active, err := b.submissions("active")
	if err == nil && len(active) > 0 {
		err = b.serveSoon()
	}
	ended, err2 := b.submissions("ended")
	if err := errors.Join(err, err2); err != nil {
		return nil, &process.Error{Op: "list pool", What: b.dir, Kind: process.ErrUnavailable, Err: err}
	}
	var all []process.Entry
	seen := map[string]bool{}
	for n, s := range append(active, ended...) {
		if s.Queue != queue || seen[s.ID] {
			continue
		}
		seen[s.ID] = true
		for i := range s.Tasks {
			e, err := b.entry(s, i)
			if err != nil {
				return nil, &process.Error{Op: "list pool", What: b.dir, Kind: process.ErrUnavailable, Err: err}
			}
			if n < len(active) || e.State.Final() { // else it is being forgotten
				all = append(all, e)
			}
		}
	}
	return all, nil
}

func (b *Batch) entry(s submission, task int) (process.Entry, error) {
	e := process.Entry{Submission: s.ID, Task: task, ID: taskID(s.ID, task), State: process.StatePending, ExitCode: -1}
	var end ending
	if ok, err := readJSON(b.task(e.ID, "end"), &end); err != nil {
		return e, err
	} else if ok {
		e.State, e.ExitCode, e.Reason = end.State, end.ExitCode, end.Reason
		return e, nil
	}
	var p proc
	ok, err := readJSON(b.task(e.ID, "run"), &p)
	if ok {
		e.State, e.Node = process.StateRunning, p.Host
	}
	return e, err
}

// Cancel marks tasks. Those that run are ended by whoever serves; if nobody does,
// Options.Server is started for it.
func (b *Batch) Cancel(ctx context.Context, ids []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := os.Stat(b.task(id, "end")); err == nil {
			continue
		}
		if err := writeWhole(b.task(id, "stop"), nil); err != nil {
			return &process.Error{Op: "cancel", What: id, Kind: process.ErrUnavailable, Err: err}
		}
	}
	if err := b.serveSoon(); err != nil {
		return &process.Error{Op: "cancel", What: b.dir, Kind: process.ErrUnavailable, Err: err}
	}
	return nil
}

// taskID is how a task is called: the submission and the number.
func taskID(submission string, task int) string { return submission + "." + strconv.Itoa(task) }

func (b *Batch) task(id, kind string) string {
	return filepath.Join(b.dir, "tasks", filepath.Base(id)+"."+kind)
}

// A submission is one in the folder.
type submission struct {
	process.Submission
	file string // its name
}

// submissions reads those in a folder, the oldest first.
func (b *Batch) submissions(folder string) ([]submission, error) {
	names, err := os.ReadDir(filepath.Join(b.dir, folder))
	if err != nil {
		return nil, err
	}
	var all []submission
	for _, n := range names {
		if strings.HasPrefix(n.Name(), ".") {
			continue // being written
		}
		s := submission{file: n.Name()}
		ok, err := readJSON(filepath.Join(b.dir, folder, n.Name()), &s.Submission)
		if err != nil {
			return nil, err
		}
		if ok { // else it has just moved
			all = append(all, s)
		}
	}
	return all, nil
}

// retire moves a submission whose tasks have all ended, and forgets old ones.
func (b *Batch) retire(s submission) error {
	err := os.Rename(filepath.Join(b.dir, "active", s.file), filepath.Join(b.dir, "ended", s.file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (b *Batch) forget(now time.Time) error {
	old, err := b.submissions("ended")
	if err != nil {
		return err
	}
	for _, s := range old {
		st, err := os.Stat(b.task(taskID(s.ID, s.Tasks-1), "end"))
		if err == nil && now.Sub(st.ModTime()) < b.o.Keep {
			continue
		}
		// The submission first: what has no file "end" and is listed would wait.
		if err := os.Remove(filepath.Join(b.dir, "ended", s.file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for i := range s.Tasks {
			for _, kind := range []string{"run", "end", "stop"} {
				if err := os.Remove(b.task(taskID(s.ID, i), kind)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
	}
	return nil
}
