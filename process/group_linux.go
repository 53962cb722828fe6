package process

import (
	"errors"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A group is a command and the processes that it started, which are killed when
// it has ended.
type group struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	over bool // it was waited for: its number may be another's
}

// startGroup starts a command in a process group of its own that dies with us.
func startGroup(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return &group{cmd: cmd}, cmd.Start()
}

// signal tells the group to end, or ends it.
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

// wait waits for the command and kills what it left behind. It returns the exit
// code, as a shell would give it.
func (g *group) wait() int {
	// Until it is waited for, nobody else can be given its number.
	for errors.Is(unix.Waitid(unix.P_PID, g.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	g.signal(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.cmd.Wait() // the exit code says it
	g.over = true
	status := g.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
