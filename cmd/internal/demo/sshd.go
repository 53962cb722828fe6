package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// sshd is an SSH server on 127.0.0.1 with a configuration and keys of its own.
type sshd struct {
	host, user           string
	port                 int
	identity, knownHosts string
	cmd                  *exec.Cmd
}

// startSSHD starts a server whose files are in dir. The error says why there is
// none.
func startSSHD(ctx context.Context, dir string) (*sshd, error) {
	program, err := exec.LookPath("sshd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/sshd"); err != nil {
			return nil, errors.New("sshd is not installed")
		}
	}
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		return nil, errors.New("ssh-keygen is not installed")
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		// sshd wants its empty folder even where it does not use it.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, err
		}
	}
	s := &sshd{host: "127.0.0.1", user: me.Username, identity: dir + "/id", knownHosts: dir + "/known_hosts"}
	for _, k := range []string{"/host", "/id"} {
		if out, err := exec.CommandContext(ctx, keygen, "-q", "-t", "ed25519", "-N", "", "-C", "cax demo", "-f", dir+k).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	hostKey, err := os.ReadFile(dir + "/host.pub")
	if err != nil {
		return nil, err
	}
	config := []string{"ListenAddress 127.0.0.1:" + strconv.Itoa(s.port), "HostKey " + dir + "/host", "AuthorizedKeysFile " + dir + "/id.pub",
		"PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no", "PermitRootLogin prohibit-password", "Subsystem sftp internal-sftp"}
	for name, text := range map[string]string{
		"/sshd_config": strings.Join(config, "\n"),
		"/known_hosts": fmt.Sprintf("[%s]:%d %s", s.host, s.port, hostKey),
	} {
		if err := os.WriteFile(dir+name, []byte(text+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
	s.cmd = exec.Command(program, "-D", "-f", dir+"/sshd_config")
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		if c, err := net.Dial("tcp", net.JoinHostPort(s.host, strconv.Itoa(s.port))); err == nil {
			return s, c.Close()
		}
		select {
		case <-ctx.Done():
			s.stop()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.stop()
	return nil, errors.New("sshd does not listen")
}

// stop ends the server. Its error is of no use: it was told to end.
func (s *sshd) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
