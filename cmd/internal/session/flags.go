package session

import (
	"strings"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/logging"
	"github.com/urfave/cli/v2"
)

// Categories of flags in the help.
const (
	catWhat  = "Which runs"
	catHow   = "How"
	catWhere = "Configuration and run database"
	catLog   = "Log"
)

// Flags are the global flags. They work at every place of the command line.
func Flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Category: catWhere, Usage: "read the configuration from `FILE`; else $CAX_CONFIG, ./cax.json, $XDG_CONFIG_HOME/cax/cax.json"},
		&cli.StringFlag{Name: "rundb", Category: catWhere, Usage: "run database `URI`, sqlite:PATH or mongodb://USER@HOST/run; else $CAX_RUNDB, the configuration's, sqlite:$XDG_DATA_HOME/cax/runs.db"},
		&cli.StringFlag{Name: "host", Category: catWhere, Usage: "act as the site `NAME`; else $HOSTNAME, the machine's name up to the first dot"},

		&cli.Int64Flag{Name: "run", Base: 10, DefaultText: "all", Category: catWhat, Usage: "only the run with number `N`"},
		&cli.StringFlag{Name: "name", Category: catWhat, Usage: "only the run called `NAME`"},

		&cli.BoolFlag{Name: "once", Category: catHow, Usage: "run every task once and end, instead of going on as a daemon"},
		&cli.BoolFlag{Name: "dry-run", Aliases: []string{"disable_database_update"}, Category: catHow, Usage: "say what would be done; write, move and delete nothing"},
		&cli.IntFlag{Name: "parallel", DefaultText: "as the site says", Category: catHow, Usage: "handle `N` datasets at once per remote"},
		&cli.IntFlag{Name: "ncpu", DefaultText: "all", Category: catHow, Usage: "use at most `N` processors"},
		&cli.BoolFlag{Name: "json", Category: catHow, Usage: "print results as JSON, one object a line"},

		&cli.StringFlag{Name: "log", Value: "info", Category: catLog, Usage: "log from this `LEVEL` on: debug, info, warning, error, critical"},
		&cli.StringFlag{Name: "log-file", Category: catLog, Usage: "append the log to `FILE` too; the daemon and --once: cax.log if not given, none if empty"},
		&cli.StringFlag{Name: "log-format", Value: "text", Category: catLog, Usage: "`FORMAT` of log lines: text or json"},
		&cli.BoolFlag{Name: "version", Category: catLog, Usage: "print the version and end"},
	}
}

// A Selecting says how a command uses --run and --name.
type Selecting int

// How commands select runs.
const (
	NoRuns  Selecting = iota // it has nothing to do with single runs
	AnyRuns                  // all, or those named
	OneRun                   // one has to be named
	NewRun                   // --name names a run that may not exist; --run is not known
)

// selection reads --run and --name. An empty or half-given selection is an
// error: it would mean every run.
func selection(c *cli.Context, how Selecting) (cax.Selection, error) {
	var s cax.Selection
	run, name := c.IsSet("run"), c.IsSet("name")
	switch {
	case run && how == NewRun:
		return s, command.Usagef("give the number of the run with --number", "--run selects a run that exists, and does not go with %s", c.Command.FullName())
	case (run || name) && how == NoRuns:
		return s, command.Usagef("leave --run and --name out", "%s does not work on single runs", c.Command.FullName())
	case run && name:
		return s, command.Usagef("give one of them", "--run and --name both select runs")
	case run && c.Int64("run") < 0:
		return s, command.Usagef("", "--run %d: numbers of runs are not negative", c.Int64("run"))
	case name && strings.TrimSpace(c.String("name")) == "":
		return s, command.Usagef("give the name of a run, or leave --name out", "--name is empty")
	case how == OneRun && !run && !name:
		return s, command.Usagef("give --run N or --name NAME", "%s works on one run", c.Command.FullName())
	}
	if how == NewRun {
		return s, nil
	}
	if run {
		n := c.Int64("run")
		s.Number = &n
	}
	s.Name = c.String("name")
	return s, nil
}

// checkFlags refuses values that can be refused before anything is opened, and
// flags that would mean nothing to the command.
func checkFlags(c *cli.Context, n *Need) error {
	if c.IsSet("once") && !n.Daemon {
		return command.Usagef("leave --once out, or the command", "--once is for the daemon's tasks, not for %s", c.Command.FullName())
	}
	for _, f := range []string{"parallel", "ncpu"} {
		if c.Int(f) < 0 {
			return command.Usagef("give a number of 1 or more", "--%s %d", f, c.Int(f))
		}
	}
	if _, err := logging.ParseLevel(c.String("log")); err != nil {
		return &command.UsageError{Text: "--log: " + err.Error()}
	}
	return oneOf("log-format", c.String("log-format"), logging.Formats())
}

func oneOf(flag, value string, known []string) error {
	for _, k := range known {
		if k == value {
			return nil
		}
	}
	next := command.DidYouMean(value, known)
	if next == "" {
		next = "it is one of " + strings.Join(known, ", ")
	}
	return command.Usagef(next, "--%s %q is not known", flag, value)
}

// OneOf refuses a value of a flag that is not among the known ones.
func OneOf(c *cli.Context, flag string, known ...string) error {
	return oneOf(flag, c.String(flag), known)
}
