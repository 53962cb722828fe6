package acceptance

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cax-go/cax/transfer/transfertest"
)

// A fault is something that keeps a copy from being made.
type fault struct {
	name  string
	class string   // of the error on record
	also  string   // another class that may be it; ""
	words []string // that the error must hold, for a person

	policy map[string]any
	slow   bool // the cause comes when a part was copied, over a slow link

	// cause brings the trouble about, and returns what ends it.
	cause func(w *world, remote string) (end func())
}

func faults() []fault {
	return []fault{
		{
			name: "unknown host key", class: "hostkey", words: []string{"known_hosts", "127.0.0.1", "ssh-keyscan", "SHA256:"},
			cause: func(w *world, _ string) func() { return replace(w.t, w.sshd.KnownHosts, "") },
		},
		{
			name: "changed host key", class: "hostkey", words: []string{"has changed", "known_hosts line 1", "listen in"},
			cause: func(w *world, _ string) func() {
				return replace(w.t, w.sshd.KnownHosts, fmt.Sprintf("[127.0.0.1]:%d %s\n", w.sshd.Port, otherKey))
			},
		},
		{
			name: "pinned wrong key", class: "hostkey", words: []string{"is pinned", `"host_key"`},
			cause: func(w *world, remote string) func() {
				return w.set(remote, "host_key", otherKey)
			},
		},
		{
			name: "wrong login key", class: "auth", words: []string{"login was refused", "authorized_keys", "/wrong"},
			cause: func(w *world, remote string) func() {
				return w.set(remote, "identity_file", w.sshd.WrongKey)
			},
		},
		{
			name: "server down", class: "transient", words: []string{"127.0.0.1"},
			cause: func(w *world, _ string) func() { w.sshd.Stop(); return w.sshd.Restart },
		},
		{
			name: "disk full up to what is reserved", class: "space", words: []string{"make room", "/b/raw"},
			policy: map[string]any{"reserve": "1000TB"},
			cause: func(w *world, _ string) func() {
				return func() { delete(w.policy, "reserve"); w.configure() }
			},
		},
		{
			name: "disk too small", class: "space", words: []string{"has not enough space", "make room", "/b/raw"},
			policy: map[string]any{"reserve": "1B"},
			cause: func(w *world, _ string) func() {
				mount(w.t, w.raw("b"), "-t", "tmpfs", "-o", "size=512k", "cax-test")
				return func() { remount(w.t, w.raw("b"), "size=64m") }
			},
		},
		{
			// Servers do not say why, and there is room: that they go on about the place is all
			// that can be had of some.
			name: "no room for names", class: "space", also: "transient", words: []string{"/b/raw"},
			policy: map[string]any{"reserve": "1B"},
			cause: func(w *world, _ string) func() {
				mount(w.t, w.raw("b"), "-t", "tmpfs", "-o", "nr_inodes=12,size=64m", "cax-test")
				return func() { remount(w.t, w.raw("b"), "nr_inodes=1000") }
			},
		},
		{
			name: "disk full while copying", class: "space", words: []string{"has not enough space", "make room", "/b/raw"}, slow: true,
			policy: map[string]any{"reserve": "1B"},
			cause: func(w *world, _ string) func() {
				fill(w.t, w.raw("b")+"/filler")
				return func() { w.remove(w.raw("b") + "/filler") }
			},
		},
		{
			name: "read-only directory", class: "permission", words: []string{"/b/raw", "read-only"},
			cause: func(w *world, _ string) func() {
				mount(w.t, w.raw("b"), "--bind", w.raw("b"))
				remount(w.t, w.raw("b"), "bind,ro")
				return func() { remount(w.t, w.raw("b"), "bind,rw") }
			},
		},
		{
			name: "missing directory at the destination", class: "missing", words: []string{"/b/raw", "mount", "does not exist"},
			cause: func(w *world, _ string) func() { return rename(w.t, w.raw("b")) },
		},
		{
			name: "vanished source", class: "missing", words: []string{"/a/raw/" + aRun, "does not exist"},
			cause: func(w *world, _ string) func() { return rename(w.t, w.at("a", aRun)) },
		},
		{
			name: "vanished source while copying", class: "missing", also: "source", words: []string{"/a/raw/" + aRun}, slow: true,
			cause: func(w *world, _ string) func() { return rename(w.t, w.at("a", aRun)) },
		},
		{
			name: "source grows while it is copied", class: "source", words: []string{"changed while it was copied", bigFile, "at rest"}, slow: true,
			cause: func(w *world, _ string) func() {
				path := w.at("a", aRun) + "/" + bigFile
				st, err := os.Stat(path)
				if err != nil {
					w.t.Fatal(err)
				}
				add(w.t, path, "more")
				return func() {
					if err := errors.Join(os.Truncate(path, st.Size()), os.Chtimes(path, st.ModTime(), st.ModTime())); err != nil {
						w.t.Fatal(err)
					}
				}
			},
		},
		{
			name: "server killed midway", class: "transient", words: []string{"127.0.0.1"}, slow: true,
			cause: func(w *world, _ string) func() { w.sshd.Stop(); return w.sshd.Restart },
		},
		{
			name: "server hangs", class: "stalled", words: []string{"made no progress", "hangs"}, slow: true,
			policy: map[string]any{"stall": "4s"},
			cause: func(w *world, _ string) func() {
				w.sshd.Pause()
				return func() { w.sshd.Resume(); delete(w.policy, "stall"); w.configure() }
			},
		},
	}
}

// otherKey is the public half of a key that nobody has.
const otherKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsNMwJVBuj9yFGzOBlrbjPxnZxMsKdOPTjYiHkF7yTB"

// TestFaults: each fault ends in a clear error, exit code 1 and a wait; when its
// cause is gone the copy is made without anybody's help; and nothing incomplete is
// ever seen under the final name.
func TestFaults(t *testing.T) {
	for i, f := range faults() {
		for j, m := range methods {
			for _, pull := range []bool{false, true} {
				// Without CAX_INTEGRATION=1 the methods and directions take turns.
				if !long() && (j != i%len(methods) || pull != (i/len(methods)%2 == i%2)) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/pull=%v", f.name, m.name, pull), func(t *testing.T) {
					t.Parallel()
					requireTools(t, j)
					testFault(t, f, options{method: m.method, sshd: m.sshd, pull: pull, policy: maps.Clone(f.policy)})
				})
			}
		}
	}
}

func testFault(t *testing.T, f fault, o options) {
	remote := map[bool]string{false: "b", true: "a"}[o.pull]
	if f.slow {
		o.site = map[string]map[string]any{remote: {"bandwidth": "500kB/s"}}
	}
	if f.name == "disk full while copying" && os.Geteuid() != 0 {
		transfertest.Missing(t, "mount", "only root may mount a file system", "sudo make integration")
	}
	w := newWorld(t, o)
	if f.name == "disk full while copying" {
		mount(t, w.raw("b"), "-t", "tmpfs", "-o", "size=8m", "cax-test")
	}
	files := small()
	if f.slow {
		files[bigFile] = transfertest.Random(2, 3<<20)
	}
	w.register(aRun, files)
	defer w.watch(aRun)()

	var end func()
	var said outcome
	if f.slow {
		cmd, out := w.start("--once", "--host", worker(o.pull))
		until(t, "a part is copied", func() bool { return w.staged(aRun) > 200<<10 })
		end = f.cause(w, remote)
		said.code = ended(t, cmd)
		said.stderr = out.String()
	} else {
		end = f.cause(w, remote)
		said = w.run("--once", "--host", worker(o.pull))
	}
	w.told(f, said)
	w.waits(worker(o.pull))

	end()
	delete(w.sites[remote], "bandwidth")
	w.recovers(aRun)
}

// told fails the test unless the error is clear: on record, in the history, and on
// the terminal.
func (w *world) told(f fault, o outcome) {
	w.t.Helper()
	if o.code != 1 {
		w.t.Errorf("exit code %d, want 1\n%s", o.code, o.stderr)
	}
	b := w.copy("b", aRun)
	if b.Status != "error" || b.Error == nil || b.Claim != nil {
		w.t.Fatalf("record %+v\n%s", b, o.stderr)
	}
	if c := b.Error.Class; c != f.class && (f.also == "" || c != f.also) {
		w.t.Errorf("class %q, want %q: %s", c, f.class, b.Error.Text)
	}
	why, _ := w.event(aRun, "failed")
	for what, text := range map[string]string{"the record": b.Error.Text, "the history": why, "the terminal": o.stderr} {
		for _, word := range f.words {
			if !strings.Contains(text, word) {
				w.t.Errorf("%s does not say %q: %s", what, word, text)
			}
		}
	}
	for _, word := range []string{aRun, "to b"} {
		if !strings.Contains(o.stderr, word) {
			w.t.Errorf("the terminal does not say %q: %s", word, o.stderr)
		}
	}
}

// set changes a key of a site and gives the function that changes it back.
func (w *world) set(site, key string, value any) (back func()) {
	was, had := w.sites[site][key]
	w.sites[site][key] = value
	w.configure()
	return func() {
		if w.sites[site][key] = was; !had {
			delete(w.sites[site], key)
		}
		w.configure()
	}
}

func (w *world) remove(path string) {
	w.t.Helper()
	if err := os.RemoveAll(path); err != nil {
		w.t.Fatal(err)
	}
}

// add appends to a file.
func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// fill writes a file that takes all room there is.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 64 << 10; n > 0; {
		if _, err := f.Write(make([]byte, n)); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			n /= 2
		}
	}
}
