package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// patience is how long a writer waits for the lock. A write takes milliseconds: a
// holder that needs so long has been stopped, or its disk hangs.
const patience = 30 * time.Second

// A fileLock makes writers queue: those of this process by a channel, those of
// several processes by flock(2), which ends with the process.
type fileLock struct {
	f    *os.File      // holds the pid of the last holder, for people
	here chan struct{} // holds one token while somebody of this process has, or waits for, the file
}

func newFileLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return &fileLock{f: f, here: make(chan struct{}, 1)}, nil
}

// acquire waits for the lock, or for the end of the context, or until patience ends.
// The returned function gives it back.
func (l *fileLock) acquire(ctx context.Context) (func(), error) {
	return l.acquireWithin(ctx, patience)
}

func (l *fileLock) acquireWithin(outer context.Context, patience time.Duration) (func(), error) {
	if err := outer.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(outer, patience)
	defer cancel()
	ended := func() error {
		if err := outer.Err(); err != nil {
			return err
		}
		return fmt.Errorf("%s has been locked for %v by %s: see whether that process is stopped, or its disk hangs", l.f.Name(), patience, l.holder())
	}
	select {
	case l.here <- struct{}{}:
	case <-ctx.Done():
		return nil, ended()
	}
	release := func() {
		// If the file was closed meanwhile, the lock went with it.
		_ = l.flock(syscall.LOCK_UN)
		<-l.here
	}
	got := make(chan error, 1)
	go func() { got <- l.flock(syscall.LOCK_EX) }()
	select {
	case err := <-got:
		if err != nil {
			<-l.here
			return nil, os.NewSyscallError("flock", err)
		}
		return release, nil
	case <-ctx.Done():
		// The waiting call cannot be taken back. It ends when the lock is free, which
		// it is when its holder's write is done, and gives it on.
		go func() {
			if <-got == nil {
				release()
			} else {
				<-l.here
			}
		}()
		return nil, ended()
	}
}

// sign writes down who has the lock, before it writes; holder reads it. Both are for
// people: errors do no harm.
func (l *fileLock) sign() {
	_, _ = l.f.WriteAt(fmt.Appendf(nil, "pid %-20d\n", os.Getpid()), 0)
}

func (l *fileLock) holder() string {
	b := make([]byte, 64)
	n, _ := l.f.ReadAt(b, 0)
	if who := strings.TrimSpace(string(b[:n])); who != "" {
		return who
	}
	return "another process"
}

// flock calls flock(2) on the file, which stays open as long as the call waits.
func (l *fileLock) flock(how int) error {
	c, err := l.f.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	err = c.Control(func(fd uintptr) {
		for {
			if ferr = syscall.Flock(int(fd), how); ferr != syscall.EINTR {
				return
			}
		}
	})
	return errors.Join(err, ferr)
}

func (l *fileLock) close() error { return l.f.Close() }
