//go:build !linux

package local

import (
	"errors"
	"os/exec"
	"time"

	"github.com/cax-go/cax/process"
)

// There is no way here to tell a process from a later one with its number, so
// there is no pool.

func detach(*exec.Cmd) {}

func kill(int, bool) {}

func look(proc, bool) (int, bool, error) { return -1, false, unsupported() }

func startOf(int) (int64, error) { return 0, unsupported() }

func bootID() string { return "" }

func sinceBoot() time.Duration { return 0 }

func tryLock(path string) (func(), bool, error) { return nil, false, unsupported() }

func unsupported() error {
	return &process.Error{Op: "serve", Kind: process.ErrUnavailable, Err: errors.New("the local pool needs Linux")}
}
