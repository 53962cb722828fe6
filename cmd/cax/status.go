package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show runs and where their copies are",
		UsageText: "cax status [--run N | --name NAME] [--host NAME] [--status S] [--type T] [--summary] [--json]",
		Description: `Prints one line a copy, newest runs first. --run, --name, --detector and --tag select
runs; --host, --status and --type select copies, and then only they are shown, all
conditions holding for the same copy. (--host selects here, it does not pretend.)
--json prints one object a run per line, with the fields of the run document.

--summary counts instead: copies and bytes by site, type and status, and how many of
the good ones were verified within policy.verified_within (30 days without a
configuration). With --json one object a line.

Example:
   cax status --host A --status error --json`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "status", Usage: "copies in status `S`: transferring, verifying, transferred, error, …; may be repeated"},
			&cli.StringSliceFlag{Name: "type", Usage: "copies of type `T`: raw, processed; may be repeated"},
			&cli.StringFlag{Name: "detector", Usage: "runs of `DETECTOR`"},
			&cli.StringSliceFlag{Name: "tag", Usage: "runs with the tag `X`; all of them if repeated"},
			&cli.BoolFlag{Name: "summary", Usage: "count copies and bytes by site, type and status"},
			&cli.IntFlag{Name: "limit", Usage: "at most `N` runs, the newest; 0: all"},
		},
		Action: status,
	}
}

func status(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	for _, f := range []string{"host", "detector"} {
		if c.IsSet(f) && c.String(f) == "" {
			return command.Usagef("leave it out for all", "--%s is empty", f)
		}
	}
	if c.Int("limit") < 0 {
		return command.Usagef("", "--limit %d", c.Int("limit"))
	}
	s, err := session.Open(c, session.Need{Store: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}

	q, match, filtered := statusQuery(c, s)
	if c.Bool("summary") {
		return summary(c, s, &q, match, filtered)
	}
	show := func(c *rundb.Copy) bool { return match.Match(c) }
	tab := table.Table{Header: []string{"RUN", "NAME", "DETECTOR", "START (UTC)", "TYPE", "HOST", "STATUS", "SIZE", "VERIFIED (UTC)", "LOCATION", "NOTE"}}
	runs := 0
	var bad []error
	for r, err := range s.Store.Find(c.Context, &q) {
		if err != nil {
			bad = append(bad, err)
			continue
		}
		runs++
		if s.JSON {
			if err := s.Print(runLine(r, show)); err != nil {
				return err
			}
			continue
		}
		statusRows(&tab, r, show, filtered)
	}
	if tab.Len() > 0 {
		if err := tab.Write(s.Stdout, s.Colour); err != nil {
			return err
		}
	}
	if runs == 0 && len(bad) == 0 {
		s.Note("%s", nothingFound(c, s, filtered))
	}
	return errors.Join(bad...)
}

// statusQuery turns the flags into a query over runs and a condition on their
// copies.
func statusQuery(c *cli.Context, s *session.Session) (q rundb.Query, m rundb.CopyMatch, filtered bool) {
	q = s.Query()
	q.Limit = c.Int("limit")
	if d := c.String("detector"); d != "" {
		q.Detectors = []string{d}
	}
	q.Tags = c.StringSlice("tag")
	if h := c.String("host"); h != "" {
		m.Hosts, filtered = []string{h}, true
	}
	for _, v := range c.StringSlice("status") {
		m.Statuses, filtered = append(m.Statuses, rundb.Status(v)), true
	}
	for _, v := range c.StringSlice("type") {
		m.Types, filtered = append(m.Types, rundb.Type(v)), true
	}
	if filtered {
		q.Copies = []rundb.CopyMatch{m}
	}
	return q, m, filtered
}

// statusRows adds a row for each copy that is shown; a run without copies gets
// one too, unless copies were asked for.
func statusRows(tab *table.Table, r *rundb.Run, show func(*rundb.Copy) bool, filtered bool) {
	number := "-"
	if r.Number != 0 {
		number = strconv.FormatInt(r.Number, 10)
	}
	row := func(cells ...table.Cell) {
		tab.Add(append([]table.Cell{{Text: number, Right: true}, {Text: r.Name}, {Text: r.Detector}, {Text: minute(r.Start)}}, cells...)...)
	}
	if len(r.Data) == 0 && !filtered {
		none := table.Cell{Text: "-"}
		row(none, none, none, table.Cell{Text: "-", Right: true}, none, none, table.Cell{Text: "no copy on record"})
	}
	duplicates := r.Duplicates()
	for i := range r.Data {
		c := &r.Data[i]
		if !show(c) {
			continue
		}
		typ, size := string(c.Type), "-"
		if c.Version != "" {
			typ += " " + c.Version
		}
		if c.Size > 0 {
			size = table.Size(c.Size)
		}
		note := note(c)
		if slices.Contains(duplicates, c.Key) {
			note = strings.TrimSuffix("more than one record; "+note, "; ")
		}
		row(table.Cell{Text: typ}, table.Cell{Text: c.Host}, table.Cell{Text: string(c.Status), Colour: colourOf(c.Status)},
			table.Cell{Text: size, Right: true}, table.Cell{Text: minute(c.VerifiedAt)}, table.Cell{Text: c.Location}, table.Cell{Text: note})
	}
}

// note says who is at work on a copy, or what went wrong.
func note(c *rundb.Copy) string {
	switch {
	case c.Claim != nil:
		return fmt.Sprintf("%s by pid %d on %s, last heard of %s", c.Claim.Kind, c.Claim.Owner.PID, c.Claim.Owner.Host, minute(c.Claim.Heartbeat))
	case c.Error != nil:
		s := fmt.Sprintf("%s, try %d", c.Error.Class, c.Error.Tries)
		if !c.Error.NextTry.IsZero() {
			s += ", next " + minute(c.Error.NextTry)
		}
		return s + ": " + command.OneLine(c.Error.Text)
	case c.InPlace:
		return "in place"
	}
	return ""
}

func colourOf(s rundb.Status) table.Colour {
	switch s {
	case rundb.Transferred:
		return table.Green
	case rundb.Failed, rundb.Abandoned:
		return table.Red
	}
	return table.Yellow
}

// minute is a time as people read it in tables; "-" if it is not set.
func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// knownStatuses are those that this program and the original write.
func knownStatuses() []string {
	return []string{string(rundb.Transferring), string(rundb.Verifying), string(rundb.Transferred), string(rundb.Failed),
		string(rundb.Abandoned), string(rundb.Purging), string(rundb.RSEReupload), string(rundb.RSEQuota)}
}

// nothingFound says that nothing was found and, where a filter names something
// that nobody knows, what was perhaps meant.
func nothingFound(c *cli.Context, s *session.Session, filtered bool) string {
	text := "no run"
	if filtered {
		text = "no copy"
	}
	text += " matches"
	if !s.Only.Named() && !filtered && !c.IsSet("tag") && !c.IsSet("detector") {
		text = fmt.Sprintf("%s holds no run; cax register adds one", s.Address)
	}
	for _, v := range c.StringSlice("status") {
		if known := knownStatuses(); !slices.Contains(known, v) {
			text += fmt.Sprintf("; status %q is none that cax knows, which are %s", v, strings.Join(known, ", "))
		}
	}
	if s.Config != nil {
		if err := session.KnownHost(s.Config, c.String("host")); err != nil {
			text += "; " + err.Error()
		}
	}
	return text
}
