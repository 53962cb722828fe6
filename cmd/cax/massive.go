package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
)

// Between two full passes only runs of the last days are begun.
const (
	fullEvery  = 24 * time.Hour
	recentDays = 2
)

func massiveCommand() *cli.Command {
	const which, how = "Which runs", "Jobs"
	return &cli.Command{
		Name:      "massive",
		Usage:     "submit a batch job for each run that is to be processed",
		UsageText: "cax massive [--once] [--run N | --name NAME | --start N --stop N] [--tag T] [--ncpu N] [--partition P] …",
		Description: `Submits a job "cax --once --run N" (--name NAME for the muon veto) for each run that
ProcessBatchQueue or ProcessBatchQueueHax of this site has work for, newest first, as
many as batch.max_jobs allows; jobs that are alike go into one array. A run for which
there is a job, or that is processed, is never submitted again. What became of jobs
that ended without a word is recorded.

Without --once it goes on: a full pass once a day, and between these, every
policy.interval, one that begins with runs of the last 2 days only.

Example:
   cax massive --once --host A --start 5000 --stop 5100 --partition xenon1t`,
		Flags: []cli.Flag{
			&cli.Int64Flag{Name: "start", Base: 10, DefaultText: "the first", Category: which, Usage: "only runs from number `N` on"},
			&cli.Int64Flag{Name: "stop", Base: 10, DefaultText: "the last", Category: which, Usage: "only runs up to number `N`, included"},
			&cli.StringFlag{Name: "tag", Category: which, Usage: "only runs with the tag `T`"},
			&cli.StringFlag{Name: "mem_per_cpu", Aliases: []string{"mem-per-cpu"}, DefaultText: "batch.memory_per_cpu", Category: how, Usage: "`MEMORY` for each core, in MB or with a unit"},
			&cli.StringFlag{Name: "walltime", DefaultText: "batch.walltime", Category: how, Usage: "end a job after `T`: 48:00:00, 2-00:00:00, 36h"},
			&cli.StringFlag{Name: "partition", DefaultText: "batch.partition", Category: how, Usage: "`NAME` of the partition"},
			&cli.StringFlag{Name: "reservation", DefaultText: "batch.reservation", Category: how, Usage: "`NAME` of the reservation"},
		},
		Action: massive,
	}
}

func massive(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Write: true, Runs: session.AnyRuns, Daemon: true,
		Select: massiveRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	if err := s.Exists(c.Context); err != nil {
		return err
	}
	if s.Site.Batch.System == "" {
		return command.Usagef("set its key batch", "%s has no batch system", s.Site.Name)
	}
	if err := resources(c, &s.Site.Batch); err != nil {
		return err
	}
	env := s.Env
	env.Job, env.Once, env.NewestFirst = "", true, true
	env.Tasks = slices.DeleteFunc(cax.Tasks(), func(t cax.Task) bool {
		return t.Name() != "ProcessBatchQueue" && t.Name() != "ProcessBatchQueueHax"
	})
	d := cax.NewDaemon(env)
	if len(d.Tasks) == 0 {
		return command.Usagef("add ProcessBatchQueue to its task_list", "%s does not process", s.Site.Name)
	}
	tick := time.NewTicker(env.Policy.Interval)
	defer tick.Stop()
	for full := (time.Time{}); ; {
		if time.Since(full) >= fullEvery {
			full, env.Recent = time.Now(), time.Time{}
		} else {
			env.Recent = time.Now().AddDate(0, 0, -recentDays)
		}
		sum, err := d.Once(c.Context)
		if c.Bool("once") {
			return errors.Join(err, massiveDone(s, sum))
		}
		if c.Context.Err() != nil {
			return c.Context.Err()
		}
		s.Log.Info("pass done", zap.Bool("full", env.Recent.IsZero()), zap.Int("done", sum.Done), zap.Int("failed", sum.Failed),
			zap.Int("waiting", sum.Waiting), zap.Int("for_a_person", sum.Calls))
		select {
		case <-c.Context.Done():
			return c.Context.Err()
		case <-tick.C:
		}
	}
}

func massiveDone(s *session.Session, sum cax.Summary) error {
	if s.JSON {
		return s.Print(struct {
			Site    string `json:"site"`
			Done    int    `json:"done"`
			Failed  int    `json:"failed"`
			Waiting int    `json:"waiting"`
			Calls   int    `json:"for_a_person"`
			DryRun  bool   `json:"dry_run"`
		}{s.Site.Name, sum.Done, sum.Failed, sum.Waiting, sum.Calls, s.DryRun})
	}
	did := "submitted or settled"
	if s.DryRun {
		did = "would be submitted"
	}
	_, err := fmt.Fprintf(s.Stdout, "%d %s, %d failed, %d waiting, %d for a person\n", sum.Done, did, sum.Failed, sum.Waiting, sum.Calls)
	return err
}

// massiveRuns reads --start, --stop and --tag. Each means the same alone and with the
// others.
func massiveRuns(c *cli.Context, o *cax.Selection) error {
	start, stop := c.Int64("start"), c.Int64("stop")
	ranged := c.IsSet("start") || c.IsSet("stop")
	if !c.IsSet("stop") {
		stop = -1
	}
	switch {
	case o.Named() && ranged:
		return command.Usagef("leave --start and --stop out", "--run and --name select one run")
	case start < 0 || c.IsSet("stop") && stop < 0:
		return command.Usagef("", "numbers of runs are not negative")
	case c.IsSet("stop") && stop < start:
		return command.Usagef("exchange them", "--start %d is after --stop %d", start, stop)
	case c.IsSet("tag") && strings.TrimSpace(c.String("tag")) == "":
		return command.Usagef("name a tag, or leave it out", "--tag is empty")
	}
	if ranged {
		o.Numbers = []rundb.Range{{From: start, To: stop}}
	}
	if c.IsSet("tag") {
		o.Tags = []string{c.String("tag")}
	}
	return nil
}

// resources puts what the flags say in place of the configuration.
func resources(c *cli.Context, b *cax.BatchConfig) error {
	if c.IsSet("partition") {
		b.Partition = c.String("partition")
	}
	if c.IsSet("reservation") {
		b.Reservation = c.String("reservation")
	}
	if c.IsSet("mem_per_cpu") {
		text := c.String("mem_per_cpu")
		if _, err := strconv.Atoi(text); err == nil {
			text += "MB" // as Slurm reads it
		}
		n, err := cax.ParseSize(text)
		if err != nil || n <= 0 {
			return command.Usagef("write it as 2000, or 4GiB", "--mem_per_cpu %q is no amount of memory", c.String("mem_per_cpu"))
		}
		b.Memory = n
	}
	if c.IsSet("walltime") {
		d, err := walltime(c.String("walltime"))
		if err != nil || d <= 0 {
			return command.Usagef("write it as 48:00:00, or 36h", "--walltime %q is no length of time", c.String("walltime"))
		}
		b.Walltime = d
	}
	return nil
}

// walltime reads a time as Slurm takes it (minutes, [days-]hours:minutes[:seconds]), or
// with units.
func walltime(text string) (time.Duration, error) {
	days, rest, dashed := strings.Cut(text, "-")
	if !dashed {
		days, rest = "0", text
	}
	if !dashed && !strings.Contains(text, ":") {
		if m, err := strconv.Atoi(text); err == nil {
			return time.Duration(m) * time.Minute, nil
		}
		return time.ParseDuration(text)
	}
	parts := append([]string{days}, strings.Split(rest, ":")...)
	units := []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second}
	if !dashed && len(parts) == 3 { // minutes:seconds
		units = []time.Duration{24 * time.Hour, time.Minute, time.Second}
	}
	if len(parts) > len(units) {
		return 0, fmt.Errorf("%q has too many parts", text)
	}
	var d time.Duration
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return 0, err
		}
		d += time.Duration(n) * units[i]
	}
	return d, nil
}
