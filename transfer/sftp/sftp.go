package sftp

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/ssh"
	"github.com/pkg/sftp"
	"golang.org/x/sync/errgroup"
)

// Options tunes a Backend. nil: the defaults.
type Options struct {
	// Channels is how many SFTP channels are used at once, as far as the server
	// allows. 0: 6.
	Channels int
}

// A Backend is an account on a server with SFTP. It is safe for concurrent use.
type Backend struct {
	pool  *ssh.Pool
	shell *ssh.Shell
	slots []*slot
	ahead chan struct{} // bounds the memory of read-aheads
	ended chan struct{} // closed by Close
	once  sync.Once

	mu   sync.Mutex
	next int
}

var (
	_ transfer.Backend      = (*Backend)(nil)
	_ transfer.SizedOpener  = (*Backend)(nil)
	_ transfer.Syncer       = (*Backend)(nil)
	_ transfer.NameSyncer   = (*Backend)(nil)
	_ transfer.Spacer       = (*Backend)(nil)
	_ transfer.Hasher       = (*Backend)(nil)
	_ transfer.Cloner       = (*Backend)(nil)
	_ transfer.RoundTripper = (*Backend)(nil)
)

// New returns a backend over the pool's connections. It connects when it is used
// first; transfer.ErrUnsupported then tells that the server has no SFTP.
// Closing the backend does not close the pool.
func New(pool *ssh.Pool, o *Options) *Backend {
	n := 6
	if o != nil && o.Channels > 0 {
		n = o.Channels
	}
	b := &Backend{pool: pool, shell: pool.Shell(), ahead: make(chan struct{}, aheadAll), ended: make(chan struct{})}
	for range n {
		b.slots = append(b.slots, newSlot())
	}
	return b
}

// String is like "sftp://cax@midway:22".
func (b *Backend) String() string { return "sftp://" + b.pool.String() }

// Close implements [transfer.Backend].
func (b *Backend) Close() error {
	b.once.Do(func() { close(b.ended) })
	for _, s := range b.slots {
		if c := s.take(); c != nil {
			c.end()
		}
	}
	return nil
}

// Lstat implements [transfer.Backend].
func (b *Backend) Lstat(ctx context.Context, p string) (transfer.Info, error) {
	return ask(ctx, b, "stat", p, func(c *client) (transfer.Info, error) {
		st, err := c.Lstat(p)
		if err != nil {
			return transfer.Info{}, err
		}
		return info(c, p, p, st)
	})
}

func info(c *client, name, p string, st fs.FileInfo) (transfer.Info, error) {
	i := transfer.Info{Path: name, Mode: st.Mode(), Size: st.Size(), ModTime: st.ModTime()}
	if st.Mode()&fs.ModeSymlink != 0 {
		var err error
		if i.Link, err = c.ReadLink(p); err != nil {
			return i, err
		}
	}
	return i, nil
}

// List implements [transfer.Backend].
func (b *Backend) List(ctx context.Context, dir string) iter.Seq2[transfer.Info, error] {
	return func(yield func(transfer.Info, error) bool) {
		b.list(ctx, dir, "", yield)
	}
}

// list yields what is below dir/rel; it reports whether to go on.
func (b *Backend) list(ctx context.Context, dir, rel string, yield func(transfer.Info, error) bool) bool {
	at := dir
	if rel != "" {
		at += "/" + rel
	}
	infos, err := ask(ctx, b, "list", at, func(c *client) ([]transfer.Info, error) {
		sts, err := c.ReadDirContext(ctx, at)
		if err != nil {
			return nil, err
		}
		infos := make([]transfer.Info, 0, len(sts))
		for _, st := range sts {
			name := st.Name()
			if rel != "" {
				name = rel + "/" + name
			}
			i, err := info(c, name, dir+"/"+name, st)
			if err != nil {
				return nil, err
			}
			infos = append(infos, i)
		}
		return infos, nil
	})
	if err != nil {
		yield(transfer.Info{}, err)
		return false
	}
	for _, i := range infos {
		if !yield(i, nil) {
			return false
		}
		if i.Mode.IsDir() && !b.list(ctx, dir, i.Path, yield) {
			return false
		}
	}
	return true
}

// Mkdir implements [transfer.Backend].
func (b *Backend) Mkdir(ctx context.Context, dir string) error {
	err := b.tell(ctx, "make directory", dir, func(c *client) error { return c.Mkdir(dir) })
	if errors.Is(err, errFailure) {
		if _, serr := b.Lstat(ctx, dir); serr == nil {
			return &transfer.Error{Op: "make directory", Place: b.String(), Path: dir, Kind: transfer.ErrExist}
		}
	}
	return b.reason(ctx, dir, err)
}

// Rename implements [transfer.Backend]. OpenSSH refuses to replace a file, but
// renames a directory over an empty one, and other servers replace anything; so
// the name is looked at before. Only the holder of a claim comes here.
func (b *Backend) Rename(ctx context.Context, from, to string) error {
	taken := &transfer.Error{Op: "rename", Place: b.String(), Path: to, Kind: transfer.ErrExist}
	if _, err := b.Lstat(ctx, to); err == nil {
		return taken
	} else if !errors.Is(err, transfer.ErrNotExist) {
		return err
	}
	err := b.tell(ctx, "rename", to, func(c *client) error { return c.Rename(from, to) })
	if errors.Is(err, errFailure) {
		if _, serr := b.Lstat(ctx, to); serr == nil {
			return taken
		}
	}
	return b.reason(ctx, to, err)
}

// removeAtOnce is how many files are removed at once: each is a round trip.
const removeAtOnce = 16

// Remove implements [transfer.Backend].
func (b *Backend) Remove(ctx context.Context, p string) error {
	i, err := b.Lstat(ctx, p)
	if errors.Is(err, transfer.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !i.Mode.IsDir() {
		return b.remove(ctx, p)
	}
	dirs := []string{p}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(removeAtOnce)
	for i, err := range b.List(ctx, p) {
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		at := p + "/" + i.Path
		if i.Mode.IsDir() {
			dirs = append(dirs, at)
			continue
		}
		g.Go(func() error { return b.remove(gctx, at) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		err := b.tell(ctx, "remove", dir, func(c *client) error { return c.RemoveDirectory(dir) })
		if err != nil && !errors.Is(err, transfer.ErrNotExist) {
			return b.reason(ctx, dir, err)
		}
	}
	return nil
}

// remove removes one file or link.
func (b *Backend) remove(ctx context.Context, p string) error {
	err := b.tell(ctx, "remove", p, func(c *client) error { return c.Client.Remove(p) })
	if errors.Is(err, transfer.ErrNotExist) {
		return nil
	}
	return b.reason(ctx, p, err)
}

// Free implements [transfer.Spacer], by statvfs@openssh.com, else by the shell.
func (b *Backend) Free(ctx context.Context, p string) (int64, error) {
	st, err := b.statVFS(ctx, p)
	if errors.Is(err, transfer.ErrUnsupported) {
		shell, err := b.commands()
		if err != nil {
			return 0, err
		}
		return shell.Free(ctx, p)
	}
	if err != nil {
		return 0, err
	}
	return int64(st.Bavail * st.Frsize), nil
}

func (b *Backend) statVFS(ctx context.Context, p string) (*sftp.StatVFS, error) {
	return ask(ctx, b, "look for space at", p, func(c *client) (*sftp.StatVFS, error) {
		if _, ok := c.HasExtension("statvfs@openssh.com"); !ok {
			return nil, &transfer.Error{Op: "look for space at", Place: b.String(), Path: p, Kind: transfer.ErrUnsupported}
		}
		return c.StatVFS(p)
	})
}

// Sync implements [transfer.Syncer], by the shell.
func (b *Backend) Sync(ctx context.Context, p string) (bool, error) {
	shell, err := b.commands()
	if err != nil {
		return false, nil // it cannot
	}
	return shell.Sync(ctx, p)
}

// SyncName implements [transfer.NameSyncer], by the shell.
func (b *Backend) SyncName(ctx context.Context, p string) (bool, error) {
	shell, err := b.commands()
	if err != nil {
		return false, nil // it cannot
	}
	return shell.SyncName(ctx, p)
}

// Hash implements [transfer.Hasher], by the shell.
func (b *Backend) Hash(ctx context.Context, a checksum.Algorithm, paths []string) ([]checksum.Sum, error) {
	shell, err := b.commands()
	if err != nil {
		return nil, err
	}
	return shell.Hash(ctx, a, paths)
}

// Clone implements [transfer.Cloner], by the shell.
func (b *Backend) Clone(ctx context.Context, from, to string) error {
	shell, err := b.commands()
	if err != nil {
		return err
	}
	return shell.Clone(ctx, from, to)
}

// RoundTrip implements [transfer.RoundTripper].
func (b *Backend) RoundTrip(ctx context.Context) (time.Duration, error) {
	best := time.Hour
	for range 3 {
		began := time.Now()
		if err := b.tell(ctx, "stat", "/", func(c *client) error { _, err := c.Lstat("/"); return err }); err != nil {
			return 0, err
		}
		best = min(best, time.Since(began))
	}
	return best, nil
}
