package storagetest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/cax-go/cax/transfer/transfertest"
)

// StartApache starts a real Apache with mod_dav on 127.0.0.1, which ends with the test,
// and returns its host:port. Where it is not installed the test is skipped, or fails if
// CAX_REQUIRE names apache.
func StartApache(t testing.TB) string {
	t.Helper()
	const program, modules = "/usr/sbin/apache2", "/usr/lib/apache2/modules"
	if _, err := exec.LookPath(program); err != nil {
		transfertest.Missing(t, "apache", program+" is not there", "apt-get install apache2-bin")
	}
	dir, err := os.MkdirTemp("/tmp", "cax-apache-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, sub := range []string{"/data", "/run"} {
		if err := os.Mkdir(dir+sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	account := ""
	if os.Geteuid() == 0 {
		own(t, dir, "www-data") // it does not serve as root
		account = "User www-data\nGroup www-data\n"
	}
	for try := 0; ; try++ {
		addr := "127.0.0.1:" + freePort(t)
		text := fmt.Sprintf(`ServerRoot %[1]s
ServerName 127.0.0.1
PidFile %[1]s/run/pid
ErrorLog %[1]s/run/log
Listen %[2]s
%[4]sLoadModule mpm_event_module %[3]s/mod_mpm_event.so
LoadModule authz_core_module %[3]s/mod_authz_core.so
LoadModule dav_module %[3]s/mod_dav.so
LoadModule dav_fs_module %[3]s/mod_dav_fs.so
DavLockDB %[1]s/run/locks
DocumentRoot %[1]s/data
<Location />
	Dav On
	Require all granted
</Location>
`, dir, addr, modules, account)
		if err := os.WriteFile(dir+"/apache.conf", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "-f", dir+"/apache.conf", "-DFOREGROUND")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := func() {
			_ = cmd.Process.Signal(os.Interrupt) // ends its children; it may have ended
			_ = cmd.Wait()
		}
		if answers(t.Context(), addr) {
			t.Cleanup(stop)
			return addr
		}
		stop()
		if try == 3 {
			log, _ := os.ReadFile(dir + "/run/log")
			t.Fatalf("apache2 does not start; it says:\n%s", log)
		}
	}
}
