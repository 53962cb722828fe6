package session

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/mongostore"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"go.uber.org/zap"
)

// A dbNeed says how the run database is opened.
type dbNeed struct {
	create bool // the command may make one
	write  bool // the command writes
	dryRun bool // nothing may be written
}

// openDriver opens the run database of an address. A missing one is made if the
// command may do that; in a dry run an empty one in a temporary folder stands in
// for it, which undo removes. made tells of both.
func openDriver(ctx context.Context, a cax.RunDBAddress, n dbNeed, log *zap.Logger) (d rundb.Driver, made bool, undo func() error, err error) {
	undo = func() error { return nil }
	switch a.Scheme {
	case cax.SchemeMongoDB:
		d, made, err = openMongo(ctx, a, n, log)
	case cax.SchemeSQLite:
		path := a.Path
		_, serr := os.Lstat(path)
		made = errors.Is(serr, fs.ErrNotExist) && n.create
		if made && n.dryRun {
			dir, err := os.MkdirTemp("", "cax-dry-run-*")
			if err != nil {
				return nil, false, nil, err
			}
			undo = func() error { return os.RemoveAll(dir) }
			path = filepath.Join(dir, "runs.db")
		}
		d, err = sqlitestore.Open(ctx, path, &sqlitestore.Options{Create: n.create})
	default:
		err = command.Usagef("", "run databases of scheme %q are not known", a.Scheme)
	}
	if err != nil {
		err = openError(err, a)
		if uerr := undo(); uerr != nil {
			err = errors.Join(err, uerr)
		}
		return nil, false, nil, err
	}
	if made {
		log.Info(map[bool]string{false: "run database made", true: "would make the run database"}[n.dryRun],
			zap.String("rundb", a.String()), zap.String("named_by", a.Source))
	}
	return d, made, undo, nil
}

// openMongo looks for the database first, and makes it only if it is missing.
func openMongo(ctx context.Context, a cax.RunDBAddress, n dbNeed, log *zap.Logger) (d rundb.Driver, made bool, err error) {
	o := mongostore.Options{
		Password: a.Password,
		ReadOnly: !n.write || n.dryRun,
		Warn:     func(err error) { log.Warn("run database", zap.Error(err)) },
	}
	d, err = mongostore.Open(ctx, a.URI, &o)
	if !errors.Is(err, rundb.ErrNotExist) || !n.create || n.dryRun {
		return d, false, err
	}
	o.Create = true
	d, err = mongostore.Open(ctx, a.URI, &o)
	return d, err == nil, err
}

// openError makes errors that a person has to mend before anything can work
// usage errors.
func openError(err error, a cax.RunDBAddress) error {
	switch {
	case errors.Is(err, rundb.ErrNotExist):
		return command.Usagef("make it with cax db init or by registering a dataset, or name another one with --rundb, $CAX_RUNDB or rundb.uri",
			"there is no run database %s (%s)", a, a.Source)
	case errors.Is(err, rundb.ErrInvalid):
		return command.Usagef("", "%v", err)
	}
	return err
}
