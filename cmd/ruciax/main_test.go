package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary be ruciax when it is called so.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"ruciax": main}) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"CAX_CONFIG", "CAX_RUNDB", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "RUCIO_CONFIG", "RUCIO_HOME", "RUCIO_ACCOUNT", "X509_CERT_DIR", "X509_USER_PROXY"} {
				e.Setenv(v, "")
			}
			e.Setenv("HOME", filepath.Join(e.WorkDir, ".home"))
			e.Setenv("HOSTNAME", "lab")
			p := filepath.Join(e.WorkDir, "cax.json")
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			return os.WriteFile(p, bytes.ReplaceAll(b, []byte("$WORK"), []byte(e.WorkDir)), 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
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
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
