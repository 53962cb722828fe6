package sqlitestore

import (
	"context"
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
	select {
	case l.here <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release := func() {
		_ = syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN)
		<-l.here
	}
	got := make(chan error, 1)
	go func() {
		for {
			err := syscall.Flock(int(l.f.Fd()), syscall.LOCK_EX)
			if err != syscall.EINTR {
				got <- err
				return
			}
		}
	}()
	select {
	case err := <-got:
		if err != nil {
			<-l.here
			return nil, os.NewSyscallError("flock", err)
		}
		return release, nil
	case <-ctx.Done():
		// The waiting call cannot be taken back; whoever ends it gives the lock on.
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

func (l *fileLock) close() error { return l.f.Close() }
