package acceptance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer/transfertest"
)

// large is one file that takes a while, and many small ones.
func large(mib int) map[string]string {
	files := map[string]string{"big.zip": transfertest.Random(7, mib<<20*3/5)}
	left := mib << 20 * 2 / 5
	for i := 0; left > 0; i++ {
		n := min(left, 64<<10<<(i%6))
		files[fmt.Sprintf("small/%02d/%05d.zip", i%7, i)] = transfertest.Random(byte(i), n)
		left -= n
	}
	return files
}

// start starts cax in the background, with what it says kept.
func (w *world) start(args ...string) (*exec.Cmd, *bytes.Buffer) {
	w.t.Helper()
	cmd := w.command(w.t.Context(), args...)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return cmd, out
}

// staging is the path of the staging folder of a run at b; "" if there is none.
func (w *world) staging(run string) string {
	w.t.Helper()
	m, err := filepath.Glob(w.raw("b") + "/." + run + ".cax-part-*")
	if err != nil {
		w.t.Fatal(err)
	}
	if len(m) > 1 {
		w.t.Errorf("staging folders: %q", m)
	}
	if len(m) == 0 {
		return ""
	}
	return m[0]
}

// An inode tells whether a file is still the one that it was, unwritten since.
type inode struct {
	ino   uint64
	ctime syscall.Timespec
}

func inodeOf(st os.FileInfo) inode {
	s := st.Sys().(*syscall.Stat_t)
	return inode{s.Ino, s.Ctim}
}

// finished lists the files that need not be sent again: by the journal of staging
// where there is one, else by size and modification time. sent is how many bytes of
// the dataset these are, with the journalled parts of others.
func (w *world) finished(run string) (files map[string]inode, sent int64) {
	w.t.Helper()
	files = map[string]inode{}
	staging := w.staging(run)
	if staging == "" {
		return files, 0
	}
	type mark struct {
		P    string
		O    int64
		D    bool
		S, M int64
	}
	marks := map[string]mark{}
	text, err := os.ReadFile(staging + "/journal")
	journal := err == nil
	for line := range bytes.Lines(text) {
		var m mark
		if json.Unmarshal(line, &m) != nil {
			break // torn
		}
		name, err := base64.StdEncoding.DecodeString(m.P)
		if err != nil {
			w.t.Fatal(err)
		}
		marks[string(name)] = m
	}
	err = filepath.WalkDir(staging+"/data", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel := strings.TrimPrefix(p, staging+"/data/")
		st, err := d.Info()
		if err != nil {
			return err
		}
		src, err := os.Stat(w.at("a", run) + "/" + rel)
		if err != nil {
			return nil // a temporary of rsync
		}
		m := marks[rel]
		switch {
		case journal && m.D, !journal && st.Size() == src.Size() && st.ModTime().Unix() == src.ModTime().Unix():
			files[rel] = inodeOf(st)
			sent += src.Size()
		case journal:
			sent += m.O
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	return files, sent
}

// complete fails the test if anything but the whole dataset stands under the final
// name, and reports whether it does.
func (w *world) complete(run string) bool {
	w.t.Helper()
	if _, err := os.Lstat(w.at("b", run)); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	transfertest.SameTree(w.t, w.at("a", run), w.at("b", run))
	return true
}

// TestKill: killed at random moments and started again, a copy ends identical,
// never shows under its final name before, and does not send again what it had.
func TestKill(t *testing.T) {
	kills, mib := 6, 30
	if long() {
		kills, mib = 50, 500
	}
	all := append([]struct {
		name   string
		method string
		sshd   transfertest.SSHDOptions
		tools  []string
	}{{"local", "local", transfertest.SSHDOptions{}, nil}}, methods[1:]...)
	for _, m := range all {
		for _, pull := range []bool{false, true} {
			if !long() && (pull || m.name != "local" && m.name != "sftp") {
				continue
			}
			t.Run(fmt.Sprintf("%s/pull=%v", m.name, pull), func(t *testing.T) {
				for _, tool := range m.tools {
					transfertest.RequireTool(t, m.method, tool)
				}
				testKill(t, newWorld(t, options{method: m.method, sshd: m.sshd, pull: pull}), pull, kills, mib)
			})
		}
	}
}

func testKill(t *testing.T, w *world, pull bool, kills, mib int) {
	source := w.dir + "/source"
	transfertest.MakeTree(t, source, large(mib))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	site := "a"
	if pull {
		site = "b"
	}
	var longest time.Duration = 300 * time.Millisecond
	for n, killed := 0, 0; killed < kills; n++ {
		run := fmt.Sprintf("160315_%04d", n)
		if out, err := exec.Command("cp", "-al", source, w.at("a", run)).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v %s", err, out)
		}
		w.must("register", "--host", "a", w.at("a", run))
		var had map[string]inode
		var sent int64
		interrupted := 0
		for done := false; !done; {
			cmd, out := w.start("--once", "--host", site, "--name", run)
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			wait := time.Hour
			if killed < kills && interrupted < 12 {
				wait = time.Duration(rnd.Int64N(int64(longest)))
			}
			began := time.Now()
			select {
			case <-time.After(wait):
				if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
				<-ended
				killed++
				interrupted++
			case err := <-ended:
				if err != nil {
					t.Fatalf("cax ended with %v\n%s", err, out)
				}
				done = true
				if interrupted == 0 {
					longest = max(longest, time.Since(began)/4) // several kills to a copy
				}
				continue
			}
			if !w.complete(run) {
				time.Sleep(50 * time.Millisecond) // what the server had received is written by then
				had, sent = w.finished(run)
			}
		}
		if !pull {
			w.once("b", run)
		}
		w.good(run)
		if interrupted > 0 {
			w.checkSent(run, had, sent, int64(mib)<<20)
		}
		for _, s := range []string{"a", "b"} {
			if err := os.RemoveAll(w.at(s, run)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkSent compares what the last try sent with what was there before it.
func (w *world) checkSent(run string, had map[string]inode, sent, total int64) {
	w.t.Helper()
	for name, was := range had {
		st, err := os.Stat(w.at("b", run) + "/" + name)
		if err != nil {
			w.t.Error(err)
		} else if now := inodeOf(st); now != was {
			w.t.Errorf("%s was finished and was written again", name)
		}
	}
	if w.sites["b"]["method"] == "rsync" {
		return // it tells bytes looked at, not bytes sent
	}
	for line := range strings.Lines(w.must("history", "--json", "--name", run)) {
		var e struct {
			What     string
			Evidence struct{ Sent int64 }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.t.Fatalf("%v in %q", err, line)
		}
		if e.What != "copied" && (e.What != "transferred" || e.Evidence.Sent == 0) {
			continue
		}
		if e.Evidence.Sent > total-sent {
			w.t.Errorf("the last try sent %d bytes; %d of %d were there", e.Evidence.Sent, sent, total)
		}
	}
}

// TestZombie: a process that was frozen for longer than its lease, and wakes up
// when another has taken over, changes no byte of what is committed.
func TestZombie(t *testing.T) {
	mib := 60
	if long() {
		mib = 200
	}
	quick := map[string]any{"heartbeat": "100ms", "lease_lost": "500ms", "lease_expired": "1s", "once_expired": "1s"}
	for _, m := range append(methods[1:], struct {
		name   string
		method string
		sshd   transfertest.SSHDOptions
		tools  []string
	}{"local", "local", transfertest.SSHDOptions{}, nil}) {
		for _, pull := range []bool{false, true} {
			for _, late := range []bool{false, true} {
				if !long() && (pull != late || m.name != "local" && m.name != "sftp") {
					continue
				}
				t.Run(fmt.Sprintf("%s/pull=%v/after the end=%v", m.name, pull, late), func(t *testing.T) {
					for _, tool := range m.tools {
						transfertest.RequireTool(t, m.method, tool)
					}
					testZombie(t, newWorld(t, options{method: m.method, sshd: m.sshd, pull: pull, policy: quick}), pull, late, mib)
				})
			}
		}
	}
}

// freeze stops a process, but not in the middle of a write to the embedded run
// database: that would stop everybody.
func (w *world) freeze(p *os.Process) {
	w.t.Helper()
	lock, err := os.Open(strings.TrimPrefix(w.db, "sqlite:") + ".lock")
	if err != nil {
		w.t.Fatal(err)
	}
	defer lock.Close()
	for {
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // signals arrive in their own time
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return // given back when the file is closed
		}
		if err := p.Signal(syscall.SIGCONT); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(7 * time.Millisecond)
	}
}

func testZombie(t *testing.T, w *world, pull, late bool, mib int) {
	const run = "160315_1432"
	w.register(run, large(mib))
	site, remote := "a", "b"
	if pull {
		site, remote = "b", "a"
	}
	// Slow enough to be stopped in the middle.
	rate := func(mibPerSecond int) {
		w.sites[remote]["bandwidth"] = mibPerSecond << 20
		w.configure()
	}
	rate(mib / 4)
	zombie, said := w.start("--once", "--host", site, "--name", run)
	ended := make(chan error, 1)
	go func() { ended <- zombie.Wait() }()
	for begun := false; !begun; {
		select {
		case err := <-ended:
			t.Fatalf("it ended before it could be frozen: %v\n%s", err, said)
		case <-time.After(20 * time.Millisecond):
			_, n := w.finished(run)
			begun = n > 0
		}
	}
	w.freeze(zombie.Process)
	time.Sleep(1500 * time.Millisecond)

	rate(mib / 2)
	taker, takerSaid := w.start("--once", "--host", site, "--name", run)
	wake := func() {
		if err := zombie.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if !late {
		time.Sleep(700 * time.Millisecond)
		wake()
	}
	if err := taker.Wait(); err != nil {
		t.Errorf("the one that took over ended with %v\n%s", err, takerSaid)
	}
	if late {
		wake()
	}
	if err := <-ended; zombie.ProcessState.ExitCode() != 1 {
		t.Errorf("the zombie ended with %v, want exit code 1\n%s", err, said)
	}
	if !strings.Contains(said.String(), "the claim was lost") {
		t.Errorf("the zombie does not say that it lost its claim:\n%s", said)
	}
	if !pull {
		w.once("b", run)
	}
	w.good(run)
}
