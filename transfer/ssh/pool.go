package ssh

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
)

// A Pool is a set of connections to one account. They are opened one after the
// other when sessions are asked for. It is safe for concurrent use.
type Pool struct {
	cfg *resolved

	mu      sync.Mutex
	conns   []*conn
	closed  bool
	limit   int           // sessions per connection, as far as the server is known to allow
	changed chan struct{} // closed and renewed when a session ends or a connection breaks
	shell   shellState

	dialing gate // one login at a time: sshd drops those beyond MaxStartups
}

// A gate lets one through at a time. Unlike a mutex it can be given up.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }

// New makes a pool. It reads configuration and key files when a connection is
// opened, and connects to nobody yet.
func New(c Config) (*Pool, error) {
	r, err := resolve(c, 0)
	if err != nil {
		return nil, err
	}
	return &Pool{cfg: r, limit: r.Sessions, changed: make(chan struct{}), shell: shellState{gate: newGate()}, dialing: newGate()}, nil
}

// String names the account for people: "cax@midway:22".
func (p *Pool) String() string { return p.cfg.place() }

func (r *resolved) place() string { return r.User + "@" + r.addr }

// Target is what a program that connects by itself needs to know: the same as
// this pool uses.
type Target struct {
	Host, User    string
	Port          int
	IdentityFiles []string
	KnownHosts    []string
	HostKey       string
	HostKeyName   string // under which known_hosts has the keys
	ConfigFile    string // "" if there is none
	AgentSocket   string
	Sessions      int
}

// Target returns where the pool connects to.
func (p *Pool) Target() Target {
	r := p.cfg
	return Target{Host: r.Host, User: r.User, Port: r.Port, IdentityFiles: r.IdentityFiles, KnownHosts: r.KnownHosts,
		HostKey: r.HostKey, HostKeyName: r.keyName, ConfigFile: r.usedFile, AgentSocket: r.AgentSocket, Sessions: r.Connections * r.Sessions}
}

// acquire returns a connection with room for one more session, which is counted.
// Without wait it is an error if there is none.
func (p *Pool) acquire(ctx context.Context, wait bool) (*conn, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, p.broken("connect", net.ErrClosed)
		}
		best, all := p.emptiest(), len(p.conns) >= p.cfg.Connections
		// A further connection is opened rather than a second session on one.
		if best != nil && (best.sessions == 0 || all) && best.sessions < p.limit {
			best.sessions++
			p.mu.Unlock()
			return best, nil
		}
		changed := p.changed
		p.mu.Unlock()
		if all && !wait {
			return nil, p.broken("open session", errors.New("the server allows no more of them"))
		}
		if all {
			select {
			case <-changed:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			continue
		}
		if err := p.grow(ctx); err != nil {
			// One connection that works is enough to go on with.
			if c := p.share(); c != nil && ctx.Err() == nil {
				return c, nil
			}
			return nil, err
		}
	}
}

// emptiest is the connection with the fewest sessions; p.mu is held.
func (p *Pool) emptiest() *conn {
	var best *conn
	for _, c := range p.conns {
		if best == nil || c.sessions < best.sessions {
			best = c
		}
	}
	return best
}

// share counts one more session on a connection that is there; nil if there is
// no room.
func (p *Pool) share() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.emptiest()
	if c == nil || c.sessions >= p.limit {
		return nil
	}
	c.sessions++
	return c
}

func (p *Pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.sessions--
	p.announce()
}

// refused takes back a session that the server did not allow, and remembers how
// many it does.
func (p *Pool) refused(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.sessions--
	p.announce()
	if c.sessions > 0 {
		p.limit = min(p.limit, c.sessions)
	}
}

// Room tells how many more sessions can be open at once, as far as is known.
func (p *Pool) Room() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.limit * p.cfg.Connections
	for _, c := range p.conns {
		n -= c.sessions
	}
	return n
}

// announce wakes those who wait. p.mu is held.
func (p *Pool) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// grow opens one more connection, unless somebody just did.
func (p *Pool) grow(ctx context.Context) error {
	before := p.count()
	if err := p.dialing.enter(ctx); err != nil {
		return err
	}
	defer p.dialing.leave()
	if p.count() > before {
		return nil
	}
	c, err := p.cfg.dial(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.close()
		return p.broken("connect", net.ErrClosed)
	}
	p.conns = append(p.conns, c)
	p.announce()
	go func() {
		c.client.Wait()
		p.drop(c)
	}()
	go c.keepAlive(p.cfg.KeepAlive)
	return nil
}

func (p *Pool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// drop forgets a connection that broke.
func (p *Pool) drop(c *conn) {
	c.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.conns, c); i >= 0 {
		p.conns = slices.Delete(p.conns, i, i+1)
	}
	if len(p.conns) == 0 {
		p.limit = p.cfg.Sessions // it may be another server by now
	}
	p.announce()
}

// Close closes all connections. Sessions under way fail.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	for _, c := range p.conns {
		c.close()
	}
	p.announce()
	return nil
}
