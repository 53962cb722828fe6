package main

import (
	"io"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/rucioflags"
	"github.com/cax-go/cax/cmd/internal/session"
	"github.com/urfave/cli/v2"
)

const about = `ruciax publishes datasets ("runs") in a Rucio catalogue: it uploads the copies of
this site, verifies them there, fetches others, and makes, changes and looks
after the rules that keep them at storage elements. Without a command it is a
daemon: it runs the tasks CopyPull, CopyPush and RucioRule of the site's
task_list, waits, and runs them again.

The catalogue is the site with "method": "rucio" in upload_options or
download_options. How to log in comes from rucio.cfg and the environment, as
the Python client reads them, or from the key rucio of that site.`

const after = `
EXIT CODES:
   0    done; also a daemon that was told to stop (SIGTERM) and has stopped
   1    something failed
   2    usage or configuration: nothing was done
   130  interrupted (SIGINT, or SIGTERM before the work was done); a second
        signal ends ruciax at once

FILES AND ENVIRONMENT:
   ruciax.log                     log of the daemon and of --once, appended to
   CAX_CONFIG, CAX_RUNDB          instead of --config and --rundb
   RUCIO_CONFIG, RUCIO_ACCOUNT, RUCIO_AUTH_TYPE, X509_USER_PROXY, …
                                  as for the Python client
   HOSTNAME                       instead of --host

Flags may stand anywhere on the command line.
`

// newApp makes the command line of ruciax.
func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:        "ruciax",
		Usage:       "publish datasets in a Rucio catalogue, verified",
		UsageText:   "ruciax [flags]                    the daemon; one cycle with --once\nruciax COMMAND [flags] [arguments]",
		Description: about,
		Reader:      stdin,
		Writer:      stdout,
		ErrWriter:   stderr,
		Flags:       append(append(session.Flags(), rucioflags.Rule()), rucioflags.Upload()...),
		Before:      command.PrintVersion,
		Action:      session.Daemon(session.Program{LogFile: "ruciax.log", Adjust: rucioflags.Adjust, Tasks: rucioflags.Tasks}),
		Commands:    []*cli.Command{downloadCommand(), rulesCommand(), locatorCommand(), usageCommand(), checkCommand(), rmCommand(), purgeCommand(), command.VersionCommand("ruciax")},
	}
	command.Document(app, after)
	return app
}
