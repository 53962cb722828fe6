package main

import (
	"io"
	"path/filepath"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/massive"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/cax-go/cax/tsm"
	"github.com/urfave/cli/v2"
)

const about = `massive-tsm copies runs between this site and a tape server, by dsmc: to a site of
method tsm in upload_options, from one in download_options. Runs are chosen by range
or age, several are handled at once (--parallel), and each has a log of its own.
What was finished is not done again; what was interrupted goes on.

An upload counts when tape shows every file, with its size, and gives back what the
manifest says. Downloads are asked for together, so that a tape is mounted once.`

const after = `
EXIT CODES:
   0    done; also a daemon that was told to stop (SIGTERM) and has stopped
   1    something failed
   2    usage or configuration: nothing was done
   130  interrupted

FILES AND ENVIRONMENT:
   massive_tsm.log                log of everything, appended to
   ~/tsm_log/tsm_log_NUMBER_YYMMDD_HHMMSS.txt
                                  log of one run; for the muon veto with the run's name
   CAX_CONFIG, CAX_RUNDB          instead of --config and --rundb
   DSM_DIR, DSM_CONFIG, …         as for dsmc

Examples:
   massive-tsm --once --from-run 6000 --to-run 6100
   massive-tsm --once --last-days 3 --dry-run
`

// newApp makes the command line of massive-tsm.
func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:        "massive-tsm",
		Usage:       "copy many datasets to tape, or back",
		UsageText:   "massive-tsm [flags]               a daemon; one pass with --once",
		Description: about,
		Reader:      stdin,
		Writer:      stdout,
		ErrWriter:   stderr,
		Flags:       append(flags(), massive.Flags("~/tsm_log")...),
		Before:      command.PrintVersion,
		Action: session.Daemon(session.Program{LogFile: "massive_tsm.log", Parallel: 4, Summary: true, RunPlain: true,
			Tasks:  func(*cli.Context, *session.Session) ([]cax.Task, error) { return cax.TapeTasks(), nil },
			Select: func(c *cli.Context, s *cax.Selection) error { return massive.Select(c, s, time.Now()) },
			RunFile: func(c *cli.Context, number int64, name string) string {
				return filepath.Join(massive.Folder(c, "tsm_log"), logName(number, name, time.Now()))
			}}),
	}
	command.Document(app, after)
	return app
}

// flags are those of the family, with the original's two names of the log file.
func flags() []cli.Flag {
	all := session.Flags()
	for _, f := range all {
		if s, ok := f.(*cli.StringFlag); ok && s.Name == "log-file" {
			s.Aliases = append(s.Aliases, "logfile")
			s.Usage = "append the log to `FILE` too; massive_tsm.log if not given, none if empty"
		}
	}
	return all
}

// logName is the name of a run's log. The number of a muon-veto run says nothing: then its
// name stands there.
func logName(number int64, name string, now time.Time) string {
	n := tsm.LogName{Number: int(number), Start: now.UTC()}
	if number == 0 {
		n.Name = name
	}
	return n.String()
}
