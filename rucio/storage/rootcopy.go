package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/cax-go/cax/rucio/storage/internal/xrd"
	"github.com/cax-go/cax/transfer"
)

// Get implements [Storage].
func (s *xrootd) Get(ctx context.Context, pfn string, offset int64) (io.ReadCloser, error) {
	f, err := s.at("get", pfn)
	if err != nil {
		return nil, err
	}
	h, err := s.c.Open(ctx, name(f))
	if err != nil {
		return nil, s.wrap(ctx, "get", f, err)
	}
	if offset < 0 || h.Size() >= 0 && offset > h.Size() {
		_ = h.Close() // nothing was done with it
		return nil, s.fault("get", f, transfer.ErrInvalid, fmt.Errorf("there is no offset %d in %d bytes", offset, h.Size()))
	}
	return &wrapped{h.Reader(offset), func(err error) error { return s.wrap(ctx, "get", f, err) }}, nil
}

// wrapped gives the errors of a reader their kind.
type wrapped struct {
	r    io.ReadCloser
	wrap func(error) error
}

func (w *wrapped) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		err = w.wrap(err)
	}
	return n, err
}

func (w *wrapped) Close() error { return w.wrap(w.r.Close()) }

// Put implements [Storage]. The file is opened to be persistent only when it has been
// closed well: of one that breaks off the server removes what there is.
func (s *xrootd) Put(ctx context.Context, pfn string, r io.Reader, size int64) error {
	f, err := s.at("put", pfn)
	if err != nil {
		return err
	}
	h, err := s.c.Create(ctx, name(f))
	if err != nil {
		return s.wrap(ctx, "put", f, err)
	}
	g := s.watch(ctx, "put", f)
	defer g.stop()
	g.rest() // the client itself watches the server
	src := s.newSource(r, size, g, f)
	// In a goroutine for the sake of r, which may not know of ctx.
	err = within(ctx, func() error { return h.Write(quiet{src}, func(int64) {}) })
	if _, bad := src.failed(); bad != nil {
		err = bad
	}
	if err == nil {
		err = h.Sync()
	}
	if err != nil {
		h.Abandon()
	} else {
		err = h.Close()
	}
	if err == nil {
		var i Info
		if i, err = s.stat(ctx, f); err == nil && i.Size != size {
			err = s.fault("put", f, transfer.ErrCorrupt, fmt.Errorf("%d bytes were sent and %d are there", size, i.Size))
		}
	}
	if err != nil {
		// Servers without that are told.
		cleanup(ctx, func(ctx context.Context) { _ = s.c.Remove(ctx, name(f)) }) // the error that counts is known
	}
	return s.wrap(ctx, "put", f, err)
}

// quiet is a source whose guard is left alone.
type quiet struct{ *source }

func (q quiet) Read(p []byte) (int, error) {
	defer q.g.rest()
	return q.source.Read(p)
}

// Rename implements [Storage]. Servers replace what is there: the name is looked at
// first.
func (s *xrootd) Rename(ctx context.Context, from, to string) error {
	f, err := s.at("rename", from)
	if err != nil {
		return err
	}
	t, err := s.at("rename", to)
	if err != nil {
		return err
	}
	if !Renames(s.p, nil) {
		return s.fault("rename", f, transfer.ErrUnsupported, nil)
	}
	if _, err := s.stat(ctx, f); err != nil {
		return err
	}
	if _, err = s.c.Stat(ctx, name(t)); err == nil {
		return s.fault("rename", t, transfer.ErrExist, nil)
	}
	if err = s.wrap(ctx, "rename", t, err); !errors.Is(err, transfer.ErrNotExist) {
		return err
	}
	err = s.c.Rename(ctx, f.path, t.path)
	var refused *xrd.Error
	if errors.As(err, &refused) && refused.Code == xrd.NotFound {
		// It was there a moment ago: it is the parent that is not.
		err = s.c.Mkdir(ctx, path.Dir(t.path))
		if err == nil || errors.As(err, &refused) && refused.Code == xrd.ItExists {
			err = s.c.Rename(ctx, f.path, t.path)
		}
	}
	return s.wrap(ctx, "rename", f, err)
}
