package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cax-go/cax/transfer"
)

// Options configures a Backend. nil: the defaults. There is nothing to choose
// yet.
type Options struct{}

// A Backend is this machine's disk. It is stateless and safe for concurrent use.
type Backend struct{}

var (
	_ transfer.Backend    = (*Backend)(nil)
	_ transfer.Disk       = (*Backend)(nil)
	_ transfer.Syncer     = (*Backend)(nil)
	_ transfer.NameSyncer = (*Backend)(nil)
	_ transfer.Spacer     = (*Backend)(nil)
	_ transfer.Hasher     = (*Backend)(nil)
	_ transfer.Cloner     = (*Backend)(nil)
)

// New returns the backend.
func New(*Options) *Backend { return &Backend{} }

// String is "local".
func (*Backend) String() string { return "local" }

// LocalPath implements [transfer.Disk].
func (*Backend) LocalPath(path string) string { return path }

// Close implements [transfer.Backend]; there is nothing to close.
func (*Backend) Close() error { return nil }

// Lstat implements [transfer.Backend].
func (*Backend) Lstat(ctx context.Context, path string) (transfer.Info, error) {
	if ctx.Err() != nil {
		return transfer.Info{}, ctx.Err()
	}
	st, err := os.Lstat(path)
	if err != nil {
		return transfer.Info{}, wrap("stat", path, err)
	}
	return info(path, path, st)
}

func info(name, path string, st fs.FileInfo) (transfer.Info, error) {
	i := transfer.Info{Path: name, Mode: st.Mode(), Size: st.Size(), ModTime: st.ModTime()}
	if st.Mode()&fs.ModeSymlink != 0 {
		to, err := os.Readlink(path)
		if err != nil {
			return i, wrap("read link", path, err)
		}
		i.Link = to
	}
	return i, nil
}

// List implements [transfer.Backend].
func (*Backend) List(ctx context.Context, dir string) iter.Seq2[transfer.Info, error] {
	return func(yield func(transfer.Info, error) bool) {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return wrap("list", p, err)
			}
			if p == dir {
				return nil
			}
			st, err := d.Info()
			if err != nil {
				return wrap("stat", p, err)
			}
			i, err := info(strings.TrimPrefix(p[len(dir):], "/"), p, st)
			if err != nil {
				return err
			}
			if !yield(i, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(transfer.Info{}, err)
		}
	}
}

// Open implements [transfer.Backend].
func (*Backend) Open(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// Not blocking: a pipe that took a file's place must not hang us.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, wrap("open", path, err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &transfer.Error{Kind: transfer.ErrInvalid, Err: errors.New("it is not a regular file")}
	}
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(wrap("open", path, err), f.Close())
	}
	return &reader{f}, nil
}

// reader gives its errors their kind.
type reader struct{ f *os.File }

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	if err != nil && err != io.EOF {
		err = wrap("read", r.f.Name(), err)
	}
	return n, err
}

func (r *reader) Close() error { return r.f.Close() }

// Create implements [transfer.Backend]. A link in the file's place is never
// followed.
func (*Backend) Create(ctx context.Context, path string, offset, _ int64, mtime time.Time) (io.WriteCloser, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	flags := os.O_WRONLY | syscall.O_NOFOLLOW
	if offset == 0 {
		flags |= os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return nil, wrap("create", path, err)
	}
	if offset > 0 {
		st, err := f.Stat()
		if err == nil && st.Size() < offset {
			err = &transfer.Error{Kind: transfer.ErrInvalid, Err: errors.New("it is shorter than the offset to go on from")}
		}
		if err == nil {
			err = f.Truncate(offset)
		}
		if err == nil {
			_, err = f.Seek(offset, io.SeekStart)
		}
		if err != nil {
			return nil, errors.Join(wrap("create", path, err), f.Close())
		}
	}
	return &writer{f: f, mtime: mtime}, nil
}

// A writer is a file under way. It is a [transfer.WriterAt].
type writer struct {
	f     *os.File
	mtime time.Time
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	return n, wrap("write", w.f.Name(), err)
}

func (w *writer) WriteAt(p []byte, off int64) (int, error) {
	n, err := w.f.WriteAt(p, off)
	return n, wrap("write", w.f.Name(), err)
}

func (w *writer) Sync(context.Context) (bool, error) {
	return true, wrap("sync", w.f.Name(), w.f.Sync())
}

func (w *writer) Close() error {
	err := w.f.Close()
	if err == nil && !w.mtime.IsZero() {
		err = os.Chtimes(w.f.Name(), time.Time{}, w.mtime)
	}
	return wrap("close", w.f.Name(), err)
}

// Mkdir implements [transfer.Backend].
func (*Backend) Mkdir(ctx context.Context, dir string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return wrap("make directory", dir, os.Mkdir(dir, 0o755))
}

// Rename implements [transfer.Backend].
func (*Backend) Rename(ctx context.Context, from, to string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return wrap("rename", to, renameNoReplace(from, to))
}

// Remove implements [transfer.Backend].
func (*Backend) Remove(ctx context.Context, path string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return wrap("remove", path, os.RemoveAll(path))
}

// wrap gives an error of the system its kind.
func wrap(op, path string, err error) error {
	if err == nil {
		return nil
	}
	e := &transfer.Error{Op: op, Place: "local", Path: path, Err: cause(err)}
	var own *transfer.Error
	switch {
	case errors.As(err, &own):
		e.Kind, e.Err = own.Kind, own.Err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		e.Kind, e.Err = transfer.ErrNotExist, nil
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTEMPTY):
		e.Kind, e.Err = transfer.ErrExist, nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Kind, e.Hint = transfer.ErrNoSpace, "make room there"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		e.Kind = transfer.ErrPermission
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EISDIR):
		e.Kind = transfer.ErrInvalid
	default:
		e.Kind = transfer.ErrTransient // EIO and the like: the disk may come back
	}
	return e
}

// cause is the error without the operation and path that ours names already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}
