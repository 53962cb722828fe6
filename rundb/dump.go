package rundb

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Runs names the collection of the run documents in dumps, as the original calls
// it. It is not one of those that [Driver.Add] and [Driver.Docs] know.
const Runs Collection = "runs_new"

// A Format is how documents are written to a file. All are read by [Store.Import],
// which tells them apart by content.
type Format string

// The formats.
const (
	// JSON is MongoDB Extended JSON in its canonical form, one document a line, as
	// mongoexport --jsonFormat=canonical writes it. It keeps every type.
	JSON Format = "json"

	// RelaxedJSON is what mongoexport writes by default: easier to read, but int32,
	// int64 and whole doubles are told apart no longer in all cases.
	RelaxedJSON Format = "relaxed"

	// BSON is what mongodump writes: the documents one after the other, byte for byte.
	BSON Format = "bson"
)

// extension is the end of the name of a file in this format.
func (f Format) extension() string {
	if f == BSON {
		return ".bson"
	}
	return ".json"
}

// collections are those of a run database, in the order in which they are moved:
// a run comes before what is said about it.
func collections() []Collection {
	return append([]Collection{Runs, Events, Manifests}, Corrections()...)
}

// collectionOf tells from the name of a file what is in it; "" if the name is that
// of another collection, or of no dump. "runs" is accepted for "runs_new".
func collectionOf(file string) Collection {
	name := strings.TrimSuffix(path.Base(file), ".gz")
	ext := path.Ext(name)
	switch ext {
	case ".bson", ".json", ".jsonl", ".ndjson":
	default:
		return ""
	}
	c := Collection(strings.TrimSuffix(name, ext))
	switch {
	case slices.Contains(collections(), c):
		return c
	case c == "runs":
		return Runs
	}
	return ""
}

// Same reports whether two documents say the same: the same fields with the same
// values, in the same order apart from the place of _id, which MongoDB puts first.
// Numbers are compared by value, because relaxed JSON does not keep their types.
func Same(a, b bson.Raw) bool {
	return bytes.Equal(a, b) || sameElements(a, b, true, maxDepth)
}

func sameElements(a, b bson.Raw, outermost bool, depth int) bool {
	x, errA := a.Elements()
	y, errB := b.Elements()
	if errA != nil || errB != nil || depth == 0 {
		return false
	}
	if outermost {
		x, y = idFirst(x), idFirst(y)
	}
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].Key() != y[i].Key() || !sameValue(x[i].Value(), y[i].Value(), depth) {
			return false
		}
	}
	return true
}

func idFirst(elems []bson.RawElement) []bson.RawElement {
	var first, rest []bson.RawElement
	for _, e := range elems {
		if e.Key() == "_id" {
			first = append(first, e)
		} else {
			rest = append(rest, e)
		}
	}
	return append(first, rest...)
}

func sameValue(a, b bson.RawValue, depth int) bool {
	if n, ok := number(a); ok {
		m, ok := number(b)
		return ok && n == m
	}
	if a.Type != b.Type {
		return false
	}
	switch a.Type {
	case bson.TypeEmbeddedDocument, bson.TypeArray:
		return sameElements(bson.Raw(a.Value), bson.Raw(b.Value), false, depth-1)
	}
	return bytes.Equal(a.Value, b.Value)
}

// number is a text that is equal for numbers of equal value.
func number(v bson.RawValue) (string, bool) {
	switch v.Type {
	case bson.TypeInt32:
		return fmt.Sprint(v.Int32()), true
	case bson.TypeInt64:
		return fmt.Sprint(v.Int64()), true
	case bson.TypeDouble:
		f := v.Double()
		if n := int64(f); f > -1<<53 && f < 1<<53 && float64(n) == f {
			return fmt.Sprint(n), true
		}
		return fmt.Sprint(f), true // NaN is NaN, whatever its bits
	}
	return "", false
}
