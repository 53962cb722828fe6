package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// Add implements [rundb.Driver]; all documents or none are added.
func (d *Driver) Add(ctx context.Context, coll rundb.Collection, docs ...bson.Raw) error {
	return d.transaction(ctx, "add", func(tx *tx) error {
		for _, doc := range docs {
			id, err := doc.LookupErr("_id")
			if err == nil {
				err = doc.Validate()
			}
			if err != nil {
				return &rundb.Error{Op: "add", What: string(coll), Kind: rundb.ErrInvalid, Err: err}
			}
			key := idKey(id)
			var n int
			if err := tx.row(`SELECT count(*) FROM docs WHERE coll = ? AND id = ?`, string(coll), key).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				return &rundb.Error{Op: "add", What: fmt.Sprintf("%s %s", coll, id), Kind: rundb.ErrExist}
			}
			run, _ := doc.Lookup("run").ObjectIDOK()
			at, _ := doc.Lookup(coll.TimeField()).DateTimeOK()
			text, _ := doc.Lookup("key").StringValueOK()
			if err := tx.exec(`INSERT INTO docs (coll, id, run, time, key, doc) VALUES (?, ?, ?, ?, ?, ?)`,
				string(coll), key, run[:], at, text, []byte(doc)); err != nil {
				return err
			}
		}
		return nil
	})
}

// idKey is an _id as bytes, in whose order texts and ObjectIds are sorted as they are.
func idKey(id bson.RawValue) []byte {
	key := []byte{byte(id.Type)}
	if s, ok := id.StringValueOK(); ok {
		return append(key, s...)
	}
	return append(key, id.Value...)
}

// Docs implements [rundb.Driver]. Documents are read in batches; those that are
// added while the sequence goes on may or may not be in it.
func (d *Driver) Docs(ctx context.Context, q *rundb.DocQuery) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		conds := []string{"coll = ?"}
		args := []any{string(q.Coll)}
		add := func(cond string, values ...any) {
			conds = append(conds, cond)
			args = append(args, values...)
		}
		if !q.Run.IsZero() {
			add("run = ?", q.Run[:])
		}
		if q.KeyPrefix != "" {
			add("substr(key, 1, length(?)) = ?", q.KeyPrefix, q.KeyPrefix)
		}
		if !q.From.IsZero() {
			add("time >= ?", q.From.UnixMilli())
		}
		order, after := "ASC", "(time, id) > (?, ?)"
		if q.Newest {
			order, after = "DESC", "(time, id) < (?, ?)"
		}
		left := q.Limit
		var last []any // time and id of the last document of the batch before
		for {
			where, values := strings.Join(conds, " AND "), args
			if last != nil {
				where, values = where+" AND "+after, append(args[:len(args):len(args)], last...)
			}
			rows, err := d.query(ctx, fmt.Sprintf(`SELECT time, id, doc FROM docs WHERE %s ORDER BY time %s, id %s LIMIT %d`, where, order, order, batch), values...)
			if err != nil {
				yield(nil, failed(ctx, "find", err))
				return
			}
			docs, end, err := readDocs(rows)
			if err != nil {
				yield(nil, failed(ctx, "find", err))
				return
			}
			for _, doc := range docs {
				if !yield(doc, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
			if len(docs) < batch {
				return
			}
			last = end
		}
	}
}

func readDocs(rows *sql.Rows) (docs []bson.Raw, last []any, err error) {
	defer rows.Close()
	for rows.Next() {
		var at int64
		var id, doc []byte
		if err := rows.Scan(&at, &id, &doc); err != nil {
			return nil, nil, err
		}
		docs = append(docs, doc)
		last = []any{at, id}
	}
	return docs, last, rows.Err()
}

func (d *Driver) query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	d.traced(q)
	var rows *sql.Rows
	err := retry(ctx, func() (err error) {
		rows, err = d.read.QueryContext(ctx, q, args...)
		return err
	})
	return rows, err
}
