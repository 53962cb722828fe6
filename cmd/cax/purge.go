package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/urfave/cli/v2"
)

func purgeCommand() *cli.Command {
	return &cli.Command{
		Name:      "purge",
		Usage:     "write down what would be purged at this site, or do exactly what was written down",
		UsageText: "cax purge --plan FILE\n   cax purge --apply FILE",
		Description: `--plan writes what BufferPurger and PurgeProcessed would delete at this site now, and
on which copies' strength, to FILE, which must not exist. --apply deletes what FILE
lists and nothing else; it refuses a plan that is older than a day, or of which a single
entry is not as it was, and then deletes nothing.

Example:
   cax purge --host A --plan purge.json
   cax purge --host A --apply purge.json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "plan", Usage: "write the plan to `FILE`"},
			&cli.StringFlag{Name: "apply", Usage: "apply the plan of `FILE`"},
		},
		Action: purge,
	}
}

func purge(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	to, from := c.String("plan"), c.String("apply")
	if (to == "") == (from == "") {
		return command.Usagef("see cax help purge", "purge needs either --plan FILE or --apply FILE")
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Write: from != "", Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if to != "" {
		return writePlan(c, s, to)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var p cax.PurgePlan
	if err := json.Unmarshal(text, &p); err != nil {
		return command.Usagef("", "%s is not a plan of cax purge: %v", from, err)
	}
	n := 0
	err = s.Env.ApplyPurge(c.Context, &p, func(x cax.PurgeEntry, err error) {
		if err == nil {
			n++
			fmt.Fprintf(s.Stdout, "deleted %s of run %d (%s), %s\n", x.Type, x.Number, x.Name, x.Location)
		}
	})
	switch {
	case err != nil:
		return err
	case s.DryRun:
		s.Note("would delete %d copies: the plan fits", len(p.Entries))
	default:
		s.Note("%d of %d copies were deleted", n, len(p.Entries))
	}
	return nil
}

// writePlan makes a plan, writes it, and shows it.
func writePlan(c *cli.Context, s *session.Session, to string) error {
	p, err := s.Env.PlanPurge(c.Context)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if !s.DryRun {
		f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return command.Usagef("choose another name, or remove it", "%s exists already", to)
		}
		if err != nil {
			return err
		}
		_, err = f.Write(append(text, '\n'))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if s.JSON {
		for _, x := range p.Entries {
			if err := s.Print(x); err != nil {
				return err
			}
		}
		return nil
	}
	tab := table.Table{Header: []string{"RUN", "NAME", "TYPE", "SIZE", "LOCATION", "WHY", "GOOD COPIES AT"}}
	for _, x := range p.Entries {
		typ := x.Type
		if x.Version != "" {
			typ += " " + x.Version
		}
		tab.Add(table.Cell{Text: fmt.Sprint(x.Number), Right: true}, table.Cell{Text: x.Name}, table.Cell{Text: typ}, table.Cell{Text: table.Size(x.Size), Right: true},
			table.Cell{Text: x.Location}, table.Cell{Text: x.Why}, table.Cell{Text: fmt.Sprint(x.Good)})
	}
	if tab.Len() == 0 {
		s.Note("nothing is to be purged at %s", s.Site.Name)
		return nil
	}
	s.Note("%d copies, %s", len(p.Entries), table.Size(p.Bytes))
	return tab.Write(s.Stdout, s.Colour)
}
