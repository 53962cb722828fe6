package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cax-go/cax/process"
)

// run calls one of Slurm's programs and returns what it prints. ErrInvalid: it
// could not be started, so nothing was asked. ErrRefused: it ended with another
// exit code than 0, which can also mean that the controller did not answer.
// ErrUnavailable: it did not end in time.
func (b *Batch) run(ctx context.Context, program string, args ...string) (string, error) {
	path, err := lookPath(program, b.env)
	if err != nil {
		return "", &process.Error{Op: program, Kind: process.ErrInvalid, Err: err, Hint: "install Slurm's commands (Debian: slurm-client)"}
	}
	limited, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	cmd := exec.CommandContext(limited, path, args...)
	cmd.Env = b.env
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return "", &process.Error{Op: program, Kind: process.ErrInvalid, Err: err}
	}
	err = cmd.Wait()
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limited.Err() != nil:
		return "", &process.Error{Op: program, Kind: process.ErrUnavailable, Err: fmt.Errorf("no answer within %s", b.timeout)}
	}
	if text := strings.TrimSpace(errs.String()); text != "" {
		err = errors.New(strings.ReplaceAll(text[:min(len(text), 1000)], "\n", "; "))
	}
	return "", &process.Error{Op: program, Kind: process.ErrRefused, Err: err}
}

// lookPath finds a program on the PATH of an environment, in which the last of
// several values holds, as in exec.Cmd.
func lookPath(program string, env []string) (string, error) {
	dirs := ""
	for _, e := range env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			dirs = path
		}
	}
	for _, dir := range filepath.SplitList(dirs) {
		if path, err := exec.LookPath(dir + "/" + program); err == nil && dir != "" {
			return path, nil
		}
	}
	return "", &exec.Error{Name: program, Err: exec.ErrNotFound}
}
