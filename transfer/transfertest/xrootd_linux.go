package transfertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// XRootDOptions says what kind of server to start.
type XRootDOptions struct {
	NoSums bool // it knows no checksums; else Adler-32
}

// An XRootD is a real XRootD server that serves all files of this machine on 127.0.0.1.
type XRootD struct {
	Root string // address of /, as "root://127.0.0.1:31094/"
	HTTP string // the same by WebDAV, as "http://127.0.0.1:31095/"
	Dir  string // its configuration and log

	cmd *exec.Cmd
}

// StartXRootD starts a server that ends with the test. Where xrootd is not installed
// the test is skipped, or fails if CAX_REQUIRE names xrootd.
func StartXRootD(t testing.TB, o XRootDOptions) *XRootD {
	t.Helper()
	const install = "apt-get install --no-install-recommends xrootd-server"
	program, err := exec.LookPath("xrootd")
	if err != nil {
		Missing(t, "xrootd", "there is no xrootd", install)
	}
	// Between the choice of a port and its use somebody else can take it.
	for try := 0; ; try++ {
		x := &XRootD{Dir: t.TempDir()}
		err := x.start(program, freePort(t), freePort(t), o)
		if err == nil {
			t.Cleanup(x.Stop)
			return x
		}
		if x.Stop(); try == 5 {
			t.Fatal(err)
		}
	}
}

func (x *XRootD) start(program string, root, http int, o XRootDOptions) error {
	admin := filepath.Join(x.Dir, "admin")
	// It is another account that writes there, see below.
	for _, err := range []error{os.Mkdir(admin, 0o777), os.Chmod(admin, 0o777), os.Chmod(x.Dir, 0o777)} {
		if err != nil {
			return err
		}
	}
	text := fmt.Sprintf("all.role server\nall.export /\nall.adminpath %s\nall.pidpath %s\nxrd.network nodnr\nxrd.port %d\nxrd.protocol http:%d libXrdHttp.so\n", admin, admin, root, http)
	if !o.NoSums {
		text += "xrootd.chksum max 4 adler32\n"
	}
	config := filepath.Join(x.Dir, "xrootd.cfg")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	x.Root, x.HTTP = fmt.Sprintf("root://127.0.0.1:%d/", root), fmt.Sprintf("http://127.0.0.1:%d/", http)
	x.cmd = exec.Command(program, "-c", config, "-l", filepath.Join(x.Dir, "log"))
	x.cmd.Dir = "/" // which it can enter before it has these rights
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 {
		// It refuses to be root: it is nobody, with root's access to files.
		const dacOverride, fowner = 1, 3
		x.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		x.cmd.SysProcAttr.AmbientCaps = []uintptr{dacOverride, fowner}
	}
	if err := x.cmd.Start(); err != nil {
		x.cmd = nil
		return err
	}
	for range 500 {
		time.Sleep(20 * time.Millisecond)
		if hasEnded(x.cmd.Process.Pid) {
			return fmt.Errorf("xrootd ended at once; see its log in %s", x.Dir)
		}
		if listens(root) && listens(http) {
			return nil
		}
	}
	return fmt.Errorf("xrootd does not listen; see its log in %s", x.Dir)
}

func listens(port int) bool {
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		c.Close()
	}
	return err == nil
}

// Stop ends the server. Stopping twice is no error.
func (x *XRootD) Stop() {
	if x.cmd == nil {
		return
	}
	_ = x.cmd.Process.Kill()
	_ = x.cmd.Wait()
	x.cmd = nil
}
