// Package xrd is a client of the xrootd protocol, for servers that ask for no login
// or for one that proves nothing (unix, host). Every call has a connection of its
// own for as long as it lasts, so that giving one up disturbs no other, and a
// connection that breaks is an error of the calls that used it and nothing else.
package xrd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Config says how to reach a server.
type Config struct {
	Addr      string        // host:port
	User      string        // as whom we say that we come; at most 8 bytes count
	TLS       bool          // nothing goes in the clear; else the server decides
	TLSConfig *tls.Config   // nil: the system's authorities
	Stall     time.Duration // without a byte for so long a connection is given up
}

// A Client is one place. It is safe for concurrent use.
type Client struct {
	cfg Config

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

const (
	keep     = 8                // connections that wait to be used again
	keepFor  = 20 * time.Second // and for how long: servers and firewalls drop silent ones
	hops     = 8                // redirections
	attempts = 2
)

// New makes a client; it connects to nobody yet.
func New(cfg Config) *Client { return &Client{cfg: cfg} }

// Close closes the connections that nobody uses; the others are closed by their
// users.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, k := range c.idle {
		_ = k.net.Close() // nothing is under way on it
	}
	c.idle = nil
	return nil
}

// get returns a connection to an address, an idle one where there is one.
func (c *Client) get(ctx context.Context, addr, token string) (*conn, error) {
	c.mu.Lock()
	var found *conn
	var rest []*conn
	for _, k := range c.idle {
		switch {
		case time.Since(k.used) > keepFor:
			_ = k.net.Close()
		case found == nil && k.addr == addr && token == "":
			found = k
		default:
			rest = append(rest, k)
		}
	}
	c.idle = rest
	c.mu.Unlock()
	if found != nil {
		found.fresh = false
		return found, nil
	}
	return c.dial(ctx, addr, token)
}

// put gives a connection back on which nothing is under way.
func (c *Client) put(k *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= keep {
		_ = k.net.Close()
		return
	}
	k.used = time.Now()
	c.idle = append(c.idle, k)
}

// ask sends a request about a path, follows redirections, and returns the response
// with the connection that it came from, which the caller puts back or closes.
// again tells that the request may be sent twice: a connection that was idle may be
// found dead only when it is used.
func (c *Client) ask(ctx context.Context, r request, path string, again bool) ([]byte, *conn, error) {
	for attempt := 1; ; attempt++ {
		data, k, fresh, err := c.follow(ctx, r, path)
		var refused *Error
		if err == nil || fresh || !again || attempt == attempts || ctx.Err() != nil || errors.As(err, &refused) {
			return data, k, err
		}
	}
}

func (c *Client) follow(ctx context.Context, r request, path string) (_ []byte, _ *conn, fresh bool, _ error) {
	addr, token, opaque := c.cfg.Addr, "", ""
	for range hops {
		k, err := c.get(ctx, addr, token)
		if err != nil {
			return nil, nil, true, err
		}
		isFresh := k.fresh // k is somebody else's once it was put back
		if path != "" {
			r.data = []byte(path)
			if opaque != "" {
				sep := "?"
				if strings.Contains(path, "?") {
					sep = "&"
				}
				r.data = []byte(path + sep + opaque)
			}
		}
		end := k.until(ctx)
		a, err := k.exchange(ctx, r)
		if !end() {
			_ = k.net.Close()
			return nil, nil, isFresh, ctx.Err()
		}
		var refused *Error
		switch {
		case errors.As(err, &refused):
			c.put(k)
			return nil, nil, isFresh, err
		case err != nil:
			_ = k.net.Close()
			return nil, nil, isFresh, err
		case a.status != statusRedirect:
			return a.data, k, isFresh, nil
		}
		c.put(k)
		if addr, opaque, token, err = redirection(a.data); err != nil {
			return nil, nil, true, err
		}
	}
	return nil, nil, true, bad("too many redirections", nil)
}

// redirection reads "port host?opaque?token".
func redirection(data []byte) (addr, opaque, token string, _ error) {
	if len(data) < 5 {
		return "", "", "", bad("redirection", nil)
	}
	port := int32(binary.BigEndian.Uint32(data))
	where := strings.SplitN(strings.TrimRight(string(data[4:]), "\x00"), "?", 3)
	if port <= 0 || port > 65535 || where[0] == "" {
		return "", "", "", bad("redirection", nil) // URLs are sent only to those who say that they take them
	}
	if len(where) > 1 {
		opaque = where[1]
	}
	if len(where) > 2 {
		token = where[2]
	}
	return net.JoinHostPort(strings.Trim(where[0], "[]"), strconv.Itoa(int(port))), opaque, token, nil
}

// simple asks for something whose response says it all.
func (c *Client) simple(ctx context.Context, r request, path string, again bool) ([]byte, error) {
	data, k, err := c.ask(ctx, r, path, again)
	if err != nil {
		return nil, err
	}
	c.put(k)
	return data, nil
}

// A Stat describes a path.
type Stat struct {
	Size int64
	Dir  bool
}

// Stat describes a path.
func (c *Client) Stat(ctx context.Context, path string) (Stat, error) {
	data, err := c.simple(ctx, request{id: reqStat}, path, true)
	if err != nil {
		return Stat{}, err
	}
	return parseStat(data)
}

// parseStat reads "id size flags mtime …".
func parseStat(data []byte) (Stat, error) {
	const isDir = 2
	f := strings.Fields(string(bytes.TrimRight(data, "\x00")))
	if len(f) < 4 {
		return Stat{}, bad("stat", nil)
	}
	size, err := strconv.ParseInt(f[1], 10, 64)
	flags, err2 := strconv.ParseUint(f[2], 10, 32)
	if err != nil || err2 != nil || size < 0 {
		return Stat{}, bad("stat", nil)
	}
	return Stat{Size: size, Dir: flags&isDir != 0}, nil
}

// Rename moves a file. Servers replace what has the new name.
func (c *Client) Rename(ctx context.Context, from, to string) error {
	r := request{id: reqMv}
	binary.BigEndian.PutUint16(r.params[14:], uint16(len(from)))
	_, err := c.simple(ctx, r, from+" "+to, false)
	return err
}

// Remove removes a file.
func (c *Client) Remove(ctx context.Context, path string) error {
	_, err := c.simple(ctx, request{id: reqRm}, path, true)
	return err
}

// Mkdir makes a directory and its parents.
func (c *Client) Mkdir(ctx context.Context, dir string) error {
	const makePath, mode = 1, 0o755
	r := request{id: reqMkdir}
	r.params[0] = makePath
	binary.BigEndian.PutUint16(r.params[14:], mode)
	_, err := c.simple(ctx, r, dir, true)
	return err
}

// Checksum asks for the checksum of a file; name is as "adler32". It returns the
// name and the hexadecimal digits that the server answers with. The answer may take
// so many seconds longer than others.
func (c *Client) Checksum(ctx context.Context, path, name string, seconds int64) (string, string, error) {
	const checksum = 3
	r := request{id: reqQuery, patience: time.Duration(seconds) * time.Second}
	binary.BigEndian.PutUint16(r.params[:], checksum)
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	data, err := c.simple(ctx, r, path+sep+"cks.type="+name, true)
	if err != nil {
		return "", "", err
	}
	f := strings.Fields(string(bytes.TrimRight(data, "\x00")))
	if len(f) != 2 {
		return "", "", bad("checksum", nil)
	}
	return f[0], f[1], nil
}
