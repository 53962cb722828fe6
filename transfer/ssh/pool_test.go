package ssh_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/ssh"
	"github.com/cax-go/cax/transfer/transfertest"
)

func config(d *transfertest.SSHD) ssh.Config {
	return ssh.Config{Host: d.Host, Port: d.Port, User: d.User, IdentityFiles: []string{d.IdentityFile}, KnownHosts: []string{d.KnownHosts}}
}

func run(t *testing.T, c ssh.Config, command string) (string, error) {
	t.Helper()
	p, err := ssh.New(c)
	if err != nil {
		return "", err
	}
	defer p.Close()
	out, err := p.Run(t.Context(), command, nil)
	return string(out), err
}

// TestTrust: host keys and logins, right and wrong (C14).
func TestTrust(t *testing.T) {
	d := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	other := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	file := func(text string) []string {
		p := t.TempDir() + "/known_hosts"
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{p}
	}
	name := fmt.Sprintf("[127.0.0.1]:%d", d.Port)
	for _, tc := range []struct {
		name   string
		change func(c *ssh.Config)
		kind   error
		says   []string
	}{
		{name: "known", change: func(*ssh.Config) {}},
		{name: "pinned", change: func(c *ssh.Config) { c.KnownHosts, c.HostKey = file(""), d.HostKey }},
		{name: "pinned, another", change: func(c *ssh.Config) { c.HostKey = other.HostKey }, kind: transfer.ErrHostKey, says: []string{"pinned", "host_key"}},
		{name: "unknown", change: func(c *ssh.Config) { c.KnownHosts = file("") }, kind: transfer.ErrHostKey, says: []string{"is not in known_hosts", "ssh-keyscan", "SHA256:"}},
		{name: "changed", change: func(c *ssh.Config) { c.KnownHosts = file(name + " " + other.HostKey + "\n") }, kind: transfer.ErrHostKey, says: []string{"has changed", "line 1"}},
		{name: "revoked", change: func(c *ssh.Config) { c.KnownHosts = file("@revoked " + name + " " + d.HostKey + "\n") }, kind: transfer.ErrHostKey, says: []string{"revoked"}},
		{name: "no such file of known hosts", change: func(c *ssh.Config) { c.KnownHosts = []string{"/nonexistent/known_hosts"} }, kind: transfer.ErrHostKey},
		{name: "wrong key", change: func(c *ssh.Config) { c.IdentityFiles = []string{d.WrongKey} }, kind: transfer.ErrAuth, says: []string{d.WrongKey, "authorized_keys"}},
		{name: "no key", change: func(c *ssh.Config) { c.IdentityFiles = []string{} }, kind: transfer.ErrAuth, says: []string{"identity_file"}},
		{name: "key file missing", change: func(c *ssh.Config) { c.IdentityFiles = []string{"/nonexistent"} }, kind: transfer.ErrInvalid, says: []string{"/nonexistent", "identity_file"}},
		{name: "pin malformed", change: func(c *ssh.Config) { c.HostKey = "ssh-ed25519 nonsense" }, kind: transfer.ErrInvalid, says: []string{"host_key"}},
		{name: "nobody listens", change: func(c *ssh.Config) { c.Port = 1 }, kind: transfer.ErrTransient},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := config(d)
			tc.change(&c)
			out, err := run(t, c, "echo hello")
			if tc.kind == nil {
				if err != nil || out != "hello\n" {
					t.Errorf("%q, %v", out, err)
				}
				return
			}
			if !errors.Is(err, tc.kind) {
				t.Fatalf("error %v, want %v", err, tc.kind)
			}
			for _, s := range tc.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("the error does not say %q: %v", s, err)
				}
			}
		})
	}
}

// TestQuote: every byte but NUL reaches the far side's program as it is (C15).
func TestQuote(t *testing.T) {
	d := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	for _, n := range append(transfertest.OddNames(), "", "'", "''", "$(touch /tmp/never)") {
		out, err := run(t, config(d), "printf %s "+ssh.Quote(n))
		if err != nil || out != n {
			t.Errorf("%q came back as %q (%v)", n, out, err)
		}
	}
}

func TestConfigFile(t *testing.T) {
	d := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	dir := t.TempDir()
	text := fmt.Sprintf(`
Host far
	HostName 127.0.0.1
	Port %[1]d
	User %[2]s
	IdentityFile %[3]s
	UserKnownHostsFile %[4]s
Host behind
	HostName 127.0.0.1
	Port %[1]d
	User %[2]s
	IdentityFile %[3]s
	UserKnownHostsFile %[4]s
	ProxyJump far
`, d.Port, d.User, d.IdentityFile, d.KnownHosts)
	if err := os.WriteFile(dir+"/config", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"far", "behind"} {
		if out, err := run(t, ssh.Config{Host: host, ConfigFile: dir + "/config"}, "echo hello"); err != nil || out != "hello\n" {
			t.Errorf("%s: %q, %v", host, out, err)
		}
	}
}

// TestServerGone: a command fails when its server is killed, and the pool
// connects again when the server is back.
func TestServerGone(t *testing.T) {
	d := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	p, err := ssh.New(config(d))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ended := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		ch, err := p.Start(t.Context(), "echo here; sleep 60")
		if err != nil {
			ended <- err
			return
		}
		b := make([]byte, 5)
		_, _ = ch.Read(b)
		close(started)
		ended <- ch.Wait()
	}()
	<-started
	d.Stop()
	if err := <-ended; err == nil {
		t.Error("a command of a killed server ended well")
	}
	if _, err := p.Run(t.Context(), "true", nil); !errors.Is(err, transfer.ErrTransient) {
		t.Errorf("error %v, want ErrTransient", err)
	}
	d.Restart()
	if _, err := p.Run(t.Context(), "true", nil); err != nil {
		t.Error(err)
	}
}

// TestServerHangs: keep-alives find a server that does nothing.
func TestServerHangs(t *testing.T) {
	d := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	c := config(d)
	c.KeepAlive = 100 * time.Millisecond
	p, err := ssh.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Run(t.Context(), "true", nil); err != nil {
		t.Fatal(err)
	}
	d.Pause()
	defer d.Resume()
	if _, err := p.Run(t.Context(), "true", nil); !errors.Is(err, transfer.ErrTransient) {
		t.Errorf("error %v, want ErrTransient", err)
	}
}
