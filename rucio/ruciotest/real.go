package ruciotest

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/cax-go/cax/transfer/transfertest"
)

// Options says what kind of server to start.
type Options struct {
	// NoXRootD leaves out the storages RSEDavs and RSERoot.
	NoXRootD bool
}

// A Login is an account with what lets somebody in as it.
type Login struct {
	Account            string
	Username, Password string
	// For Admin and User: an RSA key for ssh, and for x509 a certificate with its key
	// and a proxy of it. All are files.
	SSHKey, Cert, Key, Proxy string
}

// A Server is a real Rucio server of this test's own. Its methods fail the test where
// something does not work.
type Server struct {
	URL    string // the server, over plain HTTP
	TLSURL string // the same behind TLS; client certificates are taken here
	CAFile string // what the certificates of TLSURL and RSEDavs are verified with
	CADir  string // the same as a folder in the style of OpenSSL
	Dir    string // everything, logs too
	Config string // a rucio.cfg with which a client is Admin

	Root  Login // may do everything; log-in by password only
	Admin Login // a service account with all rights, no quota limit, owner of the scopes Scope and "admin"
	User  Login // a plain user with a terabyte on each storage, owner of the scope "user.cax"

	t    testing.TB
	real *real
}

// Scope is a scope of the account Admin.
const Scope = "x1t_SR000_160706_1234_tpc"

// A real is the state of a server that all who use it share.
type real struct {
	*tools
	dir      string
	database *process

	mu     sync.Mutex
	web    *process
	xrootd *process
	port   int // of web
	token  string
	rses   map[string]string // folder of each
}

// Start starts a server that ends with the test. It skips the test or fails it if
// there cannot be one; see the package comment. Nil options are the defaults.
func Start(t testing.TB, o *Options) *Server {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	if !transfertest.Long() {
		t.Skip("a real Rucio server: set CAX_INTEGRATION=1")
	}
	tl, err := setUp()
	if err != nil {
		transfertest.Missing(t, "rucio", err.Error(), Install)
	}
	// Not t.TempDir: the servers' user has to get into it, and the path of a socket
	// must be short.
	dir, err := os.MkdirTemp("", "cax-rucio-")
	if err != nil {
		t.Fatal(err)
	}
	r := &real{tools: tl, dir: dir, rses: map[string]string{}}
	s := &Server{Dir: dir, t: t, real: r}
	t.Cleanup(s.close)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.makeLogins(); err != nil {
		t.Fatal(err)
	}
	var storage [2]int
	var g errgroup.Group
	g.Go(r.startDatabase)
	if !o.NoXRootD {
		g.Go(func() (err error) {
			storage, err = r.startStorage()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := s.startRucio(); err != nil {
		t.Fatal(err)
	}
	s.startFront()
	s.fill(storage)
	s.Config = s.ClientConfig(s.Admin)
	return s
}

// With is the same server for a sub-test, which fails when something does not work.
func (s *Server) With(t testing.TB) *Server {
	c := *s
	c.t = t
	return &c
}

// close ends everything.
func (s *Server) close() {
	if s.t.Failed() {
		for _, log := range []string{"gunicorn.log", "xrootd.log", "postgres.log"} {
			s.t.Logf("the end of %s:\n%s", log, tail(filepath.Join(s.Dir, log)))
		}
	}
	s.Stop()
	s.StopStorage()
	s.real.database.stop(syscall.SIGQUIT)
	if err := os.RemoveAll(s.Dir); err != nil {
		s.t.Error(err)
	}
}
