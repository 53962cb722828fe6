//go:build !linux

package process

import (
	"os/exec"
	"sync"
	"syscall"
)

type group struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	over bool // it was waited for: its number may be another's
}

func startGroup(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &group{cmd: cmd}, cmd.Start()
}

func (g *group) signal(hard bool) {
	sig := syscall.SIGTERM
	if hard {
		sig = syscall.SIGKILL
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		_ = syscall.Kill(-g.cmd.Process.Pid, sig)
	}
}

func (g *group) wait() int {
	_ = g.cmd.Wait() // the exit code says it
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	status := g.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
