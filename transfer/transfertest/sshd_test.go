package transfertest_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/rsync"
	"github.com/cax-go/cax/transfer/scp"
	"github.com/cax-go/cax/transfer/sftp"
	"github.com/cax-go/cax/transfer/ssh"
	"github.com/cax-go/cax/transfer/transfertest"
)

// backends are those that reach a server.
func backends(t *testing.T, p *ssh.Pool) map[string]transfer.Backend {
	t.Helper()
	all := map[string]transfer.Backend{"sftp": sftp.New(p, nil), "scp": scp.New(p)}
	if _, err := exec.LookPath("rsync"); err == nil {
		all["rsync"] = rsync.New(p, nil)
	}
	for _, b := range all {
		t.Cleanup(func() { b.Close() })
	}
	return all
}

// mount mounts something for the test; it needs root.
func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		t.Skipf("cannot mount: %v; run it as root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// TestCannotWrite: a full disk and a file system that is mounted read-only are
// told as what they are, by every backend, and the copy succeeds when the cause
// is gone.
func TestCannotWrite(t *testing.T) {
	t.Parallel()
	p := pool(t, transfertest.SSHDOptions{})
	for name, b := range backends(t, p) {
		t.Run("full disk, "+name, func(t *testing.T) {
			dir := t.TempDir()
			mount(t, "cax", dir, "tmpfs", 0, "size=8m")
			j := dataset(t, b, true, map[string]string{"a": "alpha", "big": transfertest.Random(1, 3<<20)})
			j.Target.Path = dir + "/run"
			// Something fills the disk while the copy is under way.
			if err := os.WriteFile(dir+"/other", []byte(transfertest.Random(2, 6<<20)), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := (&transfer.Copier{Reserve: -16 << 20}).Copy(t.Context(), j)
			if !errors.Is(err, transfer.ErrNoSpace) {
				t.Errorf("error %v, want ErrNoSpace", err)
			}
			if err := os.Remove(dir + "/other"); err != nil {
				t.Fatal(err)
			}
			if _, err := new(transfer.Copier).Copy(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			transfertest.SameTree(t, j.Source.Path, j.Target.Path)
		})
		t.Run("read-only, "+name, func(t *testing.T) {
			dir := t.TempDir()
			j := dataset(t, b, true, files)
			j.Target.Path = dir + "/run"
			t.Run("while it is", func(t *testing.T) {
				mount(t, dir, dir, "", syscall.MS_BIND, "")
				if err := syscall.Mount(dir, dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
					t.Skip(err)
				}
				_, err := new(transfer.Copier).Copy(t.Context(), j)
				if !errors.Is(err, transfer.ErrPermission) {
					t.Errorf("error %v, want ErrPermission", err)
				}
			})
			if _, err := new(transfer.Copier).Copy(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			transfertest.SameTree(t, j.Source.Path, j.Target.Path)
		})
	}
}

// when calls f once, when so many bytes have moved.
type when struct {
	after int64
	f     func()
	moved atomic.Int64
	done  atomic.Bool
}

func (*when) Start(int, int64) {}
func (*when) Skipped(int64)    {}
func (*when) File(string)      {}
func (w *when) Moved(n int64) {
	if w.moved.Add(n) >= w.after && w.done.CompareAndSwap(false, true) {
		w.f()
	}
}

// many is a dataset that takes a moment.
func many() map[string]string {
	all := map[string]string{"big": transfertest.Random(1, 10<<20)}
	for i := range 40 {
		all["small/"+string(rune('A'+i))] = transfertest.Random(byte(i), 50_000)
	}
	return all
}

// TestServerDies: a server that is killed midway, or that hangs, ends the copy
// with ErrTransient or ErrStalled, and the same pool and backend go on when it is
// back.
func TestServerDies(t *testing.T) {
	t.Parallel()
	d := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	p, err := ssh.New(ssh.Config{Host: d.Host, Port: d.Port, User: d.User, IdentityFiles: []string{d.IdentityFile}, KnownHosts: []string{d.KnownHosts},
		KeepAlive: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	for name, b := range backends(t, p) {
		for how, tc := range map[string]struct {
			hurt, heal func()
		}{
			"killed": {d.Stop, d.Restart},
			"hangs":  {d.Pause, d.Resume},
		} {
			for _, push := range []bool{true, false} {
				if how == "hangs" && (!push || name == "rsync") && !transfertest.Long() {
					continue
				}
				t.Run(how+", "+name+map[bool]string{true: ", push", false: ", pull"}[push], func(t *testing.T) {
					j := dataset(t, b, push, many())
					hurt := make(chan struct{})
					w := &when{after: 2 << 20, f: func() { tc.hurt(); close(hurt) }}
					j.Progress = w
					_, err := (&transfer.Copier{Stall: 3 * time.Second}).Copy(t.Context(), j)
					<-hurt
					tc.heal()
					if err != nil && !errors.Is(err, transfer.ErrTransient) && !errors.Is(err, transfer.ErrStalled) {
						t.Errorf("error %v, want ErrTransient or ErrStalled", err)
					}
					j.Progress = nil
					for try := 0; ; try++ {
						_, err := new(transfer.Copier).Copy(t.Context(), j)
						if err == nil {
							break
						}
						if !errors.Is(err, transfer.ErrTransient) || try > 5 {
							t.Fatalf("the next try: %v", err)
						}
					}
					transfertest.SameTree(t, j.Source.Path, j.Target.Path)
				})
			}
		}
	}
}

// TestRsyncDiesWithUs: when our process is killed, no rsync is left that could
// write into staging.
func TestRsyncDiesWithUs(t *testing.T) {
	if target := os.Getenv("CAX_TEST_RSYNC_SOURCE"); target != "" {
		copyByRsync(t)
		return
	}
	transfertest.RequireTool(t, "rsync", "rsync")
	d := transfertest.StartSSHD(t, transfertest.SSHDOptions{})
	for _, dir := range []string{"push", "pull"} {
		t.Run(dir, func(t *testing.T) {
			from, to := t.TempDir()+"/run", t.TempDir()
			transfertest.MakeTree(t, from, many())
			cmd := exec.Command(os.Args[0], "-test.run", "^TestRsyncDiesWithUs$")
			cmd.Env = append(os.Environ(), "CAX_TEST_RSYNC_SOURCE="+from, "CAX_TEST_RSYNC_TARGET="+to+"/run", "CAX_TEST_RSYNC_PUSH="+dir,
				"CAX_TEST_RSYNC_CONFIG="+d.User+" "+d.IdentityFile+" "+d.KnownHosts, "CAX_TEST_RSYNC_PORT="+portOf(d), "TMPDIR="+os.TempDir())
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, len("moving"))); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
			for range 500 {
				if len(processesWith(to)) == 0 {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("still there: %q", processesWith(to))
		})
	}
}

func portOf(d *transfertest.SSHD) string { return strconv.Itoa(d.Port) }

// processesWith are the command lines of running programs that name a folder.
func processesWith(dir string) (lines []string) {
	es, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range es {
		b, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if line := strings.ReplaceAll(string(b), "\x00", " "); err == nil && strings.Contains(line, dir) && strings.Contains(line, "rsync") {
			lines = append(lines, line)
		}
	}
	return lines
}

// copyByRsync is the process that is killed: it copies at a low rate and says
// when bytes move.
func copyByRsync(t *testing.T) {
	f := strings.Fields(os.Getenv("CAX_TEST_RSYNC_CONFIG"))
	port, err := strconv.Atoi(os.Getenv("CAX_TEST_RSYNC_PORT"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := ssh.New(ssh.Config{Host: "127.0.0.1", Port: port, User: f[0], IdentityFiles: f[1:2], KnownHosts: f[2:3]})
	if err != nil {
		t.Fatal(err)
	}
	tree := &transfer.Tree{BytesPerSecond: 1 << 20, Progress: func(int64) { _, _ = os.Stdout.WriteString("moving") }}
	b := rsync.New(p, nil)
	from, to := os.Getenv("CAX_TEST_RSYNC_SOURCE"), os.Getenv("CAX_TEST_RSYNC_TARGET")
	if os.Getenv("CAX_TEST_RSYNC_PUSH") == "push" {
		err = b.Send(t.Context(), from, to, false, tree)
	} else {
		err = b.Fetch(t.Context(), from, to, false, tree)
	}
	t.Fatalf("it was to be killed: %v", err)
}
