package rundbtest

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// Memory is a [rundb.Driver] that keeps documents in memory: the plainest one
// that is right, to compare others with and to make tests fast. The zero value
// is an empty database.
type Memory struct {
	// Clock is the database server's clock; nil: the machine's.
	Clock func() time.Time

	mu   sync.Mutex
	runs map[rundb.ID]*rundb.Run
	docs map[rundb.Collection][]bson.Raw
}

var _ rundb.Driver = (*Memory)(nil)

// Get implements [rundb.Driver].
func (m *Memory) Get(ctx context.Context, id rundb.ID) (bson.Raw, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.runs[id]
	if !ok {
		return nil, fail("get", rundb.ErrNotExist)
	}
	return slices.Clone(r.Raw()), nil
}

// Find implements [rundb.Driver]. It yields the state at its beginning.
func (m *Memory) Find(ctx context.Context, q *rundb.Query) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		left := q.Limit
		for _, r := range m.all(q.OldestFirst) {
			if !q.Match(r) {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(slices.Clone(r.Raw()), nil) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// all gives all runs, in the order of a query.
func (m *Memory) all(oldestFirst bool) []*rundb.Run {
	m.mu.Lock()
	runs := slices.Collect(maps.Values(m.runs))
	m.mu.Unlock()
	slices.SortFunc(runs, func(a, b *rundb.Run) int {
		return cmp.Or(a.Start.Compare(b.Start), bytes.Compare(a.ID[:], b.ID[:]))
	})
	if !oldestFirst {
		slices.Reverse(runs)
	}
	return runs
}

// Insert implements [rundb.Driver].
func (m *Memory) Insert(ctx context.Context, doc bson.Raw) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := rundb.Decode(doc)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.runs {
		if o.ID == r.ID || r.Name != "" && o.Name == r.Name && o.Detector == r.Detector {
			return fail("insert", rundb.ErrExist)
		}
	}
	if m.runs == nil {
		m.runs = map[rundb.ID]*rundb.Run{}
	}
	m.runs[r.ID] = r
	return nil
}

// Update implements [rundb.Driver].
func (m *Memory) Update(ctx context.Context, u *rundb.Update) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := u.Check(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.runs[u.Run]
	if !ok {
		return fail("update", rundb.ErrNotExist)
	}
	doc, err := rundb.Apply(r.Raw(), u, m.now())
	if err != nil {
		return err
	}
	if r, err = rundb.Decode(doc); err == nil {
		m.runs[u.Run] = r
	}
	return err
}

// Add implements [rundb.Driver].
func (m *Memory) Add(ctx context.Context, coll rundb.Collection, docs ...bson.Raw) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.docs[coll]
	for _, d := range docs {
		id, err := d.LookupErr("_id")
		if err != nil || d.Validate() != nil {
			return fail("add", rundb.ErrInvalid)
		}
		if slices.ContainsFunc(all, func(o bson.Raw) bool { return o.Lookup("_id").Equal(id) }) {
			return fail("add", rundb.ErrExist)
		}
		all = append(all[:len(all):len(all)], slices.Clone(d))
	}
	if m.docs == nil {
		m.docs = map[rundb.Collection][]bson.Raw{}
	}
	m.docs[coll] = all
	return nil
}

// Docs implements [rundb.Driver]. It yields the state at its beginning.
func (m *Memory) Docs(ctx context.Context, q *rundb.DocQuery) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		m.mu.Lock()
		docs := slices.Clone(m.docs[q.Coll])
		m.mu.Unlock()
		docs = slices.DeleteFunc(docs, func(d bson.Raw) bool {
			run, _ := d.Lookup("run").ObjectIDOK()
			key, _ := d.Lookup("key").StringValueOK()
			return !q.Run.IsZero() && run != q.Run || !strings.HasPrefix(key, q.KeyPrefix) ||
				!q.From.IsZero() && at(d, q.Coll) < q.From.UnixMilli()
		})
		slices.SortFunc(docs, func(a, b bson.Raw) int {
			return cmp.Or(cmp.Compare(at(a, q.Coll), at(b, q.Coll)), strings.Compare(idText(a), idText(b)))
		})
		if q.Newest {
			slices.Reverse(docs)
		}
		for i, d := range docs {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if q.Limit > 0 && i == q.Limit || !yield(slices.Clone(d), nil) {
				return
			}
		}
	}
}

func at(d bson.Raw, c rundb.Collection) int64 {
	t, _ := d.Lookup(c.TimeField()).DateTimeOK()
	return t
}

// idText is an _id as bytes in its order.
func idText(d bson.Raw) string {
	v := d.Lookup("_id")
	if s, ok := v.StringValueOK(); ok {
		return s
	}
	return string(v.Value)
}

func (m *Memory) now() time.Time {
	if m.Clock != nil {
		return m.Clock().UTC().Truncate(time.Millisecond)
	}
	return time.Now().UTC().Truncate(time.Millisecond)
}

// Now implements [rundb.Driver].
func (m *Memory) Now(ctx context.Context) (time.Time, error) { return m.now(), ctx.Err() }

// Close implements [rundb.Driver]. The documents stay.
func (m *Memory) Close() error { return nil }

func fail(op string, kind error) error {
	return &rundb.Error{Op: op, What: "in memory", Kind: kind}
}
