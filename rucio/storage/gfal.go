package storage

import (
	"context"
	"errors"
	"os"
	"path"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/gfal"
)

// openGfal serves srm and gsiftp by the programs of gfal2-util.
func openGfal(pl *place, o *Options) (Storage, error) {
	address := pl.p.Scheme + "://" + pl.addr()
	if pl.p.Scheme == "srm" {
		service, _ := pl.p.Extended["web_service_path"].(string)
		if service == "" {
			service = "/srm/managerv2?SFN="
		}
		address += service
	}
	g := gfal.Options{Certificate: o.Proxy}
	if o.CADir != "" {
		g.Environ = append(os.Environ(), "X509_CERT_DIR="+o.CADir)
	}
	b, err := gfal.New(address, &g)
	if err != nil {
		return nil, err
	}
	return &gfalFiles{files{place: pl, b: b, prep: path.Clean}, b}, nil
}

// gfalFiles hands whole files to the programs instead of going through temporary ones.
type gfalFiles struct {
	files
	g *gfal.Backend
}

var (
	_ FileGetter = (*gfalFiles)(nil)
	_ FilePutter = (*gfalFiles)(nil)
)

// GetFile implements [FileGetter].
func (s *gfalFiles) GetFile(ctx context.Context, pfn, local string, progress func(n int64)) error {
	f, err := s.at("get", pfn)
	if err != nil {
		return err
	}
	if _, err := s.stat(ctx, f); err != nil {
		return err
	}
	g := s.watch(ctx, "get", f)
	defer g.stop()
	err = s.g.Fetch(g.ctx, f.path, local, true, s.tree(g, progress))
	return orEnded(g.ctx, err)
}

// PutFile implements [FilePutter].
func (s *gfalFiles) PutFile(ctx context.Context, local, pfn string, progress func(n int64)) error {
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
	g := s.watch(ctx, "put", f)
	defer g.stop()
	err = orEnded(g.ctx, s.g.Send(g.ctx, local, f.path, true, s.tree(g, progress)))
	if err != nil && !errors.Is(err, transfer.ErrExist) {
		cleanup(ctx, func(ctx context.Context) { _ = s.b.Remove(ctx, f.path) }) // the error that counts is known
	}
	return err
}

func (s *gfalFiles) tree(g *guard, progress func(n int64)) *transfer.Tree {
	return &transfer.Tree{Stall: s.stall, Progress: func(n int64) {
		g.alive()
		if progress != nil && n > 0 {
			progress(n)
		}
	}}
}
