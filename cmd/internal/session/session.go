package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/cmd/internal/command"
	"github.com/cax-go/cax/cmd/internal/logging"
	"github.com/cax-go/cax/cmd/internal/progress"
	"github.com/cax-go/cax/rundb"
	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
	"golang.org/x/term"
)

// A Need says what a command works with. The zero value is a command that needs
// neither configuration nor run database.
type Need struct {
	Config bool      // there must be a configuration; otherwise one is used if there
	Site   bool      // and it must be known which site we are
	Store  bool      // the run database
	Create bool      // a run database that is missing is made
	Write  bool      // the command changes something
	Runs   Selecting // what --run and --name mean
	Daemon bool      // --once is known

	// Adjust changes the configuration as flags of the program say; nil: not at all.
	Adjust func(*cli.Context, *cax.Config) error

	// Select restricts the selection further, as flags of the program say; nil: not.
	Select func(*cli.Context, *cax.Selection) error

	// RunFile gives the file for the lines of the log about one run; nil: there is none.
	RunFile func(c *cli.Context, number int64, name string) string

	// RunPlain: the files of RunFile hold sentences, as Python's logging writes them.
	RunPlain bool

	// LogFile is the log file if --log-file does not name one; "": none.
	LogFile string
}

// A Session is what a command works with. Fields that were not asked for are nil.
type Session struct {
	Config  *cax.Config
	Site    *cax.Site
	Address cax.RunDBAddress
	Store   *rundb.Store
	Made    bool     // the run database was missing, and was made; in a dry run: would be
	Env     *cax.Env // with a configuration and a run database; its Site may be nil
	Log     *zap.Logger
	Only    cax.Selection
	DryRun  bool
	JSON    bool

	Stdout, Stderr io.Writer
	Colour         bool // of standard output

	program string
	closers []func() error
}

// Open makes what a command needs. A UsageError, or command.ErrConfig, says what
// a person has to mend. Close the session when done.
func Open(c *cli.Context, n Need) (s *Session, err error) {
	s = &Session{program: c.App.Name, DryRun: c.Bool("dry-run"), JSON: c.Bool("json"), Stdout: c.App.Writer, Stderr: c.App.ErrWriter}
	s.Colour = colours(s.Stdout)
	defer func() {
		if err != nil {
			s.CloseInto(&err)
		}
	}()
	if err := checkFlags(c, &n); err != nil {
		return s, err
	}
	if s.Only, err = selection(c, n.Runs); err != nil {
		return s, err
	}
	if n.Select != nil {
		if err := n.Select(c, &s.Only); err != nil {
			return s, err
		}
	}
	if cpus := c.Int("ncpu"); cpus > 0 {
		runtime.GOMAXPROCS(cpus)
	}
	if err := s.configure(c, n); err != nil {
		return s, err
	}
	monitor := progress.New(s.Stderr, terminal(s.Stderr))
	if err := s.openLog(c, n, monitor.Writer(s.Stderr)); err != nil {
		return s, err
	}
	monitor.Log = s.Log
	if !n.Store {
		return s, nil
	}
	if err := s.openStore(c.Context, c.String("rundb"), n); err != nil {
		return s, err
	}
	if s.Config == nil {
		return s, nil
	}
	name := ""
	if s.Site != nil {
		name = s.Site.Name
	}
	owner, err := cax.ThisProcess(name)
	if err != nil {
		return s, err
	}
	e := cax.NewEnv(s.Config, s.Site, s.Store, owner)
	e.Log, e.Only, e.DryRun, e.Monitor = s.Log, s.Only, s.DryRun, monitor
	e.Once, e.Parallel = c.Bool("once") || !n.Daemon, c.Int("parallel")
	if cpus := c.Int("ncpu"); cpus > 0 {
		e.CPUs = cpus
	}
	if n.Daemon && c.Bool("once") {
		e.Job = os.Getenv(cax.JobVariable)
	}
	if s.Site != nil {
		if err := s.forJobs(e); err != nil {
			return s, err
		}
	}
	s.Env = e
	s.closers = append(s.closers, e.Close)
	return s, nil
}

// configure loads the configuration and finds the site.
func (s *Session) configure(c *cli.Context, n Need) error {
	path, named := findConfig(c.String("config"), os.Getenv)
	// A command that would only ask it for the run database can do without one
	// that happens to lie here.
	optional := !named && !n.Config && (c.String("rundb") != "" || os.Getenv("CAX_RUNDB") != "")
	switch {
	case path == "" && n.Config:
		return noConfig(os.Getenv)
	case path == "":
		return nil
	}
	var err error
	if optional {
		s.Config, _ = cax.Load(path)
		return nil
	}
	if s.Config, err = loadConfig(path, s.Stderr, c.App.Name); err != nil {
		return err
	}
	if n.Adjust != nil {
		if err := n.Adjust(c, s.Config); err != nil {
			return err
		}
	}
	if n.Site {
		if s.Site, err = findSite(s.Config, c.String("host"), os.Getenv, os.Hostname); err != nil {
			return err
		}
	}
	if n.Daemon && s.Site.Daemon == "python" {
		return command.Usagef(`remove "daemon": "python" from the site once the Python tool is stopped for good`,
			"the configuration says that the Python tool runs at %s, and two tools never share a site", s.Site.Name)
	}
	return nil
}

func (s *Session) openLog(c *cli.Context, n Need, stderr io.Writer) error {
	file := n.LogFile
	if c.IsSet("log-file") {
		file = c.String("log-file")
	}
	unwritten := file
	if s.DryRun {
		file = ""
	}
	o := logging.Options{Program: c.App.Name, Level: c.String("log"), Format: c.String("log-format"), Stderr: stderr, File: file, RunPlain: n.RunPlain}
	if n.RunFile != nil && !s.DryRun {
		o.RunFile = func(number int64, name string) string { return n.RunFile(c, number, name) }
	}
	log, done, err := logging.Open(o)
	if err != nil {
		return command.Usagef("name another one with --log-file", "%v", err)
	}
	s.Log = log
	s.closers = append(s.closers, done)
	if s.DryRun && c.IsSet("log-file") && unwritten != "" {
		log.Warn("a dry run writes no log file", zap.String("file", unwritten))
	}
	return nil
}

func (s *Session) openStore(ctx context.Context, flag string, n Need) error {
	var err error
	if s.Address, err = cax.ResolveRunDB(flag, os.Getenv, s.Config); err != nil {
		return command.Usagef("", "%v", err)
	}
	d, made, undo, err := openDriver(ctx, s.Address, dbNeed{create: n.Create, write: n.Write, dryRun: s.DryRun}, s.Log)
	if err != nil {
		return err
	}
	s.Store, s.Made = &rundb.Store{Driver: d, By: s.by()}, made
	s.closers = append(s.closers, undo, s.Store.Close)
	return nil
}

// by names this process in the history of runs.
func (s *Session) by() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	at := ""
	if s.Site != nil {
		at = " at " + s.Site.Name
	}
	return fmt.Sprintf("%s%s (%s, pid %d)", s.program, at, host, os.Getpid())
}

// Close ends everything that was opened, in reverse.
func (s *Session) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// CloseInto closes the session at the end of a command and adds what goes wrong
// to the command's error.
func (s *Session) CloseInto(err *error) {
	if cerr := s.Close(); cerr != nil {
		*err = errors.Join(*err, cerr)
	}
}

// terminal reports whether w is a terminal on which lines can be redrawn.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

func colours(w io.Writer) bool { return terminal(w) && os.Getenv("NO_COLOR") == "" }
