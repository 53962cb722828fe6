package ruciotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// Call does a request as root and returns the status and the body of the answer. A
// body is sent as JSON; nil is none.
func (s *Server) Call(method, path string, body any) (status int, answer []byte) {
	s.t.Helper()
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
	}
	for renewed := false; ; renewed = true {
		header := http.Header{"X-Rucio-Auth-Token": {s.rootToken(renewed)}}
		status, _, answer = s.request(method, path, header, b)
		if status != http.StatusUnauthorized || renewed {
			return status, answer
		}
	}
}

// must is a Call that has to succeed.
func (s *Server) must(method, path string, body any) {
	s.t.Helper()
	if status, answer := s.Call(method, path, body); status >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
}

// rootToken is a token of root's, a new one if renew is set or there was none.
func (s *Server) rootToken(renew bool) string {
	s.t.Helper()
	s.real.mu.Lock()
	defer s.real.mu.Unlock()
	if s.real.token == "" || renew {
		s.real.token = s.logIn(s.Root)
	}
	return s.real.token
}

// logIn gets a token with a password.
func (s *Server) logIn(l Login) string {
	s.t.Helper()
	status, header, answer := s.request(http.MethodGet, "/auth/userpass", http.Header{
		"X-Rucio-Account": {l.Account}, "X-Rucio-Username": {l.Username}, "X-Rucio-Password": {l.Password},
	}, nil)
	if status != http.StatusOK {
		s.t.Fatalf("log-in of %s: %d %s", l.Account, status, answer)
	}
	return header.Get("X-Rucio-Auth-Token")
}

func (s *Server) request(method, path string, header http.Header, body []byte) (int, http.Header, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header = header
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer
}

// AddAccount makes an account of a kind (USER, GROUP, SERVICE) that logs in with a
// password. It has neither rights nor quota.
func (s *Server) AddAccount(account, kind string) Login {
	s.t.Helper()
	l := Login{Account: account, Username: account, Password: account + "-secret"}
	s.must("POST", "/accounts/"+account, map[string]any{"type": kind, "email": account + "@localhost"})
	s.addIdentity(account, "USERPASS", l.Username, l.Password)
	return l
}

func (s *Server) addIdentity(account, authType, identity, password string) {
	s.t.Helper()
	body := map[string]any{"identity": identity, "authtype": authType, "email": account + "@localhost", "default": true}
	if password != "" {
		body["password"] = password
	}
	s.must("POST", "/accounts/"+account+"/identities", body)
}

// AddScope gives an account a new scope.
func (s *Server) AddScope(account, scope string) {
	s.t.Helper()
	s.must("POST", "/accounts/"+account+"/scopes/"+scope, nil)
}

// SetLimit sets how many bytes an account may have on a storage; -1 is no limit.
func (s *Server) SetLimit(account, rse string, bytes int64) {
	s.t.Helper()
	s.must("POST", "/accounts/"+account+"/limits/local/"+rse, map[string]any{"bytes": bytes})
}

// SetAttribute sets an attribute of a storage, in place of what it had.
func (s *Server) SetAttribute(rse, key string, value any) {
	s.t.Helper()
	path := "/rses/" + rse + "/attr/" + key
	s.Call("DELETE", path, nil) // it may not have been there
	s.must("POST", path, map[string]any{"value": value})
}

// AddRSE makes a storage that is a folder, on which Admin has no limit, and returns
// the folder.
func (s *Server) AddRSE(rse string) string {
	s.t.Helper()
	dir := filepath.Join(s.Dir, "rse", rse)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.addRSE(rse, dir, protocol{Scheme: "file", Hostname: "localhost", Prefix: dir,
		Impl: "rucio.rse.protocols.posix.Default", priority: 1, deletion: 1})
	return dir
}

// A protocol is one way to reach a storage.
type protocol struct {
	Scheme   string `json:"-"`
	Hostname string `json:"hostname"`
	Port     int    `json:"port"`
	Prefix   string `json:"prefix"`
	Impl     string `json:"impl"`
	// 1 is the best.
	priority, deletion int
}

func (s *Server) addRSE(rse, folder string, protocols ...protocol) {
	s.t.Helper()
	s.real.mu.Lock()
	s.real.rses[rse] = folder
	s.real.mu.Unlock()
	s.must("POST", "/rses/"+rse, map[string]any{"deterministic": true})
	for _, p := range protocols {
		type domain map[string]int
		s.must("POST", "/rses/"+rse+"/protocols/"+p.Scheme, struct {
			protocol
			Domains map[string]domain `json:"domains"`
		}{p, map[string]domain{
			"lan": {"read": p.priority, "write": p.priority, "delete": p.deletion},
			"wan": {"read": p.priority, "write": p.priority, "delete": p.deletion,
				"third_party_copy_read": p.priority, "third_party_copy_write": p.priority},
		}})
	}
	s.SetAttribute(rse, "site", "TESTSITE")
	s.SetAttribute(rse, "greedyDeletion", true) // else the reaper keeps what nobody wants
	s.SetLimit(s.Admin.Account, rse, -1)
}

// fill makes the accounts, scopes and storages that every server has.
func (s *Server) fill(storage [2]int) {
	s.t.Helper()
	for _, l := range []*Login{&s.Admin, &s.User} {
		kind := "USER"
		if l == &s.Admin {
			kind = "SERVICE"
		}
		made := s.AddAccount(l.Account, kind)
		l.Username, l.Password = made.Username, made.Password
		s.addIdentity(l.Account, "X509", subjectOf(l.Account), "")
		public, err := os.ReadFile(l.SSHKey + ".pub")
		if err != nil {
			s.t.Fatal(err)
		}
		s.addIdentity(l.Account, "SSH", string(bytes.TrimSpace(public)), "")
	}
	s.must("POST", "/accounts/"+s.Admin.Account+"/attr/admin", map[string]any{"value": "true"})
	s.AddScope(s.Admin.Account, Scope)
	s.AddScope(s.Admin.Account, "admin")
	s.AddScope(s.User.Account, "user.cax")
	rses := []string{RSEA, RSEB}
	s.AddRSE(RSEA)
	s.AddRSE(RSEB)
	s.must("POST", fmt.Sprintf("/rses/%s/distances/%s", RSEA, RSEB), map[string]any{"distance": 1, "bidirectional": true})
	if xrootd, https := storage[0], storage[1]; xrootd != 0 {
		s.addXRootD(xrootd, https)
		rses = append(rses, RSEDavs, RSERoot)
	}
	for _, rse := range rses {
		s.SetLimit(s.User.Account, rse, 1<<40)
	}
}
