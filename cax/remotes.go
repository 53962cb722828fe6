package cax

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/rsync"
	"github.com/cax-go/cax/transfer/scp"
	"github.com/cax-go/cax/transfer/sftp"
	"github.com/cax-go/cax/transfer/ssh"
	"golang.org/x/time/rate"
)

// verifyRemote is the value of a site's key verify that makes the pusher verify.
const verifyRemote = "remote"

// native reports whether CopyPush and CopyPull speak the method themselves.
func (m Method) native() bool {
	switch m {
	case MethodLocal, MethodSFTP, MethodSCP, MethodRsync, MethodGfal, MethodLcg:
		return true
	}
	return false
}

// remotes keeps one link per remote site, opened when it is first needed.
type remotes struct {
	env *Env

	mu    sync.Mutex
	links map[string]*link
	disk  transfer.Backend // of this machine
	home  transfer.Backend // where this site's copies are, if not on these disks
}

// A link is a remote's backend with the copier that keeps its limits.
type link struct {
	backend transfer.Backend
	copier  *transfer.Copier
	pool    *ssh.Pool // nil for local
}

func newRemotes(env *Env) *remotes {
	return &remotes{env: env, links: map[string]*link{}, disk: local.New(nil), home: env.home()}
}

// local is where this site's copies are: this machine's disk, unless we act for storage
// of the grid.
func (r *remotes) local() transfer.Backend {
	if r.home != nil {
		return r.home
	}
	return r.disk
}

// open returns the link to a remote. It is made once and shared.
func (r *remotes) open(ctx context.Context, s *Site) (*link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.links[s.Name]
	if !ok {
		var err error
		if l, err = r.dial(ctx, s); err != nil {
			return nil, fmt.Errorf("site %q: %w", s.Name, err)
		}
		r.links[s.Name] = l
	}
	limit(l.copier, s.Bandwidth.At(r.env.Clock.now()))
	return l, nil
}

// copier makes a copier with the limits of the policy.
func (r *remotes) copier() *transfer.Copier {
	return &transfer.Copier{Limit: rate.NewLimiter(rate.Inf, 0), Stall: r.env.Policy.Stall, Reserve: r.env.Policy.Reserve}
}

func (r *remotes) dial(ctx context.Context, s *Site) (*link, error) {
	l := &link{copier: r.copier()}
	if s.Method == MethodLocal {
		l.backend = r.disk
		return l, nil
	}
	if s.Method.gfal() {
		b, err := r.env.grid(s)
		if err != nil {
			return nil, err
		}
		l.backend = b
		return l, nil
	}
	pool, err := ssh.New(sshConfig(s))
	if err != nil {
		return nil, err
	}
	l.pool = pool
	switch s.Method {
	case MethodSFTP:
		l.backend = sftp.New(pool, nil)
	case MethodRsync:
		l.backend = rsync.New(pool, nil)
	case MethodSCP:
		// As OpenSSH's scp does: SFTP, and the old protocol where the server has
		// no SFTP subsystem.
		b := sftp.New(pool, nil)
		_, err := b.Lstat(ctx, "/")
		switch {
		case errors.Is(err, transfer.ErrUnsupported):
			l.backend = scp.New(pool)
		case ctx.Err() != nil, errors.Is(err, transfer.ErrHostKey), errors.Is(err, transfer.ErrAuth), errors.Is(err, transfer.ErrTransient):
			return nil, errors.Join(err, pool.Close())
		default:
			l.backend = b
		}
	default:
		return nil, &transfer.Error{Op: "connect", Place: s.Name, Kind: transfer.ErrUnsupported, Err: fmt.Errorf("method %q", s.Method)}
	}
	return l, nil
}

// sshConfig is how to reach a site.
func sshConfig(s *Site) ssh.Config {
	c := ssh.FromEnvironment()
	c.Host, c.Port, c.User, c.HostKey = s.Host(), s.Port, s.Username, s.HostKey
	if s.IdentityFile != "" {
		c.IdentityFiles = []string{expandHome(s.IdentityFile)}
	}
	if s.KnownHosts != "" {
		c.KnownHosts = []string{expandHome(s.KnownHosts)}
	}
	return c
}

func expandHome(p string) string {
	if rest, ok := strings.CutPrefix(p, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return p
}

// limit sets the rate that holds now; 0 bytes per second is no limit.
func limit(c *transfer.Copier, bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		c.Limit.SetLimit(rate.Inf)
		return
	}
	c.Limit.SetLimit(rate.Limit(bytesPerSecond))
	c.Limit.SetBurst(int(max(bytesPerSecond/4, 64<<10)))
}

// follow keeps the rates of open links in step with the tables of the
// configuration until the context ends.
func (r *remotes) follow(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		for name, l := range r.links {
			if s, ok := r.env.Config.Site(name); ok {
				limit(l.copier, s.Bandwidth.At(r.env.Clock.now()))
			}
		}
		r.mu.Unlock()
	}
}

func (r *remotes) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := []error{r.disk.Close()}
	for _, l := range r.links {
		errs = append(errs, l.backend.Close())
		if l.pool != nil {
			errs = append(errs, l.pool.Close())
		}
	}
	r.links = map[string]*link{}
	return errors.Join(errs...)
}

// makeParents makes the folder of a version below the directory of its type. The
// directory itself has to exist: where it does not, a disk may not be mounted.
func makeParents(ctx context.Context, target transfer.Location, to *Site, c *rundb.Copy) error {
	dir := to.Dir(c.Type)
	if _, err := target.Backend.Lstat(ctx, dir); err != nil {
		if errors.Is(err, transfer.ErrNotExist) {
			return &transfer.Error{Op: "write", Place: target.Backend.String(), Path: dir, Kind: transfer.ErrNotExist,
				Hint: fmt.Sprintf("make the directory, or mount it, at %s", to.Name)}
		}
		return err
	}
	parent := path.Dir(target.Path)
	if parent == dir {
		return nil
	}
	err := target.Backend.Mkdir(ctx, parent)
	if errors.Is(err, transfer.ErrExist) {
		return nil
	}
	return err
}
