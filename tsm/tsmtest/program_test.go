package tsmtest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cax-go/cax/tsm"
	"github.com/cax-go/cax/tsm/tsmtest"
)

// run runs the program within this process, with the tape as its environment.
func run(t *testing.T, tape *tsmtest.Tape, args ...string) (string, int) {
	t.Helper()
	for _, kv := range tape.Variables() {
		k, v, _ := strings.Cut(kv, "=")
		t.Setenv(k, v)
	}
	t.Setenv("DSM_LOG", t.TempDir())
	var out bytes.Buffer
	code := tsmtest.Run(args, strings.NewReader(""), &out)
	return out.String(), code
}

// TestForms holds what is known of the real program's layout.
func TestForms(t *testing.T) {
	tape := tsmtest.New(t)
	dir := filepath.Join(t.TempDir(), "160315_1432")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "XENON1T-0.zip")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 85_113), 0o644); err != nil {
		t.Fatal(err)
	}
	out, code := run(t, tape, "incr", dir+"/")
	if code != 0 {
		t.Fatal(out)
	}
	for _, line := range []string{
		"IBM Storage Protect",
		"  Client Version 8, Release 1, Level 27.0 ",
		"Session established with server TAPES: Linux/x86_64",
		"Incremental backup of volume '" + dir + "/'",
		"Normal File-->            85,113 " + name + " [Sent]",
		"Successful incremental backup of '" + dir + "/'",
		"Total number of objects inspected:            1",
		"Total number of objects backed up:            1",
		"Total number of bytes inspected:          83.12 KB",
		"Objects compressed by:                        0%",
		"Total data reduction ratio:                0.00%",
	} {
		if !strings.Contains("\n"+out, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
	// The original's own command lines.
	if out, code = run(t, tape, "query", "ba", dir+"/*"); code != 0 || !strings.Contains(out, "DEFAULT") {
		t.Errorf("%d: %s", code, out)
	}
	dest := t.TempDir()
	if out, code = run(t, tape, "rest", dir+"/", dest+"/", "-followsymbolic=yes"); code != 0 {
		t.Errorf("%d: %s", code, out)
	}
	if b, err := os.ReadFile(filepath.Join(dest, "160315_1432", "XENON1T-0.zip")); err != nil || len(b) != 85_113 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	// A second restore asks, since nobody has told it what to do; nobody answers.
	if out, code = run(t, tape, "rest", dir+"/", dest+"/"); code != 8 || !strings.Contains(out, "--- User Action is Required ---\nFile '") {
		t.Errorf("%d: %s", code, out)
	}
	if out, code = run(t, tape); code != 0 || !strings.HasSuffix(out, "Protect> ") {
		t.Errorf("%d: %s", code, out)
	}
}

// TestRefuses: what our driver must not do is an error here.
func TestRefuses(t *testing.T) {
	tape := tsmtest.New(t)
	for _, args := range [][]string{
		{"delete", "archive", "/data/*", "-noprompt"},
		{"archive", "/data/x", "-dateformat=3"},
		{"query", "archive", "/da*ta/x"},
		{"query", "archive", "/data/*", "-sudbir=yes"},
		{"query", "archive", "/data/a", "/data/b"},
		{"retrieve", "/data/*", "/no/slash"},
	} {
		if out, code := run(t, tape, args...); code != 12 || !strings.Contains(out, "ANS") {
			t.Errorf("%q: %d %s", args, code, out)
		}
	}
	if code := tsmtest.Run(nil, strings.NewReader(""), &bytes.Buffer{}); code == 127 {
		t.Error("the environment of the test is not there")
	}
	t.Setenv("CAX_TEST_DSMC", "")
	if code := tsmtest.Run(nil, strings.NewReader(""), &bytes.Buffer{}); code != 127 {
		t.Error("it runs without a tape")
	}
}

// TestInterrupted: a restore that the server steers leaves a session behind when it
// dies, and one that asks for the latest versions does not.
func TestInterrupted(t *testing.T) {
	tape := tsmtest.New(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := tape.Client()
	if _, err := c.Incremental(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	tape.Fail(t, tsmtest.Fault{Op: "restore", Kind: tsmtest.NoMedia})
	job := tsm.Recall{Paths: []string{filepath.Join(dir, "a")}}
	if _, err := c.Restore(t.Context(), job, t.TempDir(), false, nil); err == nil {
		t.Fatal("no fault")
	}
	if p, err := c.PendingRestores(t.Context()); err != nil || len(p) != 0 {
		t.Errorf("%q, %v", p, err)
	}
	tape.Damage(t, job.Paths[0])
	tape.Fail(t, tsmtest.Fault{Op: "restore", Kind: tsmtest.Pending, Times: 1})
	run(t, tape, "restore", dir+"/", t.TempDir()+"/", "-replace=no")
	tape.Fail(t)
	if p, err := c.PendingRestores(t.Context()); err != nil || len(p) != 1 {
		t.Errorf("%q, %v", p, err)
	}
	if n := len(tape.CallsOf(t, "query restore")); n != 2 {
		t.Errorf("%d queries", n)
	}
	if v := tape.Versions(t); len(v) != 1 || v[0].Path != job.Paths[0] || v[0].Archive || !v[0].Active {
		t.Errorf("%+v", v)
	}
}
