package main

import (
	"fmt"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/urfave/cli/v2"
)

func strayCommand() *cli.Command {
	return &cli.Command{
		Name:      "stray",
		Usage:     "list what lies in this site's directories and no run database record names",
		UsageText: "cax stray [--delete] [--json]",
		Description: `Prints the full path, files and bytes of each dataset in dir_raw and dir_processed that
no record of any run names. Staging, trash and hidden files are cax reconcile's.

--delete moves them into the folder .cax-quarantine/DATE beside them; cax never unlinks
them. It refuses if the database names no copy of this site, if not all runs could be
read, if more than a tenth of a directory's bytes would go, and what has changed within
policy.settled.

Exit code 1 if --delete left one.

Example:
   cax stray --host A --delete --dry-run`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "delete", Usage: "move them into quarantine"},
		},
		Action: stray,
	}
}

type strayJSON struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	Files  int64  `json:"files"`
	Why    string `json:"why"`
	Next   string `json:"next,omitempty"`
	Result string `json:"result,omitempty"` // done; would do; refused; failed
	Error  string `json:"error,omitempty"`
}

func stray(c *cli.Context) (err error) {
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
	var n, kept int
	var bytes int64
	for _, f := range found {
		if f.Kind == cax.Unreadable || f.Kind == cax.Unmounted {
			s.Note("%s", f)
		}
		if f.Kind != cax.Stray {
			continue
		}
		n, bytes = n+1, bytes+f.Bytes
		out := strayJSON{Path: f.Path, Bytes: f.Bytes, Files: f.Files, Why: f.Why, Next: f.Next}
		if c.Bool("delete") {
			o := outcome{result: "refused", err: fmt.Errorf("%s", f.Refused), open: true}
			if f.Refused == "" {
				o = carryOut(c.Context, s, f, s.Env.MoveAway)
			}
			if c.Context.Err() != nil {
				return c.Context.Err()
			}
			out.Result = o.result
			if o.err != nil {
				out.Error = o.err.Error()
			}
			if o.open {
				kept++
			}
		}
		if err := printStray(s, out); err != nil {
			return err
		}
	}
	if n == 0 {
		s.Note("there are no strays at %s", s.Site.Name)
		return nil
	}
	s.Note("%d strays at %s, %s", n, s.Site.Name, table.Size(bytes))
	if kept > 0 {
		s.Note("%d of them are where they were", kept)
		return command.ErrFailed
	}
	return nil
}

func printStray(s *session.Session, o strayJSON) error {
	if s.JSON {
		return s.Print(o)
	}
	line := fmt.Sprintf("%s  %d files, %s", o.Path, o.Files, table.Size(o.Bytes))
	switch {
	case o.Error != "":
		line += fmt.Sprintf("  %s: %s", o.Result, o.Error)
	case o.Result != "":
		line += fmt.Sprintf("  %s: moved to quarantine", o.Result)
	}
	_, err := fmt.Fprintln(s.Stdout, command.OneLine(line))
	return err
}
