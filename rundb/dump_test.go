package rundb_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

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
