package acceptance

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer/transfertest"
)

// slowPolicy is a policy under which a claim is given up after a short silence.
func slowPolicy() map[string]any {
	return map[string]any{"heartbeat": "300ms", "lease_lost": "1500ms", "lease_expired": "1h", "once_expired": "1h"}
}

// lock holds the lock of the embedded run database, as a process of another program
// that hangs would, until the returned function is called.
func (w *world) lock() (unlock func()) {
	w.t.Helper()
	f, err := os.OpenFile(strings.TrimPrefix(w.db, "sqlite:")+".lock", os.O_RDWR, 0)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := f.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// TestRunDatabaseLockedForLong: who cannot say for too long that he works gives up,
// and commits nothing; when the run database answers again, the next one goes on.
func TestRunDatabaseLockedForLong(t *testing.T) {
	each(t, func(t *testing.T, method int, pull bool) {
		if !long() && method%3 != 0 {
			t.Skip("with CAX_INTEGRATION=1")
		}
		remote := map[bool]string{false: "b", true: "a"}[pull]
		w := newWorld(t, options{method: methods[method].method, sshd: methods[method].sshd, pull: pull, policy: slowPolicy(),
			site: map[string]map[string]any{remote: {"bandwidth": "500kB/s"}}})
		files := small()
		files[bigFile] = transfertest.Random(2, 4<<20)
		w.register(aRun, files)
		defer w.watch(aRun)()
		cmd, out := w.start("--once", "--host", worker(pull))
		until(t, "a part is copied", func() bool { return w.staged(aRun) > 200<<10 })
		unlock := w.lock()
		code := ended(t, cmd) // while the lock is held
		unlock()
		if code != 1 || !strings.Contains(out.String(), "claim was lost") {
			t.Errorf("ended with %d, want 1 and that the claim was lost\n%s", code, out)
		}
		if _, err := os.Lstat(w.at("b", aRun)); err == nil {
			t.Error("it was committed without a claim")
		}
		if c := w.copy("b", aRun); c.Status != "transferring" || c.Claim == nil {
			t.Errorf("the record is %+v, want that of the lost claim", c)
		}
		delete(w.sites[remote], "bandwidth")
		w.recovers(aRun)
	})
}

// TestRunDatabaseLockedForAWhile: a run database that does not answer for a while is
// waited for.
func TestRunDatabaseLockedForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{method: "sftp"})
	w.register(aRun, small())
	unlock := w.lock()
	cmd, out := w.start("--once", "--host", "a")
	time.Sleep(time.Second)
	unlock()
	if code := ended(t, cmd); code != 0 {
		t.Errorf("ended with %d\n%s", code, out)
	}
	w.recovers(aRun)
}

// TestRunDatabaseReadOnly: without a run database that can be written to nothing is
// copied, and cax says which file it is.
func TestRunDatabaseReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t, options{method: "sftp", db: "sqlite:" + dir + "/runs.db"})
	w.register(aRun, small())
	mount(t, dir, "--bind", dir)
	remount(t, dir, "bind,ro")
	if o := w.run("--once", "--host", "a"); o.code == 0 || !strings.Contains(o.stderr, dir+"/runs.db") {
		t.Errorf("ended with %d, want a failure that names the file:\n%s", o.code, o.stderr)
	}
	if n := w.names("b"); len(n) > 0 {
		t.Errorf("b holds %q", n)
	}
	remount(t, dir, "bind,rw")
	w.recovers(aRun)
}

// TestRunDatabaseAway: without its run database cax does nothing and says how to name
// one.
func TestRunDatabaseAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{method: "sftp"})
	w.register(aRun, small())
	back := rename(t, strings.TrimPrefix(w.db, "sqlite:"))
	o := w.run("--once", "--host", "a")
	if o.code != 2 || !strings.Contains(o.stderr, "--rundb") || !strings.Contains(o.stderr, w.dir+"/runs.db") {
		t.Errorf("ended with %d, want 2 and a word about --rundb:\n%s", o.code, o.stderr)
	}
	if n := w.names("b"); len(n) > 0 {
		t.Errorf("b holds %q", n)
	}
	back()
	w.recovers(aRun)
}

// daemon starts the daemon of a site; the returned function ends it by a signal.
func (w *world) daemon(site string) (stop func()) {
	w.t.Helper()
	cmd, out := w.start("--host", site)
	stopped := false
	w.t.Cleanup(func() {
		if stopped {
			return
		}
		_ = cmd.Wait() // the end of the test has killed it
		said := out.String()
		w.t.Logf("daemon of %s: …%s", site, said[max(0, len(said)-4<<10):])
	})
	return func() {
		w.t.Helper()
		stopped = true
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			w.t.Errorf("daemon of %s: %v", site, err)
		}
		if code := ended(w.t, cmd); code != 0 {
			w.t.Errorf("daemon of %s ended with %d\n%s", site, code, out)
		}
	}
}

// TestDaemonsOutlastServer: a server that is killed, or that hangs, while daemons copy:
// the same daemons go on with it when it is back.
func TestDaemonsOutlastServer(t *testing.T) {
	for _, f := range faults() {
		if f.name != "server killed midway" && f.name != "server hangs" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			each(t, func(t *testing.T, method int, pull bool) {
				if !long() && (method == 0) != (f.name == "server killed midway") || !long() && method%3 != 0 {
					t.Skip("with CAX_INTEGRATION=1")
				}
				remote := map[bool]string{false: "b", true: "a"}[pull]
				// rsync tells of its progress once a second: less patience would end every try.
				w := newWorld(t, options{method: methods[method].method, sshd: methods[method].sshd, pull: pull,
					policy: map[string]any{"interval": "200ms", "backoff_min": "100ms", "backoff_max": "1s", "stall": "6s"},
					site:   map[string]map[string]any{remote: {"bandwidth": "800kB/s"}}})
				files := small()
				files[bigFile] = transfertest.Random(2, 3<<20)
				w.register(aRun, files)
				defer w.watch(aRun)()
				a, b := w.daemon("a"), w.daemon("b")
				until(t, "a part is copied", func() bool { return w.staged(aRun) > 200<<10 })
				end := f.cause(w, remote)
				until(t, "the failure is on record", func() bool { return w.copy("b", aRun).Error != nil })
				if c := w.copy("b", aRun).Error; c != nil && c.Class != f.class && c.Class != "transient" {
					t.Errorf("class %q, want %q: %s", c.Class, f.class, c.Text)
				}
				end()
				until(t, "the copy is good", func() bool { return w.copy("b", aRun).Status == "transferred" })
				a()
				b()
				w.good(aRun)
				w.quiet()
			})
		})
	}
}

// TestDaemonsRecover: daemons of both sites meet a fault, try again by themselves,
// later and later, and end the job when the cause is gone; a signal ends them.
func TestDaemonsRecover(t *testing.T) {
	for _, f := range faults() {
		quick := f.name == "server down" || f.name == "unknown host key"
		if f.slow || f.policy != nil || f.name == "pinned wrong key" || f.name == "wrong login key" || !quick && !long() {
			continue // a daemon reads its configuration once
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{method: "scp", policy: map[string]any{"interval": "200ms", "backoff_min": "100ms", "backoff_max": "1s"}})
			w.register(aRun, small())
			defer w.watch(aRun)()
			end := f.cause(w, "b")
			a, b := w.daemon("a"), w.daemon("b")
			until(t, "two tries have failed", func() bool {
				cs := w.copies("b", aRun)
				return len(cs) == 1 && cs[0].Error != nil && cs[0].Error.Tries >= 2
			})
			if c := w.copy("b", aRun).Error; c != nil && c.Class != f.class {
				t.Errorf("class %q, want %q: %s", c.Class, f.class, c.Text)
			}
			end()
			until(t, "the copy is good", func() bool { return w.copy("b", aRun).Status == "transferred" })
			a()
			b()
			w.good(aRun)
			w.quiet()
		})
	}
}

// TestVerificationOfWhatIsAway: a destination whose disk is not mounted says nothing
// against the copy; a copy that is gone is made again.
func TestVerificationOfWhatIsAway(t *testing.T) {
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, options{method: "sftp"})
		w.register(aRun, small())
		w.must("--once", "--host", "a")
		back := rename(t, w.raw("b"))
		w.fails([]string{w.raw("b"), "mounted"}, "--once", "--host", "b")
		if c := w.copy("b", aRun); c.Status != "verifying" || c.Error == nil || c.Claim != nil {
			t.Errorf("record %+v, want one that still waits to be verified", c)
		}
		w.waits("b")
		back()
		w.recovers(aRun)
	})
	t.Run("copy", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, options{method: "sftp"})
		w.register(aRun, small())
		w.must("--once", "--host", "a")
		rename(t, w.at("b", aRun))
		w.fails([]string{w.at("b", aRun), "no such file"}, "--once", "--host", "b")
		if c := w.copy("b", aRun); c.Status != "error" || c.Error == nil || c.Error.Class != "missing" {
			t.Errorf("record %+v, want an error of class missing", c)
		}
		w.waits("a")
		w.remove(w.at("b", aRun) + "-away")
		w.recovers(aRun)
	})
}
