package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/tsm"
	"github.com/urfave/cli/v2"
)

// What cax tsm watch looks at.
const (
	watchDatabase = "database"
	watchLogs     = "logfile"
	watchStatus   = "checkstatus"
)

func tsmWatchCommand() *cli.Command {
	return &cli.Command{
		Name:      "watch",
		Usage:     "totals of what is on tape, and how fast it got there",
		UsageText: "cax tsm watch --monitor database|logfile|checkstatus [--status S] [--run N | --name NAME] [--log-path DIR] [--plot FILE.svg]",
		Description: `--monitor database asks tape about all copies on record there: how many are complete, files
and bytes. --monitor logfile reads the log files of uploads and downloads in --log-path,
those of the original too. --monitor checkstatus counts the records at the tape server
by status, and lists those of --status.

--plot draws volume and rate over time, of logfile from the log files, else from the
history of the runs.

Example:
   cax tsm watch --host A --monitor logfile --log-path ~/tsm_log --plot tape.svg`,
		Flags: []cli.Flag{tapeFlag(),
			&cli.StringFlag{Name: "monitor", Value: watchDatabase, Usage: "`WHAT` to look at: database, logfile or checkstatus"},
			&cli.StringFlag{Name: "status", Usage: "list records in status `S`"},
			&cli.StringFlag{Name: "log-path", DefaultText: "~/tsm_log", Usage: "`DIR` with the log files"},
			&cli.StringFlag{Name: "plot", Usage: "draw volume and rate over time to `FILE`, as SVG"},
		},
		Action: tsmWatch,
	}
}

func tsmWatch(c *cli.Context) (err error) {
	if err := errors.Join(command.NoArguments(c), session.OneOf(c, "monitor", watchDatabase, watchLogs, watchStatus)); err != nil {
		return err
	}
	if c.IsSet("status") && c.String("monitor") != watchStatus {
		return command.Usagef("add --monitor checkstatus", "--status lists records by status")
	}
	if c.String("monitor") == watchLogs {
		s, err := session.Open(c, session.Need{Runs: session.AnyRuns})
		if err != nil {
			return err
		}
		defer s.CloseInto(&err)
		return watchLogFiles(c, s)
	}
	s, _, tape, err := openTape(c, session.Need{Config: true, Site: true, Store: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}
	if c.String("plot") != "" {
		moves, err := fromEvents(c, s, tape.Name)
		if err != nil {
			return err
		}
		if err := writePlot(c.String("plot"), moves); err != nil {
			return err
		}
	}
	if c.String("monitor") == watchStatus {
		return watchRecords(c, s, tape.Name)
	}
	var runs, complete, files, unknown int
	var bytes int64
	for t, err := range s.Env.SeeTapes(c.Context, tape, s.Query()) {
		if err != nil {
			return err
		}
		runs++
		files += t.Files
		bytes += t.Bytes
		switch {
		case !t.Known:
			unknown++
		case t.Err == nil:
			complete++
		default:
			if err := showTaped(s, t); err != nil {
				return err
			}
		}
	}
	if s.JSON {
		return s.Print(struct {
			Tape       string `json:"tape"`
			Copies     int    `json:"copies"`
			Complete   int    `json:"complete"`
			NoManifest int    `json:"no_manifest"`
			Files      int    `json:"files"`
			Bytes      int64  `json:"bytes"`
		}{tape.Name, runs, complete, unknown, files, bytes})
	}
	_, err = fmt.Fprintf(s.Stdout, "%s: %d copies on record, %d complete on tape, %d without a manifest to compare with; %d files, %s\n", tape.Name, runs, complete, unknown, files, table.Size(bytes))
	return err
}

// watchRecords counts the records at a tape server by status.
func watchRecords(c *cli.Context, s *session.Session, host string) error {
	q := s.Query()
	at := rundb.CopyMatch{Hosts: []string{host}}
	q.Copies = append(q.Copies, at)
	type count struct {
		n     int
		bytes int64
	}
	counts := map[rundb.Status]*count{}
	for r, err := range s.Store.Find(c.Context, &q) {
		if err != nil {
			return err
		}
		for t := range r.Copies(at) {
			n := counts[t.Status]
			if n == nil {
				n = &count{}
				counts[t.Status] = n
			}
			n.n++
			n.bytes += t.Size
			if c.String("status") != string(t.Status) {
				continue
			}
			why := ""
			if t.Error != nil {
				why = fmt.Sprintf("  %s: %s", t.Error.Class, t.Error.Text)
			}
			if s.JSON {
				if err := s.Print(map[string]any{"number": r.Number, "name": r.Name, "status": t.Status, "location": t.Location, "why": strings.TrimSpace(why)}); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(s.Stdout, "%s  %s  %s%s\n", r, t.Status, t.Location, command.OneLine(why))
		}
	}
	var all []string
	for st := range counts {
		all = append(all, string(st))
	}
	slices.Sort(all)
	for _, st := range all {
		n := counts[rundb.Status(st)]
		if s.JSON {
			if err := s.Print(map[string]any{"host": host, "status": st, "copies": n.n, "bytes": n.bytes}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(s.Stdout, "%s  %-13s %6d copies  %s\n", host, st, n.n, table.Size(n.bytes))
	}
	return nil
}

// A move is one upload or download, for totals and plots.
type move struct {
	at    time.Time // its end
	down  bool
	ok    bool
	bytes int64   // 0: unknown
	rate  float64 // bytes per second; 0: unknown
}

// watchLogFiles reads the log files of a folder and adds them up.
func watchLogFiles(c *cli.Context, s *session.Session) error {
	dir := c.String("log-path")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return command.Usagef("give --log-path", "%v", err)
		}
		dir = filepath.Join(home, "tsm_log")
	}
	es, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("--log-path: %w", err)
	}
	var moves []move
	for _, e := range es {
		name, ok := tsm.ParseLogName(e.Name())
		if !ok || s.Only.Number != nil && int64(name.Number) != *s.Only.Number || s.Only.Name != "" && strings.TrimSuffix(name.Name, "_MV") != s.Only.Name {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		sum, err := tsm.ParseLog(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
		m := moveOf(name, sum)
		moves = append(moves, m)
		if err := showLog(s, e.Name(), sum, m); err != nil {
			return err
		}
	}
	if len(moves) == 0 {
		s.Note("%s has no log file of an upload or download", dir)
	}
	if err := showMoves(s, moves); err != nil {
		return err
	}
	if c.String("plot") != "" {
		return writePlot(c.String("plot"), moves)
	}
	return nil
}

// moveOf is what a log file tells. An upload has a part of each way.
func moveOf(name tsm.LogName, sum tsm.LogSummary) move {
	m := move{at: sum.Last, ok: sum.Outcome == tsm.LogSucceeded}
	part := sum.Up
	if part.Bytes <= 0 && part.Files <= 0 && sum.Down.Files >= 0 {
		m.down, part = true, sum.Down
	}
	if m.at.IsZero() {
		m.at = name.Start
	}
	m.bytes, m.rate = max(0, part.Bytes), max(0, part.Rate)
	return m
}

func showLog(s *session.Session, file string, sum tsm.LogSummary, m move) error {
	way := map[bool]string{false: "upload", true: "download"}[m.down]
	outcome := string(sum.Outcome)
	if outcome == "" {
		outcome = "unfinished"
	}
	if s.JSON {
		return s.Print(map[string]any{"file": file, "dataset": sum.Dataset, "way": way, "outcome": outcome, "bytes": m.bytes, "rate": m.rate, "end": m.at})
	}
	_, err := fmt.Fprintf(s.Stdout, "%s  %-8s %-10s %s  %s  %s/s\n", m.at.Format(time.DateTime), way, outcome, sum.Dataset, table.Size(m.bytes), table.Size(int64(m.rate)))
	return err
}

// showMoves prints totals of both ways.
func showMoves(s *session.Session, moves []move) error {
	for _, down := range []bool{false, true} {
		way := map[bool]string{false: "uploads", true: "downloads"}[down]
		n, failed, bytes, seconds, timed := 0, 0, int64(0), 0.0, int64(0)
		for _, m := range moves {
			if m.down != down {
				continue
			}
			n++
			if !m.ok {
				failed++
				continue
			}
			bytes += m.bytes
			if m.rate > 0 {
				seconds += float64(m.bytes) / m.rate
				timed += m.bytes
			}
		}
		rate := 0.0
		if seconds > 0 {
			rate = float64(timed) / seconds
		}
		if s.JSON {
			if err := s.Print(map[string]any{"way": way, "files": n, "not_succeeded": failed, "bytes": bytes, "rate": rate}); err != nil {
				return err
			}
			continue
		}
		if n > 0 {
			fmt.Fprintf(s.Stdout, "%s: %d, of which %d did not succeed; %s at %s/s\n", way, n, failed, table.Size(bytes), table.Size(int64(rate)))
		}
	}
	return nil
}

// fromEvents are the uploads to a tape server and the downloads from there that the
// history of the runs tells of. A rate is that of the
// whole, from claim to record.
func fromEvents(c *cli.Context, s *session.Session, host string) ([]move, error) {
	q := s.Query()
	q.Copies = append(q.Copies, rundb.CopyMatch{Hosts: []string{host}})
	var moves []move
	for r, err := range s.Store.Find(c.Context, &q) {
		if err != nil {
			return nil, err
		}
		began := map[rundb.Key]time.Time{}
		for e, err := range s.Store.Events(c.Context, r.ID) {
			if err != nil {
				return nil, err
			}
			source, bytes := "", int64(0)
			for _, f := range e.Evidence {
				switch v := f.Value.(type) {
				case string:
					if f.Key == "source" {
						source = v
					}
				case int64:
					if f.Key == "bytes" {
						bytes = v
					}
				}
			}
			switch {
			case e.What == "claimed":
				began[e.Key] = e.Time
			case e.What == "transferred" && (e.Key.Host == host || source == host):
				m := move{at: e.Time, down: source == host, ok: true, bytes: bytes}
				if t, ok := began[e.Key]; ok && e.Time.Sub(t) > 0 {
					m.rate = float64(bytes) / e.Time.Sub(t).Seconds()
				}
				moves = append(moves, m)
			}
		}
	}
	return moves, nil
}
