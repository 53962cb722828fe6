package correction

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A Document is one setting of a correction, as it stands in its collection. It is
// made by [Parse] and not changed afterwards.
type Document struct {
	Kind       Kind
	ID         string    // its _id, as text
	Calculated time.Time // calculation_time, UTC
	Version    string    // as text; calculation_time as Python prints it, if the document has none
	Formula    *Formula  // nil: it has values by run number
	Ranges     []Range   // in the order of the document: the first that holds a run counts

	version any
}

// A Range is the value for the runs with Min ≤ number < Max.
type Range struct {
	Min, Max float64
	Value    bson.RawValue
}

// VersionValue is the version as it is written to runs: of the type that it has in the
// document.
func (d *Document) VersionValue() any { return d.version }

// String names the document for people.
func (d *Document) String() string {
	return fmt.Sprintf("document %s of %s, version %s", d.ID, d.Kind.Collection, d.Version)
}

// Parse reads a document of a correction. ErrInvalid if it cannot be used; the error
// names document, field and what to write.
func Parse(k Kind, doc bson.Raw) (*Document, error) {
	r := &reader{kind: k, doc: doc, what: nameOf(k, doc)}
	d := &Document{Kind: k, ID: idOf(doc)}
	var err error
	if d.Calculated, err = r.time("calculation_time"); err != nil {
		return nil, err
	}
	if d.version, d.Version, err = r.version(d.Calculated); err != nil {
		return nil, err
	}
	if f := r.lookup("function"); k.Symbols != nil && f.Type != 0 && f.Type != bson.TypeNull {
		text, ok := f.StringValueOK()
		if !ok {
			return nil, r.invalid("function", fmt.Errorf("it is %s and no text", f.Type), `write the formula as text, as "2e6 + pmt"`)
		}
		if d.Formula, err = ParseFormula(text, k.Symbols...); err != nil {
			return nil, r.formula(err)
		}
		return d, nil
	}
	d.Ranges, err = r.ranges("correction")
	return d, err
}

// A reader reads the fields of one document.
type reader struct {
	kind Kind
	doc  bson.Raw
	what string
}

func nameOf(k Kind, doc bson.Raw) string {
	return fmt.Sprintf("document %s of %s", idOf(doc), k.Collection)
}

func idOf(doc bson.Raw) string {
	v, err := doc.LookupErr("_id")
	if err != nil {
		return "without _id"
	}
	if id, ok := v.ObjectIDOK(); ok {
		return id.Hex()
	}
	if text, ok := asText(v); ok {
		return text
	}
	return v.String()
}

func (r *reader) lookup(field string) bson.RawValue {
	v, err := r.doc.LookupErr(field)
	if err != nil {
		return bson.RawValue{}
	}
	return v
}

func (r *reader) invalid(field string, err error, hint string) error {
	return &Error{Op: "read", What: r.what, Field: field, Kind: ErrInvalid, Err: err, Hint: hint}
}

// formula is the error of a formula, with the document that it stands in.
func (r *reader) formula(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return r.invalid("function", e.Err, e.Hint)
	}
	return r.invalid("function", err, "correct the formula")
}

func (r *reader) time(field string) (time.Time, error) {
	v := r.lookup(field)
	if v.Type == 0 {
		return time.Time{}, r.invalid(field, errMissing, `write the date on which the setting was made, as {"$date": "2017-02-14T09:30:00Z"}`)
	}
	if ms, ok := v.DateTimeOK(); ok {
		return time.UnixMilli(ms).UTC(), nil
	}
	return time.Time{}, r.invalid(field, fmt.Errorf("%s is no date", v), `write for example {"$date": "2017-02-14T09:30:00Z"}`)
}

var errMissing = errors.New("it is missing")

// version is the document's version as it stands there, and as text.
func (r *reader) version(calculated time.Time) (any, string, error) {
	v := r.lookup("version")
	if v.Type == 0 || v.Type == bson.TypeNull {
		s := pythonTime(calculated)
		return s, s, nil
	}
	text, ok := asText(v)
	if !ok || text == "" {
		return nil, "", r.invalid("version", fmt.Errorf("%s is no version", v), `write a text, as "v1.2", and another one for each new setting`)
	}
	return v, text, nil
}

// asText is a text, or a number as the run database reads it where a text should be.
func asText(v bson.RawValue) (string, bool) {
	switch v.Type {
	case bson.TypeString:
		return v.StringValue(), true
	case bson.TypeInt32, bson.TypeInt64:
		return strconv.FormatInt(v.AsInt64(), 10), true
	case bson.TypeDouble:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64), true
	}
	return "", false
}

// pythonTime is a date as str() gives it in Python, which the original took for a
// version where there was none.
func pythonTime(t time.Time) string {
	s := t.UTC().Format(time.DateTime)
	if us := t.Nanosecond() / 1000; us != 0 {
		s += fmt.Sprintf(".%06d", us)
	}
	return s
}

// ranges reads a list of {min, max, value}.
func (r *reader) ranges(field string) ([]Range, error) {
	example := `write for example [{"min": 0, "max": 6386, "value": "map_v1.json"}, …]`
	v := r.lookup(field)
	if v.Type == 0 && r.kind.Symbols != nil {
		return nil, r.invalid("function", errMissing, "write the formula as text; its symbols are "+symbolList(r.kind.Symbols))
	}
	if v.Type == 0 {
		return nil, r.invalid(field, errMissing, example)
	}
	list, ok := v.ArrayOK()
	if !ok {
		return nil, r.invalid(field, fmt.Errorf("it is %s and no list", v.Type), example)
	}
	vs, err := list.Values()
	if err != nil {
		return nil, r.invalid(field, err, example)
	}
	rs := make([]Range, len(vs))
	for i, v := range vs {
		at := fmt.Sprintf("%s[%d]", field, i)
		doc, ok := v.DocumentOK()
		if !ok {
			return nil, r.invalid(at, fmt.Errorf("it is %s and no document", v.Type), example)
		}
		if rs[i], err = r.rangeOf(at, doc); err != nil {
			return nil, err
		}
	}
	return rs, nil
}

func (r *reader) rangeOf(at string, doc bson.Raw) (Range, error) {
	var out Range
	for _, bound := range []struct {
		name string
		to   *float64
	}{{"min", &out.Min}, {"max", &out.Max}} {
		v, err := doc.LookupErr(bound.name)
		n, ok := asNumber(v)
		switch {
		case err != nil:
			return out, r.invalid(at+"."+bound.name, errMissing, "write a run number: the value holds for min ≤ number < max")
		case !ok || math.IsNaN(n):
			return out, r.invalid(at+"."+bound.name, fmt.Errorf("%s is no number", v), "write a run number: the value holds for min ≤ number < max")
		}
		*bound.to = n
	}
	if out.Min >= out.Max {
		return out, r.invalid(at, fmt.Errorf("min %v is not below max %v, so it holds for no run", out.Min, out.Max), "the value holds for min ≤ number < max: correct them, or remove the entry")
	}
	v, err := doc.LookupErr("value")
	if err != nil || v.Type == bson.TypeNull {
		return out, r.invalid(at+".value", errMissing, "write what runs of this range get")
	}
	out.Value = v
	return out, nil
}

func asNumber(v bson.RawValue) (float64, bool) {
	switch v.Type {
	case bson.TypeInt32, bson.TypeInt64:
		return float64(v.AsInt64()), true
	case bson.TypeDouble:
		return v.Double(), true
	}
	return 0, false
}
