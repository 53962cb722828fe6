package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "re-read this site's copies and compare them with the manifest",
		UsageText: "cax verify [--run N | --name NAME] [--repair-manifest] [--json]",
		Description: `Reads copies at this site from the disk again, all that are transferred or verifying,
or those of the runs that are named. A good one gets a new verified_at; one that is
not becomes an error that names the files. Exit code 1 if a copy is not good.

Example:
   cax verify --host B --run 1`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "repair-manifest", Usage: "store a manifest for a dataset that has none, if the sum of what was read is the right one"},
		},
		Action: verify,
	}
}

// A verified is the outcome for one copy.
type verified struct {
	Number   int64      `json:"number"`
	Name     string     `json:"name"`
	Type     rundb.Type `json:"type"`
	Version  string     `json:"pax_version,omitempty"`
	Host     string     `json:"host"`
	Location string     `json:"location"`
	Result   string     `json:"result"` // good; bad: it is an error now; failed: nothing could be said; would verify
	Error    string     `json:"error,omitempty"`
}

func verify(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}
	q := s.Query()
	local := rundb.CopyMatch{Hosts: []string{s.Site.Name}}
	if !s.Only.Named() {
		local.Statuses = []rundb.Status{rundb.Transferred, rundb.Verifying}
	}
	q.Copies = []rundb.CopyMatch{local}
	n, bad := 0, 0
	// The ids first: reading takes long, and nothing is to stay open for so long.
	var ids []rundb.ID
	for r, err := range s.Store.Find(c.Context, &q) {
		if err != nil {
			command.Report(s.Stderr, c.App.Name, err)
			bad++
			continue
		}
		ids = append(ids, r.ID)
	}
	for _, id := range ids {
		r, err := s.Store.Get(c.Context, id)
		if errors.Is(err, rundb.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for copied := range r.Copies(local) {
			n++
			good, err := verifyOne(c.Context, s, r, copied, c.Bool("repair-manifest"))
			if err != nil {
				return err
			}
			if !good {
				bad++
			}
		}
	}
	if n == 0 {
		s.Note("there is no copy at %s to verify", s.Site.Name)
	}
	if bad > 0 {
		s.Note("%d of %d copies at %s are not known to be good", bad, n, s.Site.Name)
		return command.ErrFailed
	}
	return nil
}

// verifyOne verifies one copy and prints the outcome. err is that of printing, or
// the end of ctx.
func verifyOne(ctx context.Context, s *session.Session, r *rundb.Run, c rundb.Copy, repair bool) (good bool, err error) {
	out := verified{Number: r.Number, Name: r.Name, Type: c.Type, Version: c.Version, Host: c.Host, Location: c.Location, Result: "good"}
	line := fmt.Sprintf("%s %s at %s, %s", r, c.Type, c.Host, c.Location)
	found := s.Env.Reverify(ctx, r, c, repair)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case found != nil:
		out.Result, out.Error, line = "failed", found.Error(), found.Error()
		if now, err := s.Store.Get(ctx, r.ID); err == nil {
			if c, ok := now.Copy(c.Key); ok && c.Status == rundb.Failed {
				out.Result = "bad"
			}
		}
	case s.DryRun:
		out.Result = "would verify"
	}
	if s.JSON {
		return found == nil, s.Print(out)
	}
	_, err = fmt.Fprintf(s.Stdout, "%s: %s\n", out.Result, command.OneLine(line))
	return found == nil, err
}
