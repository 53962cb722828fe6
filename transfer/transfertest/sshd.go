package transfertest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHDOptions says what kind of server to start.
type SSHDOptions struct {
	NoSFTP      bool     // no SFTP subsystem
	SFTPCommand string   // program of the SFTP subsystem; "": internal-sftp
	Lines       []string // further lines of sshd_config
}

// An SSHD is a real OpenSSH server on 127.0.0.1 with keys of its own. It runs as
// the user of the test and lets that user in.
type SSHD struct {
	Host         string // 127.0.0.1
	Port         int
	User         string
	IdentityFile string // a private key that is let in
	WrongKey     string // one that is not
	KnownHosts   string // a file that has the server's key
	HostKey      string // the same key as "ssh-ed25519 AAAA…"
	Dir          string // its configuration, keys and log

	t   testing.TB
	mu  sync.Mutex
	cmd *exec.Cmd
}

// StartSSHD starts a server that ends with the test. Where sshd is not installed
// the test is skipped, or fails if CAX_REQUIRE names sshd.
func StartSSHD(t testing.TB, o SSHDOptions) *SSHD {
	t.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		if program = "/usr/sbin/sshd"; !exists(program) {
			Missing(t, "sshd", "there is no sshd", "apt-get install openssh-server")
		}
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &SSHD{Host: "127.0.0.1", User: me.Username, Dir: dir, t: t,
		IdentityFile: dir + "/id", WrongKey: dir + "/wrong", KnownHosts: dir + "/known_hosts"}
	s.HostKey = newKey(t, dir+"/host")
	public := newKey(t, s.IdentityFile)
	newKey(t, s.WrongKey)
	write(t, dir+"/authorized_keys", public+"\n")
	lines := []string{
		"HostKey " + dir + "/host",
		"AuthorizedKeysFile " + dir + "/authorized_keys",
		"PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"PermitRootLogin yes", "PrintMotd no", "UseDNS no", "LogLevel ERROR",
		"SetEnv HOME=" + dir, // what this machine's users have their shells do at start does not matter
	}
	switch {
	case o.SFTPCommand != "":
		lines = append(lines, "Subsystem sftp "+o.SFTPCommand)
	case !o.NoSFTP:
		lines = append(lines, "Subsystem sftp internal-sftp")
	}
	// Between the choice of a port and its use somebody else can take it.
	for try := 0; ; try++ {
		s.Port = freePort(t)
		listen := "ListenAddress 127.0.0.1:" + strconv.Itoa(s.Port)
		write(t, dir+"/sshd_config", strings.Join(append([]string{listen}, append(lines, o.Lines...)...), "\n")+"\n")
		write(t, s.KnownHosts, fmt.Sprintf("[127.0.0.1]:%d %s\n", s.Port, s.HostKey))
		err := s.start(program)
		if err == nil {
			break
		}
		if s.Stop(); try == 5 {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Stop)
	return s
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newKey makes a key pair and returns the public half.
func newKey(t testing.TB, path string) string {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(pem.EncodeToMemory(block)))
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func signer(t testing.TB, path string) ssh.Signer {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.ParsePrivateKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// freePort is a port on which nobody listens. It is not one of those that outgoing
// connections are given.
func freePort(t testing.TB) int {
	t.Helper()
	var last error
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+mathrand.IntN(20000))))
		if err != nil {
			last = err
			continue
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
	t.Fatal(last)
	return 0
}

func (s *SSHD) start(program string) error {
	cmd := exec.Command(program, "-D", "-e", "-f", s.Dir+"/sshd_config")
	cmd.Env = os.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	for range 200 {
		time.Sleep(20 * time.Millisecond)
		if hasEnded(cmd.Process.Pid) { // then whoever listens there is another
			return errors.New("sshd ended at once: is its port taken?")
		}
		c, err := net.Dial("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
		if err == nil {
			c.Close()
			return nil
		}
	}
	return errors.New("sshd does not listen")
}

// hasEnded reports whether a child of ours has ended: it is a zombie until it is
// waited for.
func hasEnded(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) && exists("/proc/self/stat")
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(rest, "Z")
}

// Stop ends the server and all its sessions. Stopping twice is no error.
func (s *SSHD) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	for _, pid := range s.processes() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Restart starts a stopped server again, on the same port with the same keys.
func (s *SSHD) Restart() {
	s.t.Helper()
	s.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd"
	}
	if err := s.start(program); err != nil {
		s.t.Fatal(err)
	}
}

// Pause stops the server and all its sessions from doing anything; Resume lets
// them go on.
func (s *SSHD) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *SSHD) Resume() { s.signal(syscall.SIGCONT) }

func (s *SSHD) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	for _, pid := range s.processes() {
		_ = syscall.Kill(pid, sig)
	}
}

// processes are the server's own process and all that descend from it.
func (s *SSHD) processes() []int {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(rest) > 1 {
			parents[pid], _ = strconv.Atoi(rest[1])
		}
	}
	root := s.cmd.Process.Pid
	var all []int
	for pid := range parents {
		for p, n := pid, 0; p > 1 && n < 64; p, n = parents[p], n+1 {
			if p == root {
				all = append(all, pid)
				break
			}
		}
	}
	return all
}
