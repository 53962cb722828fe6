package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	_ rundb.Driver       = (*Driver)(nil)
	_ rundb.BulkInserter = (*Driver)(nil)
)

// Get implements [rundb.Driver].
func (d *Driver) Get(ctx context.Context, id rundb.ID) (bson.Raw, error) {
	var doc []byte
	const q = `SELECT doc FROM runs WHERE id = ?`
	d.traced(q)
	err := retry(ctx, func() error { return d.read.QueryRowContext(ctx, q, id[:]).Scan(&doc) })
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &rundb.Error{Op: "get", What: "run " + id.Hex(), Kind: rundb.ErrNotExist}
	}
	if err != nil {
		return nil, failed(ctx, "get", err)
	}
	return doc, nil
}

// Insert implements [rundb.Driver].
func (d *Driver) Insert(ctx context.Context, doc bson.Raw) error { return d.InsertAll(ctx, doc) }

// InsertAll implements [rundb.BulkInserter].
func (d *Driver) InsertAll(ctx context.Context, docs ...bson.Raw) error {
	runs := make([]*rundb.Run, len(docs))
	for i, doc := range docs {
		r, err := rundb.Decode(doc)
		if err != nil {
			return err
		}
		runs[i] = r
	}
	return d.transaction(ctx, "insert", func(tx *tx) error {
		for _, r := range runs {
			if err := tx.insert(r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) insert(r *rundb.Run) error {
	var n int
	if err := t.row(`SELECT count(*) FROM runs WHERE id = ? OR (name = ? AND detector = ? AND name <> '')`, r.ID[:], r.Name, r.Detector).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return &rundb.Error{Op: "insert", What: r.String(), Kind: rundb.ErrExist}
	}
	sig, err := t.useSignature(signature(r))
	if err != nil {
		return err
	}
	if err := t.exec(`INSERT INTO runs (id, number, name, detector, start, sig, doc) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		r.ID[:], r.Number, r.Name, r.Detector, r.Start.UnixMilli(), sig, []byte(r.Raw())); err != nil {
		return err
	}
	return t.writeSides(r)
}

// Update implements [rundb.Driver].
func (d *Driver) Update(ctx context.Context, u *rundb.Update) error {
	if err := u.Check(); err != nil {
		return err
	}
	return d.transaction(ctx, "update", func(tx *tx) error {
		var doc []byte
		var was int64
		err := tx.row(`SELECT doc, sig FROM runs WHERE id = ?`, u.Run[:]).Scan(&doc, &was)
		if errors.Is(err, sql.ErrNoRows) {
			return &rundb.Error{Op: "update", What: "run " + u.Run.Hex(), Kind: rundb.ErrNotExist}
		}
		if err != nil {
			return err
		}
		now, err := d.Now(ctx)
		if err != nil {
			return err
		}
		changed, err := rundb.Apply(doc, u, now)
		if err != nil {
			return err
		}
		r, err := rundb.Decode(changed)
		if err != nil {
			return err
		}
		old, err := rundb.Decode(doc)
		if err != nil {
			return err
		}
		sig := was
		if text := signature(r); text != signature(old) {
			if sig, err = tx.useSignature(text); err != nil {
				return err
			}
		}
		if err := tx.exec(`UPDATE runs SET number = ?, name = ?, detector = ?, start = ?, sig = ?, doc = ? WHERE id = ?`,
			r.Number, r.Name, r.Detector, r.Start.UnixMilli(), sig, []byte(changed), r.ID[:]); err != nil {
			return err
		}
		if sig != was {
			if err := tx.dropSignature(was); err != nil {
				return err
			}
		}
		if sameSides(old, r) {
			return nil
		}
		return tx.writeSides(r)
	})
}

// Now implements [rundb.Driver]: all processes are on this machine, so its clock
// is the database's.
func (d *Driver) Now(context.Context) (time.Time, error) {
	return time.Now().UTC().Truncate(time.Millisecond), nil
}

// tx is one write transaction.
type tx struct {
	*sql.Tx
	ctx context.Context
	d   *Driver
}

// transaction runs f in one durable transaction, under the lock.
func (d *Driver) transaction(ctx context.Context, op string, f func(*tx) error) error {
	unlock, err := d.lock.acquire(ctx)
	if err != nil {
		return failed(ctx, op, err)
	}
	defer unlock()
	d.lock.sign()
	var t *sql.Tx
	err = retry(ctx, func() (err error) {
		t, err = d.write.BeginTx(ctx, nil)
		return err
	})
	if err != nil {
		return failed(ctx, op, err)
	}
	defer t.Rollback()
	if err := f(&tx{Tx: t, ctx: ctx, d: d}); err != nil {
		var own *rundb.Error
		if errors.As(err, &own) {
			return err
		}
		return failed(ctx, op, err)
	}
	err = t.Commit()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && (errors.Is(err, sql.ErrTxDone) || errors.Is(err, ctx.Err())):
		return ctx.Err() // rolled back before the commit began
	}
	return &rundb.Error{Op: op, What: "run database", Kind: kindOf(err, rundb.ErrUnknownOutcome), Err: err}
}

func (t *tx) exec(q string, args ...any) error {
	t.d.traced(q)
	_, err := t.ExecContext(t.ctx, q, args...)
	return err
}

func (t *tx) row(q string, args ...any) *sql.Row {
	t.d.traced(q)
	return t.QueryRowContext(t.ctx, q, args...)
}

// useSignature gives the id of a signature for one run more.
func (t *tx) useSignature(text string) (id int64, err error) {
	err = t.row(`INSERT INTO signatures (text, runs) VALUES (?, 1)
		ON CONFLICT (text) DO UPDATE SET runs = runs + 1 RETURNING id`, text).Scan(&id)
	return id, err
}

// dropSignature takes one run off a signature; one that no run has is deleted.
func (t *tx) dropSignature(id int64) error {
	if err := t.exec(`UPDATE signatures SET runs = runs - 1 WHERE id = ?`, id); err != nil {
		return err
	}
	return t.exec(`DELETE FROM signatures WHERE id = ? AND runs <= 0`, id)
}

// sides are what the side tables hold of a run.
func sides(r *rundb.Run) (tags []string, copies [][2]string) {
	for _, t := range r.Tags {
		tags = append(tags, t.Name)
	}
	for i := range r.Data {
		copies = append(copies, [2]string{r.Data[i].Host, r.Data[i].Location})
	}
	return tags, copies
}

func sameSides(a, b *rundb.Run) bool {
	ta, ca := sides(a)
	tb, cb := sides(b)
	return slices.Equal(ta, tb) && slices.Equal(ca, cb)
}

func (t *tx) writeSides(r *rundb.Run) error {
	tags, copies := sides(r)
	for _, q := range []string{`DELETE FROM tags WHERE run = ?`, `DELETE FROM copies WHERE run = ?`} {
		if err := t.exec(q, r.ID[:]); err != nil {
			return err
		}
	}
	for _, n := range tags {
		if err := t.exec(`INSERT OR IGNORE INTO tags (name, run) VALUES (?, ?)`, n, r.ID[:]); err != nil {
			return err
		}
	}
	for _, c := range copies {
		if err := t.exec(`INSERT OR IGNORE INTO copies (host, location, run) VALUES (?, ?, ?)`, c[0], c[1], r.ID[:]); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) traced(q string) {
	if d.trace != nil {
		d.trace(strings.Join(strings.Fields(q), " "))
	}
}

// failed wraps an error of the database. Context errors pass through.
func failed(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &rundb.Error{Op: op, What: "run database", Kind: kindOf(err, rundb.ErrTransient), Err: err}
}

// kindOf is the kind of an error of SQLite by its result code; other for codes
// that say nothing.
func kindOf(err error, other error) error {
	switch codeOf(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM:
		return rundb.ErrTransient
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return rundb.ErrInvalid
	}
	return other
}

// codeOf is the primary result code of an error of SQLite; 0 for another error.
func codeOf(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}
