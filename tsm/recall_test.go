package tsm_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cax-go/cax/tsm"
	"github.com/cax-go/cax/tsm/tsmtest"
	"github.com/google/go-cmp/cmp"
)

func row(path, description string, day int) tsm.Object {
	return tsm.Object{Path: path, Description: description, Size: 10, Step: 1, Active: true, Date: tsm.Stamp{Time: time.Date(2026, 7, day, 0, 0, 0, 0, time.UTC)}}
}

func TestPlanRecall(t *testing.T) {
	rows := []tsm.Object{
		row("/raw/a/1", "A", 1), row("/raw/a/2", "A", 1), row("/raw/b/1", "B", 1), row("/raw/b2/1", "B", 1), // b2 is not in b
		row("/raw/c/1", "C1", 1), row("/raw/c/2", "C1", 1), row("/raw/c/1", "C2", 3), // archived twice, once in part
		row("/other/a/1", "A", 1), row("/raw/single.root", "S", 1),
	}
	for _, tc := range []struct {
		name  string
		wants []tsm.Want
		limit int64
		want  tsm.RecallPlan
	}{
		{"one", []tsm.Want{{Location: "/raw/a"}}, 0, tsm.RecallPlan{Recalls: []tsm.Recall{{Paths: []string{"/raw/a/1", "/raw/a/2"}, Bytes: 20}}}},
		{"many in one", []tsm.Want{{Location: "/raw/b/"}, {Location: "/raw/a"}, {Location: "/raw/single.root"}}, 0,
			tsm.RecallPlan{Recalls: []tsm.Recall{{Paths: []string{"/raw/b/1", "/raw/a/1", "/raw/a/2", "/raw/single.root"}, Bytes: 40}}}},
		{"missing", []tsm.Want{{Location: "/raw/x"}, {Location: "/raw/a", Description: "Z"}}, 0,
			tsm.RecallPlan{Missing: []tsm.Want{{Location: "/raw/x"}, {Location: "/raw/a", Description: "Z"}}}},
		{"the run that is meant", []tsm.Want{{Location: "/raw/c", Description: "C1"}}, 0,
			tsm.RecallPlan{Recalls: []tsm.Recall{{Paths: []string{"/raw/c/2"}, Bytes: 10}, {Paths: []string{"/raw/c/1"}, Description: "C1", Bytes: 10}}}},
		{"the latest", []tsm.Want{{Location: "/raw/c"}}, 0,
			tsm.RecallPlan{Recalls: []tsm.Recall{{Paths: []string{"/raw/c/2"}, Bytes: 10}, {Paths: []string{"/raw/c/1"}, Description: "C2", Bytes: 10}}}},
		{"one name twice", []tsm.Want{{Location: "/raw/a"}, {Location: "/other/a"}}, 0,
			tsm.RecallPlan{Recalls: []tsm.Recall{{Paths: []string{"/raw/a/1", "/raw/a/2"}, Bytes: 20}, {Paths: []string{"/other/a/1"}, Bytes: 10}}}},
		{"a limit divides no dataset", []tsm.Want{{Location: "/raw/b"}, {Location: "/raw/a"}, {Location: "/raw/b2"}}, 15,
			tsm.RecallPlan{Recalls: []tsm.Recall{{Paths: []string{"/raw/b/1"}, Bytes: 10}, {Paths: []string{"/raw/a/1", "/raw/a/2"}, Bytes: 20}, {Paths: []string{"/raw/b2/1"}, Bytes: 10}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, tsm.PlanRecall(tc.wants, rows, tc.limit)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestMounts: how often tapes are mounted for many runs that were asked for at once,
// and for as many one by one. CAX_INTEGRATION=1 makes it a thousand.
func TestMounts(t *testing.T) {
	runs, perVolume := 60, 25
	if os.Getenv("CAX_INTEGRATION") == "1" {
		runs, perVolume = 1000, 300
	}
	tape := tsmtest.New(t)
	tape.Set(t, func(s *tsmtest.Settings) { s.VolumeFiles = perVolume })
	c := tape.Client()
	root := t.TempDir()
	// What was written in turns lies on the tapes in turns.
	var all []tsm.File
	var wants []tsm.Want
	for i := range runs {
		dir := filepath.Join(root, fmt.Sprintf("1603%02d_%04d", i%28+1, i))
		all = append(all, write(t, dir, map[string]string{"XENON1T-0.zip": fmt.Sprint("events", i), "XENON1T-1.zip": "more", "pax_info.json": "{}"})...)
		wants = append(wants, tsm.Want{Location: dir})
	}
	shuffled := slices.Clone(all)
	slices.SortStableFunc(shuffled, func(a, b tsm.File) int {
		return slices.Index([]string{"XENON1T-0.zip", "XENON1T-1.zip", "pax_info.json"}, filepath.Base(a.Path)) - slices.Index([]string{"XENON1T-0.zip", "XENON1T-1.zip", "pax_info.json"}, filepath.Base(b.Path))
	})
	if _, err := c.Archive(t.Context(), paths(shuffled), "x", nil); err != nil {
		t.Fatal(err)
	}
	volumes := (len(all) + perVolume - 1) / perVolume
	calls, mounts := len(tape.Calls(t)), len(tape.Mounts(t))
	if mounts != volumes {
		t.Errorf("%d mounts to write %d volumes", mounts, volumes)
	}

	rows, err := c.QueryArchive(t.Context(), tsm.Query{Path: root})
	if err != nil {
		t.Fatal(err)
	}
	plan := tsm.PlanRecall(wants, rows, 0)
	dest := t.TempDir()
	for _, r := range plan.Recalls {
		if _, err := c.Retrieve(t.Context(), r, dest, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	calls, mounts = len(tape.Calls(t))-calls, len(tape.Mounts(t))-mounts
	t.Logf("%d runs, %d files on %d tapes: %d calls of dsmc, %d mounts", runs, len(all), volumes, calls, mounts)
	if calls != 2 || mounts != volumes {
		t.Errorf("%d calls, %d mounts for %d volumes", calls, mounts, volumes)
	}
	for i, w := range wants {
		at, ok := tsm.Placed(dest, w.Location)
		if !ok {
			t.Fatalf("%s did not come", w.Location)
		}
		want := map[string]string{"XENON1T-0.zip": fmt.Sprint("events", i), "XENON1T-1.zip": "more", "pax_info.json": "{}"}
		if d := cmp.Diff(want, read(t, at)); d != "" {
			t.Error(d)
		}
	}

	// One run after the other mounts a tape for nearly each file.
	before := len(tape.Mounts(t))
	for _, w := range wants[:5] {
		for _, r := range tsm.PlanRecall([]tsm.Want{w}, rows, 0).Recalls {
			if _, err := c.Retrieve(t.Context(), r, t.TempDir(), false, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(tape.Mounts(t)) - before; n <= 5 {
		t.Errorf("five runs alone take %d mounts: the tapes of this test are no test", n)
	}
}

// TestTwice: a dataset whose first archive run died comes back whole, from the run
// that is asked for.
func TestTwice(t *testing.T) {
	tape := tsmtest.New(t)
	c := tape.Client()
	dir := filepath.Join(t.TempDir(), "160315_1432")
	write(t, dir, map[string]string{"a": "old", "b": "old"})
	files := []tsm.File{{Path: dir + "/a", Size: 3}, {Path: dir + "/b", Size: 3}}
	tape.Fail(t, tsmtest.Fault{Kind: tsmtest.Killed, After: 1, Times: 1})
	if _, err := c.Archive(t.Context(), paths(files), "first", nil); !errors.Is(err, tsm.ErrTransient) {
		t.Fatal(err)
	}
	want := map[string]string{"a": "new", "b": "new"}
	write(t, dir, want)
	if _, err := c.Archive(t.Context(), paths(files), "second", nil); err != nil {
		t.Fatal(err)
	}
	rows, err := c.QueryArchive(t.Context(), tsm.Query{Path: dir})
	if err != nil || len(rows) != 3 {
		t.Fatal(err, rows)
	}
	dest := t.TempDir()
	for _, r := range tsm.PlanRecall([]tsm.Want{{Location: dir, Description: "second"}}, rows, 0).Recalls {
		if _, err := c.Retrieve(t.Context(), r, dest, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	at, _ := tsm.Placed(dest, dir)
	if d := cmp.Diff(want, read(t, at)); d != "" {
		t.Error(d)
	}
}

func TestPlaced(t *testing.T) {
	dest := t.TempDir()
	write(t, dest, map[string]string{"raw/160315_1432/f": "x"})
	for _, tc := range []struct {
		path, want string
		ok         bool
	}{
		{"/data/xenon/raw/160315_1432", "raw/160315_1432", true},
		{"/raw/160315_1432", "raw/160315_1432", true},
		{"/raw/160315_1432/f", "raw/160315_1432/f", true},
		{"/data/xenon/raw/160315_1433", "", false},
		{"/", "", false},
	} {
		got, ok := tsm.Placed(dest, tc.path)
		if ok != tc.ok || ok && got != filepath.Join(dest, tc.want) {
			t.Errorf("%s: %s, %v", tc.path, got, ok)
		}
	}
}
