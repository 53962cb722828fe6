package local

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
)

// Hash implements [transfer.Hasher]. Files are read from the medium where the
// system lets go of its page cache.
func (*Backend) Hash(ctx context.Context, a checksum.Algorithm, paths []string) ([]checksum.Sum, error) {
	sums := make([]checksum.Sum, len(paths))
	for i, p := range paths {
		m, err := checksum.MakeManifest(ctx, p, &checksum.ManifestOptions{Algorithms: []checksum.Algorithm{a}, DropCache: true})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, wrap("hash", p, err)
		}
		if !m.Single {
			return nil, wrap("hash", p, &transfer.Error{Kind: transfer.ErrInvalid, Err: errors.New("it is not a file")})
		}
		sums[i] = m.Entries[0].Sum(a)
	}
	return sums, nil
}

// Clone implements [transfer.Cloner]: by reference where the file system can,
// else byte by byte within the kernel.
func (*Backend) Clone(ctx context.Context, from, to string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	src, err := os.Open(from)
	if err != nil {
		return wrap("clone", from, err)
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return wrap("clone", from, err)
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return wrap("clone", to, err)
	}
	if err = reflink(dst, src); err != nil {
		// os.File.ReadFrom uses copy_file_range(2) where there is one.
		_, err = io.Copy(dst, src)
	}
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chtimes(to, st.ModTime(), st.ModTime())
	}
	return wrap("clone", to, err)
}

// Free implements [transfer.Spacer]: what a user without privileges may write.
func (*Backend) Free(ctx context.Context, path string) (int64, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	n, err := free(path)
	return n, wrap("look for space at", path, err)
}

// Sync implements [transfer.Syncer]. Where the system cannot sync the whole file
// system of a path at once, each file and directory is synced.
func (*Backend) Sync(ctx context.Context, path string) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	err := syncFS(path)
	if errors.Is(err, errors.ErrUnsupported) {
		err = filepath.WalkDir(path, func(p string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return syncOne(p)
		})
	}
	return err == nil, wrap("sync", path, err)
}

// SyncName implements [transfer.NameSyncer].
func (*Backend) SyncName(ctx context.Context, path string) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	err := syncOne(filepath.Dir(path))
	return err == nil, wrap("sync", path, err)
}

func syncOne(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
