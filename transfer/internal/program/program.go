// Package program runs the programs of others that move data: each in a process
// group of its own, which ends with its context and with this process.
package program

import (
	"bytes"
	"context"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Run runs a command to its end, or kills its process group when the context
// ends. read is called when it has started, with its process id, and returns when
// its output is read. The command also dies with this process: that signal comes at
// the end of the thread that started it, so the thread is kept.
func Run(ctx context.Context, cmd *exec.Cmd, read func(pid int)) error {
	cmd.WaitDelay = time.Second // for a child of a child that keeps the output open
	isolate(cmd)
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			ended <- err
			return
		}
		stop := context.AfterFunc(ctx, func() { killGroup(cmd.Process.Pid) })
		read(cmd.Process.Pid)
		err := cmd.Wait()
		stop()
		ended <- err
	}()
	return <-ended
}

// A Tail keeps the end of what a program says. It is safe for concurrent use.
type Tail struct {
	mu sync.Mutex
	b  []byte
}

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	const kept = 2 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - kept; over > 0 {
		t.b = t.b[over:]
		if i := bytes.IndexByte(t.b, '\n'); i >= 0 {
			t.b = t.b[i+1:] // of a line that began before
		}
	}
	return len(p), nil
}

// String gives what is kept, without blanks around it.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
