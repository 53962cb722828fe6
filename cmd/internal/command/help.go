package command

import (
	"strings"

	"github.com/urfave/cli/v2"
)

const afterCommand = `
Global flags (--config, --rundb, --host, --dry-run, --json, --log, …): see PROGRAM --help.
Exit codes: 0 done, 1 something failed, 2 usage or configuration, 130 interrupted.
`

// Document gives an app and its commands their help: after follows the app's own.
func Document(app *cli.App, after string) {
	app.CustomAppHelpTemplate = cli.AppHelpTemplate + after
	text := strings.ReplaceAll(afterCommand, "PROGRAM", app.Name)
	for _, c := range app.Commands {
		c.CustomHelpTemplate = cli.CommandHelpTemplate + text
		for _, s := range c.Subcommands {
			s.CustomHelpTemplate = cli.CommandHelpTemplate + text
		}
		if len(c.Subcommands) > 0 {
			c.CustomHelpTemplate = cli.SubcommandHelpTemplate + text
		}
	}
}
