package main

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/cmd/internal/table"
	"github.com/urfave/cli/v2"
)

func jobsCommand() *cli.Command {
	return &cli.Command{
		Name:      "jobs",
		Usage:     "list this site's batch jobs: state, run, age, log",
		UsageText: "cax jobs [--run N | --name NAME] [--all] [--json]",
		Description: `Lists the jobs of the site's queue that wait or run, and those that failed; with --all
also those that succeeded, as long as batch.keep keeps them. Exit code 1 if the batch
system does not answer; what is known without it is listed all the same.

Example:
   cax jobs --host A`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "all", Usage: "list jobs that succeeded too"}},
		Action: jobs,
	}
}

func jobs(c *cli.Context) (err error) {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	s, err := session.Open(c, session.Need{Config: true, Site: true, Store: true, Runs: session.AnyRuns})
	if err != nil {
		return err
	}
	defer s.CloseInto(&err)
	all, err := s.Env.Jobs(c.Context)
	all = slices.DeleteFunc(all, func(j cax.SiteJob) bool {
		return s.Only.Number != nil && j.For.Number != *s.Only.Number || s.Only.Name != "" && j.For.Name != s.Only.Name ||
			!c.Bool("all") && j.State.Final() && j.ExitCode == 0
	})
	slices.SortFunc(all, func(a, b cax.SiteJob) int { return cmp.Compare(b.Submitted.UnixNano(), a.Submitted.UnixNano()) })
	tab := table.Table{Header: []string{"STATE", "RUN", "NAME", "TYPE", "VERSION", "JOB", "AGE", "WHY", "LOG"}}
	for _, j := range all {
		if s.JSON {
			if err := s.Print(j); err != nil {
				return err
			}
			continue
		}
		id := j.ID
		if id == "" {
			id = "-"
		}
		var cells []table.Cell
		for _, text := range []string{string(j.State), strconv.FormatInt(j.For.Number, 10), j.For.Name, string(j.For.Type), j.For.Version, id,
			j.Age.Round(time.Second).String(), j.Reason, j.Log} {
			cells = append(cells, table.Cell{Text: text})
		}
		tab.Add(cells...)
	}
	if tab.Len() > 0 {
		if err := tab.Write(s.Stdout, s.Colour); err != nil {
			return err
		}
	}
	return err
}
