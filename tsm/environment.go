package tsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ReadEnvironment gives the environment that a site's set-up script leaves, as for
// sh's "." command: what the original cax put before each dsmc. The script starts
// with env (nil: that of this process), and what it prints is ignored. The result is
// for [Client.Env].
//
// ErrConfig if the script is not there or fails.
func ReadEnvironment(ctx context.Context, script string, env []string) ([]string, error) {
	script, err := filepath.Abs(script)
	if err != nil {
		return nil, &Error{Op: "environment", Path: script, Kind: ErrConfig, Err: err}
	}
	if env == nil {
		env = os.Environ()
	}
	// A dot command that finds no file, or an exit in the script, ends the shell.
	x := exec.Command("/bin/sh", "-c", `. "$1" >&2 && exec env -0`, "sh", script)
	x.Env = env
	isolate(x)
	var stdout, stderr bytes.Buffer
	x.Stdout, x.Stderr = &stdout, &stderr
	if err := runUntil(ctx, x); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		const most = 500
		said := strings.TrimSpace(stderr.String())
		return nil, &Error{Op: "environment", Path: script, Kind: ErrConfig, Err: fmt.Errorf("%w: %.*s", err, most, said), Hint: "see whether sh can source it"}
	}
	var out []string
	for _, kv := range strings.Split(stdout.String(), "\x00") {
		name, _, ok := strings.Cut(kv, "=")
		if ok && name != "_" && name != "PWD" && name != "OLDPWD" && name != "SHLVL" {
			out = append(out, kv)
		}
	}
	if len(out) == 0 {
		return nil, &Error{Op: "environment", Path: script, Kind: ErrConfig, Err: errors.New("it ends the shell, or leaves nothing")}
	}
	return out, nil
}

// runUntil runs a command whose process group ends with the context.
func runUntil(ctx context.Context, x *exec.Cmd) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// The signal of a parent's death comes at the end of a thread.
	return onThread(func() error {
		if err := x.Start(); err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { killGroup(x.Process.Pid) })
		defer stop()
		return x.Wait()
	})
}
