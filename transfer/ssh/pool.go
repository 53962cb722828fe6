package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/cax-go/cax/transfer"
	"golang.org/x/crypto/ssh"
)

// A Pool is a set of connections to one account. They are opened one after the
// other when sessions are asked for. It is safe for concurrent use.
type Pool struct {
	cfg *resolved

	mu      sync.Mutex
	conns   []*conn
	closed  bool
	changed chan struct{} // closed and renewed when a session ends or a connection breaks
	shell   shellState

	dialing sync.Mutex // one login at a time: sshd drops those beyond MaxStartups
}

type conn struct {
	client   *ssh.Client
	via      *ssh.Client // of the jump host, if any
	sessions int
	dead     bool
}

// New makes a pool. It reads configuration and key files when a connection is
// opened, and connects to nobody yet.
func New(c Config) (*Pool, error) {
	r, err := resolve(c, 0)
	if err != nil {
		return nil, err
	}
	return &Pool{cfg: r, changed: make(chan struct{})}, nil
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

// acquire returns a connection with room for one more session. release must be
// called when that has ended.
func (p *Pool) acquire(ctx context.Context) (c *conn, release func(), err error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, nil, &transfer.Error{Op: "connect", Place: p.String(), Kind: transfer.ErrTransient, Err: net.ErrClosed}
		}
		// The connection with the fewest sessions, as long as new ones may be
		// opened only if it has any.
		var best *conn
		for _, c := range p.conns {
			if best == nil || c.sessions < best.sessions {
				best = c
			}
		}
		if best != nil && (best.sessions == 0 || len(p.conns) >= p.cfg.Connections) && best.sessions < p.cfg.Sessions {
			best.sessions++
			p.mu.Unlock()
			return best, func() { p.release(best) }, nil
		}
		full, wait := len(p.conns) >= p.cfg.Connections, p.changed
		p.mu.Unlock()
		if full {
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
			continue
		}
		if err := p.grow(ctx); err != nil {
			// One connection that works is enough to go on with.
			p.mu.Lock()
			if best != nil && !best.dead && best.sessions < p.cfg.Sessions && ctx.Err() == nil {
				best.sessions++
				p.mu.Unlock()
				return best, func() { p.release(best) }, nil
			}
			p.mu.Unlock()
			return nil, nil, err
		}
	}
}

func (p *Pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.sessions--
	p.announce()
}

// announce wakes those who wait. p.mu is held.
func (p *Pool) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// grow opens one more connection, unless somebody just did.
func (p *Pool) grow(ctx context.Context) error {
	before := p.count()
	p.dialing.Lock()
	defer p.dialing.Unlock()
	if p.count() > before {
		return nil
	}
	client, via, err := p.cfg.dial(ctx)
	if err != nil {
		return err
	}
	c := &conn{client: client, via: via}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.close()
		return &transfer.Error{Op: "connect", Place: p.String(), Kind: transfer.ErrTransient, Err: net.ErrClosed}
	}
	p.conns = append(p.conns, c)
	p.announce()
	go func() {
		client.Wait()
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
	p.mu.Lock()
	defer p.mu.Unlock()
	c.dead = true
	for i := range p.conns {
		if p.conns[i] == c {
			p.conns = append(p.conns[:i], p.conns[i+1:]...)
			break
		}
	}
	c.close()
	p.announce()
}

func (c *conn) close() {
	c.client.Close()
	if c.via != nil {
		c.via.Close()
	}
}

// keepAlive closes the connection when the server gives no answer, so that what
// waits on it fails instead of waiting for ever.
func (c *conn) keepAlive(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	ended := make(chan struct{})
	go func() { c.client.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		answered := make(chan error, 1)
		go func() {
			_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		}()
		select {
		case err := <-answered:
			if err == nil {
				continue
			}
		case <-ended:
			return
		case <-time.After(2 * every):
		}
		c.client.Close()
		return
	}
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

// dial opens one connection.
func (r *resolved) dial(ctx context.Context) (client, via *ssh.Client, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.DialTimeout)
	defer cancel()
	unreachable := func(err error) error {
		if cause := context.Cause(ctx); cause == context.Canceled {
			return cause
		}
		return &transfer.Error{Op: "connect", Place: r.place(), Kind: transfer.ErrTransient, Err: err, Hint: "see that the server runs and can be reached"}
	}
	var nc net.Conn
	if r.jump != nil {
		if via, _, err = r.jump.dial(ctx); err != nil {
			return nil, nil, err
		}
		nc, err = via.DialContext(ctx, "tcp", r.addr)
	} else {
		nc, err = new(net.Dialer).DialContext(ctx, "tcp", r.addr)
	}
	if err != nil {
		if via != nil {
			via.Close()
		}
		return nil, nil, unreachable(err)
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	client, err = r.handshake(ctx, nc, unreachable)
	if err != nil {
		nc.Close()
		if via != nil {
			via.Close()
		}
		return nil, nil, err
	}
	return client, via, nil
}

func (r *resolved) handshake(ctx context.Context, nc net.Conn, unreachable func(error) error) (*ssh.Client, error) {
	check, algs, err := r.hostKeys()
	if err != nil {
		return nil, err
	}
	signers, tried, done, err := r.keys()
	defer done()
	if err != nil {
		return nil, err
	}
	// The library's errors are text: what happened is told by how far it got.
	var distrust error
	trusted, asked := false, false
	cfg := &ssh.ClientConfig{
		User: r.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { asked = true; return signers, nil })},
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			distrust = check(host, remote, key)
			trusted = distrust == nil
			return distrust
		},
		HostKeyAlgorithms: algs,
	}
	cfg.Ciphers = []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES256CTR}
	sc, chans, reqs, err := ssh.NewClientConn(nc, r.addr, cfg)
	if err == nil {
		return ssh.NewClient(sc, chans, reqs), nil
	}
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case ctx.Err() != nil:
		return nil, unreachable(fmt.Errorf("no answer within %v", r.DialTimeout))
	case distrust != nil:
		return nil, distrust
	case errors.As(err, &negotiation) && len(algs) > 0:
		return nil, &transfer.Error{Op: "connect", Place: r.place(), Kind: transfer.ErrHostKey, Err: err,
			Hint: "the server has no host key of the kinds that known_hosts has for it; add its present ones after comparing them"}
	case trusted && (asked || len(signers) == 0) && !isNet(err):
		return nil, refused(r, tried, err)
	}
	return nil, unreachable(err)
}

// isNet reports whether the network, and not the other side, ended something.
func isNet(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
