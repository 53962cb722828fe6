// Package massive is what massive-ruciax and massive-tsm share: daemons that work on
// many runs at once, chosen by a range or by age, with a log file for each run.
package massive

import (
	"os"
	"path/filepath"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
)

// Flags are those that choose runs, and say where their logs go. defaultFolder is for
// the help.
func Flags(defaultFolder string) []cli.Flag {
	const which = "Which runs"
	return []cli.Flag{
		&cli.Int64Flag{Name: "from-run", Base: 10, DefaultText: "the first", Category: which, Usage: "only runs from number `N` on"},
		&cli.Int64Flag{Name: "to-run", Base: 10, DefaultText: "-1", Category: which, Usage: "only runs up to number `N`, included; -1: no end"},
		&cli.IntFlag{Name: "last-days", DefaultText: "any age", Category: which, Usage: "only runs that started in the last `N` days"},
		&cli.StringFlag{Name: "log-folder", DefaultText: defaultFolder, Category: "Log", Usage: "write the log of each run into `DIR`"},
	}
}

// Select adds what the flags say to a selection. Each flag means the same alone and
// together with the others.
func Select(c *cli.Context, s *cax.Selection, now time.Time) error {
	from, to := c.Int64("from-run"), c.Int64("to-run")
	if !c.IsSet("to-run") {
		to = -1
	}
	ranged := c.IsSet("from-run") || c.IsSet("to-run")
	switch {
	case s.Named() && (ranged || c.IsSet("last-days")):
		return command.Usagef("leave --from-run, --to-run and --last-days out", "--run and --name select one run")
	case from < 0:
		return command.Usagef("", "--from-run %d: numbers of runs are not negative", from)
	case to < -1:
		return command.Usagef("-1 is no end", "--to-run %d: numbers of runs are not negative", to)
	case to >= 0 && to < from:
		return command.Usagef("exchange them", "--from-run %d is after --to-run %d", from, to)
	case c.IsSet("last-days") && c.Int("last-days") < 1:
		return command.Usagef("give a number of 1 or more, or leave it out", "--last-days %d selects nothing", c.Int("last-days"))
	}
	if ranged {
		s.Numbers = []rundb.Range{{From: from, To: to}}
	}
	if c.IsSet("last-days") {
		s.Since = now.Add(-time.Duration(c.Int("last-days")) * 24 * time.Hour)
	}
	return nil
}

// Folder is where the logs of runs go: that of --log-folder, else one in the home
// directory, else the working directory.
func Folder(c *cli.Context, inHome string) string {
	if f := c.String("log-folder"); f != "" {
		return f
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "."
	}
	return filepath.Join(home, inHome)
}
