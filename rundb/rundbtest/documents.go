package rundbtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// day is when the runs of these tests begin.
var day = time.Date(2016, 3, 15, 14, 0, 0, 0, time.UTC)

// runID is the id of run n.
func runID(n int) (id rundb.ID) {
	id[0] = 0x56
	binary.BigEndian.PutUint64(id[4:], uint64(n))
	return id
}

// e is a field, for short.
func e(key string, value any) bson.E { return bson.E{Key: key, Value: value} }

// runDoc is the document of run n as the original writes it, with fields that
// rundb does not know. data is left out if nil.
func runDoc(n int, data any, more ...bson.E) bson.D {
	d := bson.D{
		e("_id", runID(n)),
		e("number", int32(n)),
		e("reader", bson.D{e("self_trigger", true), e("ini", bson.D{e("write_mode", int32(2))})}),
		e("name", fmt.Sprintf("160315_%04d", n)),
		e("detector", "tpc"),
		e("start", day.Add(time.Duration(n)*time.Hour)),
		e("trigger", bson.D{e("events_built", 1234.0), e("status", nil)}),
	}
	if data != nil {
		d = append(d, e("data", data))
	}
	return with(d, more)
}

// with replaces, adds and removes fields.
func with(d bson.D, more []bson.E) bson.D {
	for _, m := range more {
		d = slices.DeleteFunc(d, func(x bson.E) bool { return x.Key == m.Key && m.Value == absent })
		i := slices.IndexFunc(d, func(x bson.E) bool { return x.Key == m.Key })
		switch {
		case i >= 0:
			d[i] = m
		case m.Value != absent:
			d = append(d, m)
		}
	}
	return d
}

// absent as the value of a field given to runDoc or copyDoc leaves it out.
const absent = missingField("absent")

type missingField string

// copyDoc is a record as the original writes it: raw, transferred, with a version
// that is null.
func copyDoc(host string, more ...bson.E) bson.D {
	d := bson.D{
		e("type", "raw"),
		e("host", host),
		e("status", "transferred"),
		e("location", "/data/"+host+"/x"),
		e("checksum", "aa"),
		e("creation_time", day),
		e("pax_version", nil),
		e("note", "kept by hand"),
	}
	return with(d, more)
}

func marshal(t testing.TB, d any) bson.Raw {
	t.Helper()
	b, err := bson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// insert puts documents into the database.
func insert(t testing.TB, d rundb.Driver, docs ...bson.D) {
	t.Helper()
	for _, doc := range docs {
		if err := d.Insert(t.Context(), marshal(t, doc)); err != nil {
			t.Fatal(err)
		}
	}
}

func get(t testing.TB, d rundb.Driver, n int) *rundb.Run {
	t.Helper()
	r, err := (&rundb.Store{Driver: d}).Get(t.Context(), runID(n))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantIs checks the kind of an error; nil wants none.
func wantIs(t testing.TB, what string, err, kind error) {
	t.Helper()
	if kind == nil && err != nil || !errors.Is(err, kind) {
		t.Errorf("%s: got error %v, want %v", what, err, kind)
	}
}

// all collects a sequence that has no errors.
func all[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var vs []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		vs = append(vs, v)
	}
	return vs
}

// wantSameFields checks that two documents have the same fields with the same
// bytes, apart from those named; their order does not matter.
func wantSameFields(t testing.TB, before, after bson.Raw, except ...string) {
	t.Helper()
	fields := func(d bson.Raw) map[string][]byte {
		m := map[string][]byte{}
		elems, err := d.Elements()
		must(t, err)
		for _, x := range elems {
			if !slices.Contains(except, x.Key()) {
				m[x.Key()] = x
			}
		}
		return m
	}
	was, is := fields(before), fields(after)
	for k, v := range was {
		if !bytes.Equal(v, is[k]) {
			t.Errorf("field %s changed from %x to %x", k, v, is[k])
		}
	}
	for k := range is {
		if _, ok := was[k]; !ok {
			t.Errorf("field %s was added", k)
		}
	}
}

// copies gives the records of a run as documents.
func copies(t testing.TB, doc bson.Raw) []bson.Raw { return docList(t, doc, "data") }

func docList(t testing.TB, doc bson.Raw, field string) (ds []bson.Raw) {
	t.Helper()
	vs, err := doc.Lookup(field).Array().Values()
	must(t, err)
	for _, v := range vs {
		if d, ok := v.DocumentOK(); ok {
			ds = append(ds, d)
		}
	}
	return ds
}
