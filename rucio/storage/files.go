package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
)

// files is storage behind a backend of package transfer.
type files struct {
	*place
	b     transfer.Backend
	prep  func(p string) string // from the path of a PFN to that of the backend
	claim func(p string) error  // makes an empty file where there is none; nil: the name is only looked at
	close func() error          // nil: nothing but the backend
}

var (
	_ Storage = (*files)(nil)
	_ Hasher  = (*files)(nil)
)

func openFile(pl *place, _ *Options) (Storage, error) {
	return &files{place: pl, b: local.New(nil), prep: path.Clean, claim: func(p string) error {
		fd, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		return fd.Close()
	}}, nil
}

// unclaimed gives an error of claim its kind.
func (s *files) unclaimed(f file, err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err // the end of the context
	}
	kind := transfer.ErrTransient
	switch {
	case errors.Is(err, fs.ErrExist):
		kind = transfer.ErrExist
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		kind = transfer.ErrPermission
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		kind = transfer.ErrNoSpace
	case errors.Is(err, syscall.ENAMETOOLONG):
		kind = transfer.ErrInvalid
	}
	return s.fault("put", f, kind, pe.Err)
}

// at takes a PFN apart; the path is that of the backend.
func (s *files) at(op, pfn string) (file, error) {
	f, err := s.parse(op, pfn)
	if err == nil {
		f.path = s.prep(f.path)
	}
	return f, err
}

// Stat implements [Storage].
func (s *files) Stat(ctx context.Context, pfn string) (Info, error) {
	f, err := s.at("stat", pfn)
	if err != nil {
		return Info{}, err
	}
	return s.stat(ctx, f)
}

func (s *files) stat(ctx context.Context, f file) (Info, error) {
	i, err := s.lstat(ctx, f)
	if err == nil && !i.Mode.IsRegular() {
		return Info{}, s.fault("stat", f, transfer.ErrInvalid, errors.New("it is no regular file"))
	}
	return Info{Size: i.Size}, err
}

func (s *files) lstat(ctx context.Context, f file) (i transfer.Info, err error) {
	err = s.run(ctx, "stat", f, 0, func(ctx context.Context) error {
		i, err = s.b.Lstat(ctx, f.path)
		return err
	})
	return i, err
}

// run runs one call of the backend, which may read n bytes at the far side.
func (s *files) run(ctx context.Context, op string, f file, n int64, call func(ctx context.Context) error) error {
	g := s.watch(ctx, op, f)
	defer g.stop()
	g.expect(n)
	return within(g.ctx, func() error { return call(g.ctx) })
}

// Get implements [Storage].
func (s *files) Get(ctx context.Context, pfn string, offset int64) (io.ReadCloser, error) {
	f, err := s.at("get", pfn)
	if err != nil {
		return nil, err
	}
	i, err := s.stat(ctx, f)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > i.Size {
		return nil, s.fault("get", f, transfer.ErrInvalid, fmt.Errorf("there is no offset %d in %d bytes", offset, i.Size))
	}
	g := s.watch(ctx, "get", f)
	var r io.ReadCloser
	err = within(g.ctx, func() (err error) {
		r, err = s.b.Open(g.ctx, f.path, offset)
		return err
	})
	if err != nil {
		g.stop()
		return nil, err
	}
	return newBody(readAhead(g.ctx, r), g, func(err error) error { return err }), nil
}

// Put implements [Storage].
func (s *files) Put(ctx context.Context, pfn string, r io.Reader, size int64) error {
	f, err := s.at("put", pfn)
	if err != nil {
		return err
	}
	if err := s.vacant(ctx, "put", f); err != nil {
		return err
	}
	if err := s.mkdirs(ctx, f); err != nil {
		return err
	}
	if s.claim != nil {
		if err := s.run(ctx, "put", f, 0, func(context.Context) error { return s.claim(f.path) }); err != nil {
			return s.unclaimed(f, err)
		}
	}
	g := s.watch(ctx, "put", f)
	defer g.stop()
	src := s.newSource(r, size, g, f)
	err = within(g.ctx, func() error { return s.write(g.ctx, g, f, src) })
	if err == nil {
		var i Info
		if i, err = s.stat(ctx, f); err == nil && i.Size != size {
			err = s.fault("put", f, transfer.ErrCorrupt, fmt.Errorf("%d bytes were sent and %d are there", size, i.Size))
		}
	}
	if err != nil {
		cleanup(ctx, func(ctx context.Context) {
			_ = s.run(ctx, "remove", f, 0, func(ctx context.Context) error { return s.b.Remove(ctx, f.path) }) // the error that counts is known
		})
	}
	return err
}

// write writes the bytes and makes them durable, where the far side can.
func (s *files) write(ctx context.Context, g *guard, f file, src *source) error {
	w, err := s.b.Create(ctx, f.path, 0, src.size, time.Time{})
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(writes{w}, reads{src}, make([]byte, 1<<20))
	if at, ok := w.(transfer.WriterAt); ok && err == nil {
		g.expect(src.size)
		_, err = at.Sync(ctx)
	}
	g.expect(src.size) // some backends send when they are closed
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if _, bad := src.failed(); bad != nil {
		err = bad
	}
	if err == nil {
		err = s.syncName(ctx, f.path)
	}
	return err
}

// writes and reads hide what else there is, so that the copy goes through our buffer.
type (
	writes struct{ io.Writer }
	reads  struct{ io.Reader }
)

func (s *files) syncName(ctx context.Context, p string) error {
	if n, ok := s.b.(transfer.NameSyncer); ok {
		_, err := n.SyncName(ctx, p)
		return err
	}
	return nil
}

// vacant returns ErrExist if a name is taken.
func (s *files) vacant(ctx context.Context, op string, f file) error {
	switch _, err := s.lstat(ctx, f); {
	case err == nil:
		return s.fault(op, f, transfer.ErrExist, nil)
	case !errors.Is(err, transfer.ErrNotExist):
		return err
	}
	return nil
}

// mkdirs makes the directories above a file, with durable names.
func (s *files) mkdirs(ctx context.Context, f file) error {
	dir := f
	dir.path = path.Dir(f.path)
	switch i, err := s.lstat(ctx, dir); {
	case err == nil && i.Mode.IsRegular():
		return s.fault("make directory", dir, transfer.ErrInvalid, errors.New("it is a file"))
	case err == nil || dir.path == "/" || dir.path == ".":
		return err
	case !errors.Is(err, transfer.ErrNotExist):
		return err
	}
	if err := s.mkdirs(ctx, dir); err != nil {
		return err
	}
	return s.run(ctx, "make directory", dir, 0, func(ctx context.Context) error {
		err := s.b.Mkdir(ctx, dir.path)
		if errors.Is(err, transfer.ErrExist) {
			return nil // another upload made it
		}
		if err != nil {
			return err
		}
		return s.syncName(ctx, dir.path)
	})
}

// Rename implements [Storage].
func (s *files) Rename(ctx context.Context, from, to string) error {
	f, err := s.at("rename", from)
	if err != nil {
		return err
	}
	t, err := s.at("rename", to)
	if err != nil {
		return err
	}
	if strings.Contains(s.p.Impl, "NoRename") {
		return s.fault("rename", f, transfer.ErrUnsupported, nil)
	}
	if _, err := s.stat(ctx, f); err != nil {
		return err
	}
	if err := s.vacant(ctx, "rename", t); err != nil {
		return err
	}
	if err := s.mkdirs(ctx, t); err != nil {
		return err
	}
	return s.run(ctx, "rename", f, 0, func(ctx context.Context) error {
		if err := s.b.Rename(ctx, f.path, t.path); err != nil {
			return err
		}
		return s.syncName(ctx, t.path)
	})
}

// Remove implements [Storage]. The backend would remove whole directories.
func (s *files) Remove(ctx context.Context, pfn string) error {
	f, err := s.at("remove", pfn)
	if err != nil {
		return err
	}
	switch i, err := s.lstat(ctx, f); {
	case errors.Is(err, transfer.ErrNotExist):
		return nil
	case err != nil:
		return err
	case i.Mode.IsDir():
		return s.fault("remove", f, transfer.ErrInvalid, errors.New("it is a directory"))
	}
	return s.run(ctx, "remove", f, 0, func(ctx context.Context) error {
		if err := s.b.Remove(ctx, f.path); err != nil {
			return err
		}
		return s.syncName(ctx, f.path)
	})
}

// Hash implements [Hasher], where the backend can hash at its place.
func (s *files) Hash(ctx context.Context, pfn string, a checksum.Algorithm) (checksum.Sum, error) {
	f, err := s.at("hash", pfn)
	if err != nil {
		return checksum.Sum{}, err
	}
	h, ok := s.b.(transfer.Hasher)
	if !ok {
		return checksum.Sum{}, s.fault("hash", f, transfer.ErrUnsupported, nil)
	}
	i, err := s.stat(ctx, f)
	if err != nil {
		return checksum.Sum{}, err
	}
	var sums []checksum.Sum
	err = s.run(ctx, "hash", f, i.Size, func(ctx context.Context) (err error) {
		sums, err = h.Hash(ctx, a, []string{f.path})
		return err
	})
	if err != nil {
		return checksum.Sum{}, err
	}
	if len(sums) != 1 || sums[0].IsZero() {
		return checksum.Sum{}, s.fault("hash", f, transfer.ErrUnsupported, nil)
	}
	return sums[0], nil
}

// Close implements [Storage].
func (s *files) Close() error {
	err := s.b.Close()
	if s.close != nil {
		err = errors.Join(err, s.close())
	}
	return err
}
