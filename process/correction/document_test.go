package correction

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/rundbtest"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// kind is a correction by its task.
func kind(t *testing.T, task string) Kind {
	t.Helper()
	for _, k := range Kinds() {
		if k.Task == task {
			return k
		}
	}
	t.Fatalf("no correction %s", task)
	return Kind{}
}

// doc reads Extended JSON.
func doc(t *testing.T, text string) bson.Raw {
	t.Helper()
	var d bson.Raw
	if err := bson.UnmarshalExtJSON([]byte(text), false, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

const when = `"calculation_time": {"$date": "2017-02-14T09:30:00Z"}`

// TestParse: what documents hold.
func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		task, text string
		version    string
		value      any // of the version
		formula    string
		ranges     int
	}{
		"formula":             {Gains, `{"_id": {"$oid": "58a2c7e0f1d2a3b4c5d6e7f8"}, ` + when + `, "version": "v2", "function": "2e6 + pmt"}`, "v2", "v2", "2e6 + pmt", 0},
		"no version":          {DriftVelocity, `{` + when + `, "function": "1.44"}`, "2017-02-14 09:30:00", "2017-02-14 09:30:00", "1.44", 0},
		"no version, with ms": {DriftVelocity, `{"calculation_time": {"$date": "2017-02-14T09:30:00.120Z"}, "function": "1.44", "version": null}`, "2017-02-14 09:30:00.120000", "2017-02-14 09:30:00.120000", "1.44", 0},
		"version is a number": {DriftVelocity, `{` + when + `, "version": {"$numberInt": "3"}, "function": "v"}`, "3", int32(3), "v", 0},
		"version is a double": {DriftVelocity, `{` + when + `, "version": 1.5, "function": "v"}`, "1.5", 1.5, "v", 0},
		"by number":           {"SetS2xyMap", `{` + when + `, "version": "m1", "correction": [{"min": 0, "max": 6386, "value": "a.json"}, {"min": 6386, "max": {"$numberDouble": "Infinity"}, "value": {"file": "b"}}]}`, "m1", "m1", "", 2},
		"formula of a map":    {"SetS2xyMap", `{` + when + `, "version": "m1", "function": "n o n e", "correction": []}`, "m1", "m1", "", 0},
		"gains by number":     {Gains, `{` + when + `, "version": "m1", "function": null, "correction": [{"min": 0.5, "max": 2.5, "value": [1, 2]}]}`, "m1", "m1", "", 1},
		"further fields":      {Gains, `{` + when + `, "version": "m1", "function": "2", "comment": "by hand", "user": "x"}`, "m1", "m1", "2", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse(kind(t, tc.task), doc(t, tc.text))
			if err != nil {
				t.Fatal(err)
			}
			formula := ""
			if d.Formula != nil {
				formula = d.Formula.String()
			}
			if d.Version != tc.version || formula != tc.formula || len(d.Ranges) != tc.ranges || d.Calculated.Format(time.DateOnly) != "2017-02-14" {
				t.Errorf("got %s, formula %q, ranges %v", d, formula, d.Ranges)
			}
			b, err := bson.Marshal(bson.D{{Key: "v", Value: d.VersionValue()}})
			if err != nil {
				t.Fatal(err)
			}
			want, err := bson.Marshal(bson.D{{Key: "v", Value: tc.value}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bson.Raw(want).String(), bson.Raw(b).String()); diff != "" {
				t.Errorf("version as it is written (-want +got):\n%s", diff)
			}
		})
	}
}

// TestParseErrors: an error names the document, the field and what to write.
func TestParseErrors(t *testing.T) {
	id := `"_id": {"$oid": "58a2c7e0f1d2a3b4c5d6e7f8"}`
	for name, tc := range map[string]struct {
		task, text, field string
		says              []string
	}{
		"no date":           {Gains, `{` + id + `, "function": "1"}`, "calculation_time", []string{"58a2c7e0f1d2a3b4c5d6e7f8", "gains", "missing"}},
		"date is text":      {Gains, `{` + id + `, "calculation_time": "2017-02-14", "function": "1"}`, "calculation_time", []string{"no date", "$date"}},
		"no formula":        {Gains, `{` + id + `, ` + when + `}`, "function", []string{"missing", "pmt, t, t0, V"}},
		"formula no text":   {DriftVelocity, `{"_id": 7, ` + when + `, "function": 1.44}`, "function", []string{"document 7 of drift_velocity", "no text"}},
		"malformed formula": {DriftVelocity, `{"_id": "mine", ` + when + `, "function": "1.44 +* v"}`, "function", []string{"document mine of drift_velocity", "column 7"}},
		"other symbol":      {DriftVelocity, `{` + when + `, "function": "pmt"}`, "function", []string{"without _id", "its symbols are v"}},
		"version is a list": {Gains, `{` + id + `, ` + when + `, "version": [1], "function": "1"}`, "version", []string{"no version"}},
		"version is empty":  {Gains, `{` + id + `, ` + when + `, "version": "", "function": "1"}`, "version", []string{"no version"}},
		"no list":           {"SetS2xyMap", `{` + id + `, ` + when + `}`, "correction", []string{"s2_xy_map", "missing", "min"}},
		"list is a text":    {"SetS2xyMap", `{` + id + `, ` + when + `, "correction": "x"}`, "correction", []string{"no list"}},
		"entry is a text":   {"SetS2xyMap", `{` + id + `, ` + when + `, "correction": [{"min": 0, "max": 1, "value": 1}, "x"]}`, "correction[1]", []string{"no document"}},
		"no min":            {"SetS2xyMap", `{` + id + `, ` + when + `, "correction": [{"max": 1, "value": 1}]}`, "correction[0].min", []string{"missing"}},
		"max is a text":     {"SetS2xyMap", `{` + id + `, ` + when + `, "correction": [{"min": 0, "max": "1", "value": 1}]}`, "correction[0].max", []string{"no number"}},
		"empty range":       {"SetS2xyMap", `{` + id + `, ` + when + `, "correction": [{"min": 5, "max": 5, "value": 1}]}`, "correction[0]", []string{"no run"}},
		"no value":          {"SetS2xyMap", `{` + id + `, ` + when + `, "correction": [{"min": 5, "max": 6, "value": null}]}`, "correction[0].value", []string{"missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse(kind(t, tc.task), doc(t, tc.text))
			var e *Error
			if d != nil && err == nil || !errors.Is(err, ErrInvalid) || !errors.As(err, &e) {
				t.Fatalf("got %v, %v", d, err)
			}
			if e.Field != tc.field || e.Hint == "" {
				t.Errorf("%v: field %q, hint %q; want field %q and a hint", err, e.Field, e.Hint, tc.field)
			}
			for _, s := range tc.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
		})
	}
}

// The same documents as mongoexport writes them in its forms, and one by one.
func forms() map[string]string {
	old := `{"_id": {"$oid": "58a2c7e0f1d2a3b4c5d6e7f1"}, "calculation_time": {"$date": "2016-02-14T09:30:00Z"}, "version": "old", "function": "1"}`
	mid := `{"_id": {"$oid": "58a2c7e0f1d2a3b4c5d6e7f2"}, "calculation_time": {"$date": {"$numberLong": "1487064600000"}}, "version": "new", "function": "2"}`
	neu := `{"_id": {"$oid": "58a2c7e0f1d2a3b4c5d6e7f3"}, "calculation_time": {"$date": 1481707800000}, "version": "mid", "function": "3"}`
	return map[string]string{
		"array":          "[" + old + ",\n" + mid + ",\n" + neu + "]\n",
		"lines":          old + "\n" + mid + "\n" + neu + "\n",
		"pretty-printed": strings.ReplaceAll(strings.Join([]string{neu, mid, old}, "\n"), ", ", ",\n\t"),
	}
}

// TestFile: the newest document of a file counts, in whatever form they are written.
func TestFile(t *testing.T) {
	file := func(t *testing.T, text string) File {
		t.Helper()
		name := filepath.Join(t.TempDir(), "gains.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return File(name)
	}
	for name, text := range forms() {
		t.Run(name, func(t *testing.T) {
			d, err := Newest(t.Context(), file(t, text), kind(t, Gains))
			if err != nil {
				t.Fatal(err)
			}
			if d.Version != "new" {
				t.Errorf("the newest is %s", d)
			}
		})
	}
	for name, tc := range map[string]struct {
		text string
		want error
		says string
	}{
		"empty":             {"", ErrNotExist, "no document"},
		"empty array":       {"[]", ErrNotExist, "no document"},
		"no JSON":           {"calculation_time: 2017", ErrInvalid, "mongoexport"},
		"one without date":  {`[{` + when + `, "function": "1"}, {"_id": "odd", "calculation_tim": 1, "function": "2"}]`, ErrInvalid, "document odd of gains in file"},
		"one is cut off":    {`[{` + when + `, "function": "1"}, {"_id"`, ErrInvalid, "mongoexport"},
		"malformed formula": {`[{` + when + `, "function": "1"}, {"calculation_time": {"$date": "2018-01-01T00:00:00Z"}, "function": "2+", "_id": "bad"}]`, ErrInvalid, "document bad"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Newest(t.Context(), file(t, tc.text), kind(t, Gains))
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, %v; want %v that says %q", d, err, tc.want, tc.says)
			}
		})
	}
	if _, err := Newest(t.Context(), File(filepath.Join(t.TempDir(), "none")), kind(t, Gains)); !errors.Is(err, ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}

// TestStore: the newest document of a run database counts.
func TestStore(t *testing.T) {
	s := Store{&rundb.Store{Driver: &rundbtest.Memory{}}}
	if _, err := Newest(t.Context(), s, kind(t, Gains)); !errors.Is(err, ErrNotExist) {
		t.Errorf("an empty collection: %v", err)
	}
	n, err := s.Runs.ImportFrom(t.Context(), strings.NewReader(forms()["array"]), rundb.Gains, nil)
	if err != nil || n.Added != 3 {
		t.Fatalf("%+v, %v", n, err)
	}
	d, err := Newest(t.Context(), s, kind(t, Gains))
	if err != nil || d.Version != "new" {
		t.Errorf("the newest is %v, %v", d, err)
	}
	if _, err := Newest(t.Context(), s, kind(t, DriftVelocity)); !errors.Is(err, ErrNotExist) {
		t.Errorf("another collection: %v", err)
	}
}

// FuzzParse: whatever stands in a document, it is read or refused.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{` + when + `, "function": "2e6 + pmt"}`, `{` + when + `, "version": 3, "correction": [{"min": 0, "max": 1e300, "value": [1]}]}`, `{"version": {}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d bson.Raw
		if bson.UnmarshalExtJSON([]byte(text), false, &d) != nil || d.Validate() != nil {
			return
		}
		for _, k := range Kinds() {
			read, err := Parse(k, d)
			if err != nil {
				if !errors.Is(err, ErrInvalid) {
					t.Fatal(err)
				}
				continue
			}
			yes := true
			_, err = read.Value(t.Context(), Run{Number: 1, Detector: TPC, SelfTrigger: &yes, Start: time.Unix(0, 0), End: time.Unix(1, 0)}, &Inputs{PMTs: map[string]int{TPC: 2}})
			if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrNotExist) {
				t.Fatal(err)
			}
			read.Numbers()
		}
	})
}
