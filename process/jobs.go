package process

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Jobs says what has become of jobs, all of this queue or those named, in no
// particular order. It asks the batch system once for all. A key without a job is
// an error that wraps ErrNotExist.
//
// If the batch system does not answer, the error wraps ErrUnavailable, and with it
// comes what the folders alone tell; jobs of which they do not tell all are
// StateUnknown. That is never to be taken for an empty queue.
//
// What is final is written down, so that it is still known when the batch system
// has forgotten the job. Submissions without an answer are settled: found, or
// after QueueOptions.Settle kept from running. Jobs that must not run any more and
// still wait are cancelled.
func (q *Queue) Jobs(ctx context.Context, keys ...Key) ([]Status, error) {
	// First which jobs there are, then the list, then the folders: a job that is
	// not in the list has ended before, and has left all that it leaves.
	dirs, err := q.dirs(keys)
	if err != nil {
		return nil, err
	}
	var all []Status
	open := map[Key]string{}
	for k, dir := range dirs {
		var s Status
		ok, err := readJSON(filepath.Join(dir, finalFile), &s)
		if err != nil {
			return nil, &Error{Op: "list", What: "job " + string(k), Err: err}
		}
		if ok {
			all = append(all, s)
		} else {
			open[k] = dir
		}
	}
	if len(open) == 0 {
		return all, nil
	}
	entries, unavailable := q.batch.Entries(ctx, q.id)
	if ctx.Err() != nil {
		return all, ctx.Err()
	}
	byTask := map[string]*Entry{}
	for i, e := range entries {
		byTask[filepath.Join(q.submission(e.Submission), strconv.Itoa(e.Task))] = &entries[i]
	}
	gone := q.account(ctx, open, byTask, unavailable == nil)
	var strays []string
	for k, dir := range open {
		v := view{listed: unavailable == nil, entry: byTask[dir]}
		if v.entry == nil {
			v.entry = gone[dir]
		}
		s, stray, err := q.job(k, dir, v)
		if errors.Is(err, fs.ErrNotExist) {
			continue // forgotten, or taken back, since
		}
		if err != nil {
			return nil, &Error{Op: "list", What: "job " + string(k), Err: err}
		}
		all = append(all, s)
		if stray {
			strays = append(strays, v.entry.ID)
		}
	}
	if len(strays) > 0 {
		unavailable = q.batch.Cancel(ctx, strays)
	}
	return all, unavailable
}

// job decides about one job and writes down what is decided. Stray: it must not
// run any more, and the batch system still has it.
func (q *Queue) job(k Key, dir string, v view) (s Status, stray bool, err error) {
	link, err := os.Lstat(q.link(k))
	if err != nil {
		return s, false, err
	}
	now := q.o.Now()
	old := now.Sub(link.ModTime()) > q.o.Settle
	t, err := readTraces(dir)
	if errors.Is(err, fs.ErrNotExist) {
		// Its submitter is about to make it, or has died. It will find it made.
		if !old {
			return Status{Key: k, State: StateSubmitting, ExitCode: -1, Reason: "it is being submitted", Dir: dir, Log: filepath.Join(dir, logFile)}, false, nil
		}
		if err = os.MkdirAll(dir, 0o755); err == nil {
			t, err = readTraces(dir)
		}
	}
	if err != nil {
		return s, false, err
	}
	if t.final != nil {
		return *t.final, false, nil
	}
	s, giveUp := decide(t, v, old)
	if giveUp {
		won, err := revoke(dir)
		if err != nil {
			return s, false, err
		}
		if !won {
			s.State, s.Reason = StateRunning, "it has just started"
		}
	}
	s.Key, s.Dir, s.Log = k, dir, filepath.Join(dir, logFile)
	if !s.State.Final() {
		return s, false, nil
	}
	if s.Ended.IsZero() {
		s.Ended = now.UTC()
	}
	stray = v.entry != nil && !v.entry.State.Final() && t.started != nil && t.started.revoked
	return s, stray, writeJSON(filepath.Join(dir, finalFile), s)
}

// account asks for those that the batch system has in no list any more and that
// left no result, where it can tell.
func (q *Queue) account(ctx context.Context, open map[Key]string, byTask map[string]*Entry, listed bool) map[string]*Entry {
	a, ok := q.batch.(Accounter)
	if !ok || !listed {
		return nil
	}
	var ids []string
	dirOf := map[string]string{}
	for _, dir := range open {
		t, err := readTraces(dir)
		if err == nil && byTask[dir] == nil && t.id != "" && t.final == nil && (t.result == nil || t.result.code != 0) {
			ids = append(ids, t.id)
			dirOf[t.id] = dir
		}
	}
	if len(ids) == 0 {
		return nil
	}
	// Accounting only adds reasons: without an answer the jobs are judged without.
	entries, err := a.Account(ctx, ids)
	if err != nil {
		return nil
	}
	gone := map[string]*Entry{}
	for i, e := range entries {
		if e.State.Final() {
			gone[dirOf[e.ID]] = &entries[i]
		}
	}
	return gone
}

// dirs gives the folders of jobs.
func (q *Queue) dirs(keys []Key) (map[Key]string, error) {
	dirs := map[Key]string{}
	for _, k := range keys {
		dir, err := q.Dir(k)
		if err != nil {
			return nil, err
		}
		dirs[k] = dir
	}
	if len(keys) > 0 {
		return dirs, nil
	}
	links, err := os.ReadDir(filepath.Join(q.dir, jobsDir))
	if err != nil {
		return nil, &Error{Op: "list", What: q.dir, Err: err}
	}
	for _, l := range links {
		dir, err := q.Dir(Key(l.Name()))
		if errors.Is(err, ErrNotExist) || errors.Is(err, ErrInvalid) {
			continue
		}
		if err != nil {
			return nil, err
		}
		dirs[Key(l.Name())] = dir
	}
	return dirs, nil
}

// Cancel ends jobs, whether they wait or run, and keeps those that have not
// started from ever doing so. It does not wait until they have ended. Jobs that
// have ended are left as they are. The error wraps ErrUnavailable if the batch
// system does not answer: jobs that run may then go on.
func (q *Queue) Cancel(ctx context.Context, keys ...Key) error {
	all, listErr := q.Jobs(ctx, keys...)
	if all == nil && listErr != nil {
		return listErr
	}
	var ids []string
	for _, s := range all {
		if s.State.Final() || len(keys) == 0 {
			continue
		}
		if err := writeWhole(filepath.Join(s.Dir, cancelledFile), []byte(q.o.Now().UTC().Format(time.RFC3339)+"\n")); err != nil {
			return &Error{Op: "cancel", What: "job " + string(s.Key), Err: err}
		}
		if _, err := revoke(s.Dir); err != nil {
			return &Error{Op: "cancel", What: "job " + string(s.Key), Err: err}
		}
		if s.ID != "" {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 {
		return listErr
	}
	return errors.Join(listErr, q.batch.Cancel(ctx, ids))
}

// Forget removes a job that has ended, with its folder and its log. Its key can be
// used again.
func (q *Queue) Forget(ctx context.Context, k Key) error {
	all, err := q.Jobs(ctx, k)
	if err != nil || len(all) == 0 {
		return err
	}
	s := all[0]
	if !s.State.Final() {
		return &Error{Op: "forget", What: "job " + string(k), Kind: ErrInvalid, Err: errors.New("it has not ended: it is " + string(s.State))}
	}
	// The key first: a folder that nothing names is no job.
	if err := os.Remove(q.link(k)); err != nil {
		return &Error{Op: "forget", What: "job " + string(k), Err: err}
	}
	if err := errors.Join(os.RemoveAll(s.Dir), q.sweep(filepath.Dir(s.Dir))); err != nil {
		return &Error{Op: "forget", What: "job " + string(k), Err: err}
	}
	return nil
}

// sweep removes the folder of a submission that has no tasks any more.
func (q *Queue) sweep(submission string) error {
	names, err := os.ReadDir(submission)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n.IsDir() {
			return nil
		}
	}
	return os.RemoveAll(submission)
}
