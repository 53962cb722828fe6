package cax

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
)

func loadRules(t *testing.T, text string) ([]RuleRequest, []Problem, error) {
	t.Helper()
	p := filepath.Join(t.TempDir(), "rule.json")
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return LoadRules(p)
}

// rule loads a rule file of one object with one destination.
func rule(t *testing.T, keys string) *RuleRequest {
	t.Helper()
	qs, _, err := loadRules(t, `[{"destination_rse": ["A"], "destination_livetime": {"A": "-1"}, `+keys+`}]`)
	if err != nil {
		t.Fatal(err)
	}
	return &qs[0]
}

// TestOriginalRuleFiles: the original's two load, and mean what they say.
func TestOriginalRuleFiles(t *testing.T) {
	qs, notes, err := LoadRules("testdata/original-configs/rule_example.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []RuleRequest{{
		Numbers: []rundb.Range{{From: 5200, To: 5200}, {From: 5205, To: 5205}, {From: 5206, To: 5206}, {From: 5207, To: 5207}},
		Destinations: []RuleDestination{
			{[]string{"UC_OSG_USERDISK"}, []time.Duration{Forever}},
			{[]string{"NIKHEF_USERDISK"}, []time.Duration{Forever}},
			{[]string{"LNGS_USERDISK"}, []time.Duration{time.Hour}}},
	}}
	if diff := cmp.Diff(want, qs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(notes) != 1 || !strings.Contains(notes[0].Key, "destination_condition") {
		t.Errorf("notes %v, want one about destination_condition", notes)
	}
	qs, _, err = LoadRules("testdata/original-configs/rule_verification.json")
	if err != nil || len(qs) != 1 || !qs[0].VerificationOnly || !qs[0].Everything() {
		t.Errorf("got %+v, %v", qs, err)
	}
}

// TestC36RuleFiles: selections mean what they say; each case fails on the original.
func TestC36RuleFiles(t *testing.T) {
	run := func(n int64, name, detector, source string) *rundb.Run {
		return &rundb.Run{Number: n, Name: name, Detector: detector, Source: source}
	}
	for name, tc := range map[string]struct {
		keys string
		run  *rundb.Run
		want bool
	}{
		"end of a range":           {`"run_nb": "5000-5010"`, run(5010, "170101_0000", "tpc", ""), true},
		"begin of a range":         {`"run_nb": "5000-5010"`, run(5000, "170101_0000", "tpc", ""), true},
		"beyond a range":           {`"run_nb": "5000-5010"`, run(5011, "170101_0000", "tpc", ""), false},
		"list":                     {`"run_nb": "5000, 5003-5004"`, run(5003, "170101_0000", "tpc", ""), true},
		"a number, no text":        {`"run_nb": 5000`, run(5000, "170101_0000", "tpc", ""), true},
		"number of a muon veto":    {`"run_nb": "0-5"`, run(0, "170101_0000", "muon_veto", ""), false},
		"excluded number":          {`"run_nb": "5000-5010", "run_nb_exclude": "5005-5006"`, run(5006, "170101_0000", "tpc", ""), false},
		"not excluded":             {`"run_nb": "5000-5010", "run_nb_exclude": "5005-5006"`, run(5007, "170101_0000", "tpc", ""), true},
		"all names":                {`"run_name": "all"`, run(1, "170101_0000", "muon_veto", ""), true},
		"all numbers":              {`"run_nb": "all"`, run(1, "170101_0000", "tpc", ""), true},
		"end of a range of names":  {`"run_name": "170101_0000-170201_0000"`, run(1, "170201_0000", "tpc", ""), true},
		"beyond a range of names":  {`"run_name": "170101_0000-170201_0000"`, run(1, "170201_0001", "tpc", ""), false},
		"excluded name":            {`"run_name": "all", "run_name_exclude": "170101_0000"`, run(1, "170101_0000", "tpc", ""), false},
		"a name beside a number":   {`"run_nb": "5", "run_name": "170101_0000"`, run(1, "170101_0000", "tpc", ""), true},
		"detector":                 {`"run_name": "all", "detector_type": "muon_veto"`, run(1, "170101_0000", "tpc", ""), false},
		"one of two detectors":     {`"run_name": "all", "detector_type": ["muon_veto", "tpc"]`, run(1, "170101_0000", "tpc", ""), true},
		"source":                   {`"run_name": "all", "source_type": "AmBe, Rn220"`, run(1, "170101_0000", "tpc", "none"), false},
		"one of two sources":       {`"run_name": "all", "source_type": "AmBe, Rn220"`, run(1, "170101_0000", "tpc", "Rn220"), true},
		"nothing named: all":       {`"run_nb": null`, run(1, "170101_0000", "tpc", ""), true},
		"nothing named, detector":  {`"detector_type": "tpc"`, run(1, "170101_0000", "muon_veto", ""), false},
		"nothing named, excluded":  {`"run_nb_exclude": "1"`, run(1, "170101_0000", "tpc", ""), false},
		"number given, name null":  {`"run_nb": "5", "run_name": null`, run(6, "170101_0000", "tpc", ""), false},
		"name given, number null ": {`"run_nb": null, "run_name": "170101_0000"`, run(6, "170101_0001", "tpc", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			why, got := rule(t, tc.keys).Selects(tc.run)
			if got != tc.want || got != (why == "") {
				t.Errorf("%s selects %+v: %v (%q), want %v", tc.keys, tc.run, got, why, tc.want)
			}
		})
	}
}

// TestC35RuleNamesOneRun: a rule that names one run means that run, and none that
// could remove says nothing of the runs.
func TestC35RuleNamesOneRun(t *testing.T) {
	q := rule(t, `"run_nb": null, "run_name": "170101_0000", "remove_rse": ["B"]`)
	if _, ok := q.Selects(&rundb.Run{Number: 7, Name: "170102_0000", Detector: "tpc"}); ok {
		t.Error("another run is selected, and would be removed")
	}
	if _, ok := q.Selects(&rundb.Run{Number: 7, Name: "170101_0000", Detector: "tpc"}); !ok {
		t.Error("the run is not selected")
	}
	for name, text := range map[string]string{
		"no run":             `{"run_nb": null, "destination_rse": ["A"], "destination_livetime": {"A": "-1"}, "remove_rse": ["B"]}`,
		"empty number":       `{"run_nb": "", "destination_rse": ["A"], "destination_livetime": {"A": "-1"}, "remove_rse": ["B"]}`,
		"empty name":         `{"run_nb": "5", "run_name": " , ", "destination_rse": ["A"], "destination_livetime": {"A": "-1"}}`,
		"nowhere left":       `{"run_nb": "5", "destination_rse": [], "remove_rse": ["B"]}`,
		"kept and removed":   `{"run_nb": "5", "destination_rse": ["B"], "destination_livetime": {"B": "-1"}, "remove_rse": ["B"]}`,
		"only look":          `{"verification_only": true, "run_nb": "5", "destination_rse": ["A"], "remove_rse": ["B"]}`,
		"turned range":       `{"run_nb": "5010-5000", "destination_rse": ["A"], "destination_livetime": {"A": "-1"}}`,
		"no number":          `{"run_nb": "5x", "destination_rse": ["A"], "destination_livetime": {"A": "-1"}}`,
		"negative":           `{"run_nb": "-5", "destination_rse": ["A"], "destination_livetime": {"A": "-1"}}`,
		"turned names":       `{"run_name": "170201_0000-170101_0000", "destination_rse": ["A"], "destination_livetime": {"A": "-1"}}`,
		"no lifetime":        `{"run_nb": "5", "destination_rse": ["A"]}`,
		"lifetime of others": `{"run_nb": "5", "destination_rse": ["A"], "destination_livetime": {"A": "-1", "C": "5"}}`,
		"no lifetime at all": `{"run_nb": "5", "destination_rse": ["A"], "destination_livetime": {"A": "soon"}}`,
		"zero lifetime":      `{"run_nb": "5", "destination_rse": ["A"], "destination_livetime": {"A": "0"}}`,
		"random of nothing":  `{"run_nb": "5", "destination_rse": ["random:"]}`,
		"a site":             `{"name": "lab", "dir_raw": "/data"}`,
		"unknown key":        `{"run_nb": "5", "run_number": "6"}`,
		"no rule":            `[]`,
		"no JSON":            `{`,
	} {
		t.Run(name, func(t *testing.T) {
			if text[0] == '{' && len(text) > 1 {
				text = "[" + text + "]"
			}
			qs, _, err := loadRules(t, text)
			var e *ConfigError
			if !errors.As(err, &e) {
				t.Fatalf("got %+v, %v; want a ConfigError", qs, err)
			}
			for _, p := range e.Problems {
				if p.Line < 1 || p.Text == "" || p.Remedy == "" {
					t.Errorf("%+v lacks position, text or remedy", p)
				}
			}
		})
	}
}

// TestC36Random: a run's RSE is drawn once, stays while the run has it, and runs spread
// over all of them.
func TestC36Random(t *testing.T) {
	qs, _, err := loadRules(t, `[{"run_name": "all", "destination_rse": ["random: A, B, C"], "destination_livetime": {"A": "-1", "B": "-1", "C": 3600}}]`)
	if err != nil {
		t.Fatal(err)
	}
	d := qs[0].Destinations[0]
	nowhere := func(string) bool { return false }
	count := map[string]int{}
	for i := range 300 {
		r := &rundb.Run{Name: time.Date(2017, 1, 1, 0, i, 0, 0, time.UTC).Format("060102_1504"), Detector: "tpc"}
		rse, life := d.Choose(r, nowhere)
		if again, _ := d.Choose(r, nowhere); again != rse {
			t.Fatalf("%s: %s, then %s", r.Name, rse, again)
		}
		if (life == time.Hour) != (rse == "C") {
			t.Errorf("%s lives for %v", rse, life)
		}
		count[rse]++
		if rse, _ := d.Choose(r, func(rse string) bool { return rse == "B" }); rse != "B" {
			t.Errorf("%s is at B and would go to %s too", r.Name, rse)
		}
	}
	for _, rse := range d.RSEs {
		if count[rse] < 60 {
			t.Errorf("%s got %d of 300 runs", rse, count[rse])
		}
	}
}

func TestNaming(t *testing.T) {
	run := func(start time.Time, detector string) *rundb.Run {
		return &rundb.Run{Name: start.Format("060102_1504"), Detector: detector, Start: start, Source: "none", User: "u"}
	}
	end := time.Date(2017, 2, 2, 17, 40, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		naming Naming
		run    *rundb.Run
		typ    rundb.Type
		ver    string
		want   string // scopes and names, or the begin of an error
	}{
		"SR0":            {run: run(end.Add(-time.Minute), "tpc"), typ: rundb.Raw, want: "x1t_SR000_170202_1739_tpc:raw x1t_SR000:x1t_SR000_170202_1739_tpc x1t_SR000:x1t_SR000_data"},
		"SR1":            {run: run(end, "tpc"), typ: rundb.Raw, want: "x1t_SR001_170202_1740_tpc:raw x1t_SR001:x1t_SR001_170202_1740_tpc x1t_SR001:x1t_SR001_data"},
		"muon veto":      {run: run(end, "muon_veto"), typ: rundb.Raw, want: "x1t_SR001_170202_1740_mv:raw x1t_SR001:x1t_SR001_170202_1740_mv x1t_SR001:x1t_SR001_data"},
		"another zone":   {run: run(end.In(time.FixedZone("", 7200)).Add(-time.Second), "tpc"), typ: rundb.Raw, want: "x1t_SR000_170202_1939_tpc:raw x1t_SR000:x1t_SR000_170202_1939_tpc x1t_SR000:x1t_SR000_data"},
		"processed":      {run: run(end, "tpc"), typ: rundb.Processed, ver: "v6.8.0", want: "x1t_SR001_170202_1740_tpc:processed_v6.8.0 x1t_SR001:x1t_SR001_170202_1740_tpc x1t_SR001:x1t_SR001_data"},
		"own":            {naming: Naming{Scope: "s", UploadScope: "s", Dataset: "{{.Name}}-{{.Type}}", Container: "c{{.Number}}", OverContainer: "all"}, run: run(end, "tpc"), typ: rundb.Raw, want: "s:170202_1740-raw s:c0 s:all"},
		"after the last": {naming: Naming{ScienceRuns: []ScienceRun{{"S", end}}}, run: run(end, "tpc"), want: "170202_1740"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.naming.Names(tc.run, tc.typ, tc.ver)
			text := got.Dataset.String() + " " + got.Container.String() + " " + got.OverContainer.String()
			if err != nil {
				text = err.Error()
				if !strings.Contains(text, tc.want) || !strings.Contains(text, "science_runs") {
					t.Errorf("error %v", err)
				}
				return
			}
			if text != tc.want {
				t.Errorf("got %s\nwant %s", text, tc.want)
			}
		})
	}
}
