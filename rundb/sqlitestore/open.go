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
	"syscall"
	"time"

	"github.com/cax-go/cax/rundb"
	"modernc.org/sqlite" // also the database/sql driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Options says how to open a database. nil: the defaults.
type Options struct {
	// Create makes the database, and its folder, if there is none.
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

// Open opens the database in a file. rundb.ErrNotExist if there is none, or an
// empty file, and Create is not set; rundb.ErrInvalid if the file is something
// else, was made by a newer version, or lies on a network file system. Nothing is
// made or changed then.
func Open(ctx context.Context, path string, o *Options) (*Driver, error) {
	if o == nil {
		o = &Options{}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, openError(path, rundb.ErrInvalid, err)
	}
	if err := check(ctx, &path, o.Create); err != nil {
		return nil, err
	}
	lock, err := newFileLock(path + ".lock")
	if err != nil {
		return nil, openError(path, rundb.ErrInvalid, err)
	}
	d := &Driver{path: path, lock: lock, trace: o.Trace}
	if err := d.init(ctx, o.Create); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// check looks at the place before anything is made there. Links are followed, so
// that all processes lock the same file.
func check(ctx context.Context, path *string, create bool) error {
	st, err := os.Stat(*path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !create:
		return openError(*path, rundb.ErrNotExist, errHowToMake)
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(*path), 0o755); err != nil {
			return openError(*path, rundb.ErrInvalid, err)
		}
	case err != nil:
		return openError(*path, rundb.ErrInvalid, err)
	case !st.Mode().IsRegular():
		return openError(*path, rundb.ErrInvalid, errors.New("it is not a regular file"))
	default:
		if *path, err = filepath.EvalSymlinks(*path); err != nil {
			return openError(*path, rundb.ErrInvalid, err)
		}
	}
	if name, err := networkFS(filepath.Dir(*path)); err != nil {
		return openError(*path, rundb.ErrInvalid, err)
	} else if name != "" {
		return openError(*path, rundb.ErrInvalid, fmt.Errorf("it lies on %s, a network file system, whose locks cannot be trusted: put it on a local disk, or use MongoDB", name))
	}
	if st == nil || st.Size() == 0 && create {
		return nil
	}
	db, err := sql.Open("sqlite", dsn(*path, "_pragma=query_only(1)"))
	if err != nil {
		return openError(*path, rundb.ErrInvalid, err)
	}
	_, err = identify(ctx, db, *path, create)
	return errors.Join(err, db.Close())
}

var errHowToMake = errors.New("make it with cax db init, or name another one with --rundb")

// identify checks that a file is a run database, or empty where one is to be made.
func identify(ctx context.Context, db *sql.DB, path string, create bool) (empty bool, err error) {
	var app, version, tables int
	err = retry(ctx, func() error {
		return db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
			(SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)`).Scan(&app, &version, &tables)
	})
	empty = app == 0 && version == 0 && tables == 0
	switch {
	case err != nil && ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		return false, openError(path, kindOf(err, rundb.ErrInvalid), err)
	case empty && !create:
		return false, openError(path, rundb.ErrNotExist, fmt.Errorf("the file is empty: %w", errHowToMake))
	case !empty && app != applicationID:
		return false, openError(path, rundb.ErrInvalid, errors.New("it is an SQLite file of another program"))
	case version > schemaVersion:
		return false, openError(path, rundb.ErrInvalid, fmt.Errorf("it was made by a newer version (format %d, this program knows %d): update this program", version, schemaVersion))
	}
	return empty, nil
}

func (d *Driver) init(ctx context.Context, create bool) error {
	unlock, err := d.lock.acquire(ctx)
	if err != nil {
		return failed(ctx, "open", err)
	}
	defer unlock()
	if d.write, err = sql.Open("sqlite", dsn(d.path, "_pragma=synchronous(FULL)", "_txlock=immediate")); err != nil {
		return openError(d.path, rundb.ErrInvalid, err)
	}
	d.write.SetMaxOpenConns(1)
	// Another process may have made the database since it was looked at.
	empty, err := identify(ctx, d.write, d.path, create)
	if err != nil {
		return err
	}
	// The mode is kept in the file. It comes before the tables, so that a database
	// that is complete has it.
	if err := retry(ctx, func() error { return d.setWAL(ctx) }); err != nil {
		return openError(d.path, kindOf(err, rundb.ErrInvalid), err)
	}
	if empty {
		if err := d.makeSchema(ctx); err != nil {
			return openError(d.path, kindOf(err, rundb.ErrTransient), err)
		}
	}
	if d.read, err = sql.Open("sqlite", dsn(d.path, "_pragma=query_only(1)")); err != nil {
		return openError(d.path, rundb.ErrInvalid, err)
	}
	d.read.SetMaxOpenConns(4)
	return nil
}

func (d *Driver) setWAL(ctx context.Context) error {
	var mode string
	if err := d.write.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("this file system has no write-ahead log: the mode stays %q", mode)
	}
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

// busyTimeout is how long SQLite itself waits for a lock, deaf to contexts;
// [retry] goes on up to busyLimit.
const (
	busyTimeout = 500 * time.Millisecond
	busyLimit   = time.Minute
)

// retry repeats what met a lock of SQLite: another program that looks into the
// file, or a process that opens it after a crash or closes it as the last one.
func retry(ctx context.Context, f func() error) error {
	for start := time.Now(); ; {
		err := f()
		if !isBusy(err) || ctx.Err() != nil || time.Since(start) > busyLimit {
			return err
		}
	}
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// dsn is the driver's name of a file: its path, escaped, and settings.
func dsn(path string, settings ...string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	s := fmt.Sprintf("%s?_pragma=busy_timeout(%d)", u.String(), busyTimeout.Milliseconds())
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
	if code := codeOf(err); code == sqlite3.SQLITE_CANTOPEN || code == sqlite3.SQLITE_READONLY || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		err = fmt.Errorf("%w: the file and its folder must be writable, for readers too; see their owner and mode, and how the disk is mounted", err)
	}
	return &rundb.Error{Op: "open", What: "run database " + path, Kind: kind, Err: err}
}
