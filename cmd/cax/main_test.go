package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
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

	"github.com/cax-go/cax/transfer/gfal"
	"github.com/cax-go/cax/transfer/gfal/gfaltest"
	"github.com/cax-go/cax/tsm/tsmtest"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary be cax, or a program of gfal2-util, when it is called
// so.
func TestMain(m *testing.M) {
	tsmtest.Main()
	programs := map[string]func(){"cax": main}
	for _, p := range gfal.Programs() {
		programs[p] = gfaltest.Main
	}
	testscript.Main(m, programs)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"CAX_CONFIG", "CAX_RUNDB", "MONGODB_PASSWORD", "MONGO_PASSWORD", "XDG_CONFIG_HOME", "XDG_DATA_HOME"} {
				e.Setenv(v, "")
			}
			e.Setenv("HOME", filepath.Join(e.WorkDir, ".home"))
			e.Setenv("HOSTNAME", "A.example.org")
			e.Values[listingKey{}] = &map[string]string{}
			tape, err := tsmtest.Make(filepath.Join(e.WorkDir, ".tape"))
			if err != nil {
				return err
			}
			e.Vars = append(e.Vars, tape.Variables()...)
			e.Setenv("TAPEBIN", tape.Bin())
			if err := expandConfigs(e.WorkDir); err != nil {
				return err
			}
			for _, p := range []string{"pax"} { // scripts that stand in for programs
				if err := os.Chmod(filepath.Join(e.WorkDir, p), 0o755); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":     exits,
			"lines":     jsonLines,
			"flip":      flip,
			"snapshot":  snapshot,
			"unchanged": unchanged,
			"waitjobs":  waitJobs,
		},
	})
}

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

// lines N checks that standard output was N lines, each of them one JSON object.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lines N")
	}
	out := ts.ReadFile("stdout")
	n := 0
	for line := range strings.Lines(out) {
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

// flip FILE changes one byte of a file, and neither its size nor its times.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip FILE")
	}
	p := ts.MkAbs(args[0])
	st, err := os.Stat(p)
	ts.Check(err)
	b, err := os.ReadFile(p)
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(p, b, 0o644))
	ts.Check(os.Chtimes(p, st.ModTime(), st.ModTime()))
}

// waitjobs waits until no job of site A waits or runs.
func waitJobs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: waitjobs")
	}
	for range 600 {
		ts.Check(ts.Exec("cax", "jobs", "--host", "A", "--all", "--json"))
		out := ts.ReadFile("stdout")
		if !strings.Contains(out, `"state":"running"`) && !strings.Contains(out, `"state":"pending"`) && !strings.Contains(out, `"state":"submitting"`) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("jobs do not end:\n%s", ts.ReadFile("stdout"))
}

type listingKey struct{}

// snapshot remembers every file below the work folder: name, mode, time and
// contents; of the folders of sites also their times.
func snapshot(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: snapshot")
	}
	*ts.Value(listingKey{}).(*map[string]string) = listing(ts)
}

// unchanged checks that nothing is different from the last snapshot.
func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: unchanged")
	}
	if d := cmp.Diff(*ts.Value(listingKey{}).(*map[string]string), listing(ts)); d != "" {
		ts.Fatalf("files changed:\n%s", d)
	}
}

func listing(ts *testscript.TestScript) map[string]string {
	work := ts.Getenv("WORK")
	all := map[string]string{}
	ts.Check(filepath.WalkDir(work, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(work, p)
		if err != nil {
			return err
		}
		switch {
		case !d.IsDir():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			all[rel] = fmt.Sprintf("%v %v %x", st.Mode(), st.ModTime(), sha256.Sum256(b))
		case strings.Contains(rel, "/"):
			all[rel] = fmt.Sprintf("%v %v", st.Mode(), st.ModTime())
		default:
			// An open database has files beside it for a while.
			all[rel] = st.Mode().String()
		}
		return nil
	}))
	return all
}
