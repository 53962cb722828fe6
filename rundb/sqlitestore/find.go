package sqlitestore

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// batch is how many documents are read at once: few enough that reading them
// does not hold anybody up, many enough that statements do not count.
const batch = 128

// Find implements [rundb.Driver]. It first reads the ids of the runs that may
// match, in order, and then the documents in batches, so that no transaction is
// open while the caller works. A run that changed in between is judged as it is
// when it is yielded.
func (d *Driver) Find(ctx context.Context, q *rundb.Query) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		ids, err := d.findIDs(ctx, q)
		if err != nil {
			yield(nil, err)
			return
		}
		left := q.Limit
		for len(ids) > 0 {
			n := min(batch, len(ids))
			docs, err := d.documents(ctx, ids[:n])
			if err != nil {
				yield(nil, err)
				return
			}
			for _, id := range ids[:n] {
				doc, ok := docs[id]
				if !ok {
					continue
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
			ids = ids[n:]
		}
	}
}

// findIDs reads the ids of all runs that columns, side tables and signatures do
// not rule out, in the order of the query.
func (d *Driver) findIDs(ctx context.Context, q *rundb.Query) ([]rundb.ID, error) {
	where, args, err := d.where(ctx, q)
	if err != nil || where == "" {
		return nil, err
	}
	order := "DESC"
	if q.OldestFirst {
		order = "ASC"
	}
	rows, err := d.query(ctx, fmt.Sprintf(`SELECT id FROM runs WHERE %s ORDER BY start %s, id %s`, where, order, order), args...)
	if err != nil {
		return nil, failed(ctx, "find", err)
	}
	defer rows.Close()
	var ids []rundb.ID
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, failed(ctx, "find", err)
		}
		ids = append(ids, rundb.ID(b))
	}
	if err := rows.Err(); err != nil {
		return nil, failed(ctx, "find", err)
	}
	return ids, nil
}

// where makes the condition of the query; "" if no run can fulfil it.
func (d *Driver) where(ctx context.Context, q *rundb.Query) (string, []any, error) {
	var conds []string
	var args []any
	in := func(column string, n int) string {
		return column + " IN (" + strings.TrimSuffix(strings.Repeat("?,", n), ",") + ")"
	}
	add := func(cond string, values ...any) {
		conds = append(conds, cond)
		args = append(args, values...)
	}
	texts := func(column string, values []string) {
		if values == nil {
			return
		}
		conds = append(conds, in(column, len(values)))
		for _, v := range values {
			args = append(args, v)
		}
	}
	if q.IDs != nil {
		conds = append(conds, in("id", len(q.IDs)))
		for _, id := range q.IDs {
			args = append(args, id[:])
		}
	}
	if q.Numbers != nil {
		var ranges []string
		for _, r := range q.Numbers {
			if r.To < 0 {
				ranges = append(ranges, "number >= ?")
				args = append(args, r.From)
			} else {
				ranges = append(ranges, "number BETWEEN ? AND ?")
				args = append(args, r.From, r.To)
			}
		}
		conds = append(conds, "("+strings.Join(append(ranges, "0"), " OR ")+")")
	}
	texts("name", q.Names)
	texts("detector", q.Detectors)
	if !q.From.IsZero() {
		add("start >= ?", q.From.UnixMilli())
	}
	if !q.Until.IsZero() {
		// Columns are cut to milliseconds: what may match is decided on the document.
		add("start <= ?", q.Until.UnixMilli())
	}
	for _, t := range q.Tags {
		add("id IN (SELECT run FROM tags WHERE name = ?)", t)
	}
	for _, t := range q.NotTags {
		add("id NOT IN (SELECT run FROM tags WHERE name = ?)", t)
	}
	for _, m := range q.Copies {
		if m.Location != "" && m.Hosts != nil {
			hosts := make([]any, 0, len(m.Hosts)+1)
			for _, h := range m.Hosts {
				hosts = append(hosts, h)
			}
			add("id IN (SELECT run FROM copies WHERE "+in("host", len(m.Hosts))+" AND location = ?)", append(hosts, m.Location)...)
		}
	}
	if aboutCopies(q) {
		ids, err := d.signaturesFor(ctx, q)
		if err != nil || len(ids) == 0 {
			return "", nil, err
		}
		conds = append(conds, "sig IN ("+strings.Join(ids, ",")+")")
	}
	return strings.Join(append(conds, "1"), " AND "), args, nil
}

// sigCache keeps signatures that were read before: an id never changes its text.
type sigCache struct {
	mu   sync.Mutex
	data map[int64][]rundb.Copy
}

// signaturesFor lists the ids of the signatures that the query's conditions on
// copies do not rule out.
func (d *Driver) signaturesFor(ctx context.Context, q *rundb.Query) ([]string, error) {
	rows, err := d.query(ctx, `SELECT id, text FROM signatures`)
	if err != nil {
		return nil, failed(ctx, "find", err)
	}
	defer rows.Close()
	weak := onSignatures(q)
	d.sigs.mu.Lock()
	defer d.sigs.mu.Unlock()
	live := make(map[int64][]rundb.Copy, len(d.sigs.data))
	var ids []string
	for rows.Next() {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return nil, failed(ctx, "find", err)
		}
		copies, ok := d.sigs.data[id]
		if !ok {
			if copies, err = copiesOf(text); err != nil {
				return nil, &rundb.Error{Op: "find", What: "run database", Kind: rundb.ErrInvalid, Err: err}
			}
		}
		live[id] = copies
		if weak.MatchCopies(copies) {
			ids = append(ids, fmt.Sprint(id))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, failed(ctx, "find", err)
	}
	d.sigs.data = live
	return ids, nil
}

// documents reads the documents of some runs.
func (d *Driver) documents(ctx context.Context, ids []rundb.ID) (map[rundb.ID]bson.Raw, error) {
	args := make([]any, len(ids))
	for i := range ids {
		args[i] = ids[i][:]
	}
	rows, err := d.query(ctx, `SELECT id, doc FROM runs WHERE id IN (`+strings.TrimSuffix(strings.Repeat("?,", len(ids)), ",")+`)`, args...)
	if err != nil {
		return nil, failed(ctx, "find", err)
	}
	defer rows.Close()
	docs := make(map[rundb.ID]bson.Raw, len(ids))
	for rows.Next() {
		var id, doc []byte
		if err := rows.Scan(&id, &doc); err != nil {
			return nil, failed(ctx, "find", err)
		}
		docs[rundb.ID(id)] = doc
	}
	if err := rows.Err(); err != nil {
		return nil, failed(ctx, "find", err)
	}
	return docs, nil
}
