package cax

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestResolveRunDB(t *testing.T) {
	const secret = "hunter2"
	cfg := func(uri string) *Config { return &Config{File: "/etc/cax/cax.json", RunDB: RunDBConfig{URI: uri}} }
	home := map[string]string{"HOME": "/home/x"}
	with := func(kv ...string) map[string]string {
		m := map[string]string{"HOME": "/home/x"}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for _, tc := range []struct {
		name string
		flag string
		env  map[string]string
		cfg  *Config
		want string // String
		from string
		uri  string
		err  string // part of the error that a person needs
	}{
		{name: "default below HOME", env: home, want: "sqlite:/home/x/.local/share/cax/runs.db", from: "default"},
		{name: "default below XDG_DATA_HOME", env: with("XDG_DATA_HOME", "/xdg"), cfg: cfg(""), want: "sqlite:/xdg/cax/runs.db", from: "default"},
		{name: "relative XDG_DATA_HOME does not count", env: with("XDG_DATA_HOME", "xdg"), want: "sqlite:/home/x/.local/share/cax/runs.db", from: "default"},
		{name: "no home", err: "--rundb sqlite:PATH"},
		{name: "flag first", flag: "sqlite:/a", env: with("CAX_RUNDB", "sqlite:/b"), cfg: cfg("sqlite:/c"), want: "sqlite:/a", from: "--rundb"},
		{name: "then environment", env: with("CAX_RUNDB", "sqlite:/b"), cfg: cfg("sqlite:/c"), want: "sqlite:/b", from: "$CAX_RUNDB"},
		{name: "then configuration", env: home, cfg: cfg("sqlite:/c"), want: "sqlite:/c", from: "rundb.uri of /etc/cax/cax.json"},
		{name: "relative to the configuration", env: home, cfg: cfg("sqlite:db/../runs.db"), want: "sqlite:/etc/cax/runs.db", from: "rundb.uri of /etc/cax/cax.json"},
		{name: "home directory", flag: "sqlite:~/runs.db", env: home, want: "sqlite:/home/x/runs.db", from: "--rundb"},
		{name: "URL style path", flag: "sqlite:///a/b", env: home, want: "sqlite:/a/b", from: "--rundb"},
		{name: "sqlite on a server", flag: "sqlite://server/b", env: home, err: "write sqlite:/data/runs.db"},
		{name: "sqlite without path", flag: "sqlite:", env: home, err: "write sqlite:/data/runs.db"},
		{name: "password and no address", env: with("MONGO_PASSWORD", secret), err: "--rundb mongodb://USER@HOST/run"},
		{name: "password and an embedded database by name", flag: "sqlite:/a", env: with("MONGODB_PASSWORD", secret), want: "sqlite:/a", from: "--rundb"},
		{name: "mongodb", flag: "mongodb://cax@a:27017,b:27018/run?replicaSet=runs", env: home,
			want: "mongodb://cax@a:27017,b:27018/run", uri: "mongodb://cax@a:27017,b:27018/run?replicaSet=runs", from: "--rundb"},
		{name: "C42: password in the environment's address", env: with("CAX_RUNDB", "mongodb://cax:"+secret+"@a/run?x=1"),
			want: "mongodb://cax@a/run", uri: "mongodb://cax@a/run?x=1", from: "$CAX_RUNDB"},
		{name: "srv", flag: "mongodb+srv://cax@a.example/run", env: home, want: "mongodb+srv://cax@a.example/run", uri: "mongodb+srv://cax@a.example/run", from: "--rundb"},
		{name: "password in the flag", flag: "mongodb://cax:" + secret + "@a/run", env: home, err: "process list"},
		{name: "unescaped password", env: with("CAX_RUNDB", "mongodb://cax:"+secret+"/@a/run"), err: "%2F"},
		{name: "unescaped question mark", env: with("CAX_RUNDB", "mongodb://cax:"+secret+"?@a/run"), err: "%3F"},
		{name: "unescaped percent", env: with("CAX_RUNDB", "mongodb://cax:"+secret+"%zz@a/run"), err: "%25"},
		{name: "no user", env: with("CAX_RUNDB", "mongodb://:"+secret+"@a/run"), err: "USER@HOST"},
		{name: "no host", flag: "mongodb://cax@/run", env: home, err: "names no host"},
		{name: "no slashes", flag: "mongodb:cax", env: home, err: "mongodb://USER@HOST/run"},
		{name: "no scheme", flag: "/data/runs.db", env: home, err: "write sqlite:PATH"},
		{name: "no scheme with password", env: with("CAX_RUNDB", "cax:"+secret+"@a/run"), err: "write sqlite:PATH"},
		{name: "unknown scheme", flag: "postgres://cax:" + secret + "@a/run", env: home, err: "write sqlite:PATH"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := ResolveRunDB(tc.flag, func(k string) string { return tc.env[k] }, tc.cfg)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v, %v; want an error that says %q", a, err, tc.err)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows the password: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.String() != tc.want || a.Source != tc.from || a.URI != tc.uri {
				t.Errorf("got %s (%s) from %s, want %s (%s) from %s", a, a.URI, a.Source, tc.want, tc.uri, tc.from)
			}
			for _, f := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				if s := fmt.Sprintf(f, a); strings.Contains(s, secret) {
					t.Errorf("%s shows the password: %s", f, s)
				}
			}
		})
	}
}

func TestRunDBPassword(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("from-file\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		flag string
		env  map[string]string
		db   RunDBConfig
		want string
		err  string
	}{
		{name: "environment, README's name", env: map[string]string{"MONGODB_PASSWORD": "a", "MONGO_PASSWORD": "b"}, db: RunDBConfig{URI: "mongodb://u@h/run", PasswordFile: "secret"}, want: "a"},
		{name: "environment, code's name", env: map[string]string{"MONGO_PASSWORD": "b"}, db: RunDBConfig{URI: "mongodb://u@h/run"}, want: "b"},
		{name: "address", env: map[string]string{"CAX_RUNDB": "mongodb://u:p%40ss@h/run"}, want: "p@ss"},
		{name: "file beside the configuration", db: RunDBConfig{URI: "mongodb://u@h/run", PasswordFile: "secret"}, want: "from-file"},
		{name: "file, address from elsewhere and none in the configuration", flag: "mongodb://u@h/run", db: RunDBConfig{PasswordFile: "secret"}, want: "from-file"},
		{name: "not for another database than the configuration's", flag: "mongodb://u@other/run", db: RunDBConfig{URI: "mongodb://u@h/run", PasswordFile: "secret"}, err: "set MONGODB_PASSWORD"},
		{name: "missing file", db: RunDBConfig{URI: "mongodb://u@h/run", PasswordFile: "gone"}, err: "gone"},
		{name: "no user, no password", env: map[string]string{"MONGO_PASSWORD": "b"}, db: RunDBConfig{URI: "mongodb://h/run"}, want: ""},
		{name: "none", db: RunDBConfig{URI: "mongodb://u@h/run"}, err: "set MONGODB_PASSWORD"},
		{name: "command", db: RunDBConfig{URI: "mongodb://u@h/run", PasswordCommand: []string{self, "-test.list=^TestRunDBPassword$"}}, want: "TestRunDBPassword"},
		{name: "command that fails", db: RunDBConfig{URI: "mongodb://u@h/run", PasswordCommand: []string{self, "-no-such-flag"}}, err: "run it by hand"},
		{name: "command that is not there", db: RunDBConfig{URI: "mongodb://u@h/run", PasswordCommand: []string{filepath.Join(dir, "gone")}}, err: "password_command"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := ResolveRunDB(tc.flag, func(k string) string { return tc.env[k] }, &Config{File: filepath.Join(dir, "cax.json"), RunDB: tc.db})
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Password(t.Context())
			switch {
			case tc.err == "" && (err != nil || got != tc.want):
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("got %q, %v; want an error that says %q", got, err, tc.err)
			}
		})
	}
}
