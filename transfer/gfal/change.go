package gfal

import (
	"context"
	"errors"
	"path"

	"github.com/cax-go/cax/transfer"
)

// Mkdir implements [transfer.Backend]. The name and the parent are looked at first: some
// servers make parents, and say nothing of a directory that is there.
func (b *Backend) Mkdir(ctx context.Context, dir string) error {
	u, err := b.url("make directory", dir)
	if err != nil {
		return err
	}
	if err := b.parent(ctx, "make directory", dir); err != nil {
		return err
	}
	if err := b.free(ctx, "make directory", dir); err != nil {
		return err
	}
	_, err = b.ask(ctx, "make directory", dir, "gfal-mkdir", "-t", limitAsk, u)
	return err
}

// free returns ErrExist if a name is taken.
func (b *Backend) free(ctx context.Context, op, p string) error {
	switch _, err := b.Lstat(ctx, p); {
	case err == nil:
		return &transfer.Error{Op: op, Place: b.String(), Path: p, Kind: transfer.ErrExist}
	case !errors.Is(err, transfer.ErrNotExist):
		return err
	}
	return nil
}

// parent returns ErrNotExist if the directory that is to hold a path is not there.
func (b *Backend) parent(ctx context.Context, op, p string) error {
	i, err := b.Lstat(ctx, path.Dir(p))
	if err == nil && !i.Mode.IsDir() {
		return &transfer.Error{Op: op, Place: b.String(), Path: p, Kind: transfer.ErrNotExist, Err: errors.New("what should hold it is no directory")}
	}
	return err
}

// Rename implements [transfer.Backend]. The new name is looked at first: some servers
// replace what has it.
func (b *Backend) Rename(ctx context.Context, from, to string) error {
	u, err := b.url("rename", from)
	if err != nil {
		return err
	}
	v, err := b.url("rename", to)
	if err != nil {
		return err
	}
	if _, err := b.Lstat(ctx, from); err != nil {
		return err
	}
	if err := b.free(ctx, "rename", to); err != nil {
		return err
	}
	_, err = b.ask(ctx, "rename", from, "gfal-rename", "-t", limitAsk, u, v)
	return err
}

// Remove implements [transfer.Backend], by gfal-rm -r.
func (b *Backend) Remove(ctx context.Context, p string) error {
	u, err := b.url("remove", p)
	if err != nil {
		return err
	}
	// Its limit would be on all files together.
	_, err = b.ask(ctx, "remove", p, "gfal-rm", "-t", limitWork, "-r", u)
	if !errors.Is(err, transfer.ErrNotExist) {
		return err
	}
	// Itself, or one of those in it that somebody else removed.
	switch err := b.free(ctx, "remove", p); {
	case errors.Is(err, transfer.ErrExist):
		return &transfer.Error{Op: "remove", Place: b.String(), Path: p, Kind: transfer.ErrTransient, Err: errors.New("it is still there"), Hint: "it is tried again"}
	default:
		return err
	}
}
