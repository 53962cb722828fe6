package main

import (
	"errors"
	"fmt"
	"github.com/cax-go/cax/cmd/internal/command"
	"strconv"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/urfave/cli/v2"
)

func planCommand() *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "show what each task would do now, and why",
		UsageText: "cax plan [--run N | --name NAME] [--explain] [--json]",
		Description: `Prints what the tasks of this site would do if cax --once ran now, and why. It reads
only. With --explain also what they would not do: what waits, what is skipped, what
needs a person. DO is one of do, wait, skip, call.

Example:
   cax plan --host A --run 1 --explain`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "explain", Usage: "also show what would not be done, and why not"},
		},
		Action: plan,
	}
}

func plan(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}
	tab := decisionTable()
	n := 0
	var bad []error
	for d, err := range s.Env.Plan(c.Context, c.Bool("explain")) {
		if err != nil {
			bad = append(bad, err)
			continue
		}
		n++
		if s.JSON {
			if err := s.Print(d); err != nil {
				return err
			}
			continue
		}
		addDecision(&tab, d)
	}
	if tab.Len() > 0 {
		if err := tab.Write(s.Stdout, s.Colour); err != nil {
			return err
		}
	}
	if n == 0 && len(bad) == 0 {
		s.Note("nothing to do at %s%s", s.Site.Name, map[bool]string{false: "; --explain says why", true: ""}[c.Bool("explain")])
	}
	return errors.Join(bad...)
}

func decisionTable() table.Table {
	return table.Table{Header: []string{"TASK", "DO", "WHAT", "RUN", "NAME", "TYPE", "FROM", "HOST", "WHY"}}
}

func addDecision(t *table.Table, d cax.Decision) {
	number, typ, from, why := "-", string(d.Key.Type), "-", d.Why
	if d.Number != 0 {
		number = strconv.FormatInt(d.Number, 10)
	}
	if d.Key.Version != "" {
		typ += " " + d.Key.Version
	}
	if d.From != "" {
		from = d.From
	}
	if !d.Until.IsZero() {
		why += fmt.Sprintf(" (not before %s UTC)", minute(d.Until))
	}
	if d.Next != "" {
		why += "; " + d.Next
	}
	colour := map[cax.Verb]table.Colour{cax.Do: table.Green, cax.Wait: table.Yellow, cax.Call: table.Red}[d.Verb]
	t.Add(table.Cell{Text: d.Task}, table.Cell{Text: string(d.Verb), Colour: colour}, table.Cell{Text: d.What},
		table.Cell{Text: number, Right: true}, table.Cell{Text: d.Name}, table.Cell{Text: typ}, table.Cell{Text: from},
		table.Cell{Text: d.Key.Host}, table.Cell{Text: why})
}
