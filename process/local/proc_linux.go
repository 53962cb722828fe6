package local

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// detach gives a command a session of its own, so that nothing that happens to us
// or our terminal reaches it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// kill tells all processes of a session's first group to end, or ends them.
func kill(pid int, hard bool) {
	sig := syscall.SIGTERM
	if hard {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-pid, sig)
}

// look tells whether a process is alive. Of a child that has ended it gives the
// exit code, as a shell would; of others -1. What the process left running in its
// group is killed.
func look(p proc, child bool) (code int, alive bool, err error) {
	if !child {
		return lookForeign(p)
	}
	// Until it is waited for, nobody else can be given its number.
	var info unix.Siginfo
	for {
		err = unix.Waitid(unix.P_PID, p.PID, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return -1, false, fmt.Errorf("process %d: %w", p.PID, err)
	}
	if info.Signo == 0 {
		return 0, true, nil
	}
	kill(p.PID, true)
	var status unix.WaitStatus
	for {
		_, err = unix.Wait4(p.PID, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return -1, false, fmt.Errorf("process %d: %w", p.PID, err)
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), false, nil
	}
	return status.ExitStatus(), false, nil
}

func lookForeign(p proc) (int, bool, error) {
	start, err := startOf(p.PID)
	switch {
	case err == nil && start == p.Start:
		return 0, true, nil
	case err == nil:
		return -1, false, nil // another process has its number
	case errors.Is(err, fs.ErrNotExist):
		// A number is not given again while a group has it, so these are its own.
		kill(p.PID, true)
		// It may be a child of ours, from an earlier call of Serve.
		_, _ = unix.Wait4(p.PID, nil, unix.WNOHANG, nil)
		return -1, false, nil
	}
	return 0, false, err
}

// startOf is the start time of a process in clock ticks since boot: field 22 of
// /proc/PID/stat (proc(5)). One that has ended, and only waits to be waited for, does
// not exist.
func startOf(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, syscall.ESRCH) {
		return 0, fs.ErrNotExist // it ended while we read
	}
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses and may hold anything.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	if f[0] == "Z" || f[0] == "X" {
		return 0, fs.ErrNotExist
	}
	return strconv.ParseInt(f[19], 10, 64)
}

// bootID is the kernel's random name of this boot.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// sinceBoot is the time since boot, that of a suspended machine included.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// tryLock takes a lock that ends with the process. False: somebody else has it.
func tryLock(path string) (unlock func(), ok bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, false, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, false, nil
		}
		return nil, false, err
	}
	return func() { f.Close() }, true, nil
}
