package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/json"
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
	// One transaction, so that signatures and runs are of one moment: a run that
	// changed from one signature that fits to another would be missed.
	var tx *sql.Tx
	err := retry(ctx, func() (err error) {
		tx, err = d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		return err
	})
	if err != nil {
		return nil, failed(ctx, "find", err)
	}
	defer tx.Rollback()
	query := func(s string, args ...any) (rows *sql.Rows, err error) {
		d.traced(s)
		err = retry(ctx, func() error {
			rows, err = tx.QueryContext(ctx, s, args...)
			return err
		})
		return rows, err
	}
	where, args, err := d.where(ctx, q, query)
	if err != nil || where == "" {
		return nil, err
	}
	order := "DESC"
	if q.OldestFirst {
		order = "ASC"
	}
	rows, err := query(fmt.Sprintf(`SELECT id FROM runs WHERE %s ORDER BY start %s, id %s`, where, order, order), args...)
	if err != nil {
		return nil, failed(ctx, "find", err)
	}
	defer rows.Close()
	var ids []rundb.ID
	var b sql.RawBytes
	for rows.Next() {
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

type queryFunc func(q string, args ...any) (*sql.Rows, error)

// where makes the condition of the query; "" if no run can fulfil it.
func (d *Driver) where(ctx context.Context, q *rundb.Query, query queryFunc) (string, []any, error) {
	conds := []string{"1"}
	var args []any
	add := func(cond string, values ...any) {
		conds = append(conds, cond)
		args = append(args, values...)
	}
	// Lists are one parameter each, because the number of parameters has a limit
	// and lists of runs that people make have none.
	texts := func(column string, values []string) {
		if values != nil {
			add(column+" IN (SELECT value FROM json_each(?))", jsonText(values))
		}
	}
	if q.IDs != nil {
		hex := make([]string, len(q.IDs))
		for i, id := range q.IDs {
			hex[i] = id.Hex()
		}
		add("id IN (SELECT unhex(value) FROM json_each(?))", jsonText(hex))
	}
	if q.Numbers != nil {
		cond, values := numbers(q.Numbers)
		add(cond, values...)
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
		switch {
		case m.Location != "" && m.Hosts != nil:
			add("id IN (SELECT run FROM copies WHERE host IN (SELECT value FROM json_each(?)) AND location = ?)", jsonText(m.Hosts), m.Location)
		case m.Location != "":
			add("id IN (SELECT run FROM copies WHERE location = ?)", m.Location)
		}
	}
	if aboutCopies(q) {
		ids, err := d.signaturesFor(ctx, q, query)
		if err != nil || len(ids) == 0 {
			return "", nil, err
		}
		add("sig IN (SELECT value FROM json_each(?))", jsonText(ids))
	}
	return strings.Join(conds, " AND "), args, nil
}

// maxRanges is how many ranges of numbers become conditions of their own. SQLite
// limits the depth of an expression to 1 000.
const maxRanges = 200

// numbers is the condition on run numbers, or, for very many ranges, one that is
// wider: what may match is decided on the document.
func numbers(ranges []rundb.Range) (string, []any) {
	var single []int64
	var conds []string
	var args []any
	for _, r := range ranges {
		switch {
		case r.To < 0:
			conds = append(conds, "number >= ?")
			args = append(args, r.From)
		case r.To == r.From:
			single = append(single, r.From)
		case r.To > r.From:
			conds = append(conds, "number BETWEEN ? AND ?")
			args = append(args, r.From, r.To)
		}
	}
	if len(conds) > maxRanges {
		return "1", nil
	}
	conds = append(conds, "number IN (SELECT value FROM json_each(?))")
	return "(" + strings.Join(conds, " OR ") + ")", append(args, jsonText(single))
}

// jsonText is a list as the parameter of json_each.
func jsonText[T any](list []T) string {
	if list == nil {
		return "[]"
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // texts and numbers always marshal
	}
	return string(b)
}

// sigCache keeps signatures that were read before: an id never changes its text.
type sigCache struct {
	mu   sync.Mutex
	data map[int64]*rundb.Run
}

// signaturesFor lists the ids of the signatures that the query's conditions on
// copies do not rule out.
func (d *Driver) signaturesFor(ctx context.Context, q *rundb.Query, query queryFunc) ([]int64, error) {
	rows, err := query(`SELECT id, text FROM signatures`)
	if err != nil {
		return nil, failed(ctx, "find", err)
	}
	defer rows.Close()
	weak := onSignatures(q)
	d.sigs.mu.Lock()
	defer d.sigs.mu.Unlock()
	live := make(map[int64]*rundb.Run, len(d.sigs.data))
	var ids []int64
	for rows.Next() {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return nil, failed(ctx, "find", err)
		}
		run, ok := d.sigs.data[id]
		if !ok {
			if run, err = runOf(text); err != nil {
				return nil, &rundb.Error{Op: "find", What: "run database", Kind: rundb.ErrInvalid, Err: err}
			}
		}
		live[id] = run
		if weak.Match(run) {
			ids = append(ids, id)
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
