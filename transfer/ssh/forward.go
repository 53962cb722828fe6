package ssh

import (
	"context"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh/knownhosts"
)

// Forward passes one network connection from a port of 127.0.0.1, which it
// returns, on to the server, through jump hosts where there are any. A program
// that reaches the server this way moves no byte when this process has ended, or
// is frozen. stop ends it; so does the end of ctx. An error of the way to the
// server is given to failed.
func (p *Pool) Forward(ctx context.Context, failed func(error)) (port int, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, p.broken("connect", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		<-ctx.Done()
		l.Close()
	})
	all.Go(func() {
		near, err := l.Accept()
		l.Close()
		if err != nil {
			return
		}
		defer near.Close()
		dctx, done := context.WithTimeout(ctx, p.cfg.DialTimeout)
		far, hops, err := p.cfg.reach(dctx, dctx)
		done()
		if err != nil {
			failed(err)
			return
		}
		ended := func() { closeAll(hops); far.Close(); near.Close() }
		defer ended()
		defer context.AfterFunc(ctx, ended)()
		pass(near, far)
	})
	return l.Addr().(*net.TCPAddr).Port, func() { cancel(); all.Wait() }, nil
}

// pass passes on what comes from either side until both have ended.
func pass(a, b net.Conn) {
	var both sync.WaitGroup
	one := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // whoever talks over it sees how it ends
		if c, ok := to.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		} else {
			to.Close()
		}
	}
	both.Go(func() { one(a, b) })
	one(b, a)
	both.Wait()
}

// KnownAs is the name under which known_hosts has the server's keys, as it is
// written there.
func (t Target) KnownAs() string { return knownhosts.Normalize(t.HostKeyName) }
