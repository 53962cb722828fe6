package rucio

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
)

// A part is a file that is not complete. It is held, so that no other download writes to
// it.
type part struct {
	path string
	f    *os.File
	d    *checksum.Digest // of what is in it
}

// A local error is of this machine's disk: another source would not help.
type local struct{ err error }

func (e *local) Error() string { return e.err.Error() }

// Unwrap tells what a full disk is.
func (e *local) Unwrap() []error {
	if errors.Is(e.err, syscall.ENOSPC) || errors.Is(e.err, syscall.EDQUOT) {
		return []error{e.err, transfer.ErrNoSpace}
	}
	return []error{e.err}
}

// openPart opens or makes a part and reads what is in it. The kind is ErrTransient if
// another download has it.
func openPart(ctx context.Context, path string) (*part, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		held, err := hold(f, path)
		if err == nil && held {
			p := &part{path: path, f: f}
			if err := p.read(ctx); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return p, nil
		}
		if cerr := f.Close(); err != nil || cerr != nil {
			return nil, errors.Join(err, cerr)
		}
		// It got its name, or was removed, before we held it.
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// hold locks an open file and reports whether it is still the one of that path.
func hold(f *os.File, path string) (bool, error) {
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return false, &Error{Op: "download", Thing: path, Kind: ErrTransient, Err: errors.New("another download is writing it")}
	case err != nil && !errors.Is(err, syscall.ENOLCK) && !errors.Is(err, syscall.ENOTSUP) && !errors.Is(err, syscall.ENOSYS):
		return false, &os.PathError{Op: "lock", Path: path, Err: err} // else: a file system without locks
	}
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(ours, now), nil
}

// read sums what is in the part.
func (p *part) read(ctx context.Context) error {
	p.d = checksum.NewDigest(checksum.Adler32, checksum.MD5)
	_, err := io.Copy(p.d, &interruptible{ctx, p.f})
	return err
}

// Write appends.
func (p *part) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	p.d.Write(b[:n])
	if err != nil {
		err = &local{err}
	}
	return n, err
}

// restart empties the part.
func (p *part) restart() error {
	if err := p.f.Truncate(0); err != nil {
		return &local{err}
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return &local{err}
	}
	p.d.Reset()
	return nil
}

// replace puts a file that something else has written in the place of the part.
func (p *part) replace(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return &local{err}
	}
	if _, err := hold(f, path); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := os.Rename(path, p.path); err != nil {
		return errors.Join(&local{err}, f.Close())
	}
	old := p.f
	p.f = f
	return errors.Join(p.read(ctx), old.Close())
}

// close lets go of the part. Without bytes there is nothing to keep.
func (p *part) close() error {
	var err error
	if now, serr := os.Stat(p.path); serr == nil && p.d.Size() == 0 {
		if ours, ferr := p.f.Stat(); ferr == nil && os.SameFile(ours, now) {
			err = os.Remove(p.path)
		}
	}
	return errors.Join(err, p.f.Close())
}
