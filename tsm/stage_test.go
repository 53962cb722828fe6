package tsm_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/cax-go/cax/tsm"
	"github.com/google/go-cmp/cmp"
)

func TestStage(t *testing.T) {
	const run = "160315_1432_MV"
	files := map[string]string{"XENON1T-0.zip": "events", "empty": "", "sub/x": "1"}
	want := map[string]string{run + "_XENON1T-0.zip": "events", run + "_empty": "", "sub/" + run + "_x": "1"}
	for _, tc := range []struct {
		name           string
		o              *tsm.StageOptions
		linked, copied int
	}{
		{"links", nil, 3, 0},
		{"copies", &tsm.StageOptions{Copy: true}, 0, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			base := t.TempDir()
			src, dest := filepath.Join(base, run), filepath.Join(base, "tsm", run)
			write(t, src, files)
			for try := range 2 { // the second finds what the first has left
				s, err := tsm.Stage(t.Context(), src, dest, run, tc.o)
				if err != nil {
					t.Fatal(err)
				}
				if s.Linked != tc.linked || s.Cloned+s.Copied != tc.copied || len(s.Files) != 3 {
					t.Errorf("try %d: %+v", try, s)
				}
				if d := cmp.Diff(want, read(t, dest)); d != "" {
					t.Error(d)
				}
				a, _ := os.Stat(filepath.Join(src, "empty"))
				b, _ := os.Stat(filepath.Join(dest, run+"_empty"))
				if os.SameFile(a, b) != (tc.linked > 0) || !a.ModTime().Equal(b.ModTime()) {
					t.Error("not linked, or another time")
				}
			}
			if err := tsm.Unstage(dest, run); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(dest); !errors.Is(err, os.ErrNotExist) {
				t.Error("the folder is still there")
			}
			if d := cmp.Diff(files, read(t, src)); d != "" {
				t.Error(d)
			}
			if err := tsm.Unstage(dest, run); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// TestStageLinkedFile: a link in a dataset is staged as the file that it names.
func TestStageLinkedFile(t *testing.T) {
	base := t.TempDir()
	src, dest := filepath.Join(base, "run"), filepath.Join(base, "staged")
	write(t, src, map[string]string{"real": "x"})
	if err := os.Symlink("real", filepath.Join(src, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := tsm.Stage(t.Context(), src, dest, "run", nil); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(filepath.Join(dest, "run_link")); err != nil || !st.Mode().IsRegular() || st.Size() != 1 {
		t.Errorf("%v, %v", st, err)
	}
}

func TestStageRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		prep func(t *testing.T, src, dest string)
		o    *tsm.StageOptions
		want error
	}{
		{"no source", func(t *testing.T, src, _ string) { os.RemoveAll(src) }, nil, tsm.ErrNotExist},
		{"something else in the folder", func(t *testing.T, _, dest string) { write(t, dest, map[string]string{"precious": "x"}) }, nil, tsm.ErrExist},
		{"no space", nil, &tsm.StageOptions{Copy: true, Reserve: math.MaxInt64 / 2}, tsm.ErrNoSpace},
		{"a link to nothing", func(t *testing.T, src, _ string) { os.Symlink("gone", filepath.Join(src, "link")) }, nil, tsm.ErrNotExist},
		{"a link to a folder", func(t *testing.T, src, _ string) { os.Symlink("/tmp", filepath.Join(src, "link")) }, nil, tsm.ErrInvalid},
		{"a file is in the way", func(t *testing.T, _, dest string) {
			write(t, filepath.Dir(dest), map[string]string{filepath.Base(dest): "x"})
		}, nil, tsm.ErrExist},
	} {
		t.Run(tc.name, func(t *testing.T) {
			base := t.TempDir()
			src, dest := filepath.Join(base, "run"), filepath.Join(base, "staged")
			write(t, src, map[string]string{"a": "1", "b": "2"})
			if tc.prep != nil {
				tc.prep(t, src, dest)
			}
			before := map[string]string{}
			if _, err := os.Stat(dest); err == nil {
				before = read(t, dest)
			}
			_, err := tsm.Stage(t.Context(), src, dest, "run", tc.o)
			if !errors.Is(err, tc.want) {
				t.Errorf("%v", err)
			}
			after := map[string]string{}
			if _, err := os.Stat(dest); err == nil {
				after = read(t, dest)
			}
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("it left: %s", d)
			}
		})
	}
	for _, prefix := range []string{"", "a/b"} {
		if _, err := tsm.Stage(t.Context(), t.TempDir(), t.TempDir(), prefix, nil); !errors.Is(err, tsm.ErrInvalid) {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := t.TempDir()
	write(t, src, map[string]string{"a": "1"})
	dest := filepath.Join(t.TempDir(), "x")
	if _, err := tsm.Stage(ctx, src, dest, "run", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(dest); !errors.Is(err, os.ErrNotExist) {
		t.Error("a cancelled call leaves its folder")
	}
}

// TestUnstageLeaves: what was not staged is never removed.
func TestUnstageLeaves(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"run_a": "1", "raw data": "2", "sub/run_b": "3"})
	if err := tsm.Unstage(dir, "run"); !errors.Is(err, tsm.ErrExist) {
		t.Errorf("%v", err)
	}
	if d := cmp.Diff(map[string]string{"raw data": "2"}, read(t, dir)); d != "" {
		t.Error(d)
	}
	write(t, dir, map[string]string{"run_a": "1"})
	if err := tsm.Unstage(dir, ""); !errors.Is(err, tsm.ErrExist) || len(read(t, dir)) != 2 {
		t.Errorf("without a prefix: %v", err)
	}
}

func TestUndoPrefix(t *testing.T) {
	const run = "160315_1432"
	known := func(names ...string) func(string) bool {
		m := map[string]bool{}
		for _, n := range names {
			m[n] = true
		}
		return func(s string) bool { return m[s] }
	}
	for _, tc := range []struct {
		name  string
		files []string
		known func(string) bool
		want  []string
		n     int
	}{
		{"renamed", []string{run + "_a", run + "_b"}, nil, []string{"a", "b"}, 2},
		{"not renamed", []string{"XENON1T-160315_1432-000.zip", "pax_info.json"}, nil, []string{"XENON1T-160315_1432-000.zip", "pax_info.json"}, 0},
		{"half done", []string{"a", run + "_b"}, nil, []string{"a", "b"}, 1},
		{"names that begin so by themselves", []string{run + "_a", "b"}, known(run+"_a", "b"), []string{run + "_a", "b"}, 0},
		{"both at once", []string{run + "_" + run + "_a", run + "_b"}, known(run+"_a", "b"), []string{run + "_a", "b"}, 2},
		{"not of the dataset", []string{run + "_a", run + "_stray"}, known("a"), []string{"a", run + "_stray"}, 1},
		{"in folders", []string{"sub/" + run + "_a"}, known("sub/a"), []string{"sub/a"}, 1},
		{"nothing but the prefix", []string{run + "_", run, run + "_."}, nil, []string{run + "_", run, run + "_."}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			want := map[string]string{}
			for i, f := range tc.files {
				write(t, dir, map[string]string{f: fmt.Sprint(i)})
				want[tc.want[i]] = fmt.Sprint(i)
			}
			n, err := tsm.UndoPrefix(dir, run, tc.known)
			if err != nil || n != tc.n {
				t.Errorf("%d, %v", n, err)
			}
			if d := cmp.Diff(want, read(t, dir)); d != "" {
				t.Error(d)
			}
		})
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "own", run + "_a": "other"})
	if _, err := tsm.UndoPrefix(dir, run, nil); !errors.Is(err, tsm.ErrExist) {
		t.Errorf("in the way: %v", err)
	}
	if d := cmp.Diff(map[string]string{"a": "own", run + "_a": "other"}, read(t, dir)); d != "" {
		t.Error(d)
	}
	if err := errors.Join(os.Remove(dir+"/a"), os.Link(dir+"/"+run+"_a", dir+"/a")); err != nil {
		t.Fatal(err)
	}
	if n, err := tsm.UndoPrefix(dir, run, nil); n != 1 || err != nil {
		t.Errorf("after the first half of a renaming: %d, %v", n, err)
	}
	if _, err := tsm.UndoPrefix(dir+"/none", run, nil); !errors.Is(err, tsm.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
