package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/cax-go/cax/transfer"
	"golang.org/x/crypto/ssh"
)

// A conn is one connection of a pool.
type conn struct {
	client   *ssh.Client
	wire     *wire
	hops     []*ssh.Client // to jump hosts, the nearest first
	sessions int           // guarded by the pool
}

// A wire is the network connection, and knows when something last came in.
type wire struct {
	net.Conn
	heard atomic.Int64 // nanoseconds since the beginning
	began time.Time
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, began: time.Now()} }

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.heard.Store(int64(time.Since(w.began)))
	}
	return n, err
}

// silent is for how long nothing came in.
func (w *wire) silent() time.Duration { return time.Since(w.began) - time.Duration(w.heard.Load()) }

// close closes everything, from the network upwards: an inner connection would
// wait for a hop that hangs.
func (c *conn) close() {
	closeAll(c.hops)
	c.client.Close()
}

// keepAlive closes the connection when the server gives no answer, and nothing
// else comes in either, so that what waits on it fails instead of waiting for
// ever. On a slow link the answer may be behind a lot of data.
func (c *conn) keepAlive(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	ended := make(chan struct{})
	go func() { c.client.Wait(); close(ended) }()
	answered := make(chan error, 1)
	waiting := false
	for {
		select {
		case <-ended:
			return
		case err := <-answered:
			waiting = false
			if err != nil {
				c.close()
				return
			}
			continue
		case <-tick.C:
		}
		if !waiting {
			waiting = true
			go func() {
				_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
				answered <- err
			}()
		} else if c.wire.silent() > 2*every {
			c.close()
			return
		}
	}
}

// dial opens one connection.
func (r *resolved) dial(parent context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(parent, r.DialTimeout)
	defer cancel()
	unreachable := func(err error) error {
		if parent.Err() != nil {
			return parent.Err()
		}
		return &transfer.Error{Op: "connect", Place: r.place(), Kind: transfer.ErrTransient, Err: err, Hint: "see that the server runs and can be reached"}
	}
	nc, hops, err := r.reach(ctx, parent)
	var known *transfer.Error
	if errors.As(err, &known) {
		return nil, err // of a hop
	}
	if err != nil {
		return nil, unreachable(err)
	}
	c := &conn{hops: hops}
	closeHops := func() { closeAll(hops) }
	c.wire = newWire(nc)
	stop := context.AfterFunc(ctx, func() { closeHops(); nc.Close() })
	c.client, err = r.handshake(ctx, c.wire, unreachable)
	if !stop() && err == nil {
		err = unreachable(context.Cause(ctx)) // it was closed in the last moment
	}
	if err != nil {
		closeHops()
		nc.Close()
		return nil, err
	}
	return c, nil
}

// reach opens the network connection, through jump hosts where there are any.
func (r *resolved) reach(ctx, whole context.Context) (net.Conn, []*ssh.Client, error) {
	if r.jump == nil {
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", r.addr)
		return nc, nil, err
	}
	hop, err := r.jump.dial(whole)
	if err != nil {
		return nil, nil, err
	}
	hops := append(hop.hops, hop.client)
	nc, err := hop.client.DialContext(ctx, "tcp", r.addr)
	if err != nil {
		closeAll(hops)
		return nil, nil, err
	}
	return nc, hops, nil
}

func closeAll(hops []*ssh.Client) {
	for _, h := range hops {
		h.Close()
	}
}

func (r *resolved) handshake(ctx context.Context, nc net.Conn, unreachable func(error) error) (*ssh.Client, error) {
	check, algs, err := r.hostKeys()
	if err != nil {
		return nil, err
	}
	signers, tried, done, err := r.keys(ctx)
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
