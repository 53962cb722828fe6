package main

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

// TestC8MassiveRanges: each flag means what it says, alone and with the others: one bound
// alone, or two equal ones, never mean every run.
func TestC8MassiveRanges(t *testing.T) {
	numbers := func(from, to int64) []rundb.Range { return []rundb.Range{{From: from, To: to}} }
	for _, tc := range []struct {
		name string
		args []string
		want cax.Selection
		bad  bool
	}{
		{name: "nothing"},
		{name: "start", args: []string{"--start", "5"}, want: cax.Selection{Numbers: numbers(5, -1)}},
		{name: "stop", args: []string{"--stop", "5"}, want: cax.Selection{Numbers: numbers(0, 5)}},
		{name: "stop 0", args: []string{"--stop", "0"}, want: cax.Selection{Numbers: numbers(0, 0)}},
		{name: "both", args: []string{"--start", "5", "--stop", "7"}, want: cax.Selection{Numbers: numbers(5, 7)}},
		{name: "equal", args: []string{"--start", "5", "--stop", "5"}, want: cax.Selection{Numbers: numbers(5, 5)}},
		{name: "with a tag", args: []string{"--start", "5", "--tag", "Kr83m"}, want: cax.Selection{Numbers: numbers(5, -1), Tags: []string{"Kr83m"}}},
		{name: "tag", args: []string{"--tag", "Kr83m"}, want: cax.Selection{Tags: []string{"Kr83m"}}},
		{name: "turned", args: []string{"--start", "7", "--stop", "5"}, bad: true},
		{name: "negative", args: []string{"--stop", "-1"}, bad: true},
		{name: "empty tag", args: []string{"--tag", " "}, bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got cax.Selection
			app := &cli.App{Name: "x", Writer: io.Discard, ErrWriter: io.Discard, Flags: massiveCommand().Flags, Action: func(c *cli.Context) error {
				return massiveRuns(c, &got)
			}}
			err := app.Run(append([]string{"x"}, tc.args...))
			var usage *command.UsageError
			if errors.As(err, &usage) != tc.bad || err != nil && !tc.bad {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestResources(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want cax.BatchConfig
		bad  bool
	}{
		{args: nil, want: cax.BatchConfig{QOS: "q"}},
		{args: []string{"--mem_per_cpu", "2000"}, want: cax.BatchConfig{QOS: "q", Memory: 2000000000}},
		{args: []string{"--mem-per-cpu", "4GiB"}, want: cax.BatchConfig{QOS: "q", Memory: 4 << 30}},
		{args: []string{"--walltime", "48:00:00"}, want: cax.BatchConfig{QOS: "q", Walltime: 48 * time.Hour}},
		{args: []string{"--walltime", "2-00:30"}, want: cax.BatchConfig{QOS: "q", Walltime: 48*time.Hour + 30*time.Minute}},
		{args: []string{"--walltime", "90"}, want: cax.BatchConfig{QOS: "q", Walltime: 90 * time.Minute}},
		{args: []string{"--walltime", "1:30"}, want: cax.BatchConfig{QOS: "q", Walltime: 90 * time.Second}},
		{args: []string{"--walltime", "36h"}, want: cax.BatchConfig{QOS: "q", Walltime: 36 * time.Hour}},
		{args: []string{"--partition", "p", "--reservation", "r"}, want: cax.BatchConfig{QOS: "q", Partition: "p", Reservation: "r"}},
		{args: []string{"--walltime", "soon"}, bad: true},
		{args: []string{"--walltime", "0"}, bad: true},
		{args: []string{"--walltime", "1:2:3:4:5"}, bad: true},
		{args: []string{"--mem_per_cpu", "-3"}, bad: true},
	} {
		got := cax.BatchConfig{QOS: "q"}
		app := &cli.App{Name: "x", Writer: io.Discard, ErrWriter: io.Discard, Flags: massiveCommand().Flags, Action: func(c *cli.Context) error {
			return resources(c, &got)
		}}
		err := app.Run(append([]string{"x"}, tc.args...))
		if (err != nil) != tc.bad {
			t.Errorf("%q: error %v", tc.args, err)
		}
		if diff := cmp.Diff(tc.want, got); err == nil && diff != "" {
			t.Errorf("%q (-want +got):\n%s", tc.args, diff)
		}
	}
}
