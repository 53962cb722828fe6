package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/rundb"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// Options says how to open a database. nil: the defaults.
type Options struct {
	// Create makes the file, and its folder, if there is none.
	Create bool

	// Trace is told of every SQL statement before it runs; nil: nobody. It is
	// called from several goroutines.
	Trace func(statement string)
}

// A Driver is an open database. It implements [rundb.Driver].
type Driver struct {
	path  string
	read  *sql.DB
	write *sql.DB
	lock  *fileLock
	trace func(string)
	sigs  sigCache
}

// Open opens the database in a file. rundb.ErrNotExist if there is none and
// Create is not set, and nothing is made then; rundb.ErrInvalid if the file is
// something else, was made by a newer version, or lies on a network file system.
func Open(ctx context.Context, path string, o *Options) (*Driver, error) {
	if o == nil {
		o = &Options{}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, openError(path, rundb.ErrInvalid, err)
	}
	switch st, err := os.Stat(path); {
	case err == nil && !st.Mode().IsRegular():
		return nil, openError(path, rundb.ErrInvalid, errors.New("it is not a regular file"))
	case errors.Is(err, fs.ErrNotExist) && !o.Create:
		return nil, openError(path, rundb.ErrNotExist, errors.New("make it with cax db init, or name another one with --rundb"))
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, openError(path, rundb.ErrInvalid, err)
		}
	case err != nil:
		return nil, openError(path, rundb.ErrInvalid, err)
	}
	if name, err := networkFS(filepath.Dir(path)); err != nil {
		return nil, openError(path, rundb.ErrInvalid, err)
	} else if name != "" {
		return nil, openError(path, rundb.ErrInvalid, fmt.Errorf("it lies on %s, a network file system, whose locks cannot be trusted: put it on a local disk, or use MongoDB", name))
	}
	lock, err := newFileLock(path + ".lock")
	if err != nil {
		return nil, openError(path, rundb.ErrInvalid, err)
	}
	d := &Driver{path: path, lock: lock, trace: o.Trace}
	if err := d.init(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Driver) init(ctx context.Context) error {
	unlock, err := d.lock.acquire(ctx)
	if err != nil {
		return openError(d.path, rundb.ErrTransient, err)
	}
	defer unlock()
	if d.write, err = sql.Open("sqlite", dsn(d.path, "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_txlock=immediate")); err != nil {
		return openError(d.path, rundb.ErrInvalid, err)
	}
	d.write.SetMaxOpenConns(1)
	var app, version, tables int
	err = d.write.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)`).Scan(&app, &version, &tables)
	switch {
	case err != nil:
		return openError(d.path, kindOf(err, rundb.ErrInvalid), err)
	case app == 0 && tables == 0:
		if err := d.makeSchema(ctx); err != nil {
			return openError(d.path, kindOf(err, rundb.ErrTransient), err)
		}
	case app != applicationID:
		return openError(d.path, rundb.ErrInvalid, errors.New("it is an SQLite file of another program"))
	case version > schemaVersion:
		return openError(d.path, rundb.ErrInvalid, fmt.Errorf("it was made by a newer version (format %d, this program knows %d): update this program", version, schemaVersion))
	}
	if d.read, err = sql.Open("sqlite", dsn(d.path, "_pragma=query_only(1)")); err != nil {
		return openError(d.path, rundb.ErrInvalid, err)
	}
	d.read.SetMaxOpenConns(4)
	return nil
}

func (d *Driver) makeSchema(ctx context.Context) error {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, s := range []string{schema, fmt.Sprintf("PRAGMA application_id=%d", applicationID), fmt.Sprintf("PRAGMA user_version=%d", schemaVersion)} {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// dsn is the driver's name of a file: its path, escaped, and settings. A reader
// or writer that meets a lock of SQLite itself waits for it.
func dsn(path string, settings ...string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	s := u.String() + "?_pragma=busy_timeout(60000)"
	for _, x := range settings {
		s += "&" + x
	}
	return s
}

// Path returns the absolute path of the file.
func (d *Driver) Path() string { return d.path }

// Close closes the database. It must not be used afterwards.
func (d *Driver) Close() error {
	var errs []error
	if d.read != nil {
		errs = append(errs, d.read.Close())
	}
	if d.write != nil {
		errs = append(errs, d.write.Close())
	}
	return errors.Join(append(errs, d.lock.close())...)
}

func openError(path string, kind, err error) error {
	return &rundb.Error{Op: "open", What: "run database " + path, Kind: kind, Err: err}
}
