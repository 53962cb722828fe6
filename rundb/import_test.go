package rundb_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/rundbtest"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestImportConflicts(t *testing.T) {
	run := func(id byte, number int32, name string) bson.Raw {
		return marshal(t, bson.D{{Key: "_id", Value: bson.ObjectID{id}}, {Key: "number", Value: number}, {Key: "name", Value: name}, {Key: "detector", Value: "tpc"}})
	}
	moved := marshal(t, bson.D{{Key: "number", Value: int64(1)}, {Key: "_id", Value: bson.ObjectID{1}}, {Key: "name", Value: "a"}, {Key: "detector", Value: "tpc"}})
	var dump []byte
	for _, doc := range []bson.Raw{
		moved,                       // there, and the same but for the place of _id and the type of a number
		run(2, 99, "b"),             // there, and different
		run(7, 7, "c"),              // its name is taken in the database
		run(8, 8, "new"),            // new
		run(8, 8, "new"),            // the same twice
		run(9, 9, "new"),            // its name is taken in the dump
		run(8, 1, "new"),            // its id is taken in the dump
		fromJSON(t, `{"data":"x"}`), // no run
		run(10, 10, "last"),         // new
	} {
		dump = append(dump, doc...)
	}
	want := rundb.ImportCount{Read: 9, Added: 2, Same: 2, Failed: 5}
	drivers := map[string]func(t *testing.T) rundb.Driver{
		"one by one": func(*testing.T) rundb.Driver { return new(rundbtest.Memory) },
		"in bulk": func(t *testing.T) rundb.Driver {
			d, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "runs.db"), &sqlitestore.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			return d
		},
		"with an answer lost": func(*testing.T) rundb.Driver {
			n := 0
			return &rundbtest.Faulty{Driver: new(rundbtest.Memory), Next: func(string) rundbtest.Fault {
				if n++; n > 3 && n%3 == 0 {
					return rundbtest.LoseAnswer
				}
				return rundbtest.None
			}}
		},
	}
	for name, open := range drivers {
		for _, dry := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s := &rundb.Store{Driver: open(t)}
				for i, n := range []string{"a", "b", "c"} {
					if err := s.Driver.Insert(t.Context(), run(byte(i+1), int32(i+1), n)); err != nil {
						t.Fatal(err)
					}
				}
				got, err := s.ImportFrom(t.Context(), bytes.NewReader(dump), rundb.Runs, &rundb.ImportOptions{DryRun: dry})
				if name == "with an answer lost" && !dry {
					got.Added, got.Same = want.Added, got.Same-(want.Added-got.Added)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("dry run %v: counts (-want +got):\n%s\n%v", dry, diff, err)
				}
				if !errors.Is(err, rundb.ErrExist) || !errors.Is(err, rundb.ErrInvalid) {
					t.Errorf("error %v", err)
				}
				for _, said := range []string{"run 99 (b, tpc)", "run 7 (c, tpc)", "run 9 (new, tpc)"} {
					if !named(err, said) {
						t.Errorf("no error is about %s: %v", said, err)
					}
				}
				there, err := s.Driver.Get(t.Context(), bson.ObjectID{2})
				if err != nil || !bytes.Equal(there, run(2, 2, "b")) {
					t.Errorf("a document was replaced: %v", err)
				}
				n := 5
				if dry {
					n = 3
				}
				if got := len(content(t, s)["runs"]); got != n {
					t.Errorf("%d runs, want %d", got, n)
				}
			})
		}
	}
}

// named reports whether one of the joined errors is about a thing.
func named(err error, what string) bool {
	switch e := err.(type) {
	case *rundb.Error:
		return e.What == what
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), func(err error) bool { return named(err, what) })
	case interface{ Unwrap() error }:
		return named(e.Unwrap(), what)
	}
	return false
}

func TestImportDocs(t *testing.T) {
	event := func(id byte, what string) bson.Raw {
		return marshal(t, bson.D{{Key: "_id", Value: bson.ObjectID{id}}, {Key: "run", Value: runID}, {Key: "time", Value: start}, {Key: "what", Value: what}})
	}
	for _, dry := range []bool{true, false} {
		s := &rundb.Store{Driver: new(rundbtest.Memory)}
		if err := s.Driver.Add(t.Context(), rundb.Events, event(1, "a"), event(2, "b")); err != nil {
			t.Fatal(err)
		}
		var dump []byte
		for _, d := range []bson.Raw{event(1, "a"), event(2, "other"), event(3, "c"), event(3, "c"), event(3, "other"), marshal(t, bson.D{{Key: "x", Value: 1}})} {
			dump = append(dump, d...)
		}
		got, err := s.ImportFrom(t.Context(), bytes.NewReader(dump), rundb.Events, &rundb.ImportOptions{DryRun: dry})
		if diff := cmp.Diff(rundb.ImportCount{Read: 6, Added: 1, Same: 2, Failed: 3}, got); diff != "" || !errors.Is(err, rundb.ErrExist) || !errors.Is(err, rundb.ErrInvalid) {
			t.Errorf("dry run %v: %v, counts (-want +got):\n%s", dry, err, diff)
		}
		want := 3
		if dry {
			want = 2
		}
		if n := len(content(t, s)["events"]); n != want {
			t.Errorf("dry run %v: %d events, want %d", dry, n, want)
		}
	}
}

func TestImportFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a [b] *")
	run := string(marshal(t, bson.D{{Key: "_id", Value: runID}, {Key: "number", Value: int32(1)}}))
	for name, text := range map[string]string{
		"run/runs_new.bson": run, "run/runs_new.metadata.json": "{}", "run/users.bson": run, "run/events.json.gz": "", "prelude.json": "{}", "notes.txt": "x",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := &rundb.Store{Driver: new(rundbtest.Memory)}
	report, err := s.Import(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &rundb.ImportReport{
		Counts:  map[rundb.Collection]rundb.ImportCount{rundb.Runs: {Read: 1, Added: 1}, rundb.Events: {}},
		Ignored: []string{filepath.Join(dir, "notes.txt"), filepath.Join(dir, "prelude.json"), filepath.Join(dir, "run", "users.bson")},
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if _, err := s.Import(t.Context(), filepath.Join(dir, "none"), nil); !errors.Is(err, rundb.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := s.Import(t.Context(), t.TempDir(), nil); !errors.Is(err, rundb.ErrInvalid) {
		t.Errorf("a folder without a dump: %v", err)
	}
	if report, err := s.Import(t.Context(), filepath.Join(dir, "run", "users.bson"), nil); err != nil || report.Counts[rundb.Runs].Same != 1 {
		t.Errorf("a file of another name: %+v, %v", report, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Import(ctx, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := s.Export(ctx, filepath.Join(t.TempDir(), "x"), rundb.JSON); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled export: %v", err)
	}
}

// TestImportFails: an error of the database ends the import, and is not taken for
// one of a document.
func TestImportFails(t *testing.T) {
	f := &rundbtest.Faulty{Driver: new(rundbtest.Memory), Next: func(string) rundbtest.Fault { return rundbtest.Fail }}
	var dump []byte
	for i := range byte(5) {
		dump = append(dump, marshal(t, bson.D{{Key: "_id", Value: bson.ObjectID{i}}, {Key: "start", Value: start.Add(time.Hour)}})...)
	}
	got, err := (&rundb.Store{Driver: f}).ImportFrom(t.Context(), bytes.NewReader(dump), rundb.Runs, nil)
	if !errors.Is(err, rundb.ErrTransient) || got.Added != 0 || got.Failed != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestImportDamaged: what is good in a damaged dump is added, and the error does not
// grow with the damage.
func TestImportDamaged(t *testing.T) {
	const good, bad = 450, 70
	var dump []byte
	doc := func(i int, key string) []byte {
		return marshal(t, bson.D{{Key: "_id", Value: bson.ObjectID{byte(i), byte(i >> 8), 1}}, {Key: key, Value: "text"}})
	}
	for i := range good {
		dump = append(dump, doc(i, "x")...)
		if i < bad {
			d := doc(i, "y")
			d[len(d)-2] = 1 // the text has no end
			dump = append(dump, d...)
		}
	}
	dump = append(dump, doc(good, "x")[:10]...)
	s := &rundb.Store{Driver: new(rundbtest.Memory)}
	var last rundb.ImportCount
	got, err := s.ImportFrom(t.Context(), bytes.NewReader(dump), rundb.Runs, &rundb.ImportOptions{Progress: func(_ rundb.Collection, n rundb.ImportCount) { last = n }})
	want := rundb.ImportCount{Read: good + bad + 1, Added: good, Failed: bad + 1}
	if got != want || last != want || !errors.Is(err, rundb.ErrInvalid) {
		t.Errorf("%+v, last progress %+v, want %+v: %v", got, last, want, err)
	}
	if n := strings.Count(err.Error(), "\n"); n > 60 {
		t.Errorf("the error has %d lines", n)
	}
}
