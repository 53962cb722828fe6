package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/ssh"
	"github.com/pkg/sftp"
)

// Options tunes a Backend. nil: the defaults.
type Options struct {
	// Channels is how many SFTP channels are used at once. 0: 6.
	Channels int
}

// A Backend is an account on a server with SFTP. It is safe for concurrent use.
type Backend struct {
	pool  *ssh.Pool
	shell *ssh.Shell

	mu       sync.Mutex
	channels []*channel
	next     int
	max      int
}

// A channel is one SFTP client. It is renewed when it breaks.
type channel struct {
	mu     sync.Mutex
	client *sftp.Client
	ch     *ssh.Channel
}

var (
	_ transfer.Backend      = (*Backend)(nil)
	_ transfer.Syncer       = (*Backend)(nil)
	_ transfer.Spacer       = (*Backend)(nil)
	_ transfer.Hasher       = (*Backend)(nil)
	_ transfer.Cloner       = (*Backend)(nil)
	_ transfer.RoundTripper = (*Backend)(nil)
)

// New returns a backend over the pool's connections. It connects when it is used
// first; transfer.ErrUnsupported then tells that the server has no SFTP.
// Closing the backend does not close the pool.
func New(pool *ssh.Pool, o *Options) *Backend {
	b := &Backend{pool: pool, shell: pool.Shell(), max: 6}
	if o != nil && o.Channels > 0 {
		b.max = o.Channels
	}
	for range b.max {
		b.channels = append(b.channels, &channel{})
	}
	return b
}

// String is like "sftp://cax@midway:22".
func (b *Backend) String() string { return "sftp://" + b.pool.String() }

// Close implements [transfer.Backend].
func (b *Backend) Close() error {
	for _, c := range b.channels {
		c.mu.Lock()
		if c.ch != nil {
			c.ch.Close()
			c.client, c.ch = nil, nil
		}
		c.mu.Unlock()
	}
	return nil
}

// client gives the next channel's client, in turn.
func (b *Backend) client(ctx context.Context) (*sftp.Client, error) {
	b.mu.Lock()
	c := b.channels[b.next%len(b.channels)]
	b.next++
	b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	ch, err := b.pool.Subsystem(ctx, "sftp")
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { ch.Close() })
	client, err := sftp.NewClientPipe(ch, ch, sftp.UseConcurrentReads(true), sftp.UseConcurrentWrites(true),
		sftp.MaxConcurrentRequestsPerFile(64), sftp.MaxPacketUnchecked(packet(ch.ServerVersion)))
	stop()
	if err != nil {
		ch.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		kind := transfer.ErrTransient
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			kind = transfer.ErrUnsupported // the subsystem ended at once: its program is not there
		}
		return nil, &transfer.Error{Op: "start sftp", Place: b.String(), Kind: kind, Err: err}
	}
	c.client, c.ch = client, ch
	go func() {
		client.Wait()
		ch.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.client == client {
			c.client, c.ch = nil, nil
		}
	}()
	return client, nil
}

var openSSH = regexp.MustCompile(`OpenSSH_(\d+)\.(\d+)`)

// packet is how much data one request carries: 32 KiB as the draft demands of
// every server, 255 KiB with OpenSSH from 8.5 on (its PROTOCOL file,
// limits@openssh.com: 256 KiB less 1 KiB).
func packet(version string) int {
	if m := openSSH.FindStringSubmatch(version); m != nil {
		major, _ := strconv.Atoi(m[1])
		minor, _ := strconv.Atoi(m[2])
		if major > 8 || major == 8 && minor >= 5 {
			return 255 << 10
		}
	}
	return 32 << 10
}

// do runs one operation, and returns within moments of the end of ctx.
func (b *Backend) do(ctx context.Context, op, p string, f func(c *sftp.Client) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c, err := b.client(ctx)
	if err != nil {
		return err
	}
	return b.wait(ctx, op, p, func() error { return f(c) })
}

// wait runs f, whose requests cannot be called back, and gives its error a kind.
func (b *Backend) wait(ctx context.Context, op, p string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return b.wrap(op, p, err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Status codes of SFTP (draft-ietf-secsh-filexfer-02, section 7).
const (
	codeFailure        = 4
	codeNoConnection   = 6
	codeConnectionLost = 7
	codeUnsupported    = 8
)

func (b *Backend) wrap(op, p string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var own *transfer.Error
	if errors.As(err, &own) {
		return err
	}
	e := &transfer.Error{Op: op, Place: b.String(), Path: p, Kind: transfer.ErrTransient, Err: err}
	var status *sftp.StatusError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Err = transfer.ErrNotExist, nil
	case errors.Is(err, fs.ErrExist):
		e.Kind, e.Err = transfer.ErrExist, nil
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Err = transfer.ErrPermission, nil
	case errors.As(err, &status) && status.Code == codeUnsupported:
		e.Kind = transfer.ErrUnsupported
	case errors.As(err, &status) && status.Code == codeFailure:
		// All that this version of the protocol says: full disk, wrong type, ….
		e.Kind = errFailure
	}
	return e
}

// errFailure marks a failure that the protocol gives no reason for.
var errFailure = fmt.Errorf("the server gives no reason: %w", transfer.ErrTransient)

// full asks, after a failure without a reason, whether the disk is full.
func (b *Backend) full(ctx context.Context, p string, err error) error {
	var e *transfer.Error
	if !errors.Is(err, errFailure) || !errors.As(err, &e) {
		return err
	}
	if free, ferr := b.Free(ctx, path.Dir(p)); ferr == nil && free < 1<<20 {
		e.Kind = transfer.ErrNoSpace
		e.Hint = "make room there"
	}
	return e
}

// Lstat implements [transfer.Backend].
func (b *Backend) Lstat(ctx context.Context, p string) (transfer.Info, error) {
	var i transfer.Info
	err := b.do(ctx, "stat", p, func(c *sftp.Client) error {
		st, err := c.Lstat(p)
		if err != nil {
			return err
		}
		i, err = info(c, p, p, st)
		return err
	})
	return i, err
}

func info(c *sftp.Client, name, p string, st fs.FileInfo) (transfer.Info, error) {
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
	var infos []transfer.Info
	err := b.do(ctx, "list", at, func(c *sftp.Client) error {
		sts, err := c.ReadDirContext(ctx, at)
		if err != nil {
			return err
		}
		for _, st := range sts {
			name := st.Name()
			if rel != "" {
				name = rel + "/" + name
			}
			i, err := info(c, name, dir+"/"+name, st)
			if err != nil {
				return err
			}
			infos = append(infos, i)
		}
		return nil
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
	err := b.do(ctx, "make directory", dir, func(c *sftp.Client) error { return c.Mkdir(dir) })
	if errors.Is(err, errFailure) {
		if _, serr := b.Lstat(ctx, dir); serr == nil {
			return &transfer.Error{Op: "make directory", Place: b.String(), Path: dir, Kind: transfer.ErrExist}
		}
	}
	return b.full(ctx, dir, err)
}

// Rename implements [transfer.Backend]. OpenSSH refuses to replace a file, but
// renames a directory over an empty one; so the name is looked at before. Only
// the holder of a claim comes here.
func (b *Backend) Rename(ctx context.Context, from, to string) error {
	taken := &transfer.Error{Op: "rename", Place: b.String(), Path: to, Kind: transfer.ErrExist}
	if _, err := b.Lstat(ctx, to); err == nil {
		return taken
	} else if !errors.Is(err, transfer.ErrNotExist) {
		return err
	}
	err := b.do(ctx, "rename", to, func(c *sftp.Client) error { return c.Rename(from, to) })
	if errors.Is(err, errFailure) {
		if _, serr := b.Lstat(ctx, to); serr == nil {
			return taken
		}
	}
	return err
}

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
		return b.do(ctx, "remove", p, func(c *sftp.Client) error { return c.Remove(p) })
	}
	var dirs []string
	for i, err := range b.List(ctx, p) {
		if err != nil {
			return err
		}
		at := p + "/" + i.Path
		if i.Mode.IsDir() {
			dirs = append(dirs, at)
			continue
		}
		if err := b.do(ctx, "remove", at, func(c *sftp.Client) error { return c.Remove(at) }); err != nil {
			return err
		}
	}
	for n := len(dirs) - 1; n >= 0; n-- {
		if err := b.do(ctx, "remove", dirs[n], func(c *sftp.Client) error { return c.RemoveDirectory(dirs[n]) }); err != nil {
			return err
		}
	}
	return b.do(ctx, "remove", p, func(c *sftp.Client) error { return c.RemoveDirectory(p) })
}

// Free implements [transfer.Spacer], by statvfs@openssh.com, else by the shell.
func (b *Backend) Free(ctx context.Context, p string) (int64, error) {
	var free int64
	err := b.do(ctx, "look for space at", p, func(c *sftp.Client) error {
		st, err := c.StatVFS(p)
		if err == nil {
			free = int64(st.Bavail * st.Frsize)
		}
		return err
	})
	if errors.Is(err, transfer.ErrUnsupported) {
		return b.shell.Free(ctx, p)
	}
	return free, err
}

// Sync implements [transfer.Syncer], by the shell.
func (b *Backend) Sync(ctx context.Context, p string) (bool, error) { return b.shell.Sync(ctx, p) }

// Hash implements [transfer.Hasher], by the shell.
func (b *Backend) Hash(ctx context.Context, a checksum.Algorithm, paths []string) ([]checksum.Sum, error) {
	return b.shell.Hash(ctx, a, paths)
}

// Clone implements [transfer.Cloner], by the shell.
func (b *Backend) Clone(ctx context.Context, from, to string) error {
	return b.shell.Clone(ctx, from, to)
}

// RoundTrip implements [transfer.RoundTripper].
func (b *Backend) RoundTrip(ctx context.Context) (time.Duration, error) {
	best := time.Hour
	for range 3 {
		began := time.Now()
		if err := b.do(ctx, "stat", "/", func(c *sftp.Client) error { _, err := c.Lstat("/"); return err }); err != nil {
			return 0, err
		}
		best = min(best, time.Since(began))
	}
	return best, nil
}
