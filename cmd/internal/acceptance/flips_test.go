package acceptance

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cax-go/cax/transfer/transfertest"
)

const (
	aRun = "160315_1432"

	// bigFile is the only large file of [small].
	bigFile = "XENON1T-0-000000000-000000999-000001000.zip"
)

// each runs a test for every method and direction; without CAX_INTEGRATION=1 for
// every method once, in turn as push and pull.
func each(t *testing.T, f func(t *testing.T, method int, pull bool)) {
	for i, m := range methods {
		for _, pull := range []bool{false, true} {
			if !long() && pull != (i%2 == 1) {
				continue
			}
			t.Run(fmt.Sprintf("%s/pull=%v", m.name, pull), func(t *testing.T) {
				t.Parallel()
				requireTools(t, i)
				f(t, i, pull)
			})
		}
	}
}

func requireTools(t *testing.T, method int) {
	t.Helper()
	for _, tool := range methods[method].tools {
		transfertest.RequireTool(t, methods[method].method, tool)
	}
}

// worker is the site that copies.
func worker(pull bool) string {
	if pull {
		return "b"
	}
	return "a"
}

// TestFlippedAtSource: bytes at the source that are not those of the manifest are
// not copied under the final name, and the file is named; when they are right again,
// the copy is made without anybody's help.
func TestFlippedAtSource(t *testing.T) {
	each(t, func(t *testing.T, method int, pull bool) {
		w := newWorld(t, options{method: methods[method].method, sshd: methods[method].sshd, pull: pull})
		w.register(aRun, small())
		defer w.watch(aRun)()
		bad := w.at("a", aRun) + "/" + bigFile
		flip(t, bad)
		w.fails([]string{bigFile, aRun}, "--once", "--host", worker(pull))
		w.corrupt("failed")
		if _, err := os.Lstat(w.at("b", aRun)); err == nil {
			t.Error("damaged data stand under the final name")
		}
		w.waits(worker(pull))
		flip(t, bad)
		w.recovers(aRun)
	})
}

// TestFlippedInTransit: a byte that changes on its way, behind the MAC of the
// cipher, is found before anything is called transferred.
func TestFlippedInTransit(t *testing.T) {
	for _, c := range []struct {
		name    string
		method  string
		flipper flipper
		pull    bool
		remote  bool // the pusher verifies
		heals   bool // the tool itself may notice and send again
	}{
		{name: "sftp/push", method: "sftp", flipper: flipWrites},
		{name: "sftp/push, verified from here", method: "sftp", flipper: flipWrites, remote: true},
		{name: "sftp/pull", method: "sftp", flipper: flipReads, pull: true},
		{name: "scp/push", method: "scp", flipper: flipWrites},
		{name: "scp protocol only/push", method: "scp", flipper: flipInput},
		{name: "scp protocol only/push, verified from here", method: "scp", flipper: flipInput, remote: true},
		{name: "scp protocol only/pull", method: "scp", flipper: flipOutput, pull: true},
		{name: "rsync/push", method: "rsync", flipper: flipInput, heals: true},
		{name: "rsync/pull", method: "rsync", flipper: flipOutput, pull: true, heals: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			trigger := t.TempDir() + "/trigger"
			var o transfertest.SSHDOptions
			if c.flipper == flipWrites || c.flipper == flipReads {
				o.SFTPCommand = c.flipper.subsystem(t, trigger)
			} else {
				o.NoSFTP, o.Lines = true, []string{"ForceCommand " + c.flipper.command(t, trigger)}
			}
			if c.method == "rsync" {
				requireTools(t, 3)
			}
			site := map[string]map[string]any{}
			if c.remote {
				site["b"] = map[string]any{"verify": "remote"}
			}
			w := newWorld(t, options{method: c.method, sshd: o, pull: c.pull, site: site})
			w.register(aRun, map[string]string{bigFile: small()[bigFile], "sub/notes.txt": "notes"})
			defer w.watch(aRun)()
			first := w.run("--once", "--host", worker(c.pull))
			if _, err := os.Lstat(trigger); err == nil {
				t.Fatalf("no byte was flipped: the test shows nothing\n%s", first.stderr)
			}
			switch s := w.copy("b", aRun).Status; {
			case c.heals && first.code == 0:
				if !c.pull && s != "verifying" {
					t.Errorf("the copy is %s", s)
				}
				w.recovers(aRun) // which compares all bytes
				return
			case c.heals:
				if s != "error" {
					t.Errorf("the copy is %s", s)
				}
			case c.pull || c.remote:
				if first.code != 1 {
					t.Errorf("exit code %d, want 1\n%s", first.code, first.stderr)
				}
				w.corrupt("failed")
				if _, err := os.Lstat(w.at("b", aRun)); err == nil {
					t.Error("damaged data stand under the final name")
				}
			default:
				if first.code != 0 || s != "verifying" {
					t.Errorf("exit code %d, status %s, want 0 and verifying\n%s", first.code, s, first.stderr)
				}
				w.fails([]string{bigFile}, "--once", "--host", "b")
				w.corrupt("failed")
			}
			w.recovers(aRun)
		})
	}
}

// TestFlippedAtDestination: the destination finds what is damaged after a push, the
// source sends it again, and the damaged copy is kept aside.
func TestFlippedAtDestination(t *testing.T) {
	for i, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			requireTools(t, i)
			w := newWorld(t, options{method: m.method, sshd: m.sshd})
			w.register(aRun, small())
			w.must("--once", "--host", "a")
			flip(t, w.at("b", aRun)+"/"+bigFile)
			w.fails([]string{bigFile}, "--once", "--host", "b")
			w.corrupt("failed")
			w.waits("a")
			w.recovers(aRun)
			if why, ok := w.event(aRun, "aside"); !ok || !strings.Contains(why, ".cax-aside-") {
				t.Errorf("no event tells where the damaged copy went: %q", why)
			}
		})
	}
}

// TestFlippedLater: a copy that was good is found damaged by cax verify, and is
// replaced.
func TestFlippedLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{method: "sftp"})
	w.register(aRun, small())
	w.recovers(aRun)
	flip(t, w.at("b", aRun)+"/"+bigFile)
	if o := w.run("verify", "--host", "b", "--name", aRun); o.code != 1 || !strings.Contains(o.stdout, bigFile) {
		t.Errorf("cax verify ended with %d, want 1 and the name of the file:\n%s%s", o.code, o.stdout, o.stderr)
	}
	w.corrupt("damaged")
	w.recovers(aRun)
}
