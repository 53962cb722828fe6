package main

import (
	"errors"
	"fmt"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func purgeCommand() *cli.Command {
	return &cli.Command{
		Name:      "purge",
		Usage:     "delete this site's raw copies that tape and the catalogue have",
		UsageText: "ruciax purge [--run N | --name NAME] [--purge] [--json]",
		Description: `Lists the raw copies of this site that may go because both tape and the catalogue have good
ones: verified not long ago, with the right checksum, and as many as policy.min_copies asks
for. With --purge they are deleted, each after counting once more.

Example:
   ruciax purge --run 5200
   ruciax purge --run 5200 --purge`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "purge", Usage: "delete them"}},
		Action: purge,
	}
}

// A purgeLine is one copy, as --json prints it.
type purgeLine struct {
	Number   int64  `json:"number"`
	Name     string `json:"name"`
	Location string `json:"location"`
	Verb     string `json:"verb"` // "do", "skip", "wait", "call"
	Why      string `json:"why"`
	Deleted  bool   `json:"deleted"`
}

func purge(c *cli.Context) (err error) {
	s, err := open(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}
	now, err := s.Store.Now(c.Context)
	if err != nil {
		return err
	}
	w := cax.Removal{Task: "purge", Why: "archived on tape and in the catalogue; wanted by " + s.Store.By, Archived: true}
	m := rundb.CopyMatch{Types: []rundb.Type{rundb.Raw}, Hosts: []string{s.Site.Name}, Statuses: []rundb.Status{rundb.Transferred}}
	q := s.Query()
	q.Copies = []rundb.CopyMatch{m}
	var bad []error
	var may, all int
	for r, err := range s.Store.Find(c.Context, &q) {
		if err != nil {
			bad = append(bad, err)
			continue
		}
		for copied := range r.Copies(m) {
			d, _ := s.Env.DecideRemoval(r, &copied, w, now)
			all++
			line := purgeLine{Number: r.Number, Name: r.Name, Location: copied.Location, Verb: string(d.Verb), Why: d.Why}
			verb := "stays"
			if d.Verb == cax.Do {
				may++
				verb = "may go"
				if c.Bool("purge") && s.DryRun {
					verb = "would be deleted"
				}
				if c.Bool("purge") && !s.DryRun {
					if err := s.Env.Remove(c.Context, r.ID, copied.Key, w); err != nil {
						bad = append(bad, fmt.Errorf("%s: %w", r, err))
						continue
					}
					verb, line.Deleted = "deleted", true
				}
			}
			if s.JSON {
				if err := s.Print(line); err != nil {
					return err
				}
			} else if d.Verb == cax.Do || s.Only.Named() {
				fmt.Fprintf(s.Stdout, "%s %s: %s (%s)\n", r, copied.Location, verb, d.Why)
			}
		}
	}
	if !s.JSON {
		s.Note("%d of %d raw copies of %s may go", may, all, s.Site.Name)
	}
	return errors.Join(bad...)
}
