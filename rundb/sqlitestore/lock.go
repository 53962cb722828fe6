package sqlitestore

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// A fileLock makes writers queue: those of this process by a channel, those of
// several processes by flock(2), which ends with the process.
type fileLock struct {
	f    *os.File
	here chan struct{} // holds one token while somebody of this process has, or waits for, the file
}

func newFileLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return &fileLock{f: f, here: make(chan struct{}, 1)}, nil
}

// acquire waits for the lock, or for the end of the context. The returned
// function gives it back.
func (l *fileLock) acquire(ctx context.Context) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case l.here <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
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
		return nil, ctx.Err()
	}
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
