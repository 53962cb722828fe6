package mongostore

import (
	"context"
	"iter"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// batch is how many runs are read at once.
const batch = 128

// Find implements [rundb.Driver]. A run that changed after its id was read is
// judged as it is when it is yielded.
func (d *Driver) Find(ctx context.Context, q *rundb.Query) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		order := -1
		if q.OldestFirst {
			order = 1
		}
		s := search{d: d, coll: d.runs, filter: filter(q), batch: batch,
			sort: bson.D{{Key: "start", Value: order}, {Key: "_id", Value: order}}}
		left := q.Limit
		// The filter may let some pass that Match does not. Mostly it is exact, so
		// as many ids as runs are wanted do; else more are read.
		seen := map[string]bool{}
		for limit := q.Limit; ; limit *= 4 {
			ids, err := s.ids(ctx, limit)
			if err != nil {
				yield(nil, err)
				return
			}
			for doc, err := range s.documents(ctx, ids, seen) {
				if err != nil {
					yield(nil, err)
					return
				}
				// What cannot be decoded is the caller's to report.
				if r, err := rundb.Decode(doc); err == nil && !q.Match(r) {
					continue
				}
				if !yield(doc, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
			if limit == 0 || len(ids) < limit {
				return
			}
		}
	}
}

// A search reads ids first and documents then, in batches, so that no cursor
// stays open while the caller works.
type search struct {
	d      *Driver
	coll   *mongo.Collection
	filter bson.D
	sort   bson.D
	batch  int
}

// ids reads the _ids of what the filter selects, in order; limit 0: of all.
func (s *search) ids(ctx context.Context, limit int) ([]bson.RawValue, error) {
	o := options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}).SetSort(s.sort).SetLimit(int64(limit)).SetAllowDiskUse(true)
	cur, err := s.coll.Find(ctx, s.filter, o)
	if err != nil {
		return nil, s.d.failed(ctx, "find", err)
	}
	defer cur.Close(context.WithoutCancel(ctx))
	var ids []bson.RawValue
	for cur.Next(ctx) {
		v := cur.Current.Lookup("_id")
		v.Value = append([]byte(nil), v.Value...) // the cursor's memory is used again
		ids = append(ids, v)
	}
	if err := cur.Err(); err != nil {
		return nil, s.d.failed(ctx, "find", err)
	}
	return ids, nil
}

// documents yields the documents with these _ids, in this order, except those that
// were seen before or are gone.
func (s *search) documents(ctx context.Context, ids []bson.RawValue, seen map[string]bool) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		for len(ids) > 0 {
			n := min(s.batch, len(ids))
			want := make(bson.A, 0, n)
			keys := make([]string, 0, n)
			for _, id := range ids[:n] {
				if k := idKey(id); !seen[k] {
					seen[k] = true
					want, keys = append(want, id), append(keys, k)
				}
			}
			ids = ids[n:]
			docs, err := s.byID(ctx, want)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, k := range keys {
				if doc, ok := docs[k]; ok && !yield(doc, nil) {
					return
				}
			}
		}
	}
}

// idKey makes an _id of any type the key of a map.
func idKey(v bson.RawValue) string { return string(append([]byte{byte(v.Type)}, v.Value...)) }

func (s *search) byID(ctx context.Context, ids bson.A) (map[string]bson.Raw, error) {
	docs := make(map[string]bson.Raw, len(ids))
	if len(ids) == 0 {
		return docs, nil
	}
	cur, err := s.coll.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
	if err != nil {
		return nil, s.d.failed(ctx, "find", err)
	}
	defer cur.Close(context.WithoutCancel(ctx))
	for cur.Next(ctx) {
		doc := append(bson.Raw(nil), cur.Current...)
		docs[idKey(doc.Lookup("_id"))] = doc
	}
	if err := cur.Err(); err != nil {
		return nil, s.d.failed(ctx, "find", err)
	}
	return docs, nil
}
