package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/urfave/cli/v2"
)

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "print the version",
		UsageText:   "cax version",
		Description: "Prints version, commit, and what it was built with and for.\n\nExample:\n   cax version",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.App.Writer, version())
			return err
		},
	}
}

// printVersion does what --version asks for, whatever else is on the line.
func printVersion(c *cli.Context) error {
	if !c.Bool("version") {
		return nil
	}
	if _, err := fmt.Fprintln(c.App.Writer, version()); err != nil {
		return err
	}
	return command.ErrDone
}

// version tells what the Go command recorded when it built this program.
func version() string {
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
	return fmt.Sprintf("cax %s (%s %s/%s%s%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH, commit, dirty)
}
