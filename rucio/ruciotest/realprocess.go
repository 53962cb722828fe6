package ruciotest

import (
	"bytes"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// A user runs the servers that refuse to run as root.
type user struct{ uid, gid uint32 }

// unprivileged is whom servers run as: nil, this user, unless that is root.
func unprivileged() (*user, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := osuser.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &user{uint32(uid), uint32(gid)}, nil
}

// mkdir makes a folder that belongs to the user and that everybody can read.
func (u *user) mkdir(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil || u == nil {
		return err
	}
	return os.Chown(path, int(u.uid), int(u.gid))
}

// A process is a server that runs. It ends with the test process, however that ends.
type process struct {
	name string
	pid  int
	log  string        // file with what it prints
	done chan struct{} // closed once it has ended
}

// run starts the command, whose output is appended to the file log. It gets the
// signal death if this process dies.
func run(cmd *exec.Cmd, as *user, log string, death syscall.Signal) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	prepare(cmd, as, death)
	p := &process{name: cmd.Path, log: log, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread ends, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

// stop ends the process with a signal to its group, and waits until it has ended.
// A nil process is no error.
func (p *process) stop(sig syscall.Signal) {
	if p == nil {
		return
	}
	_ = syscall.Kill(-p.pid, sig)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.done
	}
}

// wait calls ready until it succeeds. The error, if the process ends before or takes
// too long, has the end of its log.
func (p *process) wait(ready func() error) error {
	var last error
	for range 2400 { // a minute: the machine may be busy
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended: %s", p.name, tail(p.log))
		default:
		}
		if last = ready(); last == nil {
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	return fmt.Errorf("%s does not answer: %w: %s", p.name, last, tail(p.log))
}

// tail is the end of a log.
func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-4000):]))
}

// listen takes a port on which nobody listens. It is not one of those that outgoing
// connections are given.
func listen() (*net.TCPListener, error) {
	var last error
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+mathrand.IntN(20000))))
		if err == nil {
			return l.(*net.TCPListener), nil
		}
		last = err
	}
	return nil, last
}

// port is the port of a listener.
func port(l *net.TCPListener) int { return l.Addr().(*net.TCPAddr).Port }
