package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
)

// grace is how long a program that was told to stop may take to do so. The work
// itself is given less (policy.shutdown_grace); this is for what hangs.
const grace = 4800 * time.Millisecond

// Run runs an app with the arguments of a process, reports its error, and returns
// the exit code. When ctx ends, the app has five seconds to end too.
func Run(ctx context.Context, app *cli.App, args []string) int {
	prepare(app)
	ordered, err := Permute(app, args[1:])
	if err == nil {
		err = bounded(ctx, func() error { return app.RunContext(ctx, append([]string{app.Name}, ordered...)) })
	}
	Report(app.ErrWriter, app.Name, err)
	return Code(ctx, err)
}

// bounded runs f, but returns without it if it does not end in time after ctx
// has ended; the process then ends with f still at work, which is as safe as
// being killed.
func bounded(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return fmt.Errorf("did not stop in time, and leaves it to the next start to go on: %w", ctx.Err())
	}
}

// prepare makes the parser return all errors instead of printing or exiting.
func prepare(app *cli.App) {
	usage := func(_ *cli.Context, err error, _ bool) error { return &UsageError{Text: OneLine(err.Error())} }
	app.HideHelpCommand = true
	app.HideVersion = true
	app.OnUsageError = usage
	app.ExitErrHandler = func(*cli.Context, error) {}
	plain(app.Flags)
	var all func(cs []*cli.Command)
	all = func(cs []*cli.Command) {
		for _, c := range cs {
			c.HideHelpCommand = true // an argument may be called help
			c.OnUsageError = usage
			plain(c.Flags)
			if len(c.Subcommands) > 0 && c.Action == nil {
				c.Action = needsSubcommand
			}
			all(c.Subcommands)
		}
	}
	all(app.Commands)
}

// plain leaves "(default: false)" out of the help.
func plain(flags []cli.Flag) {
	for _, f := range flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = true
		}
	}
}

func needsSubcommand(c *cli.Context) error {
	next := "one of"
	for _, s := range c.Command.Subcommands {
		next += " " + s.Name
	}
	return Usagef(next, "%s %s needs a subcommand", c.App.Name, c.Command.Name)
}

// IsInterrupted reports whether an error only says that ctx has ended.
func IsInterrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}
