package main

import (
	"time"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func historyCommand() *cli.Command {
	return &cli.Command{
		Name:      "history",
		Usage:     "show what happened to the copies of a run",
		UsageText: "cax history --run N [--json]",
		Description: `Prints the events of one run, oldest first: who did what to which copy, and why. With
--json one object an event per line, with the evidence.

Example:
   cax history --name 160315_1432`,
		Flags:  []cli.Flag{detectorFlag()},
		Action: history,
	}
}

// An eventJSON is an event as --json prints it: the fields of its document.
type eventJSON struct {
	Time     *time.Time `json:"time"`
	Number   int64      `json:"number"`
	Name     string     `json:"name"`
	Type     rundb.Type `json:"type"`
	Version  string     `json:"version,omitempty"`
	Host     string     `json:"host"`
	What     string     `json:"what"`
	Why      string     `json:"why"`
	By       string     `json:"by"`
	Evidence bson.D     `json:"evidence"`
}

func eventLine(e *rundb.Event) eventJSON {
	evidence := e.Evidence
	if evidence == nil {
		evidence = bson.D{}
	}
	return eventJSON{when(e.Time), e.Number, e.Name, e.Key.Type, e.Key.Version, e.Key.Host, e.What, e.Why, e.By, evidence}
}

func history(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Store: true, Runs: session.OneRun})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	r, err := s.Run(c.Context, c.String("detector"))
	if err != nil {
		return err
	}
	tab := table.Table{Header: []string{"TIME (UTC)", "TYPE", "HOST", "WHAT", "BY", "WHY"}}
	n := 0
	for e, err := range s.Store.Events(c.Context, r.ID) {
		if err != nil {
			return err
		}
		n++
		if s.JSON {
			if err := s.Print(eventLine(&e)); err != nil {
				return err
			}
			continue
		}
		typ := string(e.Key.Type)
		if e.Key.Version != "" {
			typ += " " + e.Key.Version
		}
		tab.Add(table.Cell{Text: e.Time.UTC().Format(time.DateTime)}, table.Cell{Text: typ}, table.Cell{Text: e.Key.Host},
			table.Cell{Text: e.What}, table.Cell{Text: e.By}, table.Cell{Text: command.OneLine(e.Why)})
	}
	if n == 0 {
		s.Note("nothing is on record about %s", r)
	}
	if tab.Len() == 0 {
		return nil
	}
	return tab.Write(s.Stdout, s.Colour)
}
