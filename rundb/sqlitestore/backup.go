package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/rundb"
)

// Backup writes a consistent copy of the database to a new file while others go
// on reading and writing. The file appears under its name only when it is
// complete and durable. rundb.ErrExist if the name is taken.
func (d *Driver) Backup(ctx context.Context, to string) (err error) {
	to, err = filepath.Abs(to)
	if err != nil {
		return err
	}
	wrap := func(kind, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &rundb.Error{Op: "back up", What: "run database to " + to, Kind: kind, Err: err}
	}
	if _, err := os.Lstat(to); err == nil {
		return wrap(rundb.ErrExist, errors.New("choose another name, or remove the file"))
	}
	dir, err := os.MkdirTemp(filepath.Dir(to), ".cax-backup-*")
	if err != nil {
		return wrap(rundb.ErrInvalid, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	part := filepath.Join(dir, "part")
	const q = `VACUUM INTO ?`
	d.traced(q)
	// A connection of its own: the reading ones are query_only, which forbids this
	// statement, and the writing one is needed for heartbeats meanwhile. The
	// statement takes no lock that would keep writers waiting.
	db, err := sql.Open("sqlite", dsn(d.path))
	if err != nil {
		return wrap(rundb.ErrInvalid, err)
	}
	err = retry(ctx, func() error {
		_, err := db.ExecContext(ctx, q, part)
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return wrap(kindOf(err, rundb.ErrTransient), err)
	}
	if err := syncPath(part); err != nil {
		return wrap(rundb.ErrTransient, err)
	}
	if err := os.Link(part, to); err != nil { // unlike a rename, never replaces
		if errors.Is(err, fs.ErrExist) {
			return wrap(rundb.ErrExist, nil)
		}
		return wrap(rundb.ErrInvalid, err)
	}
	return syncPath(filepath.Dir(to))
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
