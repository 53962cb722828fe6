package main

import (
	"fmt"

	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/urfave/cli/v2"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "find runs with more than one record in the catalogue",
		UsageText: "ruciax check [--mode DoubleEntries] [--run N | --name NAME] [--json]",
		Description: `Lists runs of which the run document has several records of one dataset in the catalogue,
as older software left them. They count once. cax reconcile --repair drops the second of
records that say the same; ruciax rm drops one that you name. The exit code is 1 if
there are such runs.

Example:
   ruciax check`,
		Flags:  []cli.Flag{&cli.StringFlag{Name: "mode", Value: "DoubleEntries", Usage: "what to look for, `MODE`: DoubleEntries"}},
		Action: check,
	}
}

func check(c *cli.Context) (err error) {
	if err := session.OneOf(c, "mode", "DoubleEntries"); err != nil {
		return err
	}
	s, err := open(c, session.Need{Config: true, Site: true, Store: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	n := 0
	for twins, err := range s.Env.DoubleEntries(c.Context, s.Query()) {
		if err != nil {
			return err
		}
		n++
		for _, l := range twins {
			if s.JSON {
				if err := s.Print(l); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(s.Stdout, "%s: %s at %s is %s, %s, made %s UTC\n", l.Run, l.Copy.Type, l.Copy.Host, l.Copy.Status, l.Copy.Location, l.Copy.Created.UTC().Format("2006-01-02 15:04:05"))
		}
	}
	if n > 0 {
		return fmt.Errorf("%d datasets have more than one record in the catalogue", n)
	}
	s.Note("no dataset has more than one record in the catalogue")
	return nil
}
