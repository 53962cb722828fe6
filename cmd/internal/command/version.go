package command

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// VersionCommand is the command that prints the version of a program.
func VersionCommand(program string) *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "print the version",
		UsageText:   program + " version",
		Description: "Prints version, commit, and what it was built with and for.\n\nExample:\n   " + program + " version",
		Action: func(c *cli.Context) error {
			if err := NoArguments(c); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.App.Writer, Version(c.App.Name))
			return err
		},
	}
}

// PrintVersion does what --version asks for, whatever else is on the line.
func PrintVersion(c *cli.Context) error {
	if !c.Bool("version") {
		return nil
	}
	if _, err := fmt.Fprintln(c.App.Writer, Version(c.App.Name)); err != nil {
		return err
	}
	return ErrDone
}

// Version tells what the Go command recorded when it built a program.
func Version(program string) string {
	v, commit, dirty := "unknown", "", ""
	if b, ok := debug.ReadBuildInfo(); ok {
		if b.Main.Version != "" {
			v = b.Main.Version
		}
		for _, s := range b.Settings {
			switch {
			case s.Key == "vcs.revision" && len(s.Value) >= 12:
				commit = ", commit " + s.Value[:12]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = " with changes"
			}
		}
	}
	return fmt.Sprintf("%s %s (%s %s/%s%s%s)", program, v, runtime.Version(), runtime.GOOS, runtime.GOARCH, commit, dirty)
}
