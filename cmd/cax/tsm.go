package main

import (
	"fmt"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/tsm"
	"github.com/urfave/cli/v2"
)

func tsmCommand() *cli.Command {
	return &cli.Command{
		Name:  "tsm",
		Usage: "see what tape has, and how copies to it go",
		Description: `Commands about tape servers, sites of method tsm that this site copies to or from. Copies
are made by the daemon, by cax --once, and for many runs by massive-tsm. Nothing on tape
is ever deleted.`,
		Subcommands: []*cli.Command{tsmCheckCommand(), tsmQueryCommand(), tsmRmCommand(), tsmWatchCommand()},
	}
}

// tapeFlag names a tape server.
func tapeFlag() cli.Flag {
	return &cli.StringFlag{Name: "tape", DefaultText: "the only one", Usage: "the tape server `SITE`"}
}

func tsmCheckCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "ask a tape server for a session",
		UsageText: "cax tsm check [--tape SITE] [--json]",
		Description: `Shows client, server and node, what file systems the server has something of, and
whether it keeps an interrupted restore.

Example:
   cax tsm check --host A`,
		Flags:  []cli.Flag{tapeFlag()},
		Action: tsmCheck,
	}
}

func tsmCheck(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, client, tape, err := openTape(c, session.Need{Config: true, Site: true, Store: true})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	r, err := client.Check(c.Context)
	if err != nil {
		return err
	}
	spaces, err := client.QueryFilespaces(c.Context)
	if err != nil {
		return err
	}
	pending, err := client.PendingRestores(c.Context)
	if err != nil {
		return err
	}
	if s.JSON {
		return s.Print(struct {
			Tape       string          `json:"tape"`
			Session    tsm.Session     `json:"session"`
			Filespaces []tsm.Filespace `json:"filespaces,omitempty"`
			Pending    []string        `json:"pending_restores,omitempty"`
		}{tape.Name, r.Session, spaces, pending})
	}
	fmt.Fprintf(s.Stdout, "%s: server %s (%s), node %s, client %s\n", tape.Name, r.Session.Server, r.Session.ServerIs, r.Session.Node, r.Session.Client)
	for _, f := range spaces {
		fmt.Fprintf(s.Stdout, "file space %s (%s)\n", f.Name, f.Type)
	}
	for _, p := range pending {
		fmt.Fprintf(s.Stdout, "interrupted restore: %s\n", command.OneLine(p))
	}
	return nil
}

// openTape opens a session and the driver of the tape server that --tape names.
func openTape(c *cli.Context, n session.Need) (s *session.Session, client *tsm.Client, tape *cax.Site, err error) {
	s, err = session.Open(c, n)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		if err != nil {
			s.CloseInto(&err)
		}
	}()
	if err := session.KnownHost(s.Config, c.String("tape")); err != nil {
		return nil, nil, nil, err
	}
	client, tape, err = s.Env.Tape(c.Context, c.String("tape"))
	return s, client, tape, err
}

func tsmRmCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "drop the record of a copy on tape",
		UsageText: "cax tsm rm (--run N | --name NAME) [--location PATH] [--tape SITE]",
		Description: `Takes the record of one copy out of the run document; it goes to deleted_data. What is on
tape stays there, and the next upload makes another copy.

Example:
   cax tsm rm --host A --run 5230 --dry-run`,
		Flags: []cli.Flag{tapeFlag(),
			&cli.StringFlag{Name: "location", Usage: "only the record with this `PATH`"},
			&cli.StringFlag{Name: "detector", Usage: "`DETECTOR` of the run, where several have its number"},
		},
		Action: tsmRm,
	}
}

func tsmRm(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, _, tape, err := openTape(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.OneRun})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	r, err := s.Run(c.Context, c.String("detector"))
	if err != nil {
		return err
	}
	n := 0
	for t := range r.Copies(rundb.CopyMatch{Hosts: []string{tape.Name}, Location: c.String("location")}) {
		n++
		if err := s.Env.Forget(c.Context, r, t, "wanted by "+s.Store.By); err != nil {
			return err
		}
		word := "dropped"
		if s.DryRun {
			word = "would drop"
		}
		fmt.Fprintf(s.Stdout, "%s the record of %s of %s, %s; what is on tape stays\n", word, t.Key, r, t.Location)
	}
	if n == 0 {
		return fmt.Errorf("%s has no such record at %s", r, tape.Name)
	}
	return nil
}
