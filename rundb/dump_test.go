package rundb_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/rundbtest"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// everyType is a document with a value of each type of BSON, also those that are
// no longer in use.
func everyType() bson.D {
	return bson.D{
		{Key: "double", Value: 1.5}, {Key: "whole double", Value: 2.0}, {Key: "tiny", Value: 5e-324}, {Key: "minus zero", Value: math.Copysign(0, -1)},
		{Key: "big", Value: 1e300}, {Key: "string", Value: "ä\n\"\\\x00<&>\u2028"}, {Key: "empty", Value: ""},
		{Key: "document", Value: bson.D{{Key: "b", Value: int32(1)}, {Key: "a", Value: int32(2)}, {Key: "", Value: nil}}},
		{Key: "array", Value: bson.A{int32(1), "x", nil, bson.D{}, bson.A{}}},
		{Key: "binary", Value: bson.Binary{Subtype: 0x80, Data: []byte{0, 1, 255}}}, {Key: "old binary", Value: bson.Binary{Subtype: 2, Data: []byte{1}}},
		{Key: "uuid", Value: bson.Binary{Subtype: 4, Data: make([]byte, 16)}},
		{Key: "undefined", Value: bson.Undefined{}}, {Key: "objectid", Value: runID}, {Key: "true", Value: true},
		{Key: "date", Value: bson.NewDateTimeFromTime(start)}, {Key: "early", Value: bson.DateTime(-1)}, {Key: "late", Value: bson.DateTime(1 << 60)},
		{Key: "null", Value: nil}, {Key: "regex", Value: bson.Regex{Pattern: "^a/", Options: "i"}},
		{Key: "pointer", Value: bson.DBPointer{DB: "d", Pointer: runID}}, {Key: "js", Value: bson.JavaScript("1")}, {Key: "symbol", Value: bson.Symbol("s")},
		{Key: "scope", Value: bson.CodeWithScope{Code: "1", Scope: bson.D{{Key: "x", Value: int32(1)}}}},
		{Key: "int32", Value: int32(-7)}, {Key: "timestamp", Value: bson.Timestamp{T: 5, I: 6}}, {Key: "int64", Value: int64(1) << 60},
		{Key: "small int64", Value: int64(3)}, {Key: "decimal", Value: bson.NewDecimal128(0x3040000000000000, 12)},
		{Key: "min", Value: bson.MinKey{}}, {Key: "max", Value: bson.MaxKey{}}, {Key: "dotted.key", Value: int32(1)},
	}
}

// filled is a database with odd runs, events and a manifest.
func filled(t *testing.T) *rundb.Store {
	t.Helper()
	s := &rundb.Store{Driver: new(rundbtest.Memory), By: "test"}
	n := byte(0)
	for _, text := range legacy() {
		doc := fromJSON(t, text)
		n++
		doc = bytes.Replace(doc, runID[:], append([]byte{n}, runID[1:]...), 1)
		doc = bytes.Replace(doc, []byte("\x02name\x00"), []byte("\x02nome\x00"), 1) // names collide otherwise
		if err := s.Driver.Insert(t.Context(), doc); err != nil {
			t.Fatal(err)
		}
	}
	odd := append(bson.D{{Key: "_id", Value: runID}, {Key: "number", Value: int32(7)}, {Key: "name", Value: "odd"}}, everyType()...)
	if err := s.Driver.Insert(t.Context(), marshal(t, odd)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Record(t.Context(), rundb.Event{Run: runID, What: "claimed", Evidence: bson.D{{Key: "n", Value: int64(3)}}}); err != nil {
			t.Fatal(err)
		}
	}
	m, err := checksum.NewManifest([]checksum.Entry{{Path: "empty", Dir: true}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutManifest(t.Context(), rundb.ManifestKey{Run: runID, Type: rundb.Raw}, m); err != nil {
		t.Fatal(err)
	}
	return s
}

// content gives all documents of a database.
func content(t *testing.T, s *rundb.Store) map[string][]bson.Raw {
	t.Helper()
	all := map[string][]bson.Raw{}
	for doc, err := range s.Driver.Find(t.Context(), &rundb.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		all["runs"] = append(all["runs"], doc)
	}
	for _, c := range []rundb.Collection{rundb.Events, rundb.Manifests} {
		for doc, err := range s.Driver.Docs(t.Context(), &rundb.DocQuery{Coll: c}) {
			if err != nil {
				t.Fatal(err)
			}
			all[string(c)] = append(all[string(c)], doc)
		}
	}
	return all
}

func TestExportImport(t *testing.T) {
	from := filled(t)
	want := content(t, from)
	for _, format := range []rundb.Format{rundb.BSON, rundb.JSON, rundb.RelaxedJSON} {
		t.Run(string(format), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new", "dump")
			counts, err := from.Export(t.Context(), dir, format)
			if err != nil {
				t.Fatal(err)
			}
			wantCounts := map[rundb.Collection]int{rundb.Runs: len(want["runs"]), rundb.Events: 3, rundb.Manifests: 2}
			if diff := cmp.Diff(wantCounts, counts); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			if _, err := from.Export(t.Context(), dir, format); !errors.Is(err, rundb.ErrExist) {
				t.Errorf("into the same folder again: %v", err)
			}
			driver, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "runs.db"), &sqlitestore.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			defer driver.Close()
			to := &rundb.Store{Driver: driver}
			for i, o := range []*rundb.ImportOptions{{DryRun: true}, nil, {DryRun: true}, {}} {
				report, err := to.Import(t.Context(), dir, o)
				if err != nil {
					t.Fatal(err)
				}
				for c, n := range wantCounts {
					w := rundb.ImportCount{Read: n, Added: n}
					if i > 1 {
						w = rundb.ImportCount{Read: n, Same: n}
					}
					if report.Counts[c] != w {
						t.Errorf("import %d of %s: %+v, want %+v", i, c, report.Counts[c], w)
					}
				}
				if i == 0 && len(content(t, to)) != 0 {
					t.Error("a dry run wrote something")
				}
			}
			got := content(t, to)
			for c, docs := range want {
				for i, doc := range docs {
					if i >= len(got[c]) || !rundb.Same(doc, got[c][i]) || format != rundb.RelaxedJSON && !bytes.Equal(doc, got[c][i]) {
						t.Errorf("%s: document %d is not the same:\n%s\n%s", c, i, doc, got[c][min(i, len(got[c])-1)])
					}
				}
			}
			if m, err := to.Manifest(t.Context(), rundb.ManifestKey{Run: runID, Type: rundb.Raw}); err != nil || len(m.Entries) != 1 {
				t.Errorf("the manifest: %v", err)
			}
		})
	}
}

func TestExportFile(t *testing.T) {
	from := filled(t)
	dir := t.TempDir()
	for name, format := range map[string]rundb.Format{"x.json": rundb.JSON, "x.jsonl": rundb.RelaxedJSON, "x.bson": rundb.BSON, "x.bson.gz": rundb.BSON, "x.json.gz": rundb.JSON} {
		path := filepath.Join(dir, name)
		counts, err := from.Export(t.Context(), path, format)
		if err != nil || len(counts) != 1 {
			t.Fatalf("%s: %v, %v", name, counts, err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if zipped := bytes.HasPrefix(b, []byte{0x1f, 0x8b}); zipped != strings.HasSuffix(name, ".gz") {
			t.Errorf("%s: compressed %v", name, zipped)
		}
		to := &rundb.Store{Driver: new(rundbtest.Memory)}
		report, err := to.Import(t.Context(), path, nil)
		if err != nil || report.Counts[rundb.Runs].Added != counts[rundb.Runs] {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		if _, err := from.Export(t.Context(), path, format); !errors.Is(err, rundb.ErrExist) {
			t.Errorf("%s again: %v", name, err)
		}
	}
	if _, err := from.Export(t.Context(), filepath.Join(dir, "y.bson"), rundb.JSON); !errors.Is(err, rundb.ErrInvalid) {
		t.Errorf("JSON into .bson: %v", err)
	}
	if _, err := from.Export(t.Context(), filepath.Join(dir, "y"), "xml"); !errors.Is(err, rundb.ErrInvalid) {
		t.Errorf("no such format: %v", err)
	}
	// What JSON does not keep is said, and written all the same.
	bad := append(bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "number", Value: int32(8)}, {Key: "name", Value: "bad"}}, bson.E{Key: "x", Value: "\xff"})
	if err := from.Driver.Insert(t.Context(), marshal(t, bad)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "z.json")
	counts, err := from.Export(t.Context(), path, rundb.JSON)
	if !errors.Is(err, rundb.ErrInvalid) || counts[rundb.Runs] != len(content(t, from)["runs"]) {
		t.Errorf("a text that is not UTF-8: %v, %v", counts, err)
	}
	var e *rundb.Error
	if !errors.As(err, &e) || e.What != "run 8 (bad)" {
		t.Errorf("the error is about %v", e)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestReadDump: what other tools write is read.
func TestReadDump(t *testing.T) {
	one := `{"_id":{"$oid":"560102030405060708090a0b"},"number":%,"start":{"$date":"2016-03-15T14:32:00.000Z"}}`
	doc := func(n string) string { return strings.Replace(one, "%", n, 1) }
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
		return b.String()
	}
	raw := func(n int32) string {
		return string(marshal(t, bson.D{{Key: "_id", Value: runID}, {Key: "number", Value: n}, {Key: "start", Value: start}}))
	}
	tooLong := "\xff\xff\xff\x7f" + raw(1)[4:]
	cases := []struct {
		name  string
		in    string
		want  []int64
		wrong int // documents that are errors
	}{
		{"nothing", "", nil, 0},
		{"an empty line", "\n \n", nil, 0},
		{"lines", doc("1") + "\n" + doc("2") + "\n", []int64{1, 2}, 0},
		{"no last line end", doc("1") + "\n" + doc("2"), []int64{1, 2}, 0},
		{"lines of Windows", "\xef\xbb\xbf" + doc("1") + "\r\n" + doc("2") + "\r\n", []int64{1, 2}, 0},
		{"array", "[" + doc("1") + ",\n" + doc("2") + "]\n", []int64{1, 2}, 0},
		{"array behind spaces", " \n [ " + doc("1") + " ] ", []int64{1}, 0},
		{"empty array", "[]", nil, 0},
		{"pretty", strings.ReplaceAll(doc("1"), ",", ",\n\t") + "\n" + doc("2"), []int64{1, 2}, 0},
		{"canonical", doc(`{"$numberInt":"1"}`) + doc(`{"$numberLong":"2"}`) + doc(`{"$numberDouble":"3.0"}`), []int64{1, 2, 3}, 0},
		{"dates as numbers", strings.Replace(doc("1"), `"2016-03-15T14:32:00.000Z"`, "1458052320000", 1), []int64{1}, 0},
		{"dates as long", strings.Replace(doc("1"), `"2016-03-15T14:32:00.000Z"`, `{"$numberLong":"1458052320000"}`, 1), []int64{1}, 0},
		{"dates with a zone", strings.Replace(doc("1"), `14:32:00.000Z`, `15:32:00.000+0100`, 1), []int64{1}, 0},
		{"BSON", raw(1) + raw(2), []int64{1, 2}, 0},
		{"compressed BSON", zip(raw(1) + raw(2)), []int64{1, 2}, 0},
		{"compressed JSON", zip(doc("1")), []int64{1}, 0},
		{"a bad document among good ones", doc("1") + "\n" + doc(`{"$numberInt":"x"}`) + "\n" + doc("3"), []int64{1, 3}, 1},
		{"not documents", "1 \"x\" [" + doc("1") + "] " + doc("2"), []int64{2}, 3},
		{"cut off in JSON", doc("1") + "\n" + doc("2")[:20], []int64{1}, 1},
		{"array without end", "[" + doc("1"), []int64{1}, 1},
		{"something behind the array", "[" + doc("1") + "]" + doc("2"), []int64{1}, 1},
		{"broken JSON", doc("1") + "\n{x}\n" + doc("2"), []int64{1}, 1},
		{"cut off in BSON", raw(1) + raw(2)[:20], []int64{1}, 1},
		{"cut off in a length", raw(1) + raw(2)[:2], []int64{1}, 1},
		{"cut off in gzip", zip(raw(1) + raw(2))[:40], nil, 1},
		{"damaged gzip", zip(raw(1))[:len(zip(raw(1)))-6] + "xxxxxx", []int64{1}, 1},
		{"damaged inside", strings.Replace(raw(1), "\x10number", "\x77number", 1) + raw(2), []int64{2}, 1},
		{"a length beyond all", raw(1) + tooLong, []int64{1}, 1},
		{"UTF-16", "\xff\xfe{\x00}\x00", nil, 1},
		{"archive", "\x6d\xe2\x99\x81" + raw(1), nil, 1},
		{"text", "number,name\n1,x\n", nil, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once": strings.NewReader(c.in), "bytewise": iotest.OneByteReader(strings.NewReader(c.in)), "data with EOF": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				var got []int64
				wrong := 0
				for doc, err := range rundb.ReadDump(r) {
					if err != nil {
						if !errors.Is(err, rundb.ErrInvalid) {
							t.Errorf("%s: an error of another kind: %v", name, err)
						}
						wrong++
						continue
					}
					run, err := rundb.Decode(doc)
					if err != nil {
						t.Fatal(err)
					}
					if run.ID != runID || !run.Start.Equal(start) {
						t.Errorf("%s: read %s", name, doc)
					}
					got = append(got, run.Number)
				}
				if diff := cmp.Diff(c.want, got); diff != "" || wrong != c.wrong {
					t.Errorf("%s: %d errors, want %d; numbers (-want +got):\n%s", name, wrong, c.wrong, diff)
				}
			}
		})
	}
	broken := errors.New("broken disk")
	for name, prefix := range map[string]string{"JSON": doc("1"), "BSON": raw(1), "gzip": zip(raw(1))[:30], "at the start": ""} {
		var last error
		for _, err := range rundb.ReadDump(io.MultiReader(strings.NewReader(prefix), iotest.ErrReader(broken))) {
			last = err
		}
		if !errors.Is(last, broken) || errors.Is(last, rundb.ErrInvalid) {
			t.Errorf("%s: an error of the reader comes as %v", name, last)
		}
	}
}

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

// FuzzReadDump: nothing makes the reader panic or go on without end, and every
// document that it gives is one that can be written and read again.
func FuzzReadDump(f *testing.F) {
	f.Add([]byte(marshal(f, everyType())))
	text, err := bson.MarshalExtJSON(everyType(), true, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("[" + string(text) + "," + string(text) + "]"))
	for _, t := range legacy() {
		f.Add([]byte(t))
	}
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		for doc, err := range rundb.ReadDump(bytes.NewReader(in)) {
			if n++; n > len(in)+1 {
				t.Fatal("more documents than bytes")
			}
			if err != nil {
				if !errors.Is(err, rundb.ErrInvalid) {
					t.Fatalf("an error of another kind: %v", err)
				}
				continue
			}
			for back, err := range rundb.ReadDump(bytes.NewReader(doc)) {
				if err != nil || !bytes.Equal(doc, back) {
					t.Fatalf("a document is read again as %v, %v", back, err)
				}
			}
			if !rundb.Same(doc, doc) {
				t.Fatal("a document is not the same as itself")
			}
		}
	})
}
