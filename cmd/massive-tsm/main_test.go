package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/cax-go/cax/tsm/tsmtest"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary be massive-tsm, or dsmc, when it is called so.
func TestMain(m *testing.M) {
	tsmtest.Main()
	testscript.Main(m, map[string]func(){"massive-tsm": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"CAX_CONFIG", "MONGODB_PASSWORD", "MONGO_PASSWORD", "XDG_CONFIG_HOME", "XDG_DATA_HOME"} {
				e.Setenv(v, "")
			}
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("HOSTNAME", "xe1t-datamanager")
			e.Setenv("CAX_RUNDB", "sqlite:"+e.WorkDir+"/runs.db")
			tape, err := tsmtest.Make(filepath.Join(e.WorkDir, ".tape"))
			if err != nil {
				return err
			}
			e.Vars = append(e.Vars, tape.Variables()...)
			e.Setenv("PATH", tape.Bin()+":"+e.Getenv("PATH"))
			e.Values[tapeKey{}] = tape
			return expandConfigs(e.WorkDir)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    exits,
			"register": register,
			"runlogs":  runLogs,
			"fault":    fault,
		},
	})
}

type tapeKey struct{}

// expandConfigs puts the work folder into the configurations of a script.
func expandConfigs(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(p) != ".json" {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(p, bytes.ReplaceAll(b, []byte("$WORK"), []byte(dir)), 0o644)
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

// register CONFIG SITE PATH NUMBER NAME DETECTOR puts a dataset on record.
func register(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 6 {
		ts.Fatalf("usage: register CONFIG SITE PATH NUMBER NAME DETECTOR")
	}
	ctx := context.Background()
	cfg, err := cax.Load(ts.MkAbs(args[0]))
	ts.Check(err)
	site, ok := cfg.Site(args[1])
	if !ok {
		ts.Fatalf("no site %s", args[1])
	}
	d, err := sqlitestore.Open(ctx, ts.MkAbs("runs.db"), &sqlitestore.Options{Create: true})
	ts.Check(err)
	store := &rundb.Store{Driver: d, By: "test"}
	owner, err := cax.ThisProcess(site.Name)
	ts.Check(err)
	env := cax.NewEnv(cfg, site, store, owner)
	number, err := strconv.ParseInt(args[3], 10, 64)
	ts.Check(err)
	start, err := time.Parse("060102_1504", args[4])
	ts.Check(err)
	_, err = env.Register(ctx, cax.Registration{Path: ts.MkAbs(args[2]), Number: number, Name: args[4], Detector: args[5], Start: start})
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

// fault KIND [OP [AFTER]] makes dsmc fail; without arguments it is well again.
func fault(ts *testscript.TestScript, neg bool, args []string) {
	tape := ts.Value(tapeKey{}).(*tsmtest.Tape)
	ts.Check(tape.Change(func(s *tsmtest.Settings) {
		s.Faults = nil
		if len(args) > 0 {
			f := tsmtest.Fault{Kind: tsmtest.FaultKind(strings.ReplaceAll(args[0], "-", " "))}
			if len(args) > 1 {
				f.Op = args[1]
			}
			if len(args) > 2 {
				n, err := strconv.Atoi(args[2])
				ts.Check(err)
				f.After = n
			}
			s.Faults = []tsmtest.Fault{f}
		}
	}))
}
