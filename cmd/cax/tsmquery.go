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

func tsmQueryCommand() *cli.Command {
	return &cli.Command{
		Name:      "query",
		Usage:     "ask tape what it has of a run, or below a path",
		UsageText: "cax tsm query (--run N | --name NAME | --location PATH) [--tape SITE] [--json]",
		Description: `For a run, compares what tape has with the manifest, and ends with 1 if a file is not
there. For a path, lists what is below it: archive copies, then backups.

Example:
   cax tsm query --host A --run 5230`,
		Flags: []cli.Flag{tapeFlag(),
			&cli.StringFlag{Name: "location", Usage: "what is below this `PATH`"},
			&cli.StringFlag{Name: "detector", Usage: "`DETECTOR` of the run, where several have its number"},
		},
		Action: tsmQuery,
	}
}

func tsmQuery(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	if named := c.IsSet("run") || c.IsSet("name"); named == c.IsSet("location") {
		return command.Usagef("", "cax tsm query needs a run (--run, --name) or a path (--location)")
	}
	runs := session.NoRuns
	if !c.IsSet("location") {
		runs = session.OneRun
	}
	s, client, tape, err := openTape(c, session.Need{Config: true, Site: true, Store: true, Runs: runs})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if p := c.String("location"); runs == session.NoRuns {
		return tsmList(c, s, client, p)
	}
	r, err := s.Run(c.Context, c.String("detector"))
	if err != nil {
		return err
	}
	n, bad := 0, 0
	for t := range r.Copies(rundb.CopyMatch{Hosts: []string{tape.Name}}) {
		n++
		seen, err := s.Env.SeeTape(c.Context, tape, r, &t)
		if err != nil {
			return err
		}
		if seen.Err != nil {
			bad++
		}
		if err := showTaped(s, cax.TapedCopy{Run: r, Copy: t, OnTape: seen}); err != nil {
			return err
		}
	}
	switch {
	case n == 0:
		return fmt.Errorf("%s has no record at %s", r, tape.Name)
	case bad > 0:
		return fmt.Errorf("%s is not on tape as it should be", r)
	}
	return nil
}

// showTaped prints what was seen of a copy.
func showTaped(s *session.Session, t cax.TapedCopy) error {
	why := ""
	if t.Err != nil {
		why = t.Err.Error()
	}
	if s.JSON {
		return s.Print(struct {
			Number   int64  `json:"number"`
			Name     string `json:"name"`
			Type     string `json:"type"`
			Host     string `json:"host"`
			Location string `json:"location"`
			Status   string `json:"status"`
			Rows     int    `json:"rows"`
			Files    int    `json:"files"`
			Bytes    int64  `json:"bytes"`
			Backup   bool   `json:"backup"`
			Prefix   string `json:"prefix,omitempty"`
			Manifest bool   `json:"manifest"`
			Complete bool   `json:"complete"`
			Why      string `json:"why,omitempty"`
		}{t.Run.Number, t.Run.Name, string(t.Copy.Type), t.Copy.Host, t.Copy.Location, string(t.Copy.Status), t.Rows, t.Files, t.Bytes, t.Backup, t.Prefix, t.Known, t.Known && t.Err == nil, why})
	}
	kind := map[bool]string{false: "archive copies", true: "backups"}[t.Backup]
	line := fmt.Sprintf("%s of %s, %s (%s): ", t.Copy.Key, t.Run, t.Copy.Location, t.Copy.Status)
	switch {
	case why != "":
		line += why
	case !t.Known:
		line += fmt.Sprintf("%d files, %d bytes, as %s; there is no manifest to compare with", t.Files, t.Bytes, kind)
	default:
		line += fmt.Sprintf("all of its %d files, %d bytes, are there, as %s", t.Files, t.Bytes, kind)
	}
	_, err := fmt.Fprintln(s.Stdout, command.OneLine(line))
	return err
}

// tsmList lists what tape has below a path.
func tsmList(c *cli.Context, s *session.Session, client *tsm.Client, p string) error {
	n := 0
	for _, q := range []struct {
		kind string
		rows func() ([]tsm.Object, error)
	}{
		{"archive", func() ([]tsm.Object, error) { return client.QueryArchive(c.Context, tsm.Query{Path: p}) }},
		{"backup", func() ([]tsm.Object, error) { return client.QueryBackup(c.Context, tsm.Query{Path: p}) }},
	} {
		rows, err := q.rows()
		if err != nil {
			return err
		}
		for _, o := range rows {
			n++
			if s.JSON {
				if err := s.Print(struct {
					Kind string `json:"kind"`
					tsm.Object
				}{q.kind, o}); err != nil {
					return err
				}
				continue
			}
			state := o.Description
			if q.kind == "backup" {
				state = map[bool]string{true: "active", false: "inactive"}[o.Active]
			}
			if _, err := fmt.Fprintf(s.Stdout, "%-7s %14d  %s  %s  %s\n", q.kind, o.Size, o.Date.Text, command.OneLine(o.Path), command.OneLine(state)); err != nil {
				return err
			}
		}
	}
	if n == 0 {
		s.Note("tape has nothing below %s", p)
	}
	return nil
}
