package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer/transfertest"
)

// An XRootD is a real XRootD server on 127.0.0.1 that exports /rucio.
type XRootD struct {
	Root, HTTP string // host:port of its two protocols
	KeyTab     string // of the login
	Dir        string // where /rucio is

	t   testing.TB
	cmd *exec.Cmd
	run func() *exec.Cmd
}

// XRootDOptions says what kind of server to start.
type XRootDOptions struct {
	Login bool // clients need the key of KeyTab, by the protocol sss
}

// StartXRootD starts a server that ends with the test. Where xrootd is not installed
// the test is skipped, or fails if CAX_REQUIRE names xrootd.
func StartXRootD(t testing.TB, o XRootDOptions) *XRootD {
	t.Helper()
	for _, program := range []string{"xrootd", "xrdcp", "xrdfs"} {
		if _, err := exec.LookPath(program); err != nil {
			transfertest.Missing(t, "xrootd", program+" is not on the PATH", "apt-get install xrootd-server xrootd-client")
		}
	}
	// Not below the test's own folder, which others may not enter.
	dir, err := os.MkdirTemp("/tmp", "cax-xrootd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &XRootD{Dir: dir + "/data/rucio", t: t}
	for _, sub := range []string{"/data/rucio", "/admin"} {
		if err := os.MkdirAll(dir+sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	login := ""
	if o.Login {
		d.KeyTab = dir + "/client.keytab"
		login = d.keys(dir)
	}
	args := []string{"-c", dir + "/xrootd.cfg", "-l", dir + "/admin/log"}
	if os.Geteuid() == 0 {
		args = append([]string{"-R", "xrootd"}, args...) // it does not run as root
	}
	d.run = func() *exec.Cmd {
		cmd := exec.Command("xrootd", args...)
		cmd.Dir = dir
		return cmd
	}
	for try := 0; ; try++ {
		root, http := freePort(t), freePort(t)
		d.Root, d.HTTP = "127.0.0.1:"+root, "127.0.0.1:"+http
		text := fmt.Sprintf(`all.role server
all.export /rucio
oss.localroot %[1]s/data
all.adminpath %[1]s/admin
all.pidpath %[1]s/admin
xrd.network nodnr
xrd.port %[2]s
xrd.protocol http:%[3]s libXrdHttp.so
xrootd.chksum max 2 adler32
%[4]s`, dir, root, http, login)
		if err := os.WriteFile(dir+"/xrootd.cfg", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		own(t, dir, "xrootd")
		d.start()
		if d.ready(t.Context()) {
			break
		}
		d.Stop()
		if try == 3 {
			log, _ := os.ReadFile(dir + "/admin/log")
			t.Fatalf("xrootd does not start; it says:\n%s", log)
		}
	}
	t.Cleanup(d.Stop)
	return d
}

// keys makes the keys of a login, and returns what the server has to know.
func (d *XRootD) keys(dir string) string {
	d.t.Helper()
	admin := exec.Command("xrdsssadmin", "-k", "cax", "-u", "anybody", "-g", "usrgroup", "add", d.KeyTab)
	admin.Stdin = bytes.NewReader(nil)
	if out, err := admin.CombinedOutput(); err != nil {
		d.t.Fatalf("xrdsssadmin: %v: %s", err, out)
	}
	data, err := os.ReadFile(d.KeyTab)
	if err == nil {
		err = os.WriteFile(dir+"/admin/server.keytab", data, 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprintf("xrootd.seclib libXrdSec.so\nsec.protocol sss -s %s/admin/server.keytab\nsec.protbind * only sss\n", dir)
}

// own gives a server's files to the account that it runs as, if we are root.
func own(t testing.TB, dir, account string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	u, err := user.Lookup(account)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil || p == dir+"/client.keytab" {
			return err
		}
		return os.Lchown(p, uid, gid)
	})
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (d *XRootD) start() {
	d.t.Helper()
	d.cmd = d.run()
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
}

// ready waits until both ports answer; false if the server ends or never does.
func (d *XRootD) ready(ctx context.Context) bool {
	return answers(ctx, d.Root) && answers(ctx, d.HTTP)
}

// answers waits until a server takes connections; false if it never does.
func answers(ctx context.Context, addr string) bool {
	var dialer net.Dialer
	for range 400 {
		if c, err := dialer.DialContext(ctx, "tcp", addr); err == nil {
			c.Close()
			return true
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// Stop kills the server. Stopping twice is no error.
func (d *XRootD) Stop() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill() // it may have ended
		_ = d.cmd.Wait()
		d.cmd = nil
	}
}

// Restart starts a stopped server again, on the same ports.
func (d *XRootD) Restart() {
	d.t.Helper()
	d.start()
	if !d.ready(d.t.Context()) {
		d.t.Fatal("xrootd does not start again")
	}
}
