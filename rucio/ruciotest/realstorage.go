package ruciotest

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The storages of every server. Their names end so that a plain account may register
// replicas there.
const (
	RSEA    = "TEST-A_SCRATCHDISK"    // file
	RSEB    = "TEST-B_SCRATCHDISK"    // file
	RSEDavs = "TEST-DAVS_SCRATCHDISK" // https and davs, served by XRootD
	RSERoot = "TEST-ROOT_SCRATCHDISK" // root, served by XRootD
)

// storageConfiguration is XRootD's: two protocols, two folders, everybody may do
// everything.
const storageConfiguration = `all.export /davs
all.export /root
oss.localroot %[1]s/rse
all.adminpath %[1]s/xrootd
all.pidpath %[1]s/xrootd
xrd.network nodnr
xrd.port %[2]d
xrd.protocol http:%[3]d libXrdHttp.so
xrd.tls %[1]s/xrootd/cert.pem %[1]s/xrootd/key.pem
xrd.tlsca certfile %[1]s/ca.pem
http.selfhttps2http no
xrootd.chksum max 4 adler32
`

// startStorage starts XRootD and returns its ports: of the XRootD protocol and of
// HTTPS.
func (r *real) startStorage() (ports [2]int, err error) {
	for _, dir := range []string{"rse", "rse/davs", "rse/root", "xrootd"} {
		if err := r.as.mkdir(filepath.Join(r.dir, dir)); err != nil {
			return ports, err
		}
	}
	for name, file := range map[string]string{"host.pem": "cert.pem", "host.key": "key.pem"} {
		file = filepath.Join(r.dir, "xrootd", file)
		if err := os.Rename(filepath.Join(r.dir, name), file); err != nil {
			return ports, err
		}
		if r.as != nil {
			if err := os.Chown(file, int(r.as.uid), int(r.as.gid)); err != nil {
				return ports, err
			}
		}
	}
	// Between the choice of a port and its use somebody else can take it.
	for try := 0; ; try++ {
		for i := range ports {
			l, err := listen()
			if err != nil {
				return ports, err
			}
			ports[i] = port(l)
			l.Close()
		}
		text := fmt.Sprintf(storageConfiguration, r.dir, ports[0], ports[1])
		if err := os.WriteFile(filepath.Join(r.dir, "xrootd.cfg"), []byte(text), 0o644); err != nil {
			return ports, err
		}
		if err = r.runStorage(); err == nil || try == 5 {
			return ports, err
		}
	}
}

// runStorage starts XRootD with the configuration that is there.
func (r *real) runStorage() error {
	text, err := os.ReadFile(filepath.Join(r.dir, "xrootd.cfg"))
	if err != nil {
		return err
	}
	cmd := exec.Command(r.tools.xrootd, "-c", filepath.Join(r.dir, "xrootd.cfg"))
	cmd.Dir = filepath.Join(r.dir, "xrootd")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.xrootd, err = run(cmd, r.as, filepath.Join(r.dir, "xrootd.log"), syscall.SIGKILL); err != nil {
		return err
	}
	err = r.xrootd.wait(func() error {
		for line := range strings.Lines(string(text)) {
			var port int
			if n, _ := fmt.Sscanf(line, "xrd.port %d", &port); n == 0 {
				if n, _ = fmt.Sscanf(line, "xrd.protocol http:%d", &port); n == 0 {
					continue
				}
			}
			c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if err != nil {
				return err
			}
			c.Close()
		}
		return nil
	})
	if err != nil {
		r.xrootd.stop(syscall.SIGKILL)
		r.xrootd = nil
	}
	return err
}

// addXRootD registers the storages that XRootD serves. Rucio's own https protocol
// needs nothing but Python, but takes the server's answer to a deletion for a
// failure; davs, through gfal2, does not, and comes first for that.
func (s *Server) addXRootD(xrootd, https int) {
	s.t.Helper()
	s.addRSE(RSEDavs, filepath.Join(s.Dir, "rse", "davs"),
		protocol{Scheme: "https", Hostname: "localhost", Port: https, Prefix: "/davs",
			Impl: "rucio.rse.protocols.webdav.Default", priority: 1, deletion: 2},
		protocol{Scheme: "davs", Hostname: "localhost", Port: https, Prefix: "/davs",
			Impl: "rucio.rse.protocols.gfal.Default", priority: 2, deletion: 1})
	s.addRSE(RSERoot, filepath.Join(s.Dir, "rse", "root"),
		protocol{Scheme: "root", Hostname: "localhost", Port: xrootd, Prefix: "//root",
			Impl: "rucio.rse.protocols.xrootd.Default", priority: 1, deletion: 1})
}

// StopStorage kills the server of RSEDavs and RSERoot amid whatever it does. Stopping
// twice is no error.
func (s *Server) StopStorage() {
	s.real.mu.Lock()
	defer s.real.mu.Unlock()
	s.real.xrootd.stop(syscall.SIGKILL)
	s.real.xrootd = nil
}

// StartStorage starts it again after StopStorage, on the same ports.
func (s *Server) StartStorage() {
	s.t.Helper()
	if err := s.real.runStorage(); err != nil {
		s.t.Fatal(err)
	}
}

// Folder is where a storage keeps its files, which the test may change.
func (s *Server) Folder(rse string) string {
	s.t.Helper()
	s.real.mu.Lock()
	defer s.real.mu.Unlock()
	dir, ok := s.real.rses[rse]
	if !ok {
		s.t.Fatalf("there is no storage %s", rse)
	}
	return dir
}

// File is where a storage keeps a file: Rucio's algorithm "hash".
func (s *Server) File(rse, scope, name string) string {
	s.t.Helper()
	sum := md5.Sum([]byte(scope + ":" + name))
	h := hex.EncodeToString(sum[:])
	dir := scope
	if strings.HasPrefix(scope, "user") || strings.HasPrefix(scope, "group") {
		dir = strings.ReplaceAll(scope, ".", "/")
	}
	return filepath.Join(s.Folder(rse), dir, h[:2], h[2:4], name)
}
