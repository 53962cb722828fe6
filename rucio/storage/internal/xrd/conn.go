package xrd

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Numbers of the protocol (XRootD protocol 5.1.0, sections 3 and 4).
const (
	reqQuery    = 3001
	reqClose    = 3003
	reqProtocol = 3006
	reqLogin    = 3007
	reqMkdir    = 3008
	reqMv       = 3009
	reqOpen     = 3010
	reqRead     = 3013
	reqRm       = 3014
	reqSync     = 3016
	reqStat     = 3017
	reqWrite    = 3019
	reqAuth     = 3000

	statusOK       = 0
	statusSoFar    = 4000
	statusAttn     = 4001
	statusMore     = 4002
	statusError    = 4003
	statusRedirect = 4004
	statusWait     = 4005
	statusWaitResp = 4006

	asyncResponse = 5008

	version   = 0x500
	ableTLS   = 2
	wantTLS   = 4
	expLogin  = 3
	gotoTLS   = 1 << 30
	client500 = 5 // capability version of a 5.0 client that takes no unsolicited responses

	// largestAnswer bounds what a server can make us allocate: we never ask for more
	// than chunk bytes at once.
	largestAnswer = 2*chunk + 1<<10
)

// A request is one request, ready to be sent but for its stream id.
type request struct {
	id     uint16
	params [16]byte
	data   []byte

	patience time.Duration // on top of the stall time, for the answer
}

// An answer is one response of the server.
type answer struct {
	stream uint16
	status uint16
	data   []byte
}

// A conn is a session with one server. One caller uses it at a time; several
// requests may be under way.
type conn struct {
	addr  string
	net   net.Conn
	stall time.Duration
	extra time.Duration // patience with the request that is under way
	next  uint16
	used  time.Time
	fresh bool // not used before
}

// dial connects and logs in.
func (c *Client) dial(ctx context.Context, addr, token string) (*conn, error) {
	d := net.Dialer{Timeout: c.cfg.Stall}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	k := &conn{addr: addr, net: nc, stall: c.cfg.Stall, fresh: true}
	end := k.until(ctx)
	err = k.login(ctx, c.cfg, token)
	if !end() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = k.net.Close() // the error that counts is known
		return nil, err
	}
	return k, nil
}

// until makes the end of ctx fail what is under way. The function that it returns
// ends that, and tells whether ctx had not ended before.
func (k *conn) until(ctx context.Context) func() bool {
	nc := k.net
	return context.AfterFunc(ctx, func() { _ = nc.Close() })
}

func (k *conn) login(ctx context.Context, cfg Config, token string) error {
	hello := make([]byte, 20)
	binary.BigEndian.PutUint32(hello[12:], 4)
	binary.BigEndian.PutUint32(hello[16:], 2012)
	if err := k.write(hello); err != nil {
		return err
	}
	if a, err := k.receive(); err != nil || a.status != statusOK || len(a.data) < 8 {
		return bad("handshake", err)
	}
	p := request{id: reqProtocol}
	binary.BigEndian.PutUint32(p.params[:], version)
	p.params[4], p.params[5] = ableTLS, expLogin
	if cfg.TLS {
		p.params[4] |= wantTLS
	}
	a, err := k.exchange(ctx, p)
	if err != nil || len(a.data) < 8 {
		return bad("protocol", err)
	}
	if binary.BigEndian.Uint32(a.data[4:])&gotoTLS != 0 {
		if err := k.encrypt(ctx, cfg); err != nil {
			return err
		}
	} else if cfg.TLS {
		return &Error{Code: TLSRequired, Message: "the server speaks no TLS"}
	}
	l := request{id: reqLogin, data: []byte(token)}
	binary.BigEndian.PutUint32(l.params[:], uint32(os.Getpid()))
	copy(l.params[4:12], cfg.User)
	l.params[14] = client500
	if a, err = k.exchange(ctx, l); err != nil || len(a.data) < 16 {
		return bad("login", err)
	}
	return k.authenticate(ctx, cfg, string(a.data[16:]))
}

// encrypt goes on over TLS, for which the server waits.
func (k *conn) encrypt(ctx context.Context, cfg Config) error {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.TLSConfig != nil {
		conf = cfg.TLSConfig.Clone()
	}
	host, _, err := net.SplitHostPort(k.addr)
	if err != nil {
		return err
	}
	conf.ServerName = host
	t := tls.Client(k.net, conf)
	if err := k.net.SetDeadline(time.Now().Add(k.stall)); err != nil {
		return err
	}
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	k.net = t
	return nil
}

// authenticate answers the server's list of security protocols, as
// "&P=gsi,v:10400&P=unix". Those that prove nothing are spoken here.
func (k *conn) authenticate(ctx context.Context, cfg Config, offers string) error {
	offers = strings.Trim(offers, "\x00 ")
	if offers == "" {
		return nil
	}
	var names []string
	for o := range strings.SplitSeq(offers, "&P=") {
		name, _, _ := strings.Cut(strings.TrimPrefix(o, "&P="), ",")
		name = strings.Trim(name, "\x00 &")
		var cred string
		switch name {
		case "":
			continue
		case "unix":
			cred = "unix\x00" + cfg.User + " " + cfg.User + "\x00"
		case "host":
			cred = "host\x00"
		default:
			names = append(names, name)
			continue
		}
		r := request{id: reqAuth, data: []byte(cred)}
		copy(r.params[12:], name)
		a, err := k.exchange(ctx, r)
		var refused *Error
		if err == nil && a.status == statusOK {
			return nil
		}
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		names = append(names, name)
	}
	return &LoginError{Offers: names}
}

// send sends one request and returns its stream id.
func (k *conn) send(r request) (uint16, error) {
	k.next++
	b := make([]byte, 24, 24+len(r.data))
	binary.BigEndian.PutUint16(b, k.next)
	binary.BigEndian.PutUint16(b[2:], r.id)
	copy(b[4:], r.params[:])
	binary.BigEndian.PutUint32(b[20:], uint32(len(r.data)))
	return k.next, k.write(append(b, r.data...))
}

// write writes b; each piece of it has the stall time.
func (k *conn) write(b []byte) error {
	const piece = 256 << 10
	for len(b) > 0 {
		if err := k.net.SetWriteDeadline(time.Now().Add(k.stall)); err != nil {
			return err
		}
		n, err := k.net.Write(b[:min(piece, len(b))])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Read implements io.Reader; each read has the stall time.
func (k *conn) Read(p []byte) (int, error) {
	if err := k.net.SetReadDeadline(time.Now().Add(k.stall + k.extra)); err != nil {
		return 0, err
	}
	return k.net.Read(p)
}

// receive reads one response. One that comes late, announced by waitresp, has the
// form of the one that it is for.
func (k *conn) receive() (answer, error) {
	for {
		var h [8]byte
		if _, err := io.ReadFull(k, h[:]); err != nil {
			return answer{}, err
		}
		a := answer{stream: binary.BigEndian.Uint16(h[:]), status: binary.BigEndian.Uint16(h[2:])}
		n := binary.BigEndian.Uint32(h[4:])
		if n > largestAnswer {
			return answer{}, bad("response", nil)
		}
		a.data = make([]byte, n)
		if _, err := io.ReadFull(k, a.data); err != nil {
			return answer{}, err
		}
		switch {
		case a.status == statusWaitResp:
			continue
		case a.status != statusAttn:
			return a, nil
		case n >= 16 && binary.BigEndian.Uint32(a.data) == asyncResponse:
			in := a.data[8:]
			return answer{stream: binary.BigEndian.Uint16(in), status: binary.BigEndian.Uint16(in[2:]), data: in[8:]}, nil
		}
	}
}

// exchange sends one request and reads its response, in one piece. It waits where
// the server asks for that, and returns redirections as they are.
func (k *conn) exchange(ctx context.Context, r request) (answer, error) {
	k.extra = r.patience
	defer func() { k.extra = 0 }()
	for {
		id, err := k.send(r)
		if err != nil {
			return answer{}, err
		}
		a, err := k.whole(id)
		if err != nil {
			return answer{}, err
		}
		switch a.status {
		case statusOK, statusRedirect, statusMore:
			return a, nil
		case statusError:
			return answer{}, refusal(a.data)
		case statusWait:
			if err := pause(ctx, a.data); err != nil {
				return answer{}, err
			}
		default:
			return answer{}, bad("status", nil)
		}
	}
}

// whole reads the response to one request and puts its parts together.
func (k *conn) whole(id uint16) (answer, error) {
	var got []byte
	for {
		a, err := k.receive()
		if err != nil {
			return answer{}, err
		}
		if a.stream != id {
			return answer{}, bad("stream", nil)
		}
		if len(got) > 0 {
			a.data = append(got, a.data...)
		}
		if a.status != statusSoFar {
			return a, nil
		}
		if got = a.data; len(got) > largestAnswer {
			return answer{}, bad("response", nil)
		}
	}
}

// pause waits as long as the server asks for, at most a minute.
func pause(ctx context.Context, data []byte) error {
	wait := time.Second
	if len(data) >= 4 {
		wait = time.Duration(binary.BigEndian.Uint32(data)) * time.Second
	}
	t := time.NewTimer(min(max(wait, 0), time.Minute))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func bad(what string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrProtocol, what)
}
