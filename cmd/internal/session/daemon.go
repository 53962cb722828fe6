package session

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
)

// A Program is what tells one daemon of the family from another.
type Program struct {
	LogFile string // if --log-file does not name one

	Parallel int  // datasets at once per remote, if neither --parallel nor the site says; 0: two
	Summary  bool // --once ends with a line on standard output

	// Tasks are those of the program; nil: those of cax.
	Tasks func(*cli.Context, *Session) ([]cax.Task, error)

	Adjust  func(*cli.Context, *cax.Config) error    // as Need has it
	Select  func(*cli.Context, *cax.Selection) error // as Need has it
	RunFile func(*cli.Context, int64, string) string // as Need has it

	// RunPlain: the files of RunFile hold sentences, as Python's logging writes them.
	RunPlain bool
}

// Daemon is the action of a binary without a command: the daemon of one site, or
// with --once one cycle of it.
func Daemon(p Program) cli.ActionFunc {
	return func(c *cli.Context) (err error) {
		if c.Bool("json") && !c.Bool("once") {
			return command.Usagef("--log-format json makes the log so", "--json prints results, and the daemon has none")
		}
		s, err := Open(c, Need{Config: true, Site: true, Store: true, Write: true, Runs: AnyRuns, Daemon: true, LogFile: p.LogFile,
			Adjust: p.Adjust, Select: p.Select, RunFile: p.RunFile, RunPlain: p.RunPlain})
		if err != nil {
			return err
		}
		defer s.CloseInto(&err)
		if err := s.Exists(c.Context); err != nil {
			return err
		}
		if s.Env.Parallel == 0 {
			s.Env.DefaultParallel = p.Parallel
		}
		if p.Tasks != nil {
			if s.Env.Tasks, err = p.Tasks(c, s); err != nil {
				return err
			}
		}
		for _, n := range s.Config.Notes {
			s.Log.Warn("configuration", zap.String("note", n.String()))
		}
		d := cax.NewDaemon(s.Env)
		if c.Bool("once") {
			return once(c, s, d, p.Summary)
		}
		s.Log.Info(c.App.Name+" starts", zap.String("version", command.Version(c.App.Name)), zap.String("site", s.Site.Name), zap.String("config", s.Config.File), zap.String("rundb", s.Address.String()))
		err = d.Run(c.Context)
		if err == nil && command.Told(c.Context, syscall.SIGINT) {
			return c.Context.Err()
		}
		return err
	}
}

// once runs one cycle and says in one line what became of it.
func once(c *cli.Context, s *Session, d *cax.Daemon, tell bool) error {
	sum, err := d.Once(c.Context)
	counts := []zap.Field{zap.String("site", s.Site.Name), zap.Int("done", sum.Done), zap.Int("failed", sum.Failed),
		zap.Int("waiting", sum.Waiting), zap.Int("for_a_person", sum.Calls), zap.Bool("dry_run", s.DryRun)}
	switch {
	case command.IsInterrupted(c.Context, err):
		s.Log.Warn("cycle interrupted", counts...)
	case err != nil:
		s.Log.Error("cycle done", counts...)
	default:
		s.Log.Info("cycle done", counts...)
	}
	if s.JSON {
		line := struct {
			Site    string `json:"site"`
			Done    int    `json:"done"`
			Failed  int    `json:"failed"`
			Waiting int    `json:"waiting"`
			Calls   int    `json:"for_a_person"`
			DryRun  bool   `json:"dry_run"`
		}{s.Site.Name, sum.Done, sum.Failed, sum.Waiting, sum.Calls, s.DryRun}
		return errors.Join(err, s.Print(line))
	}
	if tell {
		verb := "done"
		if s.DryRun {
			verb = "would be done"
		}
		fmt.Fprintf(s.Stdout, "%s: %d %s, %d failed, %d waiting, %d for a person\n", s.Site.Name, sum.Done, verb, sum.Failed, sum.Waiting, sum.Calls)
	}
	return err
}
