package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/urfave/cli/v2"
)

func reconcileCommand() *cli.Command {
	return &cli.Command{
		Name:      "reconcile",
		Usage:     "compare this site's disks with the run database, and mend what is safe",
		UsageText: "cax reconcile [--repair] [--adopt] [--json]",
		Description: `Looks at names and sizes in dir_raw and dir_processed, not at contents, and at the
records of this site:

   stray       no record of any run names it
   lost        a record says that it is there, and it is not
   duplicate   several records of one copy
   size        not as many files or bytes as the record says
   outside     a record's location is outside the site's directories
   part        staging that no record knows of
   aside       something that was moved aside to make place
   trash       deleted, and not unlinked yet
   claim       a claim whose holder has ended or is silent
   purging     a deletion that was begun
   moving      a move that was begun
   unmounted   a directory that is away or empty while records lead there
   unreadable  what could not be read
   quarantine  strays that were moved away
   hidden      a hidden file that is not ours
   unrecorded  the Rucio catalogue has it, and the run's record does not say so
   drift       the catalogue has it at other RSEs, or in another state, than the record says

Where this site copies to or from a catalogue, that is the third side: each record is held
against it, its containers against the runs, and what it has at RSEs on this site's own
disks (rses, same_storage_as) against what lies there.

Without a flag it only reads. --repair does what is safe: a lost copy becomes an error
and is fetched again; one of another size is verified again; of several records of one
place one stays; strays are moved into .cax-quarantine, never unlinked. Strays are left
alone if the database names no copy of this site, if not all runs could be read, if more
than a tenth of a directory's bytes would go, or until policy.settled is over.

--adopt makes records of strays whose names and sizes are those of a manifest: of a run
that has no record here, or beside the data (cax manifest --save), as after the loss of
a run database. They are verifying until AddChecksum has read them.

Exit code 0: nothing was found, or all that was is mended or mends itself; 1: something
is left for --repair or for a person.

Example:
   cax reconcile --host A --repair --dry-run`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "repair", Usage: "mend what is safe"},
			&cli.BoolFlag{Name: "adopt", Usage: "make records of strays that a manifest fits"},
		},
		Action: reconcile,
	}
}

func reconcile(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.NoRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	found, err := s.Env.Reconcile(c.Context)
	if err != nil {
		return err
	}
	further, err := s.Env.ReconcileCatalogue(c.Context)
	if err != nil {
		return err
	}
	found = append(found, further...)
	left := 0
	for _, f := range found {
		var out outcome
		switch {
		case f.Verb == cax.Do && c.Bool("repair"), f.Remedy == cax.Adopt && c.Bool("adopt"):
			out = carryOut(c.Context, s, f, s.Env.Mend)
		case f.Verb == cax.Do, f.Verb == cax.Call:
			out.open = true
		}
		if c.Context.Err() != nil {
			return c.Context.Err()
		}
		if out.open {
			left++
		}
		if err := printDiscrepancy(s, f, out); err != nil {
			return err
		}
	}
	switch {
	case len(found) == 0:
		s.Note("disks and run database agree at %s", s.Site.Name)
	case left > 0:
		s.Note("%d of %d findings at %s are left for %s", left, len(found), s.Site.Name, map[bool]string{false: "--repair, --adopt or a person", true: "a person"}[c.Bool("repair")])
		return command.ErrFailed
	default:
		s.Note("what was found at %s is mended, or needs nobody", s.Site.Name)
	}
	return nil
}

// An outcome is what became of a finding.
type outcome struct {
	result string // done, would do, failed; "" if nothing was tried
	err    error
	open   bool // something is left to do
}

// carryOut does something about a finding.
func carryOut(ctx context.Context, s *session.Session, f cax.Discrepancy, do func(context.Context, cax.Discrepancy) error) outcome {
	err := do(ctx, f)
	switch {
	case errors.Is(err, cax.ErrNotNeeded):
		return outcome{result: "not as it was any more", err: err, open: true}
	case err != nil:
		return outcome{result: "failed", err: err, open: true}
	case s.DryRun:
		return outcome{result: "would do"}
	}
	return outcome{result: "done"}
}

// printDiscrepancy prints a finding and what became of it, on one line.
func printDiscrepancy(s *session.Session, f cax.Discrepancy, o outcome) error {
	if s.JSON {
		text, err := json.Marshal(f)
		if err != nil {
			return err
		}
		fields := map[string]any{}
		if err := json.Unmarshal(text, &fields); err != nil {
			return err
		}
		if o.result != "" {
			fields["result"] = o.result
		}
		if o.err != nil {
			fields["error"] = o.err.Error()
		}
		return s.Print(fields)
	}
	line := f.String()
	if f.Bytes > 0 {
		line += fmt.Sprintf(" [%d files, %s]", f.Files, table.Size(f.Bytes))
	}
	switch {
	case o.err != nil:
		line = fmt.Sprintf("%s: %s; %s: %v", o.result, f.Remedy, line, o.err)
	case o.result != "":
		line = fmt.Sprintf("%s: %s; %s", o.result, f.Remedy, line)
	case f.Verb == cax.Do:
		line += fmt.Sprintf("; --repair: %s", f.Remedy)
	}
	_, err := fmt.Fprintln(s.Stdout, command.OneLine(line))
	return err
}
