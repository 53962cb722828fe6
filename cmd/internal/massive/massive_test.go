package massive_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/massive"
	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

// TestC8Ranges: each flag means what it says, alone and with the others; one bound
// alone, or two equal ones, never mean every run.
func TestC8Ranges(t *testing.T) {
	now := time.Date(2017, 3, 15, 0, 0, 0, 0, time.UTC)
	numbers := func(from, to int64) []rundb.Range { return []rundb.Range{{From: from, To: to}} }
	since := now.Add(-72 * time.Hour)
	for _, tc := range []struct {
		name string
		args []string
		want cax.Selection
		bad  bool
	}{
		{name: "nothing"},
		{name: "from", args: []string{"--from-run", "5"}, want: cax.Selection{Numbers: numbers(5, -1)}},
		{name: "from 0", args: []string{"--from-run", "0"}, want: cax.Selection{Numbers: numbers(0, -1)}},
		{name: "to", args: []string{"--to-run", "5"}, want: cax.Selection{Numbers: numbers(0, 5)}},
		{name: "to 0", args: []string{"--to-run", "0"}, want: cax.Selection{Numbers: numbers(0, 0)}},
		{name: "open end", args: []string{"--from-run", "5", "--to-run", "-1"}, want: cax.Selection{Numbers: numbers(5, -1)}},
		{name: "both", args: []string{"--from-run", "5", "--to-run", "7"}, want: cax.Selection{Numbers: numbers(5, 7)}},
		{name: "equal", args: []string{"--from-run", "5", "--to-run", "5"}, want: cax.Selection{Numbers: numbers(5, 5)}},
		{name: "days", args: []string{"--last-days", "3"}, want: cax.Selection{Since: since}},
		{name: "all three", args: []string{"--last-days", "3", "--from-run", "5", "--to-run", "7"}, want: cax.Selection{Since: since, Numbers: numbers(5, 7)}},
		{name: "turned", args: []string{"--from-run", "7", "--to-run", "5"}, bad: true},
		{name: "negative from", args: []string{"--from-run", "-2"}, bad: true},
		{name: "negative to", args: []string{"--to-run", "-2"}, bad: true},
		{name: "no days", args: []string{"--last-days", "0"}, bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got cax.Selection
			app := &cli.App{Name: "x", Writer: io.Discard, ErrWriter: io.Discard, Flags: massive.Flags("."), Action: func(c *cli.Context) error {
				return massive.Select(c, &got, now)
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

func TestFolder(t *testing.T) {
	t.Setenv("HOME", "/home/somebody")
	for want, args := range map[string][]string{"/home/somebody/rucio_log": {}, "here": {"--log-folder", "here"}} {
		app := &cli.App{Name: "x", Flags: massive.Flags("."), Action: func(c *cli.Context) error {
			if got := massive.Folder(c, "rucio_log"); got != want {
				t.Errorf("%v: %q, want %q", args, got, want)
			}
			return nil
		}}
		if err := app.Run(append([]string{"x"}, args...)); err != nil {
			t.Fatal(err)
		}
	}
}
