package tsm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// A command is one run of dsmc.
type command struct {
	op       string
	words    []string // "query", "archive"
	options  []string
	operands []string
	files    []string // given by -filelist
	mode     mode

	formats     bool // takes -dateformat and the like; other commands refuse them
	waits       bool // for tapes
	description string
}

// run runs it to its end and judges it. The result is nil only if the program was not
// started.
func (c *Client) run(ctx context.Context, cmd command, p Progress) (*Result, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	program, err := c.find(env)
	if err != nil {
		return nil, &Error{Op: cmd.op, Exit: ExitNotStarted, Kind: ErrNotInstalled, Err: err, Hint: "install the client, or name the program"}
	}
	dir, done, err := c.logDir()
	defer done()
	if err != nil {
		return nil, &Error{Op: cmd.op, Exit: ExitNotStarted, Kind: ErrConfig, Err: err, Hint: "give a log folder that can be written"}
	}
	args, clean, err := c.arguments(cmd, env, dir)
	defer clean()
	if err != nil {
		return nil, err
	}
	x := exec.Command(program, args...)
	x.Env = c.environment(env, dir)
	// Some versions write their logs into the working directory nevertheless.
	x.Dir = dir
	isolate(x)
	log := c.logger().With(zap.String("op", cmd.op))
	log.Debug("dsmc", zap.Strings("args", args))

	limit := orDefault(c.Stall, DefaultStall)
	if cmd.waits {
		limit = orDefault(c.TapeWait, DefaultTapeWait)
	}
	began := time.Now()
	parser := newParser(cmd.mode, cmd.description)
	parser.progress = p
	exit, err := supervise(ctx, x, limit, func(s string) bool {
		log.Debug("dsmc: " + s)
		parser.line(s)
		// Who answers? Nothing is worse than a run that waits for ever.
		return !parser.asking
	})
	r := &Result{Output: *parser.end(), Args: args, Exit: exit, Took: time.Since(began)}
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if errors.Is(err, ErrStalled) {
		return r, &Error{Op: cmd.op, Kind: ErrStalled, Err: fmt.Errorf("for %v", limit), Messages: grave(r.Messages),
			Hint: "see whether the server and its tape drives work"}
	}
	if err != nil {
		return r, &Error{Op: cmd.op, Exit: exit, Kind: ErrNotInstalled, Err: err, Hint: "see that the program can be run"}
	}
	return r, r.judge(cmd.op)
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// arguments gives the command line, and what removes the files that it names.
func (c *Client) arguments(cmd command, env []string, dir string) ([]string, func(), error) {
	clean := func() {}
	args := append([]string(nil), cmd.words...)
	args = append(args, cmd.operands...)
	opt := c.OptFile
	if cmd.files != nil {
		list, err := newFileList(cmd.op, cmd.files)
		if err != nil {
			return nil, clean, err
		}
		tmp, err := os.MkdirTemp(dir, "run-")
		if err != nil {
			return nil, clean, &Error{Op: cmd.op, Kind: ErrConfig, Err: err}
		}
		clean = func() { os.RemoveAll(tmp) }
		if list.literal {
			if opt, err = c.literalOptions(cmd.op, env, tmp); err != nil {
				return nil, clean, err
			}
		}
		name := filepath.Join(tmp, "files")
		if err := os.WriteFile(name, list.text, 0o600); err != nil {
			return nil, clean, &Error{Op: cmd.op, Kind: ErrConfig, Err: err}
		}
		args = append(args, "-filelist="+name)
	}
	for _, o := range []struct{ name, value string }{{"-servername=", c.Server}, {"-optfile=", opt}, {"-asnodename=", c.AsNode}} {
		if o.value != "" {
			args = append(args, o.name+o.value)
		}
	}
	args = append(args, cmd.options...)
	args = append(args, "-scrollprompt=no")
	if cmd.formats {
		args = append(args, "-dateformat=3", "-timeformat=1", "-numberformat=1")
	}
	if cmd.mode == modeRun || cmd.mode == modeArchive || cmd.mode == modeBackup {
		args = append(args, "-subdir=yes")
	}
	if cmd.mode == modeRun {
		args = append(args, "-tapeprompt=no")
	}
	return args, clean, nil
}

// environment sets locale and log folder.
func (c *Client) environment(env []string, dir string) []string {
	locale := c.Locale
	if locale == "" {
		locale = DefaultLocale
	}
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "LC_") || name == "LANG" || name == "LANGUAGE" || name == "DSM_LOG" || name == "PWD" {
			continue
		}
		out = append(out, kv)
	}
	return append(out, "LC_ALL="+locale, "LANG="+locale, "DSM_LOG="+dir)
}

// find looks the program up in the PATH that it will have.
func (c *Client) find(env []string) (string, error) {
	name := c.Program
	if name == "" {
		name = DefaultProgram
	}
	if strings.Contains(name, "/") {
		return filepath.Abs(name)
	}
	for _, dir := range filepath.SplitList(lookup(env, "PATH")) {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 && filepath.IsAbs(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is in no folder of the PATH: %w", name, fs.ErrNotExist)
}

// lookup gives a variable; the last one counts.
func lookup(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// supervise runs a program with closed input to its end, and hands over each line of
// its output. It ends the program's process group when the context ends, when line
// returns false, or when nothing was printed, read or written for so long. The
// program also dies with this process; that signal comes at the end of the thread
// that started it, so the thread is kept.
func supervise(ctx context.Context, x *exec.Cmd, limit time.Duration, line func(string) bool) (ExitCode, error) {
	pr, pw, err := os.Pipe()
	if err != nil {
		return ExitNotStarted, err
	}
	defer pr.Close()
	x.Stdout, x.Stderr = pw, pw
	ended := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		_ = onThread(func() error {
			err := x.Start()
			started <- err
			if err == nil {
				ended <- x.Wait()
			}
			return nil
		})
	}()
	err = <-started
	pw.Close()
	if err != nil {
		return ExitNotStarted, err
	}
	var stalled atomic.Bool
	alive := newPulse(x.Process.Pid)
	watched, stop := context.WithCancel(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		if alive.wait(watched, limit) {
			stalled.Store(true)
		}
		if ctx.Err() != nil || stalled.Load() {
			killGroup(x.Process.Pid)
		}
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_ = eachLine(readerFunc(func(b []byte) (int, error) {
			n, err := pr.Read(b)
			if n > 0 {
				alive.beat()
			}
			return n, err
		}), func(s string) {
			if !line(s) {
				killGroup(x.Process.Pid)
			}
		})
	}()
	err = <-ended
	// A child of the program that outlives it must not keep us.
	killGroup(x.Process.Pid)
	_ = pr.SetReadDeadline(time.Now().Add(time.Second))
	<-read
	stop()
	<-watching
	var exit *exec.ExitError
	switch {
	case stalled.Load():
		return ExitKilled, ErrStalled
	case errors.As(err, &exit):
		return ExitCode(exit.ExitCode()), nil
	case err != nil:
		return ExitKilled, err
	}
	return ExitOK, nil
}

// onThread calls f on a thread that lasts as long as f.
func onThread(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return f()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
