package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Receipt says what came of the submission of one job.
type Receipt struct {
	Key Key
	ID  string // in the batch system; "" if it was not taken, or that is not known
	Err error  // nil: the batch system has the job
}

// Submit hands jobs to the batch system. Neighbours that ask for the same
// resources, wait for the same jobs and name the same shell go into one
// submission, an array, so that fifty jobs cost as much as one.
//
// There is a receipt for each job, in their order; the error joins those of the
// receipts. Their kinds are ErrInvalid, ErrExist if there is a job with that key,
// ErrNotExist if one that it waits for is not there, ErrRefused and ErrUnavailable,
// after which the job is certain never to run and its key is free again, and
// ErrUncertain, after which it may or may not run, once, and stays on record. One
// job's failure does not stop the others.
func (q *Queue) Submit(ctx context.Context, jobs []Job) ([]Receipt, error) {
	receipts := make([]Receipt, len(jobs))
	var groups [][]int
	last := ""
	for i, j := range jobs {
		receipts[i].Key = j.Key
		if err := j.valid(); err != nil {
			receipts[i].Err = err
			continue
		}
		kind, err := kindOf(j)
		if err != nil {
			receipts[i].Err = err
			continue
		}
		if n := len(groups); n > 0 && kind == last && len(groups[n-1]) < q.o.MaxArray {
			groups[n-1] = append(groups[n-1], i)
		} else {
			groups = append(groups, []int{i})
		}
		last = kind
	}
	for n, g := range groups {
		if n > 0 {
			pause(ctx, q.o.Pace)
		}
		if err := ctx.Err(); err != nil {
			for _, i := range g {
				receipts[i].Err = err
			}
			continue
		}
		group := make([]Job, len(g))
		for n, i := range g {
			group[n] = jobs[i]
		}
		for n, r := range q.submitAlike(ctx, group) {
			receipts[g[n]] = r
		}
	}
	var errs []error
	for _, r := range receipts {
		errs = append(errs, r.Err)
	}
	return receipts, errors.Join(errs...)
}

// kindOf is a text that is equal for jobs that can be in one submission.
func kindOf(j Job) (string, error) {
	shell, err := j.Script.Interpreter()
	if err != nil {
		return "", err
	}
	b, err := json.Marshal([]any{j.Resources, j.After, shell, j.Script.Directives()})
	return string(b), err
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// submitAlike submits jobs that differ in key, name and script only.
func (q *Queue) submitAlike(ctx context.Context, jobs []Job) []Receipt {
	receipts := make([]Receipt, len(jobs))
	for i, j := range jobs {
		receipts[i].Key = j.Key
	}
	after, err := q.waitFor(ctx, jobs[0].After)
	s := Submission{ID: randomHex(16), Queue: q.id, Resources: jobs[0].Resources, After: after, AtOnce: q.o.AtOnce}
	s.Dir = q.submission(s.ID)
	s.Launcher = filepath.Join(s.Dir, launchFile)
	if err == nil {
		err = os.Mkdir(s.Dir, 0o755)
	}
	if err != nil {
		for i := range receipts {
			receipts[i].Err = err
		}
		return receipts
	}
	mine, at := q.own(s, jobs, receipts)
	if len(mine) == 0 {
		os.Remove(s.Dir)
		return receipts
	}
	s.Tasks, s.Name = len(mine), mine[0].Name
	if s.Tasks > 1 {
		s.Name = fmt.Sprintf("%s and %d more", s.Name, s.Tasks-1)
	}
	var ids []string
	if err = q.prepare(s, mine); err != nil {
		q.discard(s, mine)
		err = &Error{Op: "submit", What: s.Dir, Err: err}
	} else {
		ids, err = q.hand(ctx, s, mine)
	}
	for n, i := range at {
		receipts[i].Err = err
		if err != nil {
			continue
		}
		if receipts[i].ID = ids[n]; ids[n] == "" {
			receipts[i].Err = &Error{Op: "submit", What: "job " + string(jobs[i].Key), Kind: ErrUncertain}
		}
	}
	return receipts
}

// own links the keys of jobs to the folders that they will have: whoever links a
// key owns it. It returns the jobs that are ours, and where in the list they are.
func (q *Queue) own(s Submission, jobs []Job, receipts []Receipt) (mine []Job, at []int) {
	for i, j := range jobs {
		to := filepath.Join("..", submissionsDir, s.ID, fmt.Sprint(len(mine)))
		switch err := os.Symlink(to, q.link(j.Key)); {
		case err == nil:
			mine, at = append(mine, j), append(at, i)
		case errors.Is(err, fs.ErrExist):
			receipts[i].Err = &Error{Op: "submit", What: "job " + string(j.Key), Kind: ErrExist}
		default:
			receipts[i].Err = &Error{Op: "submit", What: "job " + string(j.Key), Err: err}
		}
	}
	return mine, at
}

// prepare writes all that the launcher needs.
func (q *Queue) prepare(s Submission, jobs []Job) error {
	shell, err := jobs[0].Script.Interpreter()
	if err != nil {
		return err
	}
	now := q.o.Now().UTC()
	for n, j := range jobs {
		dir := taskDir(s.Dir, n)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, scriptFile), []byte(j.Script), 0o755); err != nil {
			return err
		}
		if err := writeJSON(filepath.Join(dir, specFile), spec{Key: j.Key, Name: j.Name, Submitted: now, Resources: j.Resources, After: j.After}); err != nil {
			return err
		}
	}
	return os.WriteFile(s.Launcher, []byte(launcher(s.Dir, shell, jobs[0].Script.Directives())), 0o755)
}

// hand gives a submission to the batch system and finds out what came of it.
func (q *Queue) hand(ctx context.Context, s Submission, jobs []Job) ([]string, error) {
	ids, err := q.batch.Submit(ctx, s)
	if err == nil && len(ids) != s.Tasks {
		err = fmt.Errorf("%d identifiers came back for %d tasks", len(ids), s.Tasks)
	}
	if errors.Is(err, ErrInvalid) {
		q.discard(s, jobs)
		return nil, err
	}
	if err != nil {
		if ids, err = q.ambiguous(ctx, s, jobs, err); err != nil {
			return nil, err
		}
	}
	// Without this file the jobs are found in the list of the batch system.
	if err := writeIDs(s.Dir, ids); err != nil {
		return nil, &Error{Op: "submit", What: s.Dir, Kind: ErrUncertain, Err: err}
	}
	return ids, nil
}

// ambiguous finds out whether the batch system took a submission to which it did
// not say yes: it looks for it in the list, and if it is not there sees to it that
// it will never run.
func (q *Queue) ambiguous(ctx context.Context, s Submission, jobs []Job, cause error) ([]string, error) {
	uncertain := func(err error) ([]string, error) {
		return nil, &Error{Op: "submit", What: s.Name, Kind: ErrUncertain, Err: errors.Join(cause, err),
			Hint: "it is looked for again with the next list of jobs"}
	}
	entries, err := q.batch.Entries(ctx, q.id)
	if err != nil {
		return uncertain(err)
	}
	ids := make([]string, s.Tasks)
	found := false
	for _, e := range entries {
		if e.Submission == s.ID && e.Task >= 0 && e.Task < s.Tasks {
			ids[e.Task], found = e.ID, true
		}
	}
	if found {
		return ids, nil
	}
	for n := range jobs {
		if won, err := revoke(taskDir(s.Dir, n)); err != nil || !won {
			return uncertain(err) // it runs, or may run
		}
	}
	q.discard(s, jobs)
	return nil, cause
}

// discard takes back what was prepared for jobs that will not run. The keys are
// free again first; a launcher that comes late finds no folder.
func (q *Queue) discard(s Submission, jobs []Job) {
	for n, j := range jobs {
		if dir, err := q.Dir(j.Key); err == nil && dir == taskDir(s.Dir, n) {
			os.Remove(q.link(j.Key))
		}
	}
	os.RemoveAll(s.Dir)
}

// waitFor gives the batch system's identifiers of those jobs in a list that have
// not succeeded yet.
func (q *Queue) waitFor(ctx context.Context, keys []Key) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	all, err := q.Jobs(ctx, keys...)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range all {
		switch {
		case s.State == StateSucceeded:
		case s.State.Final():
			return nil, &Error{Op: "submit", What: "after job " + string(s.Key), Kind: ErrInvalid, Err: errors.New("it has not succeeded: " + s.Reason)}
		case s.ID == "":
			return nil, &Error{Op: "submit", What: "after job " + string(s.Key), Kind: ErrUnavailable, Err: errors.New(s.Reason)}
		default:
			ids = append(ids, s.ID)
		}
	}
	return ids, nil
}
