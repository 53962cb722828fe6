package correction

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// recorded is slow control that knows some variables.
type recorded struct {
	values map[string][]float64
	err    error
	asked  *[]string
}

func (r recorded) Values(_ context.Context, variable string, from, to time.Time) ([]float64, error) {
	if r.asked != nil {
		*r.asked = append(*r.asked, fmt.Sprintf("%s %d-%d", variable, from.Unix(), to.Unix()))
	}
	return r.values[variable], r.err
}

// TestValue: what runs get.
func TestValue(t *testing.T) {
	yes, no := true, false
	start := time.Date(2016, 10, 9, 8, 0, 0, 0, time.UTC) // 1476000000
	run := Run{Number: 5000, Detector: TPC, Start: start, End: start.Add(time.Hour), SelfTrigger: &yes}
	other := func(f func(*Run)) Run { r := run; f(&r); return r }
	sc := recorded{values: map[string][]float64{"CATHODE": {11, 12.5, 12.5}, "pmt_000": {1500, 1400, 1600}, "pmt_001": {1000, 1100}}}
	in := Inputs{PMTs: map[string]int{TPC: 2, MuonVeto: 3}, SlowControl: sc, Cathode: "CATHODE", Voltage: "pmt_%03d"}
	gains := func(f string) string { return `{` + when + `, "version": "v1", "function": "` + f + `"}` }
	ranges := func(vs string) string { return `{` + when + `, "version": "v1", "correction": [` + vs + `]}` }
	for name, tc := range map[string]struct {
		task, doc string
		run       Run
		in        *Inputs
		want      any
		err       error
	}{
		"gains":                  {Gains, gains("1e6*(pmt + 1) + (t - 1476000000) + t0"), run, nil, []float64{1e6, 2e6}, nil},
		"half a second":          {Gains, gains("t - 1476000000"), other(func(r *Run) { r.Start = start.Add(500 * time.Millisecond) }), nil, []float64{0.5, 0.5}, nil},
		"LED":                    {Gains, gains("2e6"), other(func(r *Run) { r.SelfTrigger = &no }), nil, []float64{1, 1}, nil},
		"muon veto":              {Gains, gains("2e6"), other(func(r *Run) { r.Detector = MuonVeto; r.SelfTrigger = &no }), nil, []float64{1e6, 1e6, 1e6}, nil},
		"muon veto, untold":      {Gains, gains("2e6"), other(func(r *Run) { r.Detector = MuonVeto; r.SelfTrigger = nil }), nil, []float64{1e6, 1e6, 1e6}, nil},
		"trigger not told":       {Gains, gains("2e6"), other(func(r *Run) { r.SelfTrigger = nil }), nil, nil, ErrInvalid},
		"other detector":         {Gains, gains("2e6"), other(func(r *Run) { r.Detector = "veto" }), nil, nil, ErrNotExist},
		"no start":               {Gains, gains("2e6"), other(func(r *Run) { r.Start = time.Time{} }), nil, nil, ErrInvalid},
		"no finite gain":         {Gains, gains("1/(pmt - 1)"), run, nil, nil, ErrInvalid},
		"median voltage":         {Gains, gains("V"), run, nil, []float64{1500, 1050}, nil},
		"no voltage of the last": {Gains, gains("V"), run, &Inputs{PMTs: map[string]int{TPC: 3}, SlowControl: sc, Voltage: "pmt_%03d"}, nil, ErrNotExist},
		"no name of voltages":    {Gains, gains("V"), run, &Inputs{PMTs: in.PMTs, SlowControl: sc}, nil, ErrInvalid},
		"LED needs no voltage":   {Gains, gains("V"), other(func(r *Run) { r.SelfTrigger = &no }), &Inputs{PMTs: in.PMTs}, []float64{1, 1}, nil},
		"gains by number":        {Gains, ranges(`{"min": 0, "max": 5001, "value": [1.5, 2]}`), run, nil, []float64{1.5, 2}, nil},
		"too few gains":          {Gains, ranges(`{"min": 0, "max": 5001, "value": [1.5]}`), run, nil, nil, ErrInvalid},
		"gains are texts":        {Gains, ranges(`{"min": 0, "max": 5001, "value": [1.5, "2"]}`), run, nil, nil, ErrInvalid},
		"drift velocity":         {DriftVelocity, gains("v/10 + 0.24"), run, nil, 1.44e-4, nil},
		"no cathode needed":      {DriftVelocity, gains("1.44"), run, &Inputs{}, 1.44e-4, nil},
		"cathode not recorded":   {DriftVelocity, gains("v"), run, &Inputs{SlowControl: recorded{}, Cathode: "X"}, nil, ErrNotExist},
		"nobody to ask":          {DriftVelocity, gains("v"), run, &Inputs{}, nil, ErrInvalid},
		"slow control is down":   {DriftVelocity, gains("v"), run, &Inputs{SlowControl: recorded{err: &Error{Kind: ErrUnavailable}}, Cathode: "X"}, nil, ErrUnavailable},
		"ends before its start":  {DriftVelocity, gains("v"), other(func(r *Run) { r.End = start.Add(-1) }), nil, nil, ErrInvalid},
		"velocity by number":     {DriftVelocity, ranges(`{"min": 0, "max": 5001, "value": 1.44}`), run, nil, 1.44e-4, nil},
		"velocity is a text":     {DriftVelocity, ranges(`{"min": 0, "max": 5001, "value": "1.44"}`), run, nil, nil, ErrInvalid},
		"map, min counts":        {"SetS2xyMap", ranges(`{"min": 0, "max": 5000, "value": "a"}, {"min": 5000, "max": 5001, "value": "b"}`), run, nil, "b", nil},
		"the first counts":       {"SetS2xyMap", ranges(`{"min": 0, "max": 9000, "value": "a"}, {"min": 5000, "max": 5001, "value": "b"}`), run, nil, "a", nil},
		"no map":                 {"SetS2xyMap", ranges(`{"min": 0, "max": 5000, "value": "a"}`), run, nil, nil, ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse(kind(t, tc.task), doc(t, tc.doc))
			if err != nil {
				t.Fatal(err)
			}
			if tc.in == nil {
				tc.in = &in
			}
			got, err := d.Value(t.Context(), tc.run, tc.in)
			if !errors.Is(err, tc.err) || (tc.err == nil) != (err == nil) {
				t.Fatalf("got %v, %v; want %v", got, err, tc.err)
			}
			if v, ok := got.(bson.RawValue); ok && err == nil {
				got = v.StringValue()
			}
			if err == nil {
				if diff := cmp.Diff(tc.want, got, cmpopts.EquateApprox(1e-14, 0)); diff != "" {
					t.Errorf("value (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestSeriesOfTheRun: slow control is asked for the time of the run, and only where it is
// needed.
func TestSeriesOfTheRun(t *testing.T) {
	yes := true
	run := Run{Number: 1, Detector: TPC, Start: time.Unix(1000, 0), End: time.Unix(2000, 0), SelfTrigger: &yes}
	var asked []string
	in := &Inputs{PMTs: map[string]int{TPC: 2}, Cathode: "C", Voltage: "p%d", SlowControl: recorded{asked: &asked,
		values: map[string][]float64{"C": {1}, "p0": {1}, "p1": {1}}}}
	for _, tc := range []struct {
		task, formula string
		needs         bool
		want          []string
	}{
		{DriftVelocity, "v", true, []string{"C 1000-2000"}},
		{DriftVelocity, "1", false, nil},
		{Gains, "V + pmt", true, []string{"p0 1000-2000", "p1 1000-2000"}},
		{Gains, "pmt", false, nil},
	} {
		asked = nil
		d, err := Parse(kind(t, tc.task), doc(t, `{`+when+`, "function": "`+tc.formula+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		if d.NeedsSlowControl(run) != tc.needs {
			t.Errorf("%s %s: needs slow control %v", tc.task, tc.formula, !tc.needs)
		}
		if _, err := d.Value(t.Context(), run, in); err != nil {
			t.Error(err)
		}
		if !slices.Equal(asked, tc.want) {
			t.Errorf("%s %s: asked for %q, want %q", tc.task, tc.formula, asked, tc.want)
		}
	}
}

// TestNumbers: the numbers for which a document has values.
func TestNumbers(t *testing.T) {
	for name, tc := range map[string]struct {
		ranges string
		want   []rundb.Range
	}{
		"none":      {``, []rundb.Range{}},
		"whole":     {`{"min": 3, "max": 5, "value": 1}, {"min": 7, "max": 8, "value": 1}`, []rundb.Range{{From: 3, To: 4}, {From: 7, To: 7}}},
		"fractions": {`{"min": 2.5, "max": 4.5, "value": 1}, {"min": 5.1, "max": 5.9, "value": 1}`, []rundb.Range{{From: 3, To: 4}}},
		"open":      {`{"min": -1e9, "max": 1e300, "value": 1}`, []rundb.Range{{From: 0, To: -1}}},
		"from zero": {`{"min": -5, "max": 0, "value": 1}, {"min": 0, "max": 1, "value": 1}`, []rundb.Range{{From: 0, To: 0}}},
		"too large": {`{"min": 1e200, "max": 1e300, "value": 1}`, []rundb.Range{}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse(kind(t, "SetS2xyMap"), doc(t, `{`+when+`, "correction": [`+tc.ranges+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			got := d.Numbers()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
			q := rundb.Query{Numbers: got}
			for n := range int64(12) {
				_, err := d.Value(t.Context(), Run{Number: n}, &Inputs{})
				if q.Match(&rundb.Run{Number: n}) != (err == nil) {
					t.Errorf("number %d: value %v, and in the query %v", n, err, err != nil)
				}
			}
		})
	}
}

// TestRunOf: what is read from a run document.
func TestRunOf(t *testing.T) {
	yes, no := true, false
	for name, tc := range map[string]struct {
		reader any
		want   *bool
	}{
		"yes":     {bson.D{{Key: "self_trigger", Value: true}}, &yes},
		"no":      {bson.D{{Key: "self_trigger", Value: false}}, &no},
		"number":  {bson.D{{Key: "self_trigger", Value: 0.0}}, &no},
		"text":    {bson.D{{Key: "self_trigger", Value: "yes"}}, nil},
		"missing": {bson.D{}, nil},
		"none":    {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := bson.Marshal(bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "number", Value: 7}, {Key: "detector", Value: "tpc"},
				{Key: "start", Value: time.Unix(5, 0)}, {Key: "end", Value: time.Unix(9, 0)}, {Key: "reader", Value: tc.reader}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := rundb.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			want := Run{Number: 7, Detector: "tpc", Start: time.Unix(5, 0), End: time.Unix(9, 0), SelfTrigger: tc.want}
			if diff := cmp.Diff(want, RunOf(r)); diff != "" {
				t.Errorf("run (-want +got):\n%s", diff)
			}
		})
	}
}
