package tsm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/tsm"
	"github.com/cax-go/cax/tsm/tsmtest"
	"github.com/google/go-cmp/cmp"
)

// write makes files below dir and gives what should be on tape.
func write(t testing.TB, dir string, files map[string]string) []tsm.File {
	t.Helper()
	var out []tsm.File
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out = append(out, tsm.File{Path: p, Size: int64(len(text))})
	}
	slices.SortFunc(out, func(a, b tsm.File) int { return strings.Compare(a.Path, b.Path) })
	return out
}

func paths(files []tsm.File) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

// read gives the content of each file below dir.
func read(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// collector is a Progress that keeps what it is told.
type collector struct {
	objects  []tsm.Transfer
	messages []tsm.Message
}

func (c *collector) Object(t tsm.Transfer) { c.objects = append(c.objects, t) }
func (c *collector) Message(m tsm.Message) { c.messages = append(c.messages, m) }

// TestThereAndBack archives names of every sort, sees them, and brings them back.
func TestThereAndBack(t *testing.T) {
	for _, tc := range []struct {
		name   string
		locale string
		set    tsmtest.Settings
		files  map[string]string
	}{
		{name: "plain", files: map[string]string{"XENON1T-0.zip": "events", "pax_info.json": "{}", "empty": "", "again-empty": ""}},
		{name: "blanks and quotes", files: map[string]string{"a b": "1", " lead": "2", "it's": "3", `say "hi"`: "4", "two  blanks": "5", "Never 07/16/2026": "6", "a --> b": "7"}},
		{name: "patterns", files: map[string]string{"we*rd?": "1", "{x}": "2", `both ' and "`: "3", "plain": "4", "weird!": "5"}},
		{name: "folders", files: map[string]string{"a/b/c": "1", "a/c": "2"}},
		{name: "bytes", locale: "en_US", files: map[string]string{"Dr\xe4hte.pdf": "1", "\xff\xfe": "2"}},
		{name: "ends", files: map[string]string{"blank at the end ": "1", "blanks  ": "2", "x [Done]": "3", "y Never": "4"}},
		{name: "UTF-8", files: map[string]string{"Drähte": "1", "run [Sent]": "2", "x  Changed": "3"}},
		{name: "German", set: tsmtest.Settings{Style: "de"}, files: map[string]string{"big": strings.Repeat("x", 1_234_567)}},
		{name: "Swedish", set: tsmtest.Settings{Style: "sv", AsNode: "XENON"}, files: map[string]string{"big": strings.Repeat("x", 1_234_567)}},
		{name: "Swiss, wrapped", set: tsmtest.Settings{Style: "ch", Wrap: 133}, files: map[string]string{"big": strings.Repeat("x", 12_345), strings.Repeat("long name ", 12): "2"}},
		{name: "file spaces", set: tsmtest.Settings{Filespaces: []string{"/", "/tmp", "/dev/shm"}}, files: map[string]string{"x": "1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tape := tsmtest.New(t)
			tape.Set(t, func(s *tsmtest.Settings) { *s = tc.set })
			c := tape.Client()
			c.Locale = tc.locale
			dir := filepath.Join(t.TempDir(), "160315_1432")
			want := write(t, dir, tc.files)
			const description = "cax:160315_1432:0f3a"

			var told collector
			r, err := c.Archive(t.Context(), paths(want), description, &told)
			if err != nil {
				t.Fatal(err)
			}
			if n := int64(len(want)); r.Statistics.Count(tsm.ObjectsArchived) != n || r.Statistics.Count(tsm.ObjectsFailed) != 0 || len(told.objects) != len(want) {
				t.Errorf("%+v, told %+v", r.Statistics, told.objects)
			}
			for _, o := range told.objects {
				if o.Outcome != tsm.Sent || !slices.Contains(paths(want), o.Path) {
					t.Errorf("%+v", o)
				}
			}
			rows, err := c.QueryArchive(t.Context(), tsm.Query{Path: dir, Description: description})
			if err != nil {
				t.Fatal(err)
			}
			if d := tsm.Uncovered(want, rows); len(d) > 0 || len(rows) != len(want) {
				t.Fatalf("not on tape: %+v; rows: %+v", d, rows)
			}

			dest := filepath.Join(t.TempDir(), "back")
			if err := os.Mkdir(dest, 0o755); err != nil {
				t.Fatal(err)
			}
			plan := tsm.PlanRecall([]tsm.Want{{Location: dir, Description: description}}, rows, 0)
			if len(plan.Recalls) != 1 || len(plan.Missing) != 0 {
				t.Fatalf("%+v", plan)
			}
			got, err := c.Retrieve(t.Context(), plan.Recalls[0], dest, false, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Statistics.Count(tsm.ObjectsRetrieved) != int64(len(want)) {
				t.Errorf("%+v", got.Statistics)
			}
			for _, o := range got.Transfers {
				if filepath.Base(o.Path) != filepath.Base(o.Dest) {
					t.Errorf("%+v", o)
				}
			}
			at, ok := tsm.Placed(dest, dir)
			if !ok {
				t.Fatalf("nothing at %v", read(t, dest))
			}
			if d := cmp.Diff(tc.files, read(t, at)); d != "" {
				t.Error(d)
			}
			// Equal files that are there already are left alone, and it says so.
			if _, err := c.Retrieve(t.Context(), plan.Recalls[0], dest, false, nil); !errors.Is(err, tsm.ErrIncomplete) {
				t.Errorf("again: %v", err)
			}
			if _, err := c.Retrieve(t.Context(), plan.Recalls[0], dest, true, nil); err != nil {
				t.Errorf("replacing: %v", err)
			}
		})
	}
}

// TestRefusedNames: what dsmc could misunderstand does not get to it.
func TestRefusedNames(t *testing.T) {
	tape := tsmtest.New(t)
	c := tape.Client()
	for _, p := range []string{"relative", "/a\nb", "/a\x18", ""} {
		if _, err := c.Archive(t.Context(), []string{p}, "", nil); !errors.Is(err, tsm.ErrInvalid) {
			t.Errorf("archive %q: %v", p, err)
		}
		if _, err := c.QueryArchive(t.Context(), tsm.Query{Path: p}); !errors.Is(err, tsm.ErrInvalid) {
			t.Errorf("query %q: %v", p, err)
		}
		if _, err := c.Incremental(t.Context(), p, nil); !errors.Is(err, tsm.ErrInvalid) {
			t.Errorf("incremental %q: %v", p, err)
		}
		if _, err := c.Retrieve(t.Context(), tsm.Recall{Paths: []string{p}}, "/tmp", false, nil); !errors.Is(err, tsm.ErrInvalid) {
			t.Errorf("retrieve %q: %v", p, err)
		}
	}
	for _, d := range []string{"two words", "star*", "'", strings.Repeat("x", 255)} {
		if _, err := c.Archive(t.Context(), []string{"/x"}, d, nil); !errors.Is(err, tsm.ErrInvalid) {
			t.Errorf("description %q: %v", d, err)
		}
	}
	if _, err := c.Archive(t.Context(), nil, "", nil); !errors.Is(err, tsm.ErrInvalid) {
		t.Errorf("no files: %v", err)
	}
	if _, err := c.Retrieve(t.Context(), tsm.Recall{Paths: []string{"/x"}}, "/tmp/*", false, nil); !errors.Is(err, tsm.ErrInvalid) {
		t.Errorf("destination: %v", err)
	}
	if calls := tape.Calls(t); len(calls) != 0 {
		t.Errorf("it was run: %q", calls)
	}
}

// TestIncremental: what the original wrote comes back, although the staging folder is
// gone and a later run has expired it.
func TestIncremental(t *testing.T) {
	tape := tsmtest.New(t)
	c := tape.Client()
	src, tsmDir := filepath.Join(t.TempDir(), "160315_1432"), t.TempDir()
	files := map[string]string{"XENON1T-0.zip": "events", "pax_info.json": "{}"}
	write(t, src, files)
	location := filepath.Join(tsmDir, "160315_1432")
	staged, err := tsm.Stage(t.Context(), src, location, "160315_1432", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Incremental(t.Context(), location, nil)
	if err != nil || r.Statistics.Count(tsm.ObjectsBackedUp) != 2 {
		t.Fatalf("%v, %+v", err, r)
	}
	// Nothing has changed: that is no error.
	if r, err = c.Incremental(t.Context(), location, nil); err != nil || r.Statistics.Count(tsm.ObjectsBackedUp) != 0 || r.Statistics.Percent(tsm.DataReduction) != 100 {
		t.Fatalf("%v, %+v", err, r)
	}
	rows, err := c.QueryBackup(t.Context(), tsm.Query{Path: location})
	if err != nil || len(tsm.Uncovered(staged.Files, rows)) != 0 {
		t.Fatalf("%v, %+v", err, rows)
	}
	if err := tsm.Unstage(location, "160315_1432"); err != nil {
		t.Fatal(err)
	}
	if r, err = c.Incremental(t.Context(), tsmDir, nil); err != nil || r.Statistics.Count(tsm.ObjectsExpired) != 2 {
		t.Fatalf("%v, %+v", err, r)
	}
	if rows, err = c.QueryBackup(t.Context(), tsm.Query{Path: location}); err != nil {
		t.Fatal(err)
	}
	if d := tsm.Uncovered(staged.Files, rows); len(d) != 2 || d[0].Kind != tsm.Inactive {
		t.Errorf("it counts although it expires: %+v", d)
	}
	dest := t.TempDir()
	plan := tsm.PlanRecall([]tsm.Want{{Location: location}}, rows, 0)
	if _, err := c.Restore(t.Context(), plan.Recalls[0], dest, false, nil); err != nil {
		t.Fatal(err)
	}
	at, _ := tsm.Placed(dest, location)
	if n, err := tsm.UndoPrefix(at, "160315_1432", nil); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if d := cmp.Diff(files, read(t, at)); d != "" {
		t.Error(d)
	}
	// What no -latest restore leaves behind.
	if p, err := c.PendingRestores(t.Context()); err != nil || len(p) != 0 {
		t.Errorf("%q, %v", p, err)
	}
}

// TestFailures has each way to fail, what is said of it, and that the next run is
// well.
func TestFailures(t *testing.T) {
	type op func(ctx context.Context, c *tsm.Client, dir string, files []tsm.File, dest string) (*tsm.Result, error)
	archive := func(ctx context.Context, c *tsm.Client, _ string, files []tsm.File, _ string) (*tsm.Result, error) {
		return c.Archive(ctx, paths(files), "d2", nil)
	}
	incremental := func(ctx context.Context, c *tsm.Client, dir string, _ []tsm.File, _ string) (*tsm.Result, error) {
		return c.Incremental(ctx, dir, nil)
	}
	retrieve := func(ctx context.Context, c *tsm.Client, _ string, files []tsm.File, dest string) (*tsm.Result, error) {
		return c.Retrieve(ctx, tsm.Recall{Paths: paths(files), Description: "d1"}, dest, true, nil)
	}
	restore := func(ctx context.Context, c *tsm.Client, _ string, files []tsm.File, dest string) (*tsm.Result, error) {
		return c.Restore(ctx, tsm.Recall{Paths: paths(files)}, dest, true, nil)
	}
	check := func(ctx context.Context, c *tsm.Client, _ string, _ []tsm.File, _ string) (*tsm.Result, error) {
		return c.Check(ctx)
	}
	query := func(ctx context.Context, c *tsm.Client, dir string, _ []tsm.File, _ string) (*tsm.Result, error) {
		_, err := c.QueryArchive(ctx, tsm.Query{Path: dir})
		return nil, err
	}
	for _, tc := range []struct {
		name  string
		do    op
		fault tsmtest.FaultKind
		want  error // nil: it is well
		exit  tsm.ExitCode
		code  string
	}{
		{"no server", check, tsmtest.NoServer, tsm.ErrTransient, 12, "ANS1017E"},
		{"no options", check, tsmtest.NoOptions, tsm.ErrConfig, 12, "ANS1035S"},
		{"no password", check, tsmtest.NoPassword, tsm.ErrAuth, 12, "ANS1051I"},
		{"not installed", check, tsmtest.NotInstalled, tsm.ErrNotInstalled, 127, ""},
		{"archive without server", archive, tsmtest.NoServer, tsm.ErrTransient, 12, "ANS1017E"},
		{"no directory", archive, tsmtest.NoDirectory, tsm.ErrNotExist, 12, "ANS1076E"},
		{"full in mid-run", archive, tsmtest.Full, tsm.ErrNoSpace, 12, "ANS1311E"},
		{"a file that changes", archive, tsmtest.Changing, tsm.ErrIncomplete, 4, "ANS4037E"},
		{"a file that changes, incremental", incremental, tsmtest.Changing, tsm.ErrIncomplete, 4, "ANS1802E"},
		{"a file that changed once", archive, tsmtest.ChangedOnce, nil, 0, ""},
		{"session lost and found", archive, tsmtest.Reconnect, nil, 8, "ANS1809W"},
		{"killed", archive, tsmtest.Killed, tsm.ErrTransient, -1, ""},
		{"killed before its last word", archive, tsmtest.LosesWord, tsm.ErrTransient, -1, ""},
		{"prompt", archive, tsmtest.Asks, tsm.ErrPrompt, 0, ""},
		{"no tape", retrieve, tsmtest.NoMedia, tsm.ErrTransient, 12, "ANS1312E"},
		{"attributes", retrieve, tsmtest.Attribute, nil, 8, "ANS1590W"},
		{"no match", retrieve, tsmtest.NoMatch, tsm.ErrNotExist, 8, "ANS1092W"},
		{"prompt at retrieve", retrieve, tsmtest.Asks, tsm.ErrPrompt, 0, ""},
		{"killed at retrieve", retrieve, tsmtest.Killed, tsm.ErrTransient, -1, ""},
		{"pending", restore, tsmtest.Pending, tsm.ErrPending, 12, "ANS1330S"},
		{"query without server", query, tsmtest.NoServer, tsm.ErrTransient, 12, "ANS1017E"},
		{"query killed", query, tsmtest.Killed, tsm.ErrTransient, -1, ""},
		{"query without a match", query, tsmtest.NoMatch, nil, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tape := tsmtest.New(t)
			c := tape.Client()
			c.LogDir = filepath.Join(t.TempDir(), "log")
			dir := t.TempDir()
			files := write(t, dir, map[string]string{"a": "1", "b": "22", "c": "333"})
			if _, err := c.Archive(t.Context(), paths(files), "d1", nil); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Incremental(t.Context(), dir, nil); err != nil {
				t.Fatal(err)
			}
			os.WriteFile(files[0].Path, []byte("new"), 0o644) // for the incremental
			tape.Fail(t, tsmtest.Fault{Kind: tc.fault, After: 1, Times: 1})
			r, err := tc.do(t.Context(), c, dir, files, t.TempDir())
			if !errors.Is(err, tc.want) || (tc.want == nil) != (err == nil) {
				t.Fatalf("%v", err)
			}
			if tc.exit != 0 {
				got := tsm.ExitCode(0)
				var e *tsm.Error
				switch {
				case errors.As(err, &e):
					got = e.Exit
				case r != nil:
					got = r.Exit
				}
				if got != tc.exit {
					t.Errorf("exit code %d: %v", got, err)
				}
			}
			if tc.code != "" {
				var e *tsm.Error
				var ms []tsm.Message
				if errors.As(err, &e) {
					ms = e.Messages
				} else {
					ms = r.Warnings
				}
				if !slices.ContainsFunc(ms, func(m tsm.Message) bool { return m.Code() == tc.code }) {
					t.Errorf("messages %v", ms)
				}
				if _, err := os.Stat(filepath.Join(c.LogDir, "dsmerror.log")); err != nil && tc.code != "ANS1051I" {
					t.Errorf("DSM_LOG is not where the log is: %v", err)
				}
			}
			if tc.want == tsm.ErrPending {
				// Nobody drops what another one may resume, unless told to.
				if _, err := tc.do(t.Context(), c, dir, files, t.TempDir()); !errors.Is(err, tsm.ErrPending) {
					t.Errorf("again: %v", err)
				}
				if p, err := c.PendingRestores(t.Context()); err != nil || len(p) != 1 {
					t.Errorf("%q, %v", p, err)
				}
				if err := c.CancelRestores(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if _, err := tc.do(t.Context(), c, dir, files, t.TempDir()); err != nil {
				t.Errorf("the next run: %v", err)
			}
		})
	}
}

// TestQuietLosses: what no exit code tells, the query does.
func TestQuietLosses(t *testing.T) {
	for _, tc := range []struct {
		fault tsmtest.FaultKind
		want  tsm.DifferenceKind
	}{{tsmtest.Loses, tsm.Missing}, {tsmtest.Shortens, tsm.Size}} {
		t.Run(string(tc.fault), func(t *testing.T) {
			tape := tsmtest.New(t)
			c := tape.Client()
			dir := t.TempDir()
			files := write(t, dir, map[string]string{"a": "1111", "b": "2222", "c": "3333"})
			tape.Fail(t, tsmtest.Fault{Kind: tc.fault, After: 1})
			if _, err := c.Archive(t.Context(), paths(files), "x", nil); err != nil {
				t.Fatal(err)
			}
			rows, err := c.QueryArchive(t.Context(), tsm.Query{Path: dir})
			if err != nil {
				t.Fatal(err)
			}
			d := tsm.Uncovered(files, rows)
			if len(d) != 1 || d[0].Kind != tc.want || d[0].Path != files[1].Path {
				t.Errorf("%+v", d)
			}
		})
	}
}

// TestPartialName: in a UTF-8 locale other names are left out, and that is said.
func TestPartialName(t *testing.T) {
	tape := tsmtest.New(t)
	c := tape.Client()
	files := write(t, t.TempDir(), map[string]string{"Dr\xe4hte": "1", "b": "2"})
	_, err := c.Archive(t.Context(), paths(files), "x", nil)
	var e *tsm.Error
	if !errors.As(err, &e) || e.Kind != tsm.ErrIncomplete || !slices.ContainsFunc(e.Messages, func(m tsm.Message) bool { return m.Number == 4042 }) {
		t.Errorf("%v", err)
	}
}

// TestHugeRows: sizes above 100 GB are known to a KB.
func TestHugeRows(t *testing.T) {
	tape := tsmtest.New(t)
	const size = 662_872_441_233
	tape.Pretend(t, tsmtest.Version{Archive: true, Path: "/data/huge file.zip", Size: size, Description: "x", Active: true})
	rows, err := tape.Client().QueryArchive(t.Context(), tsm.Query{Path: "/data", Detail: true})
	if err != nil || len(rows) != 1 {
		t.Fatal(err, rows)
	}
	if !rows[0].SizeIs(size) || rows[0].Step != 1024 || rows[0].SizeIs(size-4096) || rows[0].Volume == "" || rows[0].Description != "x" {
		t.Errorf("%+v", rows[0])
	}
	if d := tsm.Uncovered([]tsm.File{{Path: "/data/huge file.zip", Size: size}}, rows); len(d) != 0 {
		t.Errorf("%+v", d)
	}
}

// TestQueryNames: names that dsmc would take for patterns are asked for by their
// folder.
func TestQueryNames(t *testing.T) {
	tape := tsmtest.New(t)
	for _, p := range []string{"/data/w*/x", "/data/wild/x", "/data/wild", "/data/w'/y", "/data/file"} {
		tape.Pretend(t, tsmtest.Version{Archive: true, Path: p, Size: 1, Description: "d", Active: true})
	}
	for _, tc := range []struct {
		path string
		want []string
	}{
		{"/data/w*", []string{"/data/w*/x"}},
		{"/data/wild", []string{"/data/wild/x"}},
		{"/data/w'/", []string{"/data/w'/y"}},
		{"/data/file", []string{"/data/file"}},
		{"/data", []string{"/data/file", "/data/w'/y", "/data/w*/x", "/data/wild", "/data/wild/x"}},
		{"/dat", nil},
		{"/", []string{"/data/file", "/data/w'/y", "/data/w*/x", "/data/wild", "/data/wild/x"}},
	} {
		rows, err := tape.Client().QueryArchive(t.Context(), tsm.Query{Path: tc.path})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range rows {
			got = append(got, o.Path)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s: %s", tc.path, d)
		}
	}
}

// TestStall: a run that does nothing any more is ended, with its children.
func TestStall(t *testing.T) {
	tape := tsmtest.New(t)
	c := tape.Client()
	c.Stall = 300 * time.Millisecond
	files := write(t, t.TempDir(), map[string]string{"a": "1", "b": "2"})
	tape.Fail(t, tsmtest.Fault{Kind: tsmtest.Hangs, After: 1, Times: 1})
	if _, err := c.Archive(t.Context(), paths(files), "x", nil); !errors.Is(err, tsm.ErrStalled) {
		t.Fatal(err)
	}
	// One that is slow, but not silent for so long, is left alone.
	tape.Set(t, func(s *tsmtest.Settings) { s.FileDelay = 150 * time.Millisecond })
	c.Stall = 10 * time.Second
	if _, err := c.Archive(t.Context(), paths(files), "y", nil); err != nil {
		t.Error(err)
	}
}

// TestCancel: the end of the context ends the program and all that it has started.
func TestCancel(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "alive")
	program := filepath.Join(dir, "wrapper")
	// A wrapper, as sites have, whose child would go on without it.
	script := fmt.Sprintf("#!/bin/sh\n(while :; do touch %q; sleep 0.05; done) &\necho ANS1114I Waiting\nwait\n", mark)
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := &tsm.Client{Program: program}
	p := messages(func(tsm.Message) { cancel() })
	if _, err := c.Archive(ctx, []string{"/x"}, "", p); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// A child that is there makes the file again and again; one that was just ended
	// may have done so once.
	for try := 0; ; try++ {
		os.Remove(mark)
		time.Sleep(200 * time.Millisecond)
		if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) {
			break
		}
		if try == 10 {
			t.Fatal("a child is still there")
		}
	}
	if _, err := c.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Error("a context that has ended:", err)
	}
}

type messages func(tsm.Message)

func (messages) Object(tsm.Transfer)     {}
func (f messages) Message(m tsm.Message) { f(m) }

// TestNotThere: programs that cannot be run.
func TestNotThere(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "dsmc")
	if err := os.WriteFile(bad, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*tsm.Client{
		"not in the PATH":  {Env: []string{"PATH=" + t.TempDir()}},
		"no such file":     {Program: filepath.Join(dir, "nothing")},
		"no interpreter":   {Env: []string{"PATH=" + dir}},
		"not by its right": {Program: "/etc/passwd"},
	} {
		if _, err := c.Check(t.Context()); !errors.Is(err, tsm.ErrNotInstalled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := &tsm.Client{LogDir: "/dev/null/log", Env: tsmtest.New(t).Env()}
	if _, err := c.Check(t.Context()); !errors.Is(err, tsm.ErrConfig) {
		t.Errorf("log folder: %v", err)
	}
}

// TestCommandLines pins what the program is told, and that nothing is ever deleted.
func TestCommandLines(t *testing.T) {
	tape := tsmtest.New(t)
	c := tape.Client()
	c.Server, c.AsNode = "pdc", "XENON"
	files := write(t, t.TempDir(), map[string]string{"a": "1"})
	dest := t.TempDir()
	job := tsm.Recall{Paths: paths(files), Description: "Archive Date: 07/16/2026"}
	c.Check(t.Context())
	c.Archive(t.Context(), job.Paths, "d", nil)
	c.QueryArchive(t.Context(), tsm.Query{Path: "/data", Description: job.Description})
	c.QueryBackup(t.Context(), tsm.Query{Path: "/data"})
	c.QueryFilespaces(t.Context())
	c.Retrieve(t.Context(), job, dest, false, nil)
	c.Restore(t.Context(), job, dest, true, nil)
	c.Incremental(t.Context(), dest, nil)
	c.PendingRestores(t.Context())
	c.CancelRestores(t.Context())
	var got []string
	for _, call := range tape.Calls(t) {
		line := strings.ReplaceAll(strings.Join(call, " "), dest, "DEST")
		for _, a := range call {
			if strings.HasPrefix(a, "-filelist=") {
				line = strings.ReplaceAll(line, a, "-filelist=F")
				if _, err := os.Stat(strings.TrimPrefix(a, "-filelist=")); err == nil {
					t.Errorf("%s is still there", a)
				}
			}
		}
		got = append(got, line)
	}
	const all, formats = "-servername=pdc -asnodename=XENON ", "-scrollprompt=no -dateformat=3 -timeformat=1 -numberformat=1"
	want := []string{
		"query session " + all + "-scrollprompt=no",
		"archive -filelist=F " + all + "-description=d -scrollprompt=no -subdir=yes -tapeprompt=no",
		"query archive /data/* " + all + "-description=Archive?Date:?07/16/2026 -filesonly " + formats + " -subdir=yes",
		"query archive /data " + all + "-description=Archive?Date:?07/16/2026 -filesonly " + formats + " -subdir=yes",
		"query backup /data/* " + all + "-inactive -filesonly " + formats + " -subdir=yes",
		"query backup /data " + all + "-inactive -filesonly " + formats + " -subdir=yes",
		"query filespace " + all + formats,
		"retrieve DEST/ -filelist=F " + all + "-description=Archive?Date:?07/16/2026 -replace=no -preservepath=complete " + formats + " -subdir=yes -tapeprompt=no",
		"restore DEST/ -filelist=F " + all + "-latest -followsymbolic=yes -replace=all -preservepath=complete " + formats + " -subdir=yes -tapeprompt=no",
		"incremental DEST/ " + all + "-scrollprompt=no -subdir=yes -tapeprompt=no",
		"query restore " + all + "-scrollprompt=no",
		"cancel restore " + all + "-scrollprompt=no",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestCheck tells both ends.
func TestCheck(t *testing.T) {
	tape := tsmtest.New(t)
	c := tape.Client()
	r, err := c.Check(t.Context())
	if err != nil || r.Session.Client.String() != "8.1.27.0" || r.Session.Server != "TAPES" || r.Session.Node != "CAXTEST" {
		t.Errorf("%v, %+v", err, r)
	}
	if f, err := c.QueryFilespaces(t.Context()); err != nil || len(f) != 0 {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := c.Archive(t.Context(), paths(write(t, t.TempDir(), map[string]string{"a": "1"})), "", nil); err != nil {
		t.Fatal(err)
	}
	if f, err := c.QueryFilespaces(t.Context()); err != nil || len(f) != 1 || f[0].Name != "/" {
		t.Errorf("%v, %v", f, err)
	}
}

// TestConcurrent: one client serves several runs at once.
func TestConcurrent(t *testing.T) {
	tape := tsmtest.New(t)
	c := tape.Client()
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			run := filepath.Join(dir, fmt.Sprint("run", i))
			files := write(t, run, map[string]string{"a": "1", "b": "2"})
			if _, err := c.Archive(t.Context(), paths(files), fmt.Sprint("d", i), nil); err != nil {
				t.Error(err)
			}
			rows, err := c.QueryArchive(t.Context(), tsm.Query{Path: run})
			if err != nil || len(tsm.Uncovered(files, rows)) != 0 {
				t.Error(err, rows)
			}
		})
	}
	wg.Wait()
}

// TestEnvironment sources a site's script as the original did.
func TestEnvironment(t *testing.T) {
	tape := tsmtest.New(t)
	script := filepath.Join(t.TempDir(), "it's init.sh")
	text := "echo Basic Config\nexport PATH=" + tape.Bin() + ":$PATH\nexport ODD='a\nb'\nlocal_only=1\n"
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	env, err := tsm.ReadEnvironment(t.Context(), script, append(os.Environ(), tape.Variables()...))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(env, "ODD=a\nb") || slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "local_only") }) {
		t.Errorf("%q", env)
	}
	if _, err := (&tsm.Client{Env: env}).Check(t.Context()); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"fails": "false\n", "exits": "exit 0\n", "no shell": "if\n"} {
		if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := tsm.ReadEnvironment(t.Context(), script, nil); !errors.Is(err, tsm.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tsm.ReadEnvironment(t.Context(), script+"x", nil); !errors.Is(err, tsm.ErrConfig) {
		t.Errorf("not there: %v", err)
	}
	if err := os.WriteFile(script, []byte("sleep 1000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := tsm.ReadEnvironment(ctx, script, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hangs: %v", err)
	}
}
