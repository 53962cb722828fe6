package correction

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// SlowControl knows voltages, and whatever else was recorded beside the data. It is
// safe for concurrent use.
type SlowControl interface {
	// Values gives the values of a variable that were recorded between two times, in any
	// order; none is no error. ErrUnavailable if there is no answer: it is worth another
	// try later. ErrRefused if the answer is that there will be none, ErrInvalid if it
	// cannot be read. Context errors pass through.
	Values(ctx context.Context, variable string, from, to time.Time) ([]float64, error)
}

// DefaultTimeout is how long slow control may take for one answer, if nothing else is
// set.
const DefaultTimeout = time.Minute

// maxAnswer is the longest answer of slow control that is read, in bytes.
const maxAnswer = 64 << 20

// fill puts a question in the place of {variable}, {from} and {to}, in seconds since
// 1970, {from_iso} and {to_iso}, in UTC, and {secret}.
func fill(text, variable string, from, to time.Time, secret string, escape func(string) string) string {
	seconds := func(t time.Time) string { return strconv.FormatFloat(unixSeconds(t), 'f', -1, 64) }
	pairs := []string{"{variable}", variable, "{from}", seconds(from), "{to}", seconds(to),
		"{from_iso}", from.UTC().Format(time.RFC3339), "{to_iso}", to.UTC().Format(time.RFC3339), "{secret}", secret}
	for i := 1; i < len(pairs); i += 2 {
		pairs[i] = escape(pairs[i])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

var errTooLong = fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)

// ReadValues reads an answer of slow control: JSON, which is a number, or a list of
// numbers, of pairs [time, value], of objects with a field "value", or an object with such
// a list as "values". Numbers may stand in texts; null is no value.
//
// If that is only a part of the answer, path says which: names of fields and, for lists,
// numbers from 0, with dots between them, as "data.result.0.values". A list without
// the entry has no values; an object without the field is ErrInvalid. "": the whole answer.
func ReadValues(r io.Reader, path string) ([]float64, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	fail := func(err error) ([]float64, error) {
		return nil, &Error{Op: "read", What: "answer of slow control", Kind: ErrInvalid, Err: err,
			Hint: `it has to be JSON: [3.2, 3.1, …], [[time, 3.2], …] or [{"value": 3.2}, …]`}
	}
	if len(b) > maxAnswer {
		return fail(errTooLong)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var answer any
	if err := d.Decode(&answer); err != nil {
		return fail(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fail(errors.New("something follows the end of it"))
	}
	if answer, err = inside(answer, path); err != nil {
		return nil, &Error{Op: "read", What: "answer of slow control", Kind: ErrInvalid, Err: err,
			Hint: "correct path in slow_control; it is made of fields and numbers of entries, as data.result.0.values"}
	}
	if o, ok := answer.(map[string]any); ok {
		if list, ok := o["values"]; ok {
			answer = list
		}
	}
	list, ok := answer.([]any)
	if !ok {
		list = []any{answer}
	}
	vs := make([]float64, 0, len(list))
	for i, x := range list {
		v, ok, err := valueOf(x)
		if err != nil {
			return fail(fmt.Errorf("entry %d: %w", i, err))
		}
		if ok {
			vs = append(vs, v)
		}
	}
	return vs, nil
}

// inside is the part of an answer to which a path leads; nil if there is nothing.
func inside(answer any, path string) (any, error) {
	if path == "" {
		return answer, nil
	}
	for _, step := range strings.Split(path, ".") {
		switch x := answer.(type) {
		case nil:
			return nil, nil
		case map[string]any:
			part, ok := x[step]
			if !ok {
				return nil, fmt.Errorf("there is no field %q, of path %s", step, path)
			}
			answer = part
		case []any:
			i, err := strconv.ParseUint(step, 10, 31)
			if err != nil {
				return nil, fmt.Errorf("there is a list where path %s has %q", path, step)
			}
			if i >= uint64(len(x)) {
				return nil, nil
			}
			answer = x[i]
		default:
			return nil, fmt.Errorf("there is a value where path %s goes on with %q", path, step)
		}
	}
	return answer, nil
}

// valueOf is the number of one entry; false if that is null.
func valueOf(x any) (float64, bool, error) {
	switch e := x.(type) {
	case map[string]any:
		v, ok := e["value"]
		if !ok {
			return 0, false, errors.New(`it has no field "value"`)
		}
		x = v
	case []any:
		if len(e) != 2 {
			return 0, false, fmt.Errorf("it is a list of %d and no pair of time and value", len(e))
		}
		x = e[1]
	}
	var text string
	switch v := x.(type) {
	case nil:
		return 0, false, nil
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return 0, false, errors.New("it is no number")
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false, fmt.Errorf("%q is no finite number", text)
	}
	return f, true, nil
}
