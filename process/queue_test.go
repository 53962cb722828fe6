package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/google/go-cmp/cmp"
)

// A recorder is a batch system that takes everything and runs nothing.
type recorder struct {
	mu   sync.Mutex
	got  []process.Submission
	took func(process.Submission) error
}

func (r *recorder) Submit(_ context.Context, s process.Submission) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.took != nil {
		if err := r.took(s); err != nil {
			return nil, err
		}
	}
	r.got = append(r.got, s)
	ids := make([]string, s.Tasks)
	for i := range ids {
		ids[i] = fmt.Sprintf("%d_%d", len(r.got), i)
	}
	return ids, nil
}

func (r *recorder) Entries(_ context.Context, queue string) ([]process.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []process.Entry
	for n, s := range r.got {
		for i := range s.Tasks {
			if s.Queue == queue {
				all = append(all, process.Entry{Submission: s.ID, Task: i, ID: fmt.Sprintf("%d_%d", n+1, i), State: process.StatePending, ExitCode: -1})
			}
		}
	}
	return all, nil
}

func (r *recorder) Cancel(context.Context, []string) error { return nil }

func simple(key process.Key) process.Job {
	return process.Job{Key: key, Name: "raw_" + string(key), Script: "#!/bin/sh\ntrue\n"}
}

func openQueue(t *testing.T, b process.Batch, o *process.QueueOptions) (*process.Queue, string) {
	t.Helper()
	dir := t.TempDir()
	q, err := process.OpenQueue(dir, b, o)
	if err != nil {
		t.Fatal(err)
	}
	return q, dir
}

// TestGroups: jobs that are alike, and neighbours, are one submission.
func TestGroups(t *testing.T) {
	r := &recorder{}
	q, _ := openQueue(t, r, &process.QueueOptions{MaxArray: 3, AtOnce: 2})
	var jobs []process.Job
	for i := range 10 {
		jobs = append(jobs, simple(process.Key(fmt.Sprint("k", i))))
	}
	jobs[4].Resources.CPUs = 4
	jobs[6].Script = "#!/bin/bash\ntrue\n"
	jobs[7].Script = "#!/bin/bash\n#SBATCH --mem=1\ntrue\n"
	jobs[8].After = []process.Key{"k0"}
	receipts, err := q.Submit(t.Context(), jobs)
	if err != nil {
		t.Fatal(err)
	}
	type group struct {
		Name   string
		Tasks  int
		AtOnce int
		After  []string
	}
	var got []group
	for _, s := range r.got {
		got = append(got, group{s.Name, s.Tasks, s.AtOnce, s.After})
	}
	want := []group{
		{"raw_k0 and 2 more", 3, 2, nil}, {"raw_k3", 1, 2, nil}, {"raw_k4", 1, 2, nil}, {"raw_k5", 1, 2, nil},
		{"raw_k6", 1, 2, nil}, {"raw_k7", 1, 2, nil}, {"raw_k8", 1, 2, []string{"1_0"}}, {"raw_k9", 1, 2, nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var ids []string
	for _, rc := range receipts {
		ids = append(ids, rc.ID)
	}
	if diff := cmp.Diff([]string{"1_0", "1_1", "1_2", "2_0", "3_0", "4_0", "5_0", "6_0", "7_0", "8_0"}, ids); diff != "" {
		t.Error(diff)
	}
}

// TestSubmitEnded: what was not begun when the context ended was not submitted, and
// its key is free.
func TestSubmitEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{took: func(process.Submission) error { cancel(); return nil }}
	q, _ := openQueue(t, r, &process.QueueOptions{MaxArray: 1, Pace: time.Hour})
	receipts, err := q.Submit(ctx, []process.Job{simple("a"), simple("b"), simple("c")})
	if !errors.Is(err, context.Canceled) || receipts[0].Err != nil || !errors.Is(receipts[1].Err, context.Canceled) || !errors.Is(receipts[2].Err, context.Canceled) {
		t.Errorf("%+v, %v", receipts, err)
	}
	if _, err := q.Submit(t.Context(), []process.Job{simple("b")}); err != nil {
		t.Error(err)
	}
}

// TestRefusedKey: after a refusal nothing is left, and the key is free.
func TestRefusedKey(t *testing.T) {
	for _, kind := range []error{process.ErrInvalid, process.ErrRefused, process.ErrUnavailable} {
		no := true
		r := &recorder{took: func(process.Submission) error {
			if no {
				return &process.Error{Op: "submit", Kind: kind}
			}
			return nil
		}}
		q, dir := openQueue(t, r, nil)
		if _, err := q.Submit(t.Context(), []process.Job{simple("a"), simple("b")}); !errors.Is(err, kind) {
			t.Errorf("error %v, want %v", err, kind)
		}
		for _, d := range []string{"jobs", "submissions"} {
			if left, err := os.ReadDir(filepath.Join(dir, d)); err != nil || len(left) > 0 {
				t.Errorf("left in %s: %v, %v", d, left, err)
			}
		}
		no = false
		if _, err := q.Submit(t.Context(), []process.Job{simple("a")}); err != nil {
			t.Error(err)
		}
	}
}

// TestHalfMade: a process died between owning a key and submitting.
func TestHalfMade(t *testing.T) {
	now := time.Now()
	q, dir := openQueue(t, &recorder{}, &process.QueueOptions{Settle: time.Minute, Now: func() time.Time { return now }})
	for k, folder := range map[string]string{"a": "submissions/00/0", "b": "submissions/11"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..", folder), filepath.Join(dir, "jobs", k)); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(dir, "jobs", "b"))
	if err := os.Symlink("../submissions/11/0", filepath.Join(dir, "jobs", "b")); err != nil { // not even the folder was made
		t.Fatal(err)
	}
	all, err := q.Jobs(t.Context(), "a")
	if err != nil || len(all) != 1 || all[0].State != process.StateSubmitting || all[0].Key != "a" {
		t.Errorf("%+v, %v", all, err)
	}
	now = now.Add(time.Hour)
	all, err = q.Jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.State != process.StateNotStarted {
			t.Errorf("job %s is %+v", s.Key, s)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d jobs", len(all))
	}
	for _, k := range []process.Key{"a", "b"} {
		if err := q.Forget(t.Context(), k); err != nil {
			t.Error(err)
		}
		if _, err := q.Submit(t.Context(), []process.Job{simple(k)}); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenQueue(t *testing.T) {
	for _, dir := range []string{"relative", `/tmp/back\slash`, "/tmp/new\nline"} {
		if _, err := process.OpenQueue(dir, &recorder{}, nil); !errors.Is(err, process.ErrInvalid) {
			t.Errorf("%q: error %v, want ErrInvalid", dir, err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "queue"), []byte("rubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := process.OpenQueue(dir, &recorder{}, nil); err == nil {
		t.Error("a folder of something else is taken for a queue")
	}
	// Many that open a new queue at once agree on its name.
	dir = t.TempDir()
	r := &recorder{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			q, err := process.OpenQueue(dir, r, nil)
			if err == nil {
				_, err = q.Submit(t.Context(), []process.Job{simple(process.Key(fmt.Sprint("k", i)))})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range r.got {
		if s.Queue != r.got[0].Queue {
			t.Errorf("names %q and %q", s.Queue, r.got[0].Queue)
		}
	}
}

func TestKey(t *testing.T) {
	for k, ok := range map[process.Key]bool{"a": true, "0-a_b.c": true, "": false, ".a": false, "-a": false, "a/b": false, "é": false, "a b": false} {
		if err := k.Valid(); (err == nil) != ok {
			t.Errorf("%q: %v", k, err)
		}
	}
}
