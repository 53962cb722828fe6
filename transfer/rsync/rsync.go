package rsync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/internal/program"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/scp"
	"github.com/cax-go/cax/transfer/ssh"
	"golang.org/x/sys/unix"
)

// Options configures a Backend. nil: the defaults.
type Options struct {
	Rsync string // the program; "": rsync, looked up in PATH
	SSH   string // the program; "": ssh
}

// A Backend is an account on a server with rsync and a POSIX shell. It is safe
// for concurrent use.
type Backend struct {
	*scp.Backend
	pool *ssh.Pool
	o    Options
}

var (
	_ transfer.Backend    = (*Backend)(nil)
	_ transfer.TreeCopier = (*Backend)(nil)
)

// New returns a backend. File operations go over the pool's connections; rsync
// makes one of its own for each dataset. Closing it does not close the pool.
func New(pool *ssh.Pool, o *Options) *Backend {
	b := &Backend{Backend: scp.New(pool), pool: pool, o: Options{Rsync: "rsync", SSH: "ssh"}}
	if o != nil && o.Rsync != "" {
		b.o.Rsync = o.Rsync
	}
	if o != nil && o.SSH != "" {
		b.o.SSH = o.SSH
	}
	return b
}

// String is like "rsync://cax@midway:22".
func (b *Backend) String() string { return "rsync://" + b.pool.String() }

// Create returns transfer.ErrUnsupported: rsync brings the files.
func (b *Backend) Create(_ context.Context, p string, _, _ int64, _ time.Time) (io.WriteCloser, error) {
	return nil, &transfer.Error{Op: "create", Place: b.String(), Path: p, Kind: transfer.ErrUnsupported}
}

// Send implements [transfer.TreeCopier].
func (b *Backend) Send(ctx context.Context, local, remote string, single bool, t *transfer.Tree) error {
	return b.run(ctx, move{from: local, to: remote, single: single, push: true}, t)
}

// Fetch implements [transfer.TreeCopier].
func (b *Backend) Fetch(ctx context.Context, remote, local string, single bool, t *transfer.Tree) error {
	return b.run(ctx, move{from: remote, to: local, single: single}, t)
}

// A move is one run of rsync.
type move struct {
	from, to string
	single   bool
	push     bool // to the server
}

// ends gives a directory the slash that makes rsync mean what is in it.
func ends(p string, single bool) string {
	if single {
		return p
	}
	return p + "/"
}

func (b *Backend) run(ctx context.Context, m move, t *transfer.Tree) error {
	target := b.pool.Target()
	// rsync's second process outlives its first for as long as bytes come: they
	// come through us, so that none does when we are killed, or frozen.
	var mu sync.Mutex
	var unreachable error
	port, stop, err := b.pool.Forward(ctx, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		unreachable = err
	})
	if err != nil {
		return err
	}
	defer stop()
	shell, done, err := b.remoteShell(target, port)
	if err != nil {
		return err
	}
	defer done()
	host := target.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	from, to := ends(m.from, m.single), ends(m.to, m.single)
	if spec := target.User + "@" + host + ":"; m.push {
		to = spec + to
	} else {
		from = spec + from
	}
	// -s is --secluded-args, under the name that every version knows.
	args := []string{"-s", "--times", "--copy-links", "--partial-dir=" + path.Dir(m.to) + "/partial", "--rsh=" + shell,
		"--info=progress2", "--no-human-readable", "--outbuf=L", "--chmod=D755,F644"}
	if t.Stall > 0 {
		// Its server ends by itself when we are gone without a word.
		args = append(args, "--timeout="+strconv.Itoa(max(60, int(t.Stall.Seconds()))))
	}
	if !m.single {
		// The staged tree becomes what the source is, whatever an earlier try left.
		args = append(args, "--recursive", "--delete")
	}
	if t.BytesPerSecond > 0 {
		args = append(args, "--bwlimit="+strconv.FormatInt(max(1, t.BytesPerSecond/1024), 10))
	}
	cmd := exec.Command(b.o.Rsync, append(args, "--", from, to)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "RSYNC_PROTECT_ARGS=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stderr := &program.Tail{}
	cmd.Stderr = stderr
	err = program.Run(ctx, cmd, func(int) { progress(stdout, t.Progress) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	mu.Lock()
	defer mu.Unlock()
	var known *transfer.Error
	if err != nil && errors.As(unreachable, &known) {
		return unreachable
	}
	return b.failed(ctx, m, err, strings.TrimSpace(fmt.Sprintln(stderr.String(), errorText(unreachable))))
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// progress reads what --info=progress2 prints: lines that are overwritten, whose
// first field is the number of bytes so far.
func progress(r io.Reader, tell func(int64)) {
	sc := bufio.NewScanner(r)
	sc.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	var last int64
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) == 0 {
			continue
		}
		n, err := strconv.ParseInt(strings.ReplaceAll(f[0], ",", ""), 10, 64)
		if err == nil && n > last {
			if tell != nil {
				tell(n - last)
			}
			last = n
		}
	}
}

// failed gives the end of rsync a kind, by its exit codes (rsync(1), EXIT VALUES)
// and by looking.
func (b *Backend) failed(ctx context.Context, m move, err error, said string) error {
	if err == nil {
		return nil
	}
	e := &transfer.Error{Op: "rsync", Place: b.String(), Path: m.from, Kind: transfer.ErrTransient, Hint: "it is tried again"}
	if m.push {
		e.Path = m.to
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		e.Kind, e.Err, e.Hint = transfer.ErrUnsupported, err, "install rsync, or use method scp"
		return e
	}
	e.Err = fmt.Errorf("exit code %d: %s", exit.ExitCode(), said)
	switch exit.ExitCode() {
	case 1, 2, 4: // syntax, protocol, an option that one side does not know
		e.Kind, e.Hint = transfer.ErrUnsupported, "see that both sides have rsync 3.1 or newer"
	case 24: // source files vanished
		e.Kind, e.Hint = transfer.ErrSourceChanged, "it is tried again when the source is at rest"
	case 127:
		e.Kind, e.Hint = transfer.ErrUnsupported, "install rsync there, or use method scp"
	default:
		kind := whyHere(ctx, m.to)
		if m.push {
			kind = b.Why(ctx, m.to)
		}
		switch kind {
		case nil:
		case transfer.ErrNoSpace:
			e.Kind, e.Hint = kind, "make room there"
		default:
			e.Kind, e.Hint = kind, ""
		}
	}
	return e
}

// whyHere looks on this machine for what stood against writing to a path.
func whyHere(ctx context.Context, p string) error {
	dir := path.Dir(p)
	disk := local.New(nil)
	if _, err := disk.Lstat(ctx, dir); errors.Is(err, transfer.ErrNotExist) || errors.Is(err, transfer.ErrPermission) {
		var e *transfer.Error
		errors.As(err, &e)
		return e.Kind
	}
	if unix.Access(dir, unix.W_OK) != nil {
		return transfer.ErrPermission
	}
	if free, err := disk.Free(ctx, dir); err == nil && free < 1<<20 {
		return transfer.ErrNoSpace
	}
	return nil
}

// remoteShell is the command by which rsync reaches the server: ssh with our own
// policy, whatever the user's configuration says, by a port of this machine.
func (b *Backend) remoteShell(t ssh.Target, port int) (string, func(), error) {
	done := func() {}
	// A shared connection would outlive us, and keep rsync's output open.
	args := []string{b.o.SSH, "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "Compression=no",
		"-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
		"-o", "HostName=127.0.0.1", "-o", "ProxyJump=none", "-o", "ProxyCommand=none", "-p", strconv.Itoa(port)}
	option := func(o string) { args = append(args, "-o", o) }
	if t.ConfigFile != "" {
		args = append(args, "-F", t.ConfigFile)
	} else {
		args = append(args, "-F", "none")
	}
	known := t.KnownHosts
	if t.HostKey != "" {
		dir, err := os.MkdirTemp("", "cax-hostkey-*")
		if err != nil {
			return "", done, err
		}
		done = func() { os.RemoveAll(dir) }
		file := dir + "/known_hosts"
		if err := os.WriteFile(file, []byte("cax-pinned "+t.HostKey+"\n"), 0o600); err != nil {
			return "", done, err
		}
		known = []string{file}
		option("HostKeyAlias=cax-pinned")
	} else {
		option("HostKeyAlias=" + t.KnownAs())
	}
	var quoted []string
	for _, k := range known {
		quoted = append(quoted, `"`+percent(k)+`"`)
	}
	if len(quoted) == 0 {
		quoted = []string{"none"}
	}
	option("UserKnownHostsFile=" + strings.Join(quoted, " "))
	option("GlobalKnownHostsFile=none")
	if len(t.IdentityFiles) > 0 {
		option("IdentitiesOnly=yes")
		for _, f := range t.IdentityFiles {
			args = append(args, "-i", percent(f))
		}
	}
	if t.AgentSocket != "" {
		option(`IdentityAgent="` + percent(t.AgentSocket) + `"`)
	} else {
		option("IdentityAgent=none")
	}
	for i, a := range args {
		// rsync(1), --rsh: within single quotes, two of them stand for one.
		args[i] = "'" + strings.ReplaceAll(a, "'", "''") + "'"
	}
	return strings.Join(args, " "), done, nil
}

// percent protects a path from ssh, which expands tokens like %h.
func percent(p string) string { return strings.ReplaceAll(p, "%", "%%") }
