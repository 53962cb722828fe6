package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func rulesCommand() *cli.Command {
	return &cli.Command{
		Name:      "rules",
		Usage:     "show at which RSEs runs are, and the rules that keep them there",
		UsageText: "ruciax rules [--run N | --name NAME] [--live] [--json]",
		Description: `Prints one line for each RSE of each run that the catalogue has: the state of the rule, how
many files are there, and until when the rule lives. It shows what the last look of RucioRule
found; --live asks the catalogue now, and tells what has changed since.

Example:
   ruciax rules --run 5200 --live`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "live", Usage: "ask the catalogue"}},
		Action: rules,
	}
}

func rules(c *cli.Context) (err error) {
	s, err := open(c, session.Need{Config: true, Site: true, Store: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}
	return show(c, s, s.Query(), c.Bool("live"), func(*cax.Located) bool { return true })
}

// open opens the session of a command that takes no arguments.
func open(c *cli.Context, n session.Need) (*session.Session, error) {
	if err := command.NoArguments(c); err != nil {
		return nil, err
	}
	return session.Open(c, n)
}

// show prints the copies in the catalogue that are wanted.
func show(c *cli.Context, s *session.Session, q rundb.Query, live bool, wanted func(*cax.Located) bool) error {
	tab := table.Table{Header: []string{"RUN", "NAME", "TYPE", "STATUS", "RSE", "RULE", "FILES", "UNTIL (UTC)", "LOOKED AT (UTC)", "LOCATION", "NOTE"}}
	var bad []error
	n := 0
	for l, err := range s.Env.Locate(c.Context, q, live) {
		if err != nil {
			bad = append(bad, err)
			continue
		}
		if !wanted(l) {
			continue
		}
		n++
		if s.JSON {
			if err := s.Print(l); err != nil {
				return err
			}
			continue
		}
		addRows(&tab, l)
	}
	if tab.Len() > 0 {
		if err := tab.Write(s.Stdout, s.Colour); err != nil {
			return err
		}
	}
	if n == 0 && len(bad) == 0 {
		s.Note("no run in the catalogue fits")
	}
	return errors.Join(bad...)
}

// addRows adds a row for each RSE, or one that says that there is none.
func addRows(tab *table.Table, l *cax.Located) {
	number := "-"
	if l.Run.Number != 0 {
		number = strconv.FormatInt(l.Run.Number, 10)
	}
	typ := string(l.Copy.Type)
	if l.Copy.Version != "" {
		typ += " " + l.Copy.Version
	}
	row := func(rse, state, files, until, at, note string, colour table.Colour) {
		tab.Add(table.Cell{Text: number, Right: true}, table.Cell{Text: l.Run.Name}, table.Cell{Text: typ}, table.Cell{Text: string(l.Copy.Status)},
			table.Cell{Text: rse}, table.Cell{Text: state, Colour: colour}, table.Cell{Text: files, Right: true}, table.Cell{Text: until},
			table.Cell{Text: at}, table.Cell{Text: l.Copy.Location}, table.Cell{Text: note})
	}
	note := ""
	switch {
	case l.Missing:
		note = "the catalogue does not know it"
	case l.Lost > 0:
		note = fmt.Sprintf("%d files are nowhere", l.Lost)
	case l.Copy.Error != nil:
		note = l.Copy.Error.Text
	}
	if len(l.Replicas) == 0 {
		row("-", "-", "-", "-", "-", note, table.Plain)
	}
	for _, p := range l.Replicas {
		state, colour := p.State, table.Yellow
		switch state {
		case "OK":
			colour = table.Green
		case "":
			state = "no rule"
		case "STUCK":
			colour = table.Red
		}
		until := "for ever"
		if !p.ExpiresAt.IsZero() {
			until = p.ExpiresAt.UTC().Format(time.DateTime)
		} else if p.Rule == "" && p.State == "" {
			until = "-"
		}
		at := "-"
		if !p.CheckedAt.IsZero() {
			at = p.CheckedAt.UTC().Format("2006-01-02 15:04")
		}
		text := p.Text
		if text == "" {
			text = note
		}
		row(p.RSE, state, fmt.Sprintf("%d/%d", p.Files, l.Files), until, at, text, colour)
	}
}
