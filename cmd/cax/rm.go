package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func rmCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "delete this site's copy of a run, if enough good ones are left elsewhere",
		UsageText: "cax rm --run N [--type TYPE] [--pax-version V] [--location PATH]",
		Description: `Deletes one copy at this site, in record and in bytes, after counting the good copies
that are left elsewhere: verified not long ago, with the right checksum, on storages and
in domains of their own. The bytes stay in a trash folder beside the copy for the time
of policy.trash; until then they can be moved back. Storage of the grid has no trash: there
they are gone at once.

With --force the copy goes although too little is left. The run's name has to be typed
back then, or given with --confirm.

Example:
   cax rm --host A --run 1 --dry-run`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "type", Usage: "copy of this `TYPE`: raw or processed"},
			&cli.StringFlag{Name: "pax-version", Usage: "copy of version `V`"},
			&cli.StringFlag{Name: "location", Usage: "copy at this `PATH`"},
			&cli.StringFlag{Name: "detector", Usage: "`DETECTOR` of the run, where several have its number"},
			&cli.BoolFlag{Name: "force", Usage: "delete although too little is left"},
			&cli.StringFlag{Name: "confirm", Usage: "`NAME` of the run, typed back, for --force"},
		},
		Action: rm,
	}
}

func rm(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.OneRun})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	r, err := s.Run(c.Context, c.String("detector"))
	if err != nil {
		return err
	}
	copied, err := oneCopy(c, s, r)
	if err != nil {
		return err
	}
	now, err := s.Store.Now(c.Context)
	if err != nil {
		return err
	}
	w := cax.Removal{Task: "rm", Why: "wanted by " + s.Store.By, Keep: s.Env.TrashTime(), Force: c.Bool("force")}
	d, tally := s.Env.DecideRemoval(r, &copied, w, now)
	if d.Verb != cax.Do {
		why := "not deleted: " + d.Why
		if d.Next != "" {
			why += "; " + d.Next
		}
		return errors.New(why)
	}
	if w.Force && !tally.Enough() && !s.DryRun {
		if err := confirmed(c, s, r.Name, tally); err != nil {
			return err
		}
	}
	line := fmt.Sprintf("%s of %s, %s", copied.Key, r, copied.Location)
	if s.DryRun {
		_, err := fmt.Fprintf(s.Stdout, "would delete %s: %s\n", line, tally)
		return err
	}
	if err := s.Env.Remove(c.Context, r.ID, copied.Key, w); err != nil {
		return err
	}
	if w.Keep == 0 {
		_, err = fmt.Fprintf(s.Stdout, "deleted %s\n", line)
		return err
	}
	_, err = fmt.Fprintf(s.Stdout, "deleted %s; kept in the trash beside it until %s UTC\n", line, now.Add(w.Keep).UTC().Format(time.DateTime))
	return err
}

// oneCopy is the copy at this site that the flags name.
func oneCopy(c *cli.Context, s *session.Session, r *rundb.Run) (rundb.Copy, error) {
	m := rundb.CopyMatch{Hosts: []string{s.Site.Name}, Location: c.String("location")}
	if t := c.String("type"); t != "" {
		m.Types = []rundb.Type{rundb.Type(t)}
	}
	if c.IsSet("pax-version") {
		m.Versions = []string{c.String("pax-version")}
	}
	var found []rundb.Copy
	var names []string
	for x := range r.Copies(m) {
		found, names = append(found, x), append(names, fmt.Sprintf("%s, %s", x.Key, x.Location))
	}
	switch len(found) {
	case 0:
		return rundb.Copy{}, fmt.Errorf("%s has no such copy at %s", r, s.Site.Name)
	case 1:
		return found[0], nil
	}
	return rundb.Copy{}, command.Usagef("name one with --type, --pax-version or --location", "%s has several copies at %s: %s", r, s.Site.Name, strings.Join(names, "; "))
}

// confirmed asks for the run's name before a copy goes that may be needed.
func confirmed(c *cli.Context, s *session.Session, name string, t cax.Tally) error {
	got := c.String("confirm")
	if !c.IsSet("confirm") {
		fmt.Fprintf(s.Stderr, "Too little is left if this copy goes: %s.\nType the name of the run to delete it all the same: ", t)
		line, err := bufio.NewReader(c.App.Reader).ReadString('\n')
		if err != nil && line == "" {
			return command.Usagef("type it, or give it with --confirm", "--force asks for the run's name")
		}
		got = strings.TrimSpace(line)
	}
	if got != name {
		return command.Usagef("", "%q is not the name of the run: nothing was deleted", got)
	}
	return nil
}
