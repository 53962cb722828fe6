package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/cax-go/cax/transfer"
	"github.com/pkg/sftp"
)

// Status codes of SFTP (draft-ietf-secsh-filexfer-02, section 7).
const (
	codeFailure     = 4
	codeBadMessage  = 5
	codeUnsupported = 8
)

// readOnly is the flag of statvfs@openssh.com for a file system that is mounted
// for reading only (OpenSSH's PROTOCOL file, SSH_FXE_STATVFS_ST_RDONLY).
const readOnly = 1

// littleSpace is how much must be free if a failure has another reason than a
// full disk.
const littleSpace = 1 << 20

func (b *Backend) wrap(op, p string, err error) error {
	if err == nil {
		return nil
	}
	var own *transfer.Error
	if errors.As(err, &own) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := &transfer.Error{Op: op, Place: b.String(), Path: p, Kind: transfer.ErrTransient, Err: err}
	var status *sftp.StatusError
	switch {
	case err == io.EOF: // of the channel
		e.Err = io.ErrUnexpectedEOF
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Err = transfer.ErrNotExist, nil
	case errors.Is(err, fs.ErrExist):
		e.Kind, e.Err = transfer.ErrExist, nil
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Err = transfer.ErrPermission, nil
	case errors.As(err, &status) && status.Code == codeUnsupported:
		e.Kind = transfer.ErrUnsupported
	case errors.As(err, &status) && status.Code == codeBadMessage:
		e.Kind = transfer.ErrInvalid // OpenSSH: a name too long, an invalid argument
	case errors.As(err, &status) && status.Code == codeFailure:
		// All that this version of the protocol says: full disk, wrong type, ….
		e.Kind = errFailure
	}
	return e
}

// errFailure marks a failure that the protocol gives no reason for.
var errFailure = fmt.Errorf("the server gives no reason: %w", transfer.ErrTransient)

// reason looks, after a failure to write without a reason, for one.
func (b *Backend) reason(ctx context.Context, p string, err error) error {
	var e *transfer.Error
	if !errors.Is(err, errFailure) || !errors.As(err, &e) {
		return err
	}
	found := *e
	dir := path.Dir(p)
	if st, verr := b.statVFS(ctx, dir); verr == nil {
		switch {
		case st.Flag&readOnly != 0:
			found.Kind, found.Err, found.Hint = transfer.ErrPermission, errors.New("the file system is mounted read-only"), "mount it for writing"
			return &found
		case st.Bavail*st.Frsize < littleSpace:
			found.Kind, found.Hint = transfer.ErrNoSpace, "make room there"
			return &found
		case st.Files > 0 && st.Favail == 0:
			found.Kind, found.Err, found.Hint = transfer.ErrNoSpace, errors.New("the file system can hold no more files"), "make room there"
			return &found
		}
	}
	if i, serr := b.Lstat(ctx, dir); serr == nil && i.Mode.IsRegular() {
		found.Kind = transfer.ErrInvalid
		found.Err = errors.New("its folder is a file")
		return &found
	}
	if shell, serr := b.commands(); serr == nil {
		if kind := shell.Why(ctx, p); kind != nil {
			found.Kind = kind
			return &found
		}
	}
	return err
}
