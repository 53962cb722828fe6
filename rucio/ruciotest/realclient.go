package ruciotest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ClientConfig writes a rucio.cfg for a client that logs in with a password, and
// returns its path.
func (s *Server) ClientConfig(l Login) string {
	s.t.Helper()
	file := filepath.Join(s.Dir, l.Account+".cfg")
	text := fmt.Sprintf(`[client]
rucio_host = %[1]s
auth_host = %[1]s
auth_type = userpass
username = %[2]s
password = %[3]s
account = %[4]s
`, s.URL, l.Username, l.Password, l.Account)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// environment is this process's environment without what would lead a program of
// Rucio elsewhere, and with what it needs here.
func (s *Server) environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "RUCIO_") || strings.HasPrefix(kv, "X509_") || strings.HasPrefix(kv, "PYTHON")
	})
	return append(env, s.own()...)
}

// own are the variables that this server's programs need.
func (s *Server) own() []string {
	return []string{
		"PATH=" + filepath.Join(s.real.venv, "bin") + string(os.PathListSeparator) + os.Getenv("PATH"),
		"TMPDIR=" + filepath.Join(s.Dir, "tmp"), // tokens are kept below it by account, whatever the server
		"X509_USER_PROXY=" + s.Admin.Proxy,      // the storages want no proxy; Rucio's https protocol does
		"X509_CERT_DIR=" + s.CADir,
		"PYTHONPATH=" + filepath.Join(s.Dir, "python"),
		"PYTHONWARNINGS=ignore", // that certificates are not verified
	}
}

// Command is a program of the Python client's environment ("rucio", "python") or of
// the PATH, set up to be Admin. The caller may change it before it runs it, for
// example append another RUCIO_CONFIG to its environment.
func (s *Server) Command(program string, args ...string) *exec.Cmd {
	if p := filepath.Join(s.real.venv, "bin", program); exists(p) {
		program = p
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = s.Dir
	cmd.Env = append(s.environment(), "RUCIO_CONFIG="+s.Config, "RUCIO_CLIENT_MODE=1")
	return cmd
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// CLI runs the Python client's command rucio as Admin and returns what it prints. It
// fails the test if the command fails.
func (s *Server) CLI(args ...string) string {
	s.t.Helper()
	return s.output(s.Command("rucio", args...))
}

// Python runs a script, given as text, in the Python client's environment as Admin
// and returns what it prints. It fails the test if the script fails.
func (s *Server) Python(script string, args ...string) string {
	s.t.Helper()
	return s.output(s.Command("python", append([]string{"-c", script}, args...)...))
}

// Daemon runs one of Rucio's daemons, for example "rucio-judge-evaluator", once and
// returns its log. Daemons report few failures: look at what they should have done.
func (s *Server) Daemon(name string, args ...string) string {
	s.t.Helper()
	out, err := s.serverCommand(name, append([]string{"--run-once"}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}

func (s *Server) output(cmd *exec.Cmd) string {
	s.t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v: %s%s", strings.Join(cmd.Args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}
