package correction

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// Detectors that corrections tell apart.
const (
	TPC      = "tpc"
	MuonVeto = "muon_veto"
)

// What the photomultipliers of some runs are given, as by the original.
const (
	LEDGain      = 1.0 // of runs that are not self-triggered
	MuonVetoGain = 1e6
)

// Units of the processor, which counts in centimetres and nanoseconds.
const (
	cmPerKm     = 1e5
	nsPerSecond = 1e9
)

// A Run is what corrections need to know of a run.
type Run struct {
	Number      int64
	Detector    string
	Start, End  time.Time
	SelfTrigger *bool // reader.self_trigger; nil: the run does not say
}

// RunOf is what corrections need to know of a run document.
func RunOf(r *rundb.Run) Run {
	run := Run{Number: r.Number, Detector: r.Detector, Start: r.Start, End: r.End}
	v, err := r.Raw().LookupErr("reader", "self_trigger")
	if err != nil {
		return run
	}
	if b, ok := v.BooleanOK(); ok {
		run.SelfTrigger = &b
	} else if n, ok := asNumber(v); ok {
		b := n != 0
		run.SelfTrigger = &b
	}
	return run
}

// Inputs are what values are made from, beside a document and a run.
type Inputs struct {
	// PMTs is how many photomultipliers each detector has. A run of another
	// detector gets no gains.
	PMTs map[string]int

	// SlowControl is asked for voltages; nil: there is none.
	SlowControl SlowControl

	// Cathode is the variable with the voltage of the cathode, in kV; "": unknown.
	Cathode string

	// Voltage is the variable with the voltage of a photomultiplier, with %d or %03d in
	// the place of its number; "": unknown.
	Voltage string
}

// NeedsSlowControl reports whether the value for a run depends on slow control.
func (d *Document) NeedsSlowControl(r Run) bool {
	switch {
	case d.Formula == nil:
		return false
	case d.Kind.Task == Gains:
		return d.Formula.Uses(SymbolVoltage) && r.Detector != MuonVeto && r.SelfTrigger != nil && *r.SelfTrigger
	}
	return d.Formula.Uses(SymbolCathode)
}

// Check says what the formula needs and the inputs do not have: ErrInvalid, with the
// setting that is missing.
func (d *Document) Check(in *Inputs) error {
	uses := func(s string) bool { return d.Formula != nil && d.Formula.Uses(s) }
	switch {
	case uses(SymbolCathode) && (in.SlowControl == nil || in.Cathode == ""):
		return d.fails(ErrInvalid, errors.New("its formula needs the voltage of the cathode, and nothing says where to ask for it"), "set slow_control in corrections of the configuration")
	case uses(SymbolVoltage) && (in.SlowControl == nil || in.Voltage == ""):
		return d.fails(ErrInvalid, errors.New("its formula needs the voltages of photomultipliers, and nothing says where to ask for them"), "set slow_control, with pmt_voltage, in corrections of the configuration")
	}
	return nil
}

// Value is what a run gets from a document: for gains a []float64, one for each
// photomultiplier; for the drift velocity a float64 in cm/ns, the unit of the processor
// (the formula gives km/s); else the document's value for the run's number, as it
// stands there.
//
// ErrNotExist if the document has no value for the run's number, or slow control none
// of the time of the run; ErrInvalid if the formula has no finite value; ErrUnavailable
// and ErrRefused are those of slow control. Context errors pass through.
func (d *Document) Value(ctx context.Context, r Run, in *Inputs) (any, error) {
	switch d.Kind.Task {
	case Gains:
		return d.gains(ctx, r, in)
	case DriftVelocity:
		return d.driftVelocity(ctx, r, in)
	}
	return d.byNumber(r)
}

// byNumber is the value of the first range that holds the run.
func (d *Document) byNumber(r Run) (bson.RawValue, error) {
	n := float64(r.Number)
	i := slices.IndexFunc(d.Ranges, func(x Range) bool { return n >= x.Min && n < x.Max })
	if i < 0 {
		return bson.RawValue{}, d.fails(ErrNotExist, fmt.Errorf("no entry of correction holds for number %d", r.Number), "add one to a new document, if such runs need it")
	}
	return d.Ranges[i].Value, nil
}

// endOfRuns is above every run number: doubles tell whole numbers apart up to here.
const endOfRuns = 1 << 53

// Numbers are the run numbers for which the document has values; nil: all.
func (d *Document) Numbers() []rundb.Range {
	if d.Formula != nil {
		return nil
	}
	rs := []rundb.Range{}
	for _, x := range d.Ranges {
		if x.Max <= 0 || x.Min > endOfRuns {
			continue // no run has such a number
		}
		r := rundb.Range{From: int64(math.Ceil(max(x.Min, 0))), To: -1}
		if x.Max < endOfRuns {
			r.To = int64(math.Ceil(x.Max)) - 1
		}
		if r.To < 0 || r.To >= r.From {
			rs = append(rs, r)
		}
	}
	return rs
}

func (d *Document) fails(kind, err error, hint string) error {
	return &Error{Op: "compute", What: d.Kind.Field + " from " + d.String(), Kind: kind, Err: err, Hint: hint}
}

func (d *Document) gains(ctx context.Context, r Run, in *Inputs) (any, error) {
	n, ok := in.PMTs[r.Detector]
	switch {
	case !ok:
		return nil, d.fails(ErrNotExist, fmt.Errorf("the number of photomultipliers of detector %q is not known", r.Detector), "set pmts in corrections of the configuration")
	case r.Detector == MuonVeto:
		return slices.Repeat([]float64{MuonVetoGain}, n), nil
	case r.SelfTrigger == nil:
		return nil, d.fails(ErrInvalid, errors.New("the run has no reader.self_trigger, so it is not known whether it was taken with LEDs"), "set reader.self_trigger of the run")
	case !*r.SelfTrigger:
		return slices.Repeat([]float64{LEDGain}, n), nil
	case d.Formula == nil:
		v, err := d.byNumber(r)
		if err != nil {
			return nil, err
		}
		return d.listOf(v, n)
	case r.Start.IsZero():
		return nil, d.fails(ErrInvalid, errors.New("the run has no start"), "set start of the run")
	}
	gains := make([]float64, n)
	values := map[string]float64{SymbolTime: unixSeconds(r.Start), SymbolT0: 0}
	for i := range gains {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		values[SymbolPMT] = float64(i)
		if d.Formula.Uses(SymbolVoltage) {
			v, err := d.voltage(ctx, r, in, i)
			if err != nil {
				return nil, err
			}
			values[SymbolVoltage] = v
		}
		g, err := d.Formula.Eval(values)
		if err != nil {
			return nil, d.evaluated(err)
		}
		gains[i] = g
	}
	return gains, nil
}

// evaluated is the error of the formula, with the document that it stands in.
func (d *Document) evaluated(err error) error {
	var e *Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return &Error{Op: "compute", What: d.Kind.Field + " from " + d.String(), Field: "function", Kind: ErrInvalid, Err: err, Hint: "correct the formula in a new document"}
}

// listOf is a list of gains that stands in the document.
func (d *Document) listOf(v bson.RawValue, n int) (any, error) {
	var gains []float64
	if list, ok := v.ArrayOK(); ok {
		vs, err := list.Values()
		if err != nil {
			return nil, d.fails(ErrInvalid, err, "")
		}
		for _, v := range vs {
			if f, ok := asNumber(v); ok && !math.IsNaN(f) && !math.IsInf(f, 0) {
				gains = append(gains, f)
			}
		}
		if len(gains) == n && len(vs) == n {
			return gains, nil
		}
	}
	return nil, d.fails(ErrInvalid, fmt.Errorf("its value is no list of %d numbers", n), "write one number for each photomultiplier")
}

func (d *Document) driftVelocity(ctx context.Context, r Run, in *Inputs) (any, error) {
	var km float64
	if d.Formula == nil {
		v, err := d.byNumber(r)
		if err != nil {
			return nil, err
		}
		f, ok := asNumber(v)
		if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, d.fails(ErrInvalid, fmt.Errorf("its value %s is no number", v), "write the drift velocity in km/s")
		}
		km = f
	} else {
		values := map[string]float64{}
		if d.Formula.Uses(SymbolCathode) {
			v, err := d.cathode(ctx, r, in)
			if err != nil {
				return nil, err
			}
			values[SymbolCathode] = v
		}
		var err error
		if km, err = d.Formula.Eval(values); err != nil {
			return nil, d.evaluated(err)
		}
	}
	return km * cmPerKm / nsPerSecond, nil
}

// cathode is the mean voltage of the cathode during a run.
func (d *Document) cathode(ctx context.Context, r Run, in *Inputs) (float64, error) {
	if err := d.Check(in); err != nil {
		return 0, err
	}
	vs, err := d.series(ctx, r, in.SlowControl, in.Cathode)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, v := range vs {
		sum += v
	}
	return sum / float64(len(vs)), nil
}

// voltage is the median voltage of a photomultiplier during a run.
func (d *Document) voltage(ctx context.Context, r Run, in *Inputs, pmt int) (float64, error) {
	if err := d.Check(in); err != nil {
		return 0, err
	}
	vs, err := d.series(ctx, r, in.SlowControl, fmt.Sprintf(in.Voltage, pmt))
	if err != nil {
		return 0, err
	}
	slices.Sort(vs)
	if h := len(vs) / 2; len(vs)%2 == 0 {
		return (vs[h-1] + vs[h]) / 2, nil
	} else {
		return vs[h], nil
	}
}

// series are the values of a variable during a run, at least one.
func (d *Document) series(ctx context.Context, r Run, s SlowControl, variable string) ([]float64, error) {
	if r.Start.IsZero() || r.End.Before(r.Start) {
		return nil, d.fails(ErrInvalid, errors.New("the run has no start, or ends before it"), "correct start and end of the run")
	}
	vs, err := s.Values(ctx, variable, r.Start, r.End)
	if err != nil {
		return nil, err
	}
	if len(vs) == 0 {
		return nil, &Error{Op: "ask", What: "slow control for " + variable, Kind: ErrNotExist,
			Err:  fmt.Errorf("it has no value between %s and %s UTC", r.Start.UTC().Format(time.DateTime), r.End.UTC().Format(time.DateTime)),
			Hint: "see whether it was recorded then"}
	}
	return slices.Clone(vs), nil
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
