package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// An Execution is one processor to be run for one run.
type Execution struct {
	Processor Processor
	Input     Input             // its Dir is the work folder, which must be there and must not have the product yet
	Log       string            // file that gets all that is printed, appended to; "": Dir/process.log
	Env       []string          // the environment; nil: that of this process
	Files     map[string][]byte // put into the work folder first, by name
	Tail      int               // bytes of the log that go into Result.Tail and into errors; 0: 2000
	Grace     time.Duration     // between SIGTERM and SIGKILL when the context ends; 0: 5 s
}

// A Result is what a processor made.
type Result struct {
	Path     string        // the product; "" if there is none that is good
	Size     int64         // bytes in it
	ExitCode int           // of the program; 128 and the signal if that ended it; -1: it was not started
	Log      string        // path of the log
	Tail     string        // its end
	Took     time.Duration //
}

// Run runs a processor, and returns when all its processes have ended and the
// product has been looked at: it is there, not empty, and the check, if there is
// one, ended with 0. The result tells exit code and log also if there is an error.
//
// Errors wrap ErrInvalid (nothing was run: the plan, the work folder or the log
// is not good), ErrNotExist (there is no such program), ErrFailed, with the tail of
// the log, or ErrOutput. When the context ends, the processor's process group is
// ended, and the error wraps the context's. If this process dies, the processor dies
// with it (Linux).
func Run(ctx context.Context, e Execution) (Result, error) {
	res := Result{ExitCode: -1, Log: e.Log}
	if res.Log == "" {
		res.Log = filepath.Join(e.Input.Dir, "process.log")
	}
	if e.Tail == 0 {
		e.Tail = 2000
	}
	if e.Grace == 0 {
		e.Grace = 5 * time.Second
	}
	plan, err := e.Processor.Plan(e.Input)
	if err != nil {
		return res, err
	}
	if err := e.prepare(plan); err != nil {
		return res, &Error{Op: "run", What: e.Processor.Name, Kind: ErrInvalid, Err: err}
	}
	log, err := os.OpenFile(res.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return res, &Error{Op: "run", What: e.Processor.Name, Kind: ErrInvalid, Err: fmt.Errorf("its log cannot be written: %w", err)}
	}
	defer log.Close()
	began := time.Now()
	res.ExitCode, err = e.exec(ctx, plan, plan.Command, log)
	res.Took = time.Since(began)
	tail, tailErr := Tail(res.Log, e.Tail)
	res.Tail = tail
	switch {
	case err != nil:
		return res, err
	case tailErr != nil:
		return res, &Error{Op: "run", What: e.Processor.Name, Err: tailErr}
	case res.ExitCode != 0:
		return res, &Error{Op: "run", What: e.Processor.Name, Kind: ErrFailed, Err: errors.New(exitReason(res.ExitCode) + lastWords(res.Tail))}
	}
	size, err := CheckOutput(plan.Output)
	if err == nil && len(plan.Check) > 0 {
		err = e.check(ctx, plan, log)
	}
	if err != nil {
		return res, err
	}
	res.Path, res.Size = plan.Output, size
	return res, nil
}

// lastWords appends the tail of a log to a sentence.
func lastWords(tail string) string {
	if tail == "" {
		return ", and printed nothing"
	}
	return "; the end of its log:\n" + tail
}

// prepare makes sure that a product that is there afterwards was made by this
// execution, and writes the files.
func (e Execution) prepare(plan Plan) error {
	st, err := os.Stat(e.Input.Dir)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is not a directory", e.Input.Dir)
	}
	if _, err := os.Lstat(plan.Output); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s is there already: use a fresh work folder", plan.Output))
	}
	for name, data := range e.Files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the file %q is not below the work folder", name)
		}
		if err := os.WriteFile(filepath.Join(e.Input.Dir, name), data, 0o644); err != nil {
			return err
		}
	}
	if plan.Script != "" {
		return os.WriteFile(filepath.Join(e.Input.Dir, scriptName), []byte(plan.Script), 0o755)
	}
	return nil
}

func (e Execution) check(ctx context.Context, plan Plan, log *os.File) error {
	code, err := e.exec(ctx, plan, plan.Check, log)
	if err != nil || code == 0 {
		return err
	}
	tail, err := Tail(log.Name(), e.Tail)
	if err != nil {
		return err
	}
	return &Error{Op: "check", What: plan.Output, Kind: ErrOutput,
		Err: errors.New("the check rejects it: " + exitReason(code) + lastWords(tail))}
}

// exec runs one command in the work folder and returns its exit code. The error
// is about not being able to run it, or the end of the context.
func (e Execution) exec(ctx context.Context, plan Plan, argv []string, log *os.File) (int, error) {
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	// The program is looked for before it is run, so that its name alone decides.
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return -1, &Error{Op: "run", What: argv[0], Kind: ErrNotExist, Err: err, Hint: "install it, or name it with its path"}
	}
	cmd := exec.Command(path, argv[1:]...)
	cmd.Env = e.Env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], plan.Env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = e.Input.Dir, log, log
	g, err := startGroup(cmd)
	if err != nil {
		return -1, &Error{Op: "run", What: argv[0], Kind: ErrInvalid, Err: err}
	}
	ended := make(chan int, 1)
	go func() { ended <- g.wait() }()
	select {
	case code := <-ended:
		return code, nil
	case <-ctx.Done():
	}
	g.signal(false)
	grace := time.NewTimer(e.Grace)
	defer grace.Stop()
	var code int
	select {
	case code = <-ended:
	case <-grace.C:
		g.signal(true)
		code = <-ended
	}
	return code, fmt.Errorf("run %s: %w", argv[0], context.Cause(ctx))
}
