package main

import (
	"errors"
	"fmt"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func rmCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "drop the record of a copy in the catalogue",
		UsageText: "ruciax rm --location SCOPE:NAME [--run N | --name NAME] [--status S]",
		Description: `Takes the record of one copy out of the run document. The catalogue is not touched: what
it has stays there, and an upload finds it again. --run, --name and --status have to
fit the record if they are given.

Example:
   ruciax rm --location x1t_SR000_160706_1234_tpc:raw --status error --dry-run`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "location", Usage: "the record with this `DID`"},
			&cli.StringFlag{Name: "status", Usage: "only if it is in status `S`"},
		},
		Action: rm,
	}
}

func rm(c *cli.Context) (err error) {
	if c.String("location") == "" {
		return command.Usagef("give --location SCOPE:NAME; ruciax locator shows it", "ruciax rm needs the location of the copy")
	}
	if _, err := rucio.ParseDID(c.String("location")); err != nil {
		return command.Usagef("write it as SCOPE:NAME", "--location %q is no DID", c.String("location"))
	}
	s, err := open(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	m := rundb.CopyMatch{Location: c.String("location")}
	if c.String("status") != "" {
		m.Statuses = []rundb.Status{rundb.Status(c.String("status"))}
	}
	q := s.Query()
	q.Copies = []rundb.CopyMatch{m}
	n := 0
	for l, err := range s.Env.Locate(c.Context, q, false) {
		if err != nil {
			return err
		}
		if !m.Match(&l.Copy) {
			continue
		}
		n++
		if err := s.Env.Forget(c.Context, l.Run, l.Copy, "wanted by "+s.Store.By); err != nil {
			return err
		}
		did := "dropped"
		if s.DryRun {
			did = "would drop"
		}
		if s.JSON {
			if err := s.Print(l); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(s.Stdout, "%s the record of %s at %s (%s): %s; the catalogue still has what it had\n", did, l.Run, l.Copy.Host, l.Copy.Status, l.Copy.Location)
	}
	if n == 0 {
		return errors.New("no record in a catalogue fits; ruciax locator shows what there is")
	}
	return nil
}
