package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/kevinburke/ssh_config"
)

// Config says how to reach one account on one server. Only Host is needed; what
// is not set is taken from ConfigFile, and then from the defaults.
type Config struct {
	Host string // address, or an alias of ConfigFile
	Port int    // 0: of ConfigFile, else 22
	User string // "": of ConfigFile, else the user that we run as

	IdentityFiles []string // private keys; nil: of ConfigFile, else the usual names in ~/.ssh
	AgentSocket   string   // of an SSH agent; "": none is asked

	KnownHosts []string // nil: of ConfigFile, else ~/.ssh/known_hosts and the system's
	HostKey    string   // pinned: "ssh-ed25519 AAAA…"; KnownHosts is then not looked at

	ConfigFile string // an OpenSSH client configuration; "": none

	Connections int           // at most; 0: 3
	Sessions    int           // at most, per connection; 0: 8
	DialTimeout time.Duration // of TCP and SSH handshake together; 0: 30 s
	KeepAlive   time.Duration // a connection that gives no answer for twice this is closed; 0: 15 s
}

// FromEnvironment returns a Config with what the environment of the process
// offers: the agent of SSH_AUTH_SOCK and the user's ~/.ssh/config.
func FromEnvironment() Config {
	c := Config{AgentSocket: os.Getenv("SSH_AUTH_SOCK")}
	if home, err := os.UserHomeDir(); err == nil {
		c.ConfigFile = filepath.Join(home, ".ssh", "config")
	}
	return c
}

// resolved is a Config with everything filled in.
type resolved struct {
	Config
	given    Config // as the caller had it
	addr     string // host:port
	keyName  string // under which known_hosts has the server's keys, host:port
	jump     *resolved
	usedFile string // the configuration file, where there was one
}

// maxJumps bounds a chain of ProxyJump.
const maxJumps = 4

func resolve(c Config, depth int) (*resolved, error) {
	if c.Host == "" {
		return nil, &transfer.Error{Op: "connect", Kind: transfer.ErrInvalid, Err: errors.New("no host name"), Hint: "set hostname of the site"}
	}
	r := &resolved{Config: c, given: c}
	get := func(string) string { return "" }
	all := func(string) []string { return nil }
	if f, err := readConfig(c.ConfigFile); err != nil {
		return nil, err
	} else if f != nil {
		r.usedFile = c.ConfigFile
		get = func(key string) string { v, _ := f.Get(c.Host, key); return v }
		all = func(key string) []string { v, _ := f.GetAll(c.Host, key); return v }
	}
	home, _ := os.UserHomeDir()
	if r.User == "" {
		r.User = get("User")
	}
	if r.User == "" {
		if u, err := user.Current(); err == nil {
			r.User = u.Username
		}
	}
	host := c.Host
	if h := get("HostName"); h != "" {
		host = strings.ReplaceAll(h, "%h", c.Host)
	}
	if r.Port == 0 {
		r.Port = 22
		if p := get("Port"); p != "" {
			n, err := strconv.Atoi(p)
			if err != nil {
				return nil, &transfer.Error{Op: "connect", Place: c.Host, Path: c.ConfigFile, Kind: transfer.ErrInvalid, Err: fmt.Errorf("port %q is not a number", p)}
			}
			r.Port = n
		}
	}
	r.addr = net.JoinHostPort(host, strconv.Itoa(r.Port))
	r.keyName = r.addr
	if a := get("HostKeyAlias"); a != "" {
		r.keyName = net.JoinHostPort(a, "22")
	}
	expand := func(p string) string {
		p = strings.NewReplacer("%d", home, "%h", host, "%r", r.User, "%%", "%").Replace(p)
		if rest, ok := strings.CutPrefix(p, "~/"); ok {
			p = filepath.Join(home, rest)
		}
		return p
	}
	if r.IdentityFiles == nil {
		for _, p := range all("IdentityFile") {
			r.IdentityFiles = append(r.IdentityFiles, expand(p))
		}
	}
	if r.IdentityFiles == nil {
		for _, n := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			if p := filepath.Join(home, ".ssh", n); exists(p) {
				r.IdentityFiles = append(r.IdentityFiles, p)
			}
		}
	}
	if r.KnownHosts == nil {
		for _, key := range []string{"UserKnownHostsFile", "GlobalKnownHostsFile"} {
			for _, p := range strings.Fields(get(key)) {
				r.KnownHosts = append(r.KnownHosts, expand(p))
			}
		}
	}
	if r.KnownHosts == nil {
		r.KnownHosts = []string{filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	if r.Connections <= 0 {
		r.Connections = 3
	}
	if r.Sessions <= 0 {
		r.Sessions = 8
	}
	if r.DialTimeout <= 0 {
		r.DialTimeout = 30 * time.Second
	}
	if r.KeepAlive <= 0 {
		r.KeepAlive = 15 * time.Second
	}
	if hops := get("ProxyJump"); hops != "" && hops != "none" {
		return r, r.via(hops, depth)
	}
	return r, nil
}

// via resolves ProxyJump: a list of [user@]host[:port], the last of which is the
// one that reaches us.
func (r *resolved) via(hops string, depth int) error {
	list := strings.Split(hops, ",")
	if depth+len(list) > maxJumps {
		return &transfer.Error{Op: "connect", Place: r.Host, Path: r.ConfigFile, Kind: transfer.ErrInvalid, Err: errors.New("ProxyJump goes in circles, or is too long")}
	}
	last := list[len(list)-1]
	c := Config{AgentSocket: r.AgentSocket, ConfigFile: r.ConfigFile, DialTimeout: r.DialTimeout, KeepAlive: r.KeepAlive,
		IdentityFiles: r.given.IdentityFiles, KnownHosts: r.given.KnownHosts}
	if u, rest, ok := strings.Cut(last, "@"); ok {
		c.User, last = u, rest
	}
	c.Host = last
	if h, p, err := net.SplitHostPort(last); err == nil {
		c.Host = h
		if c.Port, err = strconv.Atoi(p); err != nil {
			return &transfer.Error{Op: "connect", Place: r.Host, Path: r.ConfigFile, Kind: transfer.ErrInvalid, Err: fmt.Errorf("ProxyJump %q: %w", last, err)}
		}
	}
	jump, err := resolve(c, depth+1)
	if err != nil {
		return err
	}
	if len(list) > 1 {
		if err := jump.via(strings.Join(list[:len(list)-1], ","), depth+1); err != nil {
			return err
		}
	}
	r.jump = jump
	return nil
}

func readConfig(path string) (*ssh_config.Config, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &transfer.Error{Op: "connect", Path: path, Kind: transfer.ErrInvalid, Err: err}
	}
	defer f.Close()
	c, err := ssh_config.Decode(f)
	if err != nil {
		return nil, &transfer.Error{Op: "connect", Path: path, Kind: transfer.ErrInvalid, Err: err, Hint: "correct the file"}
	}
	return c, nil
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
