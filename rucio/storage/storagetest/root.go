package storagetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"
	"net"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// Root is an xrootd server in memory that makes faults on demand, written by XRootD
// protocol 5.1.0. It removes files that were not closed well, as real ones do.
type Root struct {
	Addr string // host:port

	// Before, if it is set, sees each request before it is carried out, with the path or
	// the text in it. It may return a response of another status to be sent instead; status
	// 0 lets the request pass, HangUp closes the connection.
	Before func(request uint16, text string) (status uint16, data []byte)

	Login string // what logins are asked for, as "&P=gsi,v:10400"; "": none

	mu    sync.Mutex
	files map[string]*rootFile
	conns map[net.Conn]bool
}

// Statuses that Before can return, beside those of the protocol.
const (
	HangUp   = 1
	WaitResp = 4006 // the real response comes later, unsolicited
)

// Requests that Before can tell apart.
const (
	RootQuery = 3001
	RootMv    = 3009
	RootOpen  = 3010
	RootRead  = 3013
	RootStat  = 3017
	RootWrite = 3019
)

type rootFile struct{ data []byte }

// StartRoot starts a server that ends with the test.
func StartRoot(t testing.TB) *Root {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Root{Addr: l.Addr().String(), files: map[string]*rootFile{}, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			wg.Go(func() {
				k := &rootConn{s: s, c: c, open: map[byte]string{}}
				k.serve()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.Break()
		wg.Wait()
	})
	return s
}

// Break ends all connections; new ones are welcome.
func (s *Root) Break() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// Store stores a file.
func (s *Root) Store(p string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[p] = &rootFile{data: data}
}

// A rootConn is one session.
type rootConn struct {
	s      *Root
	c      net.Conn
	handle byte
	open   map[byte]string // handles of files that are written: paths; of others: ""
	paths  [256]string
}

func (k *rootConn) serve() {
	defer func() {
		k.c.Close()
		k.s.mu.Lock()
		defer k.s.mu.Unlock()
		delete(k.s.conns, k.c)
		for _, p := range k.open {
			if p != "" {
				delete(k.s.files, p) // not closed well
			}
		}
	}()
	hello := make([]byte, 20)
	if _, err := io.ReadFull(k.c, hello); err != nil {
		return
	}
	if k.reply([]byte{0, 0}, 0, []byte{0, 0, 5, 0, 0, 0, 0, 1}) != nil {
		return
	}
	for {
		head := make([]byte, 24)
		if _, err := io.ReadFull(k.c, head); err != nil {
			return
		}
		data := make([]byte, binary.BigEndian.Uint32(head[20:]))
		if _, err := io.ReadFull(k.c, data); err != nil {
			return
		}
		if !k.request(head, data) {
			return
		}
	}
}

func (k *rootConn) reply(stream []byte, status uint16, data []byte) error {
	b := append(append([]byte{}, stream[:2]...), 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[2:], status)
	binary.BigEndian.PutUint32(b[4:], uint32(len(data)))
	_, err := k.c.Write(append(b, data...))
	return err
}

// request carries out one request; false ends the session.
func (k *rootConn) request(head, data []byte) bool {
	id, params := binary.BigEndian.Uint16(head[2:]), head[4:20]
	text := string(data)
	if id == RootWrite || id == RootRead {
		text = k.paths[params[0]]
	}
	var status uint16
	var out []byte
	if k.s.Before != nil {
		status, out = k.s.Before(id, text)
	}
	switch status {
	case HangUp:
		return false
	case WaitResp:
		if k.reply(head, WaitResp, []byte{0, 0, 0, 1}) != nil {
			return false
		}
		status, out = k.do(id, params, data)
		late := append([]byte{0, 0, 5008 >> 8, 5008 & 255, 0, 0, 0, 0}, head[:2]...)
		late = binary.BigEndian.AppendUint16(late, status)
		late = binary.BigEndian.AppendUint32(late, uint32(len(out)))
		return k.reply(head, 4001, append(late, out...)) == nil
	case 0:
		status, out = k.do(id, params, data)
	}
	if id == RootRead && status == 0 && len(out) > 100 {
		// In two parts, as real servers do with large ones.
		if k.reply(head, 4000, out[:100]) != nil {
			return false
		}
		out = out[100:]
	}
	return k.reply(head, status, out) == nil
}

// Refuse makes the response that refuses a request.
func Refuse(code int, why string) (status uint16, data []byte) {
	return 4003, append(binary.BigEndian.AppendUint32(nil, uint32(code)), why+"\x00"...)
}

// Redirect makes the response that sends a client to another server.
func Redirect(addr, opaque string) (status uint16, data []byte) {
	host, port, _ := net.SplitHostPort(addr)
	var n int
	fmt.Sscan(port, &n)
	return 4004, append(binary.BigEndian.AppendUint32(nil, uint32(n)), host+"?"+opaque...)
}

// Wait makes the response that asks for a pause.
func Wait(d time.Duration) (status uint16, data []byte) {
	return 4005, append(binary.BigEndian.AppendUint32(nil, uint32(d/time.Second)), "wait"...)
}

func (k *rootConn) do(id uint16, params, data []byte) (uint16, []byte) {
	p, _, _ := bytes.Cut(data, []byte("?"))
	name := path.Clean(string(p))
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	f := k.s.files[name]
	switch id {
	case 3006: // protocol
		return 0, []byte{0, 0, 5, 0, 0, 0, 0, 1}
	case 3007: // login
		return 0, append(make([]byte, 16), k.s.Login...)
	case RootStat:
		if f == nil {
			return Refuse(3011, "no such file")
		}
		return 0, []byte(stat(f))
	case RootOpen:
		return k.opens(binary.BigEndian.Uint16(params[2:]), name, f)
	case 3008: // mkdir
		return 0, nil
	case RootMv:
		from, to, _ := strings.Cut(string(data), " ")
		if k.s.files[from] == nil {
			return Refuse(3011, "no such file")
		}
		k.s.files[to] = k.s.files[from] // it replaces
		delete(k.s.files, from)
		return 0, nil
	case 3014: // rm
		if f == nil {
			return Refuse(3011, "no such file")
		}
		delete(k.s.files, name)
		return 0, nil
	case RootQuery:
		switch {
		case f == nil:
			return Refuse(3011, "no such file")
		case !strings.HasSuffix(string(data), "cks.type=adler32"):
			return Refuse(3012, "no such checksum")
		}
		return 0, fmt.Appendf(nil, "adler32 %08x\x00", adler32.Checksum(f.data))
	}
	return k.handled(id, params, data)
}

func stat(f *rootFile) string { return fmt.Sprintf("1 %d 48 1700000000\x00", len(f.data)) }

func (k *rootConn) opens(options uint16, name string, f *rootFile) (uint16, []byte) {
	const isNew, update = 8, 32
	switch {
	case options&isNew != 0 && f != nil:
		return Refuse(3018, "file exists")
	case options&isNew != 0:
		f = &rootFile{}
		k.s.files[name] = f
	case f == nil:
		return Refuse(3011, "no such file")
	}
	k.handle++
	k.paths[k.handle] = name
	if k.open[k.handle] = ""; options&update != 0 {
		k.open[k.handle] = name
	}
	return 0, append([]byte{k.handle, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, stat(f)...)
}

// handled carries out what is done with an open file.
func (k *rootConn) handled(id uint16, params, data []byte) (uint16, []byte) {
	h := params[0]
	f := k.s.files[k.paths[h]]
	if _, open := k.open[h]; !open || f == nil {
		return Refuse(3004, "file is not open")
	}
	at := int(binary.BigEndian.Uint64(params[4:]))
	switch id {
	case 3003: // close
		delete(k.open, h)
	case 3016: // sync
	case RootRead:
		at = min(at, len(f.data))
		return 0, f.data[at:min(len(f.data), at+int(binary.BigEndian.Uint32(params[12:])))]
	case RootWrite:
		if n := at + len(data); n > len(f.data) {
			f.data = append(f.data, make([]byte, n-len(f.data))...)
		}
		copy(f.data[at:], data)
	default:
		return Refuse(3006, "no such request")
	}
	return 0, nil
}
