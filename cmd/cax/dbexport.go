package main

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func dbExportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write the run database as MongoDB Extended JSON or BSON",
		UsageText: "cax db export [--format json|relaxed|bson] [--collection C] [PATH]",
		Description: `Without PATH, or with -, prints one collection, one document a line. PATH is a folder,
which gets runs, events, manifests and corrections, or a file (.json, .bson, with .gz packed), which
gets the runs. mongoimport and mongorestore read them, and cax db import. Nothing is
replaced.

Example:
   cax db export --format bson /backup/dump`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "json", Usage: "`FORMAT`: json keeps every type, relaxed is easier to read, bson is the documents byte for byte"},
			&cli.StringFlag{Name: "collection", Value: "runs", Usage: "what is printed: `C` is runs, events, manifests, or one of corrections, as gains"},
		},
		Action: dbExport,
	}
}

// collectionFlag reads --collection.
func collectionFlag(c *cli.Context) (rundb.Collection, error) {
	names := map[string]rundb.Collection{"runs": rundb.Runs}
	valid := []string{"runs"}
	for _, k := range collections()[1:] {
		names[string(k)] = k
		valid = append(valid, string(k))
	}
	if err := session.OneOf(c, "collection", valid...); err != nil {
		return "", err
	}
	return names[c.String("collection")], nil
}

// collections are those of a run database.
func collections() []rundb.Collection {
	return append([]rundb.Collection{rundb.Runs, rundb.Events, rundb.Manifests}, rundb.Corrections()...)
}

func dbExport(c *cli.Context) (err error) {
	to := "-"
	if c.NArg() > 0 {
		if to, err = command.OneArgument(c, "path"); err != nil {
			return err
		}
	}
	if err := session.OneOf(c, "format", string(rundb.JSON), string(rundb.RelaxedJSON), string(rundb.BSON)); err != nil {
		return err
	}
	format := rundb.Format(c.String("format"))
	if !c.IsSet("format") && path.Ext(strings.TrimSuffix(to, ".gz")) == ".bson" {
		format = rundb.BSON
	}
	coll, err := collectionFlag(c)
	if err != nil {
		return err
	}
	if to != "-" && c.IsSet("collection") {
		return command.Usagef("leave it out, or leave PATH out", "--collection chooses what is printed, and %s gets files", to)
	}
	s, err := session.Open(c, session.Need{Store: true})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	switch {
	case to == "-":
		_, err = s.Store.ExportTo(c.Context, s.Stdout, coll, format)
		return err
	case s.DryRun:
		_, err = fmt.Fprintf(s.Stdout, "would export %s to %s\n", s.Address, to)
		return err
	}
	counts, err := s.Store.Export(c.Context, to, format)
	if errors.Is(err, rundb.ErrExist) || len(counts) == 0 {
		return err
	}
	if s.JSON {
		return errors.Join(err, s.Print(counts))
	}
	var said []string
	for _, k := range collections() {
		if n, ok := counts[k]; ok {
			said = append(said, fmt.Sprintf("%d %s", n, k))
		}
	}
	_, perr := fmt.Fprintf(s.Stdout, "exported %s to %s\n", strings.Join(said, ", "), to)
	return errors.Join(err, perr)
}
