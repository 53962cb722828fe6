package acceptance

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer/transfertest"
)

// corrupt fails the test unless b's record, and the last event of that kind, say
// that the large file is damaged.
func (w *world) corrupt(event string) {
	w.t.Helper()
	b := w.copy("b", aRun)
	if b.Status != "error" || b.Error == nil || b.Error.Class != "corrupt" || !strings.Contains(b.Error.Text, bigFile) {
		w.t.Errorf("record at b: %+v, error %+v; want one of class corrupt that names %s", b, b.Error, bigFile)
	}
	if why, _ := w.event(aRun, event); !strings.Contains(why, bigFile) {
		w.t.Errorf("the last event %q is %q, want one that names %s", event, why, bigFile)
	}
}

// waits fails the test unless the next cycle leaves the failed copy at b alone.
func (w *world) waits(site string) {
	w.t.Helper()
	before := w.copy("b", aRun)
	if before.Error == nil {
		w.t.Fatalf("no error on record: %+v", before)
	}
	if next := before.Error.NextTry; !next.After(time.Now()) {
		w.t.Errorf("the next try, %v, is not in the future", next)
	}
	w.must("--once", "--host", site)
	if after := w.copy("b", aRun); after.Error == nil || after.Error.Tries != before.Error.Tries {
		w.t.Errorf("a second cycle, right after, tried again: error %+v, then %+v", before.Error, after.Error)
	}
}

// recovers runs cycles as the daemons of both sites would, with waits cut short,
// until b's copy is good.
func (w *world) recovers(run string) {
	w.t.Helper()
	if w.policy == nil {
		w.policy = map[string]any{}
	}
	w.policy["backoff_min"], w.policy["backoff_max"] = "1ms", "1ms"
	w.configure()
	for range 2 {
		w.must("--once", "--host", "a")
		w.must("--once", "--host", "b")
		if w.copy("b", run).Status == "transferred" {
			break
		}
	}
	w.good(run)
	w.quiet()
}

// quiet fails the test unless all processes and sessions of the world end.
func (w *world) quiet() {
	w.t.Helper()
	var left []string
	for range 200 {
		if left = w.processes(); len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Errorf("still running: %q", left)
}

// processes lists what runs for the world, but for the server itself: its sessions,
// and all whose command line names one of the world's folders.
func (w *world) processes() []string {
	w.t.Helper()
	lines, parents := map[int]string{}, map[int]int{}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		line, lerr := os.ReadFile(d + "/cmdline")
		stat, serr := os.ReadFile(d + "/stat")
		if lerr != nil || serr != nil {
			continue // it has ended
		}
		lines[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
		if f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])); len(f) > 1 {
			parents[pid], _ = strconv.Atoi(f[1])
		}
	}
	server := -1
	for pid, line := range lines {
		if w.sshd != nil && strings.Contains(line, w.sshd.Dir+"/sshd_config") && parents[pid] == os.Getpid() {
			server = pid
		}
	}
	var left []string
	for pid, line := range lines {
		mine := strings.Contains(line, w.dir+"/") || w.sshd != nil && strings.Contains(line, w.sshd.Dir+"/")
		if pid != server && (mine || parents[pid] == server) {
			left = append(left, line)
		}
	}
	return left
}

// watch looks at b's final name all the time, until the returned function is called,
// and fails the test if something ever stands there that has not all of the source's
// files, at their full size. The source must be complete when it is called.
func (w *world) watch(run string) (stop func()) {
	w.t.Helper()
	want := sizes(w.at("a", run))
	at := w.at("b", run)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var seen os.FileInfo
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			st, err := os.Lstat(at)
			if err != nil || seen != nil && os.SameFile(st, seen) {
				continue
			}
			got := sizes(at)
			if now, err := os.Lstat(at); err != nil || !os.SameFile(st, now) {
				continue // it was moved while it was looked at
			}
			if !slices.Equal(got, want) {
				w.t.Errorf("under the final name stood %q, want %q", got, want)
				return
			}
			seen = st
		}
	})
	return func() { close(done); wg.Wait() }
}

// sizes lists the names of a tree with the sizes of its files.
func sizes(root string) []string {
	var all []string
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		line := p[len(root):]
		if st, err := d.Info(); err == nil && !d.IsDir() {
			line += " " + strconv.FormatInt(st.Size(), 10)
		}
		all = append(all, line)
		return nil
	})
	return all
}

// staged is how many bytes are in b's staging folders.
func (w *world) staged(run string) int64 {
	var n int64
	dirs, _ := filepath.Glob(w.raw("b") + "/." + run + ".cax-part-*")
	for _, d := range dirs {
		_ = filepath.WalkDir(d, func(_ string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if st, err := e.Info(); err == nil && !e.IsDir() {
				n += st.Size()
			}
			return nil
		})
	}
	return n
}

// until waits for something to become true, for at most two minutes.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 6000 {
		if f() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("in two minutes it did not come to this: %s", what)
}

// mount puts a file system over a directory until the test ends. The test is skipped
// where that is not permitted.
func mount(t *testing.T, dir string, args ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		transfertest.Missing(t, "mount", "only root may mount a file system", "sudo make integration")
	}
	out, err := exec.Command("mount", append(args, dir)...).CombinedOutput()
	if err != nil {
		transfertest.Missing(t, "mount", strings.TrimSpace(string(out)), "sudo make integration, outside of an unprivileged container")
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
}

func remount(t *testing.T, dir, options string) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "remount,"+options, dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
}

// rename moves something away and gives the function that brings it back.
func rename(t *testing.T, path string) (back func()) {
	t.Helper()
	if err := os.Rename(path, path+"-away"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Rename(path+"-away", path); err != nil {
			t.Fatal(err)
		}
	}
}

// replace writes something else into a file and gives the function that undoes it.
func replace(t *testing.T, path, text string) (back func()) {
	t.Helper()
	was, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// ended waits for a process and gives its exit code.
func ended(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}
