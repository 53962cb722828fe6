package command

import "github.com/urfave/cli/v2"

// NoArguments refuses arguments of a command that takes none.
func NoArguments(c *cli.Context) error {
	if c.Args().Present() {
		return Usagef("see "+c.App.Name+" help "+c.Command.FullName(), "%s takes no argument %q", c.Command.FullName(), c.Args().First())
	}
	return nil
}

// OneArgument returns the argument of a command that takes one.
func OneArgument(c *cli.Context, what string) (string, error) {
	switch c.NArg() {
	case 0:
		return "", Usagef("see "+c.App.Name+" help "+c.Command.FullName(), "%s needs a %s", c.Command.FullName(), what)
	case 1:
		if c.Args().First() == "" {
			return "", Usagef("", "the %s is empty", what)
		}
		return c.Args().First(), nil
	}
	return "", Usagef("quote it if it has blanks", "%s takes one %s, not %q too", c.Command.FullName(), what, c.Args().Get(1))
}
