package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary be massive-ruciax when it is called so.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"massive-ruciax": main}) }

// TestScripts runs massive-ruciax against a server in memory, with its storages in folders.
func TestScripts(t *testing.T) {
	f := ruciotest.NewFake(t, nil)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"CAX_CONFIG", "MONGODB_PASSWORD", "MONGO_PASSWORD", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "RUCIO_HOME", "RUCIO_ACCOUNT", "RUCIO_AUTH_TYPE", "X509_CERT_DIR", "X509_USER_PROXY"} {
				e.Setenv(v, "")
			}
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("HOSTNAME", "lab")
			e.Setenv("TMPDIR", e.WorkDir)
			e.Setenv("CAX_RUNDB", "sqlite:"+e.WorkDir+"/runs.db")
			e.Setenv("RUCIO_CONFIG", e.WorkDir+"/rucio.cfg")
			text := fmt.Sprintf("[client]\nrucio_host = %s\nauth_host = %[1]s\nauth_type = userpass\nusername = %s\npassword = %s\naccount = %s\nrequest_retries = 1\n",
				f.URL, f.Admin.Username, f.Admin.Password, f.Admin.Account)
			if err := os.WriteFile(e.WorkDir+"/rucio.cfg", []byte(text), 0o600); err != nil {
				return err
			}
			p := e.WorkDir + "/cax.json"
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			return os.WriteFile(p, bytes.ReplaceAll(b, []byte("$WORK"), []byte(e.WorkDir)), 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "register": register, "runlogs": runLogs,
			"busy": func(ts *testscript.TestScript, neg bool, args []string) { busy(ts, f, args) },
		},
	})
}

// busy SCOPE makes the catalogue answer that it is busy to uploads into a scope; without
// one it is well again.
func busy(ts *testscript.TestScript, f *ruciotest.Fake, args []string) {
	switch len(args) {
	case 0:
		f.Recover()
	case 1:
		f.Fail(-1, ruciotest.Busy, func(r ruciotest.Request) bool { return strings.HasPrefix(r.Path, "/dids/"+args[0]+"/") })
	default:
		ts.Fatalf("usage: busy [SCOPE]")
	}
}

// exits CODE PROGRAM ARGS… runs a program that must end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// register PATH NUMBER NAME DETECTOR makes a run with a copy of site lab.
func register(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: register PATH NUMBER NAME DETECTOR")
	}
	ctx := context.Background()
	cfg, err := cax.Load(ts.MkAbs("cax.json"))
	ts.Check(err)
	site, ok := cfg.Site("lab")
	if !ok {
		ts.Fatalf("no site lab")
	}
	d, err := sqlitestore.Open(ctx, ts.MkAbs("runs.db"), &sqlitestore.Options{Create: true})
	ts.Check(err)
	store := &rundb.Store{Driver: d, By: "test"}
	owner, err := cax.ThisProcess(site.Name)
	ts.Check(err)
	env := cax.NewEnv(cfg, site, store, owner)
	number, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	start, err := time.Parse("060102_1504", args[2])
	ts.Check(err)
	_, err = env.Register(ctx, cax.Registration{Path: ts.MkAbs(args[0]), Number: number, Name: args[2], Detector: args[3], Start: start})
	ts.Check(errors.Join(err, env.Close(), store.Close()))
}

// runlogs DIR PATTERN… checks that a folder holds exactly one file for each pattern.
func runLogs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: runlogs DIR PATTERN...")
	}
	es, err := os.ReadDir(ts.MkAbs(args[0]))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		ts.Fatalf("%v", err)
	}
	var names []string
	for _, e := range es {
		names = append(names, e.Name())
	}
	for _, pattern := range args[1:] {
		n := 0
		for _, name := range names {
			if ok, err := filepath.Match(pattern, name); err == nil && ok {
				n++
			}
		}
		if n != 1 {
			ts.Fatalf("%d files fit %s: %s", n, pattern, strings.Join(names, " "))
		}
	}
	if len(names) != len(args)-1 {
		ts.Fatalf("%d files, want %d: %s", len(names), len(args)-1, strings.Join(names, " "))
	}
}
