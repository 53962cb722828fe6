package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
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

// TestMain makes this test binary be ruciax when it is called so.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"ruciax": main}) }

// TestScripts runs ruciax against a server in memory, with its storages in folders.
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
			e.Setenv("RSE", f.Folder(ruciotest.RSEA))
			cfg := fmt.Sprintf("[client]\nrucio_host = %s\nauth_host = %[1]s\nauth_type = userpass\nusername = %s\npassword = %s\naccount = %s\n", f.URL, f.Admin.Username, f.Admin.Password, f.Admin.Account)
			if err := os.WriteFile(e.WorkDir+"/rucio.cfg", []byte(cfg), 0o600); err != nil {
				return err
			}
			p := e.WorkDir + "/cax.json"
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			return os.WriteFile(p, bytes.ReplaceAll(b, []byte("$WORK"), []byte(e.WorkDir)), 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "lines": jsonLines, "register": register},
	})
}

// register PATH NUMBER NAME makes a run with a copy of site lab.
func register(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: register PATH NUMBER NAME")
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
	_, err = env.Register(ctx, cax.Registration{Path: ts.MkAbs(args[0]), Number: number, Name: args[2], Detector: "tpc", Start: start})
	ts.Check(errors.Join(err, env.Close(), store.Close()))
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

// lines N checks that standard output was N lines, each of them one JSON object.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lines N")
	}
	n := 0
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			ts.Fatalf("%v: %s", err, line)
		}
		n++
	}
	if strconv.Itoa(n) != args[0] {
		ts.Fatalf("%d lines, want %s", n, args[0])
	}
}
