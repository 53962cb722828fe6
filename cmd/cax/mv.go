package main

import (
	"fmt"
	"path/filepath"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/urfave/cli/v2"
)

func mvCommand() *cli.Command {
	return &cli.Command{
		Name:      "mv",
		Usage:     "move a copy within this site's directories, and tell the run database",
		UsageText: "cax mv A B\ncax mv --input A --output B",
		Description: `Moves the dataset at A to B and its record with it. Both are whole paths of the dataset,
inside the site's directories; B must not exist. On one file system that is a rename;
between two a verified copy, after which the old one is kept in a trash folder for the
time of policy.trash. A move that fails leaves the record as it was; one that was
interrupted is settled by the daemon, by cax reconcile --repair, or by the same command.

Refused are copies that are not transferred, that somebody works on or reads from, and
places that another record names.

Example:
   cax mv --host A /data/raw/160315_1432 /data/raw/old/160315_1432`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", Usage: "`PATH` of the dataset"},
			&cli.StringFlag{Name: "output", Usage: "its new `PATH`"},
		},
		Action: mv,
	}
}

func mv(c *cli.Context) (err error) {
	from, to, err := fromTo(c)
	if err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.NoRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	r, err := s.Env.Move(c.Context, from, to)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.Print(map[string]any{"number": r.Number, "name": r.Name, "host": s.Site.Name, "from": from, "to": to, "dry_run": s.DryRun})
	}
	_, err = fmt.Fprintln(s.Stdout, command.OneLine(fmt.Sprintf("%s %s: %s to %s", map[bool]string{false: "moved", true: "would move"}[s.DryRun], r, from, to)))
	return err
}

// fromTo gives both paths, absolute, from flags or arguments.
func fromTo(c *cli.Context) (from, to string, err error) {
	const both = "give both paths: cax mv A B, or cax mv --input A --output B"
	switch flags := c.IsSet("input") || c.IsSet("output"); {
	case flags && c.NArg() > 0, !flags && c.NArg() != 2:
		return "", "", command.Usagef(both, "mv takes two paths")
	case flags:
		from, to = c.String("input"), c.String("output")
	default:
		from, to = c.Args().Get(0), c.Args().Get(1)
	}
	if from == "" || to == "" {
		return "", "", command.Usagef(both, "a path is empty")
	}
	if from, err = filepath.Abs(from); err != nil {
		return "", "", err
	}
	to, err = filepath.Abs(to)
	return from, to, err
}
