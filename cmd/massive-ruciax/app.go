package main

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/massive"
	"github.com/cax-go/cax/cmd/internal/rucioflags"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/urfave/cli/v2"
)

const about = `massive-ruciax does what ruciax does for many runs at once (--parallel), chosen by
range or age, and writes a log for each run beside its own. What was finished
is not done again; what was interrupted goes on.

Without a task_list it uploads runs of this site that the catalogue does not
have, and looks after their rules; with a rule file that is verification_only
it only looks.`

const after = `
EXIT CODES:
   0    done; also a daemon that was told to stop (SIGTERM) and has stopped
   1    something failed
   2    usage or configuration: nothing was done
   130  interrupted

FILES AND ENVIRONMENT:
   massive_rucio.log              log of everything, appended to
   ~/rucio_log/ruciax_log_NUMBER_YYYYMMDD_HHMMSS.txt
                                  log of one run
   CAX_CONFIG, CAX_RUNDB          instead of --config and --rundb
   RUCIO_CONFIG, RUCIO_ACCOUNT, …  as for the Python client
`

// newApp makes the command line of massive-ruciax.
func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:        "massive-ruciax",
		Usage:       "publish many datasets in a Rucio catalogue",
		UsageText:   "massive-ruciax [flags]            a daemon; one pass with --once",
		Description: about,
		Reader:      stdin,
		Writer:      stdout,
		ErrWriter:   stderr,
		Flags:       append(append(session.Flags(), massive.Flags("~/rucio_log")...), rucioflags.Rule()),
		Before:      command.PrintVersion,
		Action: session.Daemon(session.Program{LogFile: "massive_rucio.log", Parallel: 4, Summary: true, Adjust: rucioflags.Adjust, Tasks: rucioflags.Tasks,
			Select: func(c *cli.Context, s *cax.Selection) error { return massive.Select(c, s, time.Now()) },
			RunFile: func(c *cli.Context, number int64, name string) string {
				return filepath.Join(massive.Folder(c, "rucio_log"), logName(number, name, time.Now()))
			}}),
	}
	command.Document(app, after)
	return app
}

// logName is the name of a run's log, as the original has it. The number of a muon-veto run
// may be 0: then its name stands there.
func logName(number int64, name string, now time.Time) string {
	run := fmt.Sprint(number)
	if number == 0 {
		run = name
	}
	return fmt.Sprintf("ruciax_log_%s_%s.txt", run, now.UTC().Format("20060102_150405"))
}
