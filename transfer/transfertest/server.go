package transfertest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// ServerOptions says what kind of server to start.
type ServerOptions struct {
	// Request and Answer may change packets of the SFTP protocol, behind the
	// cipher's MAC: from their type byte on, without the length. They are called
	// from several goroutines, and may block. nil: nothing is changed.
	Request, Answer func(packet []byte)

	NoExtensions bool // the SFTP server names no extensions
	Shell        bool // commands are run by sh; else they are refused
	MaxSessions  int  // per connection; 0: no bound
}

// A Server is an SSH server in this process, on 127.0.0.1, with an SFTP
// subsystem: for tests where OpenSSH is not installed, and for faults that it
// does not make. It has the same rights as the test.
type Server struct {
	Host         string // 127.0.0.1
	Port         int
	User         string // anybody
	IdentityFile string // a private key that is let in
	HostKey      string // as "ssh-ed25519 AAAA…"

	o       ServerOptions
	config  *ssh.ServerConfig
	l       net.Listener
	mu      sync.Mutex
	conns   map[net.Conn]bool
	closed  bool
	serving sync.WaitGroup
}

// StartServer starts a server that ends with the test.
func StartServer(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	dir := t.TempDir()
	s := &Server{Host: "127.0.0.1", User: "cax", IdentityFile: dir + "/id", o: o, conns: map[net.Conn]bool{}}
	s.HostKey = newKey(t, dir+"/host")
	public := newKey(t, s.IdentityFile)
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) == public {
			return nil, nil
		}
		return nil, errors.New("not this key")
	}}
	s.config.AddHostKey(signer(t, dir+"/host"))
	var err error
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Port = s.l.Addr().(*net.TCPAddr).Port
	s.serving.Go(s.accept)
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server and all its connections.
func (s *Server) Stop() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.l.Close()
	s.Break()
	s.serving.Wait()
}

// Break ends all connections; new ones are welcome.
func (s *Server) Break() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *Server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns[c] = true; s.closed {
			c.Close()
		}
		s.mu.Unlock()
		s.serving.Go(func() {
			s.serve(c)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *Server) serve(c net.Conn) {
	conn, chans, reqs, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	var sessions sync.WaitGroup
	var mu sync.Mutex
	open := 0
	for n := range chans {
		mu.Lock()
		full := s.o.MaxSessions > 0 && open >= s.o.MaxSessions
		mu.Unlock()
		if full || n.ChannelType() != "session" {
			_ = n.Reject(ssh.ConnectionFailed, "open failed")
			continue
		}
		ch, reqs, err := n.Accept()
		if err != nil {
			continue
		}
		mu.Lock()
		open++
		mu.Unlock()
		sessions.Go(func() {
			s.session(ch, reqs)
			mu.Lock()
			open--
			mu.Unlock()
			ch.Close()
		})
	}
	conn.Close()
	sessions.Wait()
}

// session serves the first request of a session that it can.
func (s *Server) session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		var arg struct{ Text string }
		_ = ssh.Unmarshal(r.Payload, &arg)
		var serve func() int
		switch {
		case r.Type == "subsystem" && arg.Text == "sftp":
			serve = func() int { return s.sftp(ch) }
		case r.Type == "exec" && s.o.Shell:
			serve = func() int { return command(ch, arg.Text) }
		}
		_ = r.Reply(serve != nil, nil)
		if serve == nil {
			continue
		}
		go ssh.DiscardRequests(reqs)
		status := serve()
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
		return
	}
}

func command(ch ssh.Channel, text string) int {
	cmd := exec.Command("sh", "-c", text)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 1
	}
	go func() {
		_, _ = io.Copy(stdin, ch)
		stdin.Close()
	}()
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		return exit.ExitCode()
	} else if err != nil {
		return 1
	}
	return 0
}

func (s *Server) sftp(ch ssh.Channel) int {
	answer := func(p []byte) []byte {
		const version = 2
		if s.o.NoExtensions && len(p) >= 5 && p[0] == version {
			p = p[:5]
		}
		if s.o.Answer != nil {
			s.o.Answer(p)
		}
		return p
	}
	request := func(p []byte) []byte {
		if s.o.Request != nil {
			s.o.Request(p)
		}
		return p
	}
	server, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{&packets{r: ch, change: request}, &packetWriter{w: ch, change: answer}})
	if err != nil {
		return 1
	}
	if err := server.Serve(); err != nil && err != io.EOF {
		return 1
	}
	return 0
}

// packets reads a stream of SFTP packets, each changed as a whole.
type packets struct {
	r      io.Reader
	change func([]byte) []byte
	rest   []byte
}

func (p *packets) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		var head [4]byte
		if _, err := io.ReadFull(p.r, head[:]); err != nil {
			return 0, err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(p.r, body); err != nil {
			return 0, err
		}
		p.rest = framed(p.change(body))
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// packetWriter writes a stream of SFTP packets, each changed as a whole.
type packetWriter struct {
	w      io.WriteCloser
	change func([]byte) []byte
	have   bytes.Buffer
}

func (p *packetWriter) Write(b []byte) (int, error) {
	p.have.Write(b)
	for p.have.Len() >= 4 {
		n := int(binary.BigEndian.Uint32(p.have.Bytes()))
		if p.have.Len() < 4+n {
			break
		}
		body := append([]byte(nil), p.have.Next(4 + n)[4:]...)
		if _, err := p.w.Write(framed(p.change(body))); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (p *packetWriter) Close() error { return p.w.Close() }

func framed(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// Types of SFTP packets that tests look for (draft-ietf-secsh-filexfer-02,
// section 3).
const (
	PacketOpen  = 3
	PacketWrite = 6
	PacketData  = 103
)

// FlipInPackets returns a change for [ServerOptions] that flips a bit in the
// middle of the n-th packet of a type, from 0, that is longer than 100 bytes.
func FlipInPackets(kind byte, n int) func(packet []byte) {
	var mu sync.Mutex
	seen := 0
	return func(p []byte) {
		mu.Lock()
		defer mu.Unlock()
		if p[0] != kind || len(p) <= 100 {
			return
		}
		if seen == n {
			p[len(p)-10] ^= 4
		}
		seen++
	}
}
