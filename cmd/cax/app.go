package main

import (
	"io"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/urfave/cli/v2"
)

const about = `cax moves datasets ("runs") between computing sites and knows where every copy
is and whether it is good. Without a command it is the daemon of one site: it
runs the tasks of the site's task_list, waits, and runs them again. All sites
meet in one run database: MongoDB, or one embedded file on one machine.

A first tour, with two sites A and B in ./cax.json:

   cax db init
   cax register --host A --number 1 /data/A/raw/160315_1432
   cax plan --host A
   cax --once --host A
   cax --once --host B
   cax status`

const after = `
EXIT CODES:
   0    done; also a daemon that was told to stop (SIGTERM) and has stopped
   1    something failed
   2    usage or configuration: nothing was done
   130  interrupted (SIGINT, or SIGTERM before the work was done); a second
        signal ends cax at once

FILES AND ENVIRONMENT:
   cax.log                        log of the daemon and of --once, appended to
   CAX_CONFIG, CAX_RUNDB          instead of --config and --rundb
   MONGODB_PASSWORD               password of the user in a mongodb:// address (MONGO_PASSWORD too)
   HOSTNAME                       instead of --host
   NO_COLOR                       no colours

Flags may stand anywhere on the command line. See cax help COMMAND for a command.
`

// newApp makes the command line of cax.
func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:        "cax",
		Usage:       "move datasets between sites, verified",
		UsageText:   "cax [flags]                       the daemon; one cycle with --once\ncax COMMAND [flags] [arguments]",
		Description: about,
		Reader:      stdin,
		Writer:      stdout,
		ErrWriter:   stderr,
		Flags:       session.Flags(),
		Before:      command.PrintVersion,
		Action:      session.Daemon(session.Program{LogFile: "cax.log"}),
		Commands: []*cli.Command{
			registerCommand(), statusCommand(), planCommand(), checkCommand(), verifyCommand(), scrubCommand(),
			manifestCommand(), historyCommand(), explainCommand(), rmCommand(), mvCommand(), tsmCommand(), strayCommand(), purgeCommand(), reconcileCommand(),
			processCommand(), massiveCommand(), jobsCommand(), poolCommand(),
			dbCommand(), command.VersionCommand("cax"),
		},
	}
	command.Document(app, after)
	return app
}
