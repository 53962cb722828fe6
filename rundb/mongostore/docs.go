package mongostore

import (
	"context"
	"errors"
	"iter"
	"regexp"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// docBatch is how many documents beside the runs are read at once: parts of
// manifests have a megabyte each.
const docBatch = 16

// Add implements [rundb.Driver]. Documents are added in order, and those before
// one that fails stay.
func (d *Driver) Add(ctx context.Context, coll rundb.Collection, docs ...bson.Raw) error {
	invalid := func(err error) error {
		return &rundb.Error{Op: "add", What: string(coll), Kind: rundb.ErrInvalid, Err: err}
	}
	for _, doc := range docs {
		if err := doc.Validate(); err != nil {
			return invalid(err)
		}
		if _, err := doc.LookupErr("_id"); err != nil {
			return invalid(errors.New("a document has no _id"))
		}
	}
	ctx, s := counting(ctx)
	var err error
	switch len(docs) {
	case 0:
	case 1:
		_, err = d.db.Collection(string(coll)).InsertOne(ctx, docs[0])
	default:
		_, err = d.db.Collection(string(coll)).InsertMany(ctx, docs)
	}
	return d.wrote(ctx, "add", string(coll), s, err)
}

// Docs implements [rundb.Driver]. Documents that are added while the sequence
// goes on are not in it.
func (d *Driver) Docs(ctx context.Context, q *rundb.DocQuery) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		order := 1
		if q.Newest {
			order = -1
		}
		s := search{d: d, coll: d.db.Collection(string(q.Coll)), filter: docFilter(q), batch: docBatch,
			sort: bson.D{{Key: q.Coll.TimeField(), Value: order}, {Key: "_id", Value: order}}}
		ids, err := s.ids(ctx, q.Limit)
		if err != nil {
			yield(nil, err)
			return
		}
		for doc, err := range s.documents(ctx, ids, map[string]bool{}) {
			if !yield(doc, err) {
				return
			}
		}
	}
}

func docFilter(q *rundb.DocQuery) bson.D {
	f := bson.D{}
	if !q.Run.IsZero() {
		f = append(f, bson.E{Key: "run", Value: q.Run})
	}
	if q.KeyPrefix != "" {
		// An anchored expression without operators is answered by an index.
		f = append(f, bson.E{Key: "key", Value: bson.D{{Key: "$regex", Value: "^" + regexp.QuoteMeta(q.KeyPrefix)}}})
	}
	if !q.From.IsZero() {
		f = append(f, bson.E{Key: q.Coll.TimeField(), Value: bson.D{{Key: "$gte", Value: date(q.From)}}})
	}
	return f
}
