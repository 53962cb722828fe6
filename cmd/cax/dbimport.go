package main

import (
	"errors"
	"fmt"
	"github.com/cax-go/cax/cmd/internal/command"
	"os"

	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
)

func dbImportCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "add what mongodump, mongoexport or cax db export wrote",
		UsageText: "cax db import [--collection C] PATH",
		Description: `PATH is a file, or a folder with runs_new, events, manifests and the collections of corrections
(gains, drift_velocity, …), as .bson or .json, perhaps packed (.gz); a file that is named
after one of these holds that, any other holds runs; - reads one collection from standard input. A document that is
there already and says the same is fine; one that says something else is left as it is
and is an error. A run database that does not exist is made. An import that was
interrupted can be repeated.

Example:
   cax db import --rundb sqlite:/data/runs.db /backup/dump`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "collection", Value: "runs", Usage: "what standard input holds: `C` is runs, events, manifests, or one of corrections, as gains"},
		},
		Action: dbImport,
	}
}

func dbImport(c *cli.Context) (err error) {
	from, err := command.OneArgument(c, "path")
	if err != nil {
		return err
	}
	coll, err := collectionFlag(c)
	if err != nil {
		return err
	}
	if from != "-" {
		if _, err := os.Stat(from); err != nil {
			return err // before a run database is made for nothing
		}
	}
	s, err := session.Open(c, session.Need{Store: true, Create: true, Write: true})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	o := &rundb.ImportOptions{DryRun: s.DryRun, Progress: func(c rundb.Collection, n rundb.ImportCount) {
		s.Log.Debug("import", zap.String("collection", string(c)), zap.Int("read", n.Read), zap.Int("added", n.Added))
	}}
	report := &rundb.ImportReport{}
	if from == "-" {
		var n rundb.ImportCount
		n, err = s.Store.ImportFrom(c.Context, c.App.Reader, coll, o)
		report.Counts = map[rundb.Collection]rundb.ImportCount{coll: n}
	} else {
		report, err = s.Store.Import(c.Context, from, o)
	}
	return errors.Join(err, printImport(s, report))
}

// printImport tells what an import did, one line a collection.
func printImport(s *session.Session, report *rundb.ImportReport) error {
	for _, f := range report.Ignored {
		s.Note("ignored: %s holds no collection of a run database", f)
	}
	added := map[bool]string{false: "added", true: "would be added"}[s.DryRun]
	for _, k := range collections() {
		n, ok := report.Counts[k]
		if !ok {
			continue
		}
		var err error
		if s.JSON {
			err = s.Print(struct {
				Collection rundb.Collection `json:"collection"`
				Read       int              `json:"read"`
				Added      int              `json:"added"`
				Same       int              `json:"same"`
				Failed     int              `json:"failed"`
				DryRun     bool             `json:"dry_run"`
			}{k, n.Read, n.Added, n.Same, n.Failed, s.DryRun})
		} else {
			_, err = fmt.Fprintf(s.Stdout, "%s: %d read, %d %s, %d there already, %d failed\n", k, n.Read, n.Added, added, n.Same, n.Failed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
