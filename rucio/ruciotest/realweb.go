package ruciotest

import (
	"embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

//go:embed server
var programs embed.FS

// startRucio fills the database and starts the server.
func (s *Server) startRucio() error {
	r := s.real
	l, err := listen()
	if err != nil {
		return err
	}
	defer l.Close()
	r.port = port(l)
	s.URL = "http://127.0.0.1:" + strconv.Itoa(r.port)
	s.Root = Login{Account: "root", Username: "root", Password: "secret"}
	for name, text := range map[string]string{
		"server.cfg":  fmt.Sprintf(configuration, s.URL, r.databaseURL(), filepath.Join(r.dir, "alembic.ini")),
		"alembic.ini": fmt.Sprintf(migrations, r.databaseURL()),
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"bootstrap.py", "caxrucio.py"} {
		b, err := programs.ReadFile("server/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.dir, name), b, 0o644); err != nil {
			return err
		}
	}
	cmd := s.serverCommand("python", filepath.Join(r.dir, "bootstrap.py"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the database cannot be filled: %w: %s", err, out)
	}
	return s.serve(l)
}

// start starts a stopped server.
func (s *Server) start() error {
	r := s.real
	r.mu.Lock()
	running := r.web != nil
	r.mu.Unlock()
	if running {
		return nil
	}
	var l net.Listener
	for try := 0; ; try++ { // the killed processes of the last server may be about to end
		var err error
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port))); err == nil {
			break
		}
		if try == 200 {
			return err
		}
		time.Sleep(25 * time.Millisecond)
	}
	return s.serve(l.(*net.TCPListener))
}

// serve starts gunicorn on a socket, which it inherits: the port cannot be lost to
// another, and who connects early waits instead of being refused.
func (s *Server) serve(l *net.TCPListener) error {
	r := s.real
	r.mu.Lock()
	defer r.mu.Unlock()
	defer l.Close()
	socket, err := l.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	cmd := s.serverCommand("gunicorn", "--bind", "fd://3", "--workers", "2", "--threads", "8",
		"--timeout", "300", "--keep-alive", "5", "--no-control-socket", "--chdir", r.dir, "caxrucio:application")
	cmd.Env = append(cmd.Env, "CAX_RUCIO_TOKEN_LIFETIME="+filepath.Join(r.dir, "lifetime"))
	cmd.ExtraFiles = []*os.File{socket}
	if r.web, err = run(cmd, nil, filepath.Join(r.dir, "gunicorn.log"), syscall.SIGQUIT); err != nil {
		return err
	}
	l.Close()
	socket.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return r.web.wait(func() error {
		resp, err := client.Get(s.URL + "/ping")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("ping: %s", resp.Status)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	})
}

// Start starts a stopped server again, on the same port with the same data.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Stop kills the server amid whatever it does: clients see broken connections, then
// refused ones. The database and the storages go on. Stopping twice is no error.
func (s *Server) Stop() {
	s.real.mu.Lock()
	defer s.real.mu.Unlock()
	s.real.web.stop(syscall.SIGKILL)
	s.real.web = nil
}

// Restart is Stop and Start.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

// SetTokenLifetime sets how long tokens live that are given out from now on; they
// live for an hour otherwise.
func (s *Server) SetTokenLifetime(d time.Duration) {
	s.t.Helper()
	file := filepath.Join(s.Dir, "lifetime")
	if err := os.WriteFile(file+".new", []byte(strconv.FormatFloat(d.Seconds(), 'f', 3, 64)), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		s.t.Fatal(err)
	}
}

// Handler passes requests on to the server, for a test that serves it with faults of
// its own. Bodies are streamed; a server that is stopped is a 502.
func (s *Server) Handler() http.Handler {
	target, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(target) },
		FlushInterval: -1,
		Transport:     &http.Transport{DisableKeepAlives: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

// serverCommand is a program of the virtual environment that works on the server's
// side.
func (s *Server) serverCommand(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.real.venv, "bin", program), args...)
	cmd.Dir = s.Dir
	cmd.Env = append(s.environment(), "RUCIO_CONFIG="+filepath.Join(s.Dir, "server.cfg"))
	return cmd
}
