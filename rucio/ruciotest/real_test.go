package ruciotest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// uploadScript uploads the file argv[1] to the storage argv[2] as argv[3], in the
// dataset argv[4].
const uploadScript = `
import sys
from rucio.client.uploadclient import UploadClient
path, rse, name, dataset = sys.argv[1:]
scope = 'x1t_SR000_160706_1234_tpc'
UploadClient().upload([{'path': path, 'rse': rse, 'did_scope': scope, 'did_name': name,
                        'dataset_scope': scope, 'dataset_name': dataset}])
print('uploaded', name)
`

func TestReal(t *testing.T) {
	s := Start(t, nil)
	if os.Getenv("CAX_RUCIO_SERVE") != "" {
		serve(s)
		return
	}
	t.Run("storages", func(t *testing.T) { testStorages(t, s.With(t)) })
	t.Run("daemons", func(t *testing.T) { testDaemons(t, s.With(t)) })
	t.Run("deletion", func(t *testing.T) { testDeletion(t, s.With(t)) })
	t.Run("tokens", func(t *testing.T) { testTokens(t, s.With(t)) })
	t.Run("certificates", func(t *testing.T) { testCertificates(t, s.With(t)) })
	t.Run("accounts", func(t *testing.T) { testAccounts(t, s.With(t)) })
	t.Run("faults", func(t *testing.T) { testFaults(t, s.With(t)) })
}

// Two servers at a time do not get in each other's way, and XRootD can be left out.
func TestTwo(t *testing.T) {
	a, b := Start(t, &Options{NoXRootD: true}), Start(t, &Options{NoXRootD: true})
	a.AddRSE("ONLY-A")
	for s, want := range map[*Server][]string{a: {"ONLY-A", RSEA, RSEB}, b: {RSEA, RSEB}} {
		_, answer := s.Call("GET", "/rses/", nil)
		var got []string
		for line := range strings.Lines(string(answer)) {
			var rse struct{ RSE string }
			if err := json.Unmarshal([]byte(line), &rse); err != nil {
				t.Fatal(err)
			}
			got = append(got, rse.RSE)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("storages %v, want %v", got, want)
		}
	}
}

// The Python client uploads to each storage and downloads again, and the file lies
// where File says.
func testStorages(t *testing.T, s *Server) {
	for _, rse := range []string{RSEA, RSEB, RSEDavs, RSERoot} {
		t.Run(rse, func(t *testing.T) {
			s := s.With(t)
			want := strings.Repeat("raw data of "+rse+"\n", 10000)
			name := "file-" + rse
			local := filepath.Join(t.TempDir(), "local")
			write(t, local, want)
			if out := s.Python(uploadScript, local, rse, name, "dataset-"+rse); out != "uploaded "+name+"\n" {
				t.Errorf("upload says %q", out)
			}
			if got := read(t, s.File(rse, Scope, name)); got != want {
				t.Errorf("there are %d bytes at the storage, want %d", len(got), len(want))
			}
			dir := t.TempDir()
			s.CLI("download", "--dir", dir, Scope+":dataset-"+rse)
			if got := read(t, filepath.Join(dir, "dataset-"+rse, name)); got != want {
				t.Errorf("%d bytes were downloaded, want %d", len(got), len(want))
			}
		})
	}
}

// A rule on a dataset learns of what is attached later by a daemon alone.
func testDaemons(t *testing.T, s *Server) {
	local := filepath.Join(t.TempDir(), "local")
	write(t, local, "one")
	s.Python(uploadScript, local, RSEA, "ruled-1", "ruled")
	s.must("POST", "/rules/", map[string]any{"dids": []any{map[string]string{"scope": Scope, "name": "ruled"}},
		"account": "root", "copies": 1, "rse_expression": RSEB})
	s.Daemon("rucio-judge-evaluator")
	rule := func() (state string, replicating int) {
		_, answer := s.Call("GET", "/dids/"+Scope+"/ruled/rules", nil)
		for line := range strings.Lines(string(answer)) {
			var r struct {
				Expression  string `json:"rse_expression"`
				State       string
				Replicating int `json:"locks_replicating_cnt"`
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			if r.Expression == RSEB {
				return r.State, r.Replicating
			}
		}
		t.Fatalf("no rule in %s", answer)
		return "", 0
	}
	if state, n := rule(); state != "REPLICATING" || n != 1 {
		t.Errorf("the rule is %s with %d files to come", state, n)
	}
	// What a transfer would do.
	to := s.File(RSEB, Scope, "ruled-1")
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, to, "one")
	s.must("PUT", "/replicas", map[string]any{"rse": RSEB,
		"files": []any{map[string]any{"scope": Scope, "name": "ruled-1", "state": "A"}}})
	if state, n := rule(); state != "OK" || n != 0 {
		t.Errorf("the rule is %s with %d files to come", state, n)
	}
	if got := s.SQL("SELECT state FROM dev.locks WHERE name = 'ruled-1' ORDER BY state"); got == "" {
		t.Error("no locks in the database")
	}
}

// The reaper deletes a file whose rule is gone.
func testDeletion(t *testing.T, s *Server) {
	local := filepath.Join(t.TempDir(), "local")
	write(t, local, "gone soon")
	rse := "TEST-C_SCRATCHDISK"
	s.AddRSE(rse)
	s.Python(uploadScript, local, rse, "doomed", "doomed-set")
	s.Daemon("rucio-judge-evaluator") // the rule is older than the file, and learns of it here
	_, answer := s.Call("GET", "/dids/"+Scope+"/doomed-set/rules", nil)
	var rule struct{ ID string }
	if err := json.Unmarshal(answer, &rule); err != nil {
		t.Fatal(err)
	}
	s.must("PUT", "/rules/"+rule.ID, map[string]any{"options": map[string]any{"lifetime": -10}})
	s.Daemon("rucio-judge-cleaner")
	if status, answer := s.Call("GET", "/rules/"+rule.ID, nil); status != http.StatusNotFound {
		t.Errorf("the rule is still there: %d %s", status, answer)
	}
	log := s.Daemon("rucio-reaper", "--rses", rse, "--greedy", "--delay-seconds", "0")
	if _, err := os.Stat(s.File(rse, Scope, "doomed")); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v: %s", err, log)
	}
}

func testTokens(t *testing.T, s *Server) {
	valid := func(token string) int {
		status, _, _ := s.request("GET", "/scopes/", http.Header{"X-Rucio-Auth-Token": {token}}, nil)
		return status
	}
	token := s.logIn(s.Admin)
	for range 4 { // both processes of the server see it
		if status := valid(token); status != http.StatusOK {
			t.Fatalf("a new token: %d", status)
		}
	}
	s.ExpireTokens()
	if status := valid(token); status != http.StatusUnauthorized {
		t.Errorf("an expired token: %d", status)
	}
	s.SetTokenLifetime(100 * time.Second)
	defer s.SetTokenLifetime(time.Hour)
	_, header, _ := s.request("GET", "/auth/userpass", http.Header{"X-Rucio-Account": {s.User.Account},
		"X-Rucio-Username": {s.User.Username}, "X-Rucio-Password": {s.User.Password}}, nil)
	expires, err := time.Parse("Mon, 02 Jan 2006 15:04:05 UTC", header.Get("X-Rucio-Auth-Token-Expires"))
	if left := time.Until(expires); err != nil || left > 100*time.Second {
		t.Errorf("a token of 100 s lives for %v, %v", left, err)
	}
	if status := valid(header.Get("X-Rucio-Auth-Token")); status != http.StatusOK {
		t.Errorf("a short token: %d", status)
	}
}

// A certificate and a proxy of it are let in over TLS, another's is not.
func testCertificates(t *testing.T, s *Server) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(read(t, s.CAFile)))
	logIn := func(cert, key string) (int, string) {
		c := &tls.Config{RootCAs: pool}
		if cert != "" {
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates = []tls.Certificate{pair}
		}
		client := http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.TLSURL+"/auth/x509", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("X-Rucio-Auth-Account")
	}
	if status, account := logIn(s.Admin.Cert, s.Admin.Key); status != 200 || account != s.Admin.Account {
		t.Errorf("certificate: %d %q", status, account)
	}
	if status, account := logIn(s.User.Proxy, s.User.Proxy); status != 200 || account != s.User.Account {
		t.Errorf("proxy: %d %q", status, account)
	}
	if status, _ := logIn("", ""); status != http.StatusUnauthorized {
		t.Errorf("no certificate: %d", status)
	}
	stranger, err := issue(nil, &x509.Certificate{Subject: name(s.Admin.Account)})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "stranger")
	if err := writePEM(file, 0o600, stranger.cert, stranger.key); err != nil {
		t.Fatal(err)
	}
	if status, _ := logIn(file, file); status != http.StatusForbidden {
		t.Errorf("a certificate that signed itself: %d", status)
	}
}

// The Python client agrees on who the accounts are and what they may.
func testAccounts(t *testing.T, s *Server) {
	cmd := s.Command("rucio", "whoami")
	cmd.Env = append(cmd.Env, "RUCIO_CONFIG="+s.ClientConfig(s.User))
	if out := s.output(cmd); !strings.Contains(out, s.User.Account) {
		t.Errorf("whoami: %s", out)
	}
	// By x509 proxy and by ssh, over TLS.
	for kind, lines := range map[string]string{
		"x509_proxy": "client_x509_proxy = " + s.Admin.Proxy,
		"ssh":        "ssh_private_key = " + s.Admin.SSHKey,
	} {
		file := filepath.Join(t.TempDir(), "rucio.cfg")
		write(t, file, fmt.Sprintf("[client]\nrucio_host = %[1]s\nauth_host = %[1]s\nca_cert = %[2]s\nauth_type = %[3]s\naccount = %[4]s\nauth_token_file_path = %[5]s\n%[6]s\n",
			s.TLSURL, s.CAFile, kind, s.Admin.Account, filepath.Join(t.TempDir(), "token"), lines))
		cmd := s.Command("rucio", "whoami")
		cmd.Env = append(cmd.Env, "RUCIO_CONFIG="+file)
		if out := s.output(cmd); !strings.Contains(out, s.Admin.Account) {
			t.Errorf("%s: whoami: %s", kind, out)
		}
	}
	s.SetLimit(s.User.Account, RSEB, 10)
	_, answer := s.Call("GET", "/accounts/"+s.User.Account+"/limits/local/"+RSEB, nil)
	if want := fmt.Sprintf(`{"%s": 10}`, RSEB); strings.TrimSpace(string(answer)) != want {
		t.Errorf("limit: %s, want %s", answer, want)
	}
}

// A stopped server refuses connections; the same data are there when it is back.
func testFaults(t *testing.T, s *Server) {
	get := func(url string) int {
		resp, err := http.Get(url)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	front := httptest.NewServer(s.Handler())
	defer front.Close()
	if status := get(front.URL + "/ping"); status != 200 {
		t.Errorf("through the handler: %d", status)
	}
	s.Stop()
	s.Stop()
	if status := get(s.URL + "/ping"); status != 0 {
		t.Errorf("a stopped server says %d", status)
	}
	if status := get(front.URL + "/ping"); status != http.StatusBadGateway {
		t.Errorf("the handler of a stopped server says %d", status)
	}
	s.Start()
	s.Restart()
	if out := s.CLI("scope", "list"); !slices.Contains(strings.Fields(out), Scope) {
		t.Errorf("scopes: %s", out)
	}
	s.StopStorage()
	host := strings.TrimPrefix(s.rootHost(), "root://")
	if c, err := net.Dial("tcp", host); err == nil {
		c.Close()
		t.Error("a stopped storage takes connections")
	}
	s.StartStorage()
	s.output(s.Command("xrdfs", s.rootHost(), "ls", "/root"))
}

// rootHost is where RSERoot is served.
func (s *Server) rootHost() string {
	s.t.Helper()
	_, answer := s.Call("GET", "/rses/"+RSERoot+"/protocols", nil)
	var protocols []struct {
		Hostname string
		Port     int
	}
	if err := json.Unmarshal(answer, &protocols); err != nil || len(protocols) != 1 {
		s.t.Fatalf("protocols: %s, %v", answer, err)
	}
	return fmt.Sprintf("root://%s:%d", protocols[0].Hostname, protocols[0].Port)
}

// serve keeps the server running, for exploration by hand.
func serve(s *Server) {
	fmt.Printf("URL      %s, over TLS %s (CA %s)\n", s.URL, s.TLSURL, s.CAFile)
	for _, l := range []Login{s.Root, s.Admin, s.User} {
		fmt.Printf("account  %s, password %s\n", l.Account, l.Password)
	}
	for _, rse := range []string{RSEA, RSEB, RSEDavs, RSERoot} {
		fmt.Printf("storage  %s in %s\n", rse, s.Folder(rse))
	}
	fmt.Printf("SQL      %s -h %s -U rucio rucio\n", filepath.Join(s.real.postgres, "psql"), s.real.socket())
	fmt.Printf("client   export RUCIO_CONFIG=%s RUCIO_CLIENT_MODE=1 %s\n", s.Config, strings.Join(s.own(), " "))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
