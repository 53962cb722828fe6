package main

import (
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func registerCommand() *cli.Command {
	return &cli.Command{
		Name:      "register",
		Usage:     "hash a dataset on this site's disk and make it a verified copy of a run",
		UsageText: "cax register [flags] PATH",
		Description: `Makes the run if it is new, reads the dataset, stores its manifest, and records a
transferred copy at this site. Without --name the run is called as the last part of
PATH. Refused are a copy that is on record already, a dataset without files, one that
differs from the run's other copies, and a path outside the site's directories.
A run database that does not exist is made.

Example:
   cax register --host A --type raw --name 160315_1432 --number 1 /data/raw/160315_1432`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "type", Value: string(rundb.Raw), Usage: "`TYPE` of the data: raw or processed"},
			&cli.Int64Flag{Name: "number", Base: 10, DefaultText: "none", Usage: "number `N` of a run that is new"},
			&cli.StringFlag{Name: "detector", Value: "tpc", Usage: "`DETECTOR` of the run: tpc or muon_veto"},
			&cli.StringFlag{Name: "start", Usage: "start `T` of a run that is new, as 2016-03-15T14:32:00Z; without it, from the name (yymmdd_HHMM, UTC)"},
			&cli.StringSliceFlag{Name: "tag", Usage: "give a run that is new the tag `X`; may be repeated"},
			&cli.StringFlag{Name: "pax-version", Usage: "version `V` of processed data, as v6.2.1"},
			&cli.StringFlag{Name: "user", Usage: "`NAME` of the person in new records; without it, the login"},
			&cli.BoolFlag{Name: "in-place", Usage: "allow a path outside the site's directories; the copy is only ever read there"},
		},
		Action: register,
	}
}

func register(c *cli.Context) (err error) {
	g, err := registration(c)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(g.Path); err != nil {
		return err // before a run database is made for nothing
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Create: true, Write: true, Runs: session.NewRun})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	r, err := s.Env.Register(c.Context, *g)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.Print(runLine(r, nil))
	}
	typ := g.Type
	if s.DryRun {
		_, err = fmt.Fprintf(s.Stdout, "would register %s of %s at %s\n", typ, r, s.Site.Name)
		return err
	}
	copied, _ := r.Copy(rundb.Key{Type: g.Type, Version: g.Version, Host: s.Site.Name})
	_, err = fmt.Fprintf(s.Stdout, "registered %s of %s at %s: %d files, %s, sha512:%s\n", typ, r, s.Site.Name,
		copied.Files, table.Size(copied.Size), copied.Checksum)
	return err
}

// registration reads the flags.
func registration(c *cli.Context) (*cax.Registration, error) {
	path, err := command.OneArgument(c, "path")
	if err != nil {
		return nil, err
	}
	if err := session.OneOf(c, "type", string(rundb.Raw), string(rundb.Processed)); err != nil {
		return nil, err
	}
	g := &cax.Registration{Path: path, Type: rundb.Type(c.String("type")), Version: c.String("pax-version"),
		Name: c.String("name"), Number: c.Int64("number"), Detector: c.String("detector"), Tags: c.StringSlice("tag"),
		User: c.String("user"), InPlace: c.Bool("in-place")}
	switch {
	case c.IsSet("number") && g.Number <= 0:
		return nil, command.Usagef("numbers of runs begin with 1; leave it out for a run without one", "--number %d", g.Number)
	case c.IsSet("detector") && g.Detector == "":
		return nil, command.Usagef("", "--detector is empty")
	case g.Version != "" && g.Type == rundb.Raw:
		return nil, command.Usagef("leave it out, or say --type processed", "raw data have no --pax-version")
	case g.Version == "" && g.Type == rundb.Processed:
		return nil, command.Usagef("", "processed data need --pax-version")
	}
	if t := c.String("start"); c.IsSet("start") {
		if g.Start, err = parseTime(t); err != nil {
			return nil, err
		}
	}
	if g.User == "" {
		if u, err := user.Current(); err == nil {
			g.User = u.Username
		}
	}
	return g, nil
}

// parseTime reads a time, in UTC unless it says otherwise.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, command.Usagef("write it as 2016-03-15T14:32:00Z", "--start %q is no time", s)
}
