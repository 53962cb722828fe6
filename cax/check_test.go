package cax

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

// found lists findings as "site what grade" and fails on those that tell a
// person nothing.
func found(t *testing.T, e *Env) []string {
	t.Helper()
	var fs []string
	for f := range e.Check(t.Context()) {
		fs = append(fs, strings.TrimSpace(f.Site+" "+f.What+" "+string(f.Grade)))
		if f.Text == "" || (f.Grade == CheckWarn || f.Grade == CheckFail) && f.Remedy == "" {
			t.Errorf("%+v lacks text or remedy", f)
		}
		t.Logf("%s %s %s: %s; %s", f.Site, f.What, f.Grade, f.Text, f.Remedy)
	}
	return fs
}

// empty fails if a check left anything below the sites' directories.
func empty(t *testing.T, cfg *Config) {
	t.Helper()
	for _, s := range cfg.Sites {
		for _, d := range s.dirs() {
			es, err := os.ReadDir(d)
			if err == nil && len(es) > 0 {
				t.Errorf("%s was left in %s", es[0].Name(), d)
			}
		}
	}
}

// strange is a local disk with some operations replaced.
type strange struct {
	transfer.Backend
	lstat, mkdir func(string) error
}

func (s *strange) Lstat(ctx context.Context, p string) (transfer.Info, error) {
	if s.lstat != nil {
		if err := s.lstat(p); err != nil {
			return transfer.Info{}, err
		}
	}
	return s.Backend.Lstat(ctx, p)
}

func (s *strange) Mkdir(ctx context.Context, p string) error {
	if s.mkdir != nil {
		if err := s.mkdir(p); err != nil {
			return err
		}
	}
	return s.Backend.Mkdir(ctx, p)
}

// at makes a site reached by another backend.
func at(e *Env, site string, b *strange) {
	b.Backend = e.remotes.local()
	e.remotes.links[site] = &link{backend: b, copier: &transfer.Copier{Limit: rate.NewLimiter(rate.Inf, 0)}}
}

func TestCheck(t *testing.T) {
	kind := func(k error) func(string) error {
		return func(p string) error { return &transfer.Error{Op: "test", Path: p, Kind: k, Hint: "do something"} }
	}
	db := []string{"run database ok", "clock ok"}
	self := []string{"A directory ok", "A write ok", "A directory ok", "A write ok"}
	full := []string{"A directory ok", "A space warning", "A write ok", "A directory ok", "A space warning", "A write ok"}
	type list = []string
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, cfg *Config)
		env    func(e *Env)
		self   []string // of this site; nil: all is well
		want   []string // of the others; in both, without what is ok about space
	}{
		{name: "all is well", want: list{"B connection ok", "B directory ok", "B write ok", "B directory ok", "B write ok"}},
		{name: "a directory is missing", change: func(_ *testing.T, cfg *Config) { cfg.Sites[1].DirRaw += "/gone" },
			want: list{"B connection ok", "B directory fail", "B directory ok", "B write ok"}},
		{name: "a directory is a file", change: func(t *testing.T, cfg *Config) {
			cfg.Sites[1].DirProcessed = filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(cfg.Sites[1].DirProcessed, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, want: list{"B connection ok", "B directory ok", "B write ok", "B directory fail"}},
		{name: "the remote has no directory for our data", change: func(_ *testing.T, cfg *Config) { cfg.Sites[1].DirRaw, cfg.Sites[1].DirProcessed = "", "" },
			want: list{"B directory warning", "B connection ok"}},
		{name: "not writable", env: func(e *Env) { at(e, "B", &strange{mkdir: kind(transfer.ErrPermission)}) },
			want: list{"B connection ok", "B directory ok", "B write fail", "B directory ok", "B write fail"}},
		{name: "not writable, and only read", change: func(_ *testing.T, cfg *Config) { pulls(cfg); cfg.Sites[0].DownloadOptions = list{"B"} },
			env:  func(e *Env) { at(e, "B", &strange{mkdir: kind(transfer.ErrPermission)}) },
			want: list{"B connection ok", "B directory ok", "B directory ok"}},
		{name: "unknown host key", env: func(e *Env) { at(e, "B", &strange{lstat: kind(transfer.ErrHostKey)}) }, want: list{"B host key fail"}},
		{name: "login refused", env: func(e *Env) { at(e, "B", &strange{lstat: kind(transfer.ErrAuth)}) }, want: list{"B login fail"}},
		{name: "server gone", env: func(e *Env) { at(e, "B", &strange{lstat: kind(transfer.ErrTransient)}) }, want: list{"B connection fail"}},
		{name: "too little space", change: func(_ *testing.T, cfg *Config) { cfg.Policy.Reserve = 1 << 62 }, self: full,
			want: list{"B connection ok", "B directory ok", "B space fail", "B write ok", "B directory ok", "B space fail", "B write ok"}},
		{name: "a site that copies to tape itself", change: func(_ *testing.T, cfg *Config) { cfg.Sites[1].Method, cfg.Sites[1].DirTSM = MethodTSM, "/b/tsm" }, want: list{"B method skipped"}},
		{name: "tape without dsmc", change: func(t *testing.T, cfg *Config) {
			cfg.Sites[1].Method, cfg.Sites[1].TSM.Program = MethodTSM, t.TempDir()+"/dsmc"
		}, want: list{"B tape fail"}},
		{name: "one storage by another name", change: link2, want: list{"B connection ok", "B directory ok", "B write ok", "B directory ok", "B write ok", "A storage warning"}},
		{name: "one storage, and said so", change: func(t *testing.T, cfg *Config) { link2(t, cfg); cfg.Sites[1].SameStorageAs = "A" },
			want: list{"B connection ok", "B directory ok", "B write ok", "B directory ok", "B write ok", "A storage ok"}},
		{name: "two storages, and said to be one", change: func(_ *testing.T, cfg *Config) { cfg.Sites[0].SameStorageAs = "B" },
			want: list{"B connection ok", "B directory ok", "B write ok", "B directory ok", "B write ok", "A storage warning"}},
		{name: "one storage, seen from a source that is only read", change: func(t *testing.T, cfg *Config) {
			link2(t, cfg)
			pulls(cfg)
			cfg.Sites[0].DownloadOptions = list{"B"}
		}, want: list{"B connection ok", "B directory ok", "B directory ok", "A storage warning"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, func(cfg *Config) {
				if tc.change != nil {
					tc.change(t, cfg)
				}
			})
			e := l.env("A")
			if tc.env != nil {
				tc.env(e)
			}
			if tc.self == nil {
				tc.self = self
			}
			want := slices.Concat(db, tc.self, tc.want)
			var got []string
			for _, f := range found(t, e) {
				if !strings.HasSuffix(f, "space ok") {
					got = append(got, f)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			empty(t, l.cfg)
		})
	}
}

// link2 makes the raw directory of B another name of that of A.
func link2(t *testing.T, cfg *Config) {
	dir := filepath.Join(t.TempDir(), "b")
	if err := os.Symlink(cfg.Sites[0].DirRaw, dir); err != nil {
		t.Fatal(err)
	}
	cfg.Sites[1].DirRaw = dir
}

// TestCheckDryRun is R12: nothing at all is written.
func TestCheckDryRun(t *testing.T) {
	l := newLab(t)
	e := l.env("A")
	e.DryRun = true
	at(e, "B", &strange{mkdir: func(p string) error {
		t.Errorf("%s was made in a dry run", p)
		return nil
	}})
	skipped := 0
	for _, f := range found(t, e) {
		if strings.HasSuffix(f, "write skipped") {
			skipped++
		}
	}
	if skipped != 4 {
		t.Errorf("%d directories reported as not written to, want 4", skipped)
	}
	empty(t, l.cfg)
}

// TestCheckLeft: what was made goes away however a check ends.
func TestCheckLeft(t *testing.T) {
	for n := range 16 {
		l := newLab(t)
		e := l.env("A")
		ctx, cancel := context.WithCancel(t.Context())
		i := 0
		for range e.Check(ctx) {
			if i++; i > n {
				if n%2 == 0 {
					break
				}
				cancel()
			}
		}
		cancel()
		empty(t, l.cfg)
	}
}

// troubled is a database with a fault.
type troubled struct {
	rundb.Driver
	err error
}

func (d troubled) Now(context.Context) (time.Time, error) { return time.Time{}, d.err }

func TestCheckRunDB(t *testing.T) {
	l := newLab(t)
	e := l.env("A")
	e.Store = &rundb.Store{Driver: troubled{l.store.Driver, &rundb.Error{Op: "time", Kind: rundb.ErrTransient, Err: errors.New("no route")}}}
	if fs := found(t, e); fs[0] != "run database fail" {
		t.Errorf("got %q", fs)
	}
	e = l.env("A")
	e.Clock.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	if fs := found(t, e); fs[0] != "run database ok" || fs[1] != "clock warning" {
		t.Errorf("got %q", fs)
	}
	e = l.env("A")
	e.Store = nil
	if fs := found(t, e); fs[0] != "A directory ok" {
		t.Errorf("got %q", fs)
	}
}

// TestCheckSSH probes a site behind a real server.
func TestCheckSSH(t *testing.T) {
	d := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	noSFTP := transfertest.StartSSHD(t, transfertest.SSHDOptions{NoSFTP: true})
	good := []string{"B connection ok", "B directory ok", "B write ok"}
	for _, tc := range []struct {
		name   string
		method Method
		server *transfertest.SSHD
		change func(s *Site, d *transfertest.SSHD)
		by     string // what reached it
		want   []string
	}{
		{name: "sftp", method: MethodSFTP, server: d, by: "sftp://", want: good},
		{name: "scp with SFTP", method: MethodSCP, server: d, by: "sftp://", want: good},
		{name: "scp without SFTP", method: MethodSCP, server: noSFTP, by: "scp://", want: good},
		{name: "sftp without SFTP", method: MethodSFTP, server: noSFTP, want: []string{"B connection fail"}},
		{name: "rsync", method: MethodRsync, server: d, by: "rsync://", want: good},
		{name: "unknown host key", method: MethodSFTP, server: d, change: func(s *Site, _ *transfertest.SSHD) { s.KnownHosts = "/dev/null" }, want: []string{"B host key fail"}},
		{name: "wrong key", method: MethodSFTP, server: d, change: func(s *Site, d *transfertest.SSHD) { s.IdentityFile = d.WrongKey }, want: []string{"B login fail"}},
		{name: "no server", method: MethodSFTP, server: d, change: func(s *Site, _ *transfertest.SSHD) { s.Port = 1 }, want: []string{"B connection fail"}},
		{name: "missing directory", method: MethodSCP, server: d, change: func(s *Site, _ *transfertest.SSHD) { s.DirRaw += "/gone" },
			want: []string{"B connection ok", "B directory fail"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.method == MethodRsync {
				transfertest.RequireTool(t, "rsync", "rsync")
			}
			t.Setenv("SSH_AUTH_SOCK", "")
			l := newLab(t, func(cfg *Config) {
				cfg.Sites[0].DataType = []string{"raw"}
				b := cfg.Sites[1]
				b.Method, b.Hostname, b.Port, b.Username = tc.method, tc.server.Host, tc.server.Port, tc.server.User
				b.IdentityFile, b.KnownHosts = tc.server.IdentityFile, tc.server.KnownHosts
				if tc.change != nil {
					tc.change(b, tc.server)
				}
			})
			e := l.env("A")
			var got []string
			by := ""
			for f := range e.Check(t.Context()) {
				t.Logf("%s %s %s: %s; %s", f.Site, f.What, f.Grade, f.Text, f.Remedy)
				if f.Site == "B" && f.What != AboutSpace {
					got = append(got, "B "+f.What+" "+string(f.Grade))
				}
				if f.What == AboutConnection {
					by = f.Text
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !strings.Contains(by, tc.by) {
				t.Errorf("%q does not say %s", by, tc.by)
			}
			empty(t, l.cfg)
		})
	}
}
