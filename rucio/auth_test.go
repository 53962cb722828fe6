package rucio

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestUserpass(t *testing.T) {
	var got http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		if r.URL.Path != "/auth/userpass" {
			t.Errorf("came to %s", r.URL)
		}
		refuse(w, 401, "CannotAuthenticate", "Cannot authenticate to account None with given credentials")
	}))
	defer s.Close()
	for _, tt := range []struct{ name, password, sent string }{
		{"plain", "secret", "secret"},
		{"Latin-1", "gehë!m", "geh\xeb!m"},
		{"beyond it", "пароль", ""},
		{"line end", "a\r\nX-Evil: 1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got = nil
			c, err := New(Config{Host: s.URL, Auth: Userpass{"jdoe", tt.password}, Account: "prod"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Token(t.Context())
			if tt.sent == "" {
				if !errors.Is(err, ErrInvalid) || got != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if !errors.Is(err, ErrAuth) || strings.Contains(err.Error(), tt.password) || got.Get("X-Rucio-Password") != tt.sent ||
				got.Get("X-Rucio-Username") != "jdoe" || got.Get("X-Rucio-Account") != "prod" {
				t.Errorf("got %v, %v", err, got)
			}
			if text := fmt.Sprintf("%v %+v %#v", c.cfg.Auth, c.cfg, c.cfg); strings.Contains(text, tt.password) {
				t.Error("the password can be printed")
			}
		})
	}
}

// An identity of several accounts must say which one it wants.
func TestSeveralAccounts(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Rucio-Auth-Accounts", "jdoe,prod")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, `["jdoe","prod"]`)
	}))
	defer s.Close()
	c, err := New(Config{Host: s.URL, Auth: Userpass{"jdoe", "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Token(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Kind != ErrInvalid || !strings.Contains(e.Hint, "jdoe,prod") {
		t.Errorf("got %v", err)
	}
}

// certificate makes a certificate and its key, PEM.
func certificate(t *testing.T, ends time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "jdoe"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func write(t *testing.T, name string, data []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// The certificate is shown to the login server alone, and read anew for each login.
func TestX509(t *testing.T) {
	var rest int
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := len(r.TLS.PeerCertificates) > 0 && r.TLS.PeerCertificates[0].Subject.CommonName == "jdoe"
		switch r.URL.Path {
		case "/auth/x509", "/auth/x509_proxy":
			if !shown {
				t.Error("no certificate at the login")
			}
			w.Header().Set("X-Rucio-Auth-Token", "t1")
		default:
			if rest++; shown {
				t.Error("a certificate besides the login")
			}
			io.WriteString(w, `["s"]`)
		}
	}))
	s.Config.ErrorLog = quiet()
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	caFile := write(t, "ca.pem", ca, 0o644)
	caDir := t.TempDir()
	for name, data := range map[string][]byte{"1234.0": ca, "1234.r0": []byte("a list of revocations"), "x.signing_policy": []byte("# text")} {
		if err := os.WriteFile(filepath.Join(caDir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("nowhere", filepath.Join(caDir, "dead.0")), os.Mkdir(filepath.Join(caDir, "folder"), 0o755)); err != nil {
		t.Fatal(err)
	}
	cert, key := certificate(t, time.Now().Add(time.Hour))
	proxy := write(t, "proxy", append(append([]byte{}, cert...), key...), 0o600)
	endedCert, endedKey := certificate(t, time.Now().Add(-time.Hour))
	ended := write(t, "ended", append(endedCert, endedKey...), 0o600)

	for _, tt := range []struct {
		name string
		auth Authenticator
		ca   string
		want error
	}{
		{"certificate and key", X509{write(t, "cert", cert, 0o644), write(t, "key", key, 0o600)}, caFile, nil},
		{"directory of CAs", X509{write(t, "cert", cert, 0o644), write(t, "key", key, 0o400)}, caDir, nil},
		{"key for all to read", X509{write(t, "cert", cert, 0o644), write(t, "key", key, 0o644)}, caFile, ErrInvalid},
		{"proxy", X509Proxy{proxy}, caFile, nil},
		{"no proxy", X509Proxy{proxy + "x"}, caFile, ErrAuth},
		{"proxy that ended", X509Proxy{ended}, caFile, ErrAuth},
		{"unknown server", X509Proxy{proxy}, "", ErrAuth},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(Config{Host: s.URL, Auth: tt.auth, CA: tt.ca, Backoff: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Scopes(t.Context()); !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if rest != 3 {
		t.Errorf("%d requests after logins", rest)
	}
}

func TestSSH(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024) // small, for speed
	if err != nil {
		t.Fatal(err)
	}
	const challenge = "1767272400123456789"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/ssh_challenge_token" {
			w.Header().Set("X-Rucio-SSH-Challenge-Token", challenge)
			return
		}
		blob, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Rucio-SSH-Signature"))
		var sig ssh.Signature
		if err != nil || ssh.Unmarshal(blob, &sig) != nil || sig.Format != ssh.KeyAlgoRSASHA256 {
			t.Errorf("signature %q: %v", blob, err)
		}
		sum := sha256.Sum256([]byte(challenge))
		if err := rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, sum[:], sig.Blob); err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Rucio-Auth-Token", "t1")
	}))
	defer s.Close()
	file := func(key any) string {
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			t.Fatal(err)
		}
		return write(t, "id", pem.EncodeToMemory(block), 0o600)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		auth SSH
		want error
	}{
		{"RSA", SSH{KeyFile: file(rsaKey)}, nil},
		{"another kind", SSH{KeyFile: file(ed)}, ErrInvalid},
		{"no file", SSH{KeyFile: "does/not/exist"}, ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(Config{Host: s.URL, Auth: tt.auth})
			if err != nil {
				t.Fatal(err)
			}
			if tok, err := c.Token(t.Context()); !errors.Is(err, tt.want) || err == nil && tok.Value != "t1" {
				t.Errorf("got %v, %v", tok, err)
			}
		})
	}
}

// jwt makes a token that ends at a time; nobody here looks at its signature.
func jwt(name string, ends time.Time) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"sub":%q,"exp":%d}`, name, ends.Unix())) + "." + part("signature")
}

func TestOIDC(t *testing.T) {
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	env := func(kv ...string) func(string) string {
		return func(k string) string {
			for i := 0; i < len(kv); i += 2 {
				if kv[i] == k {
					return kv[i+1]
				}
			}
			return ""
		}
	}
	good := jwt("good", in(time.Hour))
	file := write(t, "token", []byte(good+"\n"), 0o600)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("bt_u%d", os.Geteuid())), []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(kept, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	other := jwt("other", in(time.Hour))
	for _, tt := range []struct {
		name string
		auth OIDC
		kept string
		want error
	}{
		{"value", OIDC{Value: good}, "", nil},
		{"file", OIDC{File: file}, "", nil},
		{"no file", OIDC{File: file + "x"}, "", ErrAuth},
		{"command", OIDC{Command: []string{"cat", file}}, "", nil},
		{"command that fails", OIDC{Command: []string{"cat", file + "x"}}, "", ErrAuth},
		{"no command", OIDC{Command: []string{file + "x"}}, "", ErrAuth},
		{"BEARER_TOKEN", OIDC{Env: env("BEARER_TOKEN", good, "BEARER_TOKEN_FILE", file+"x")}, "", nil},
		{"BEARER_TOKEN_FILE", OIDC{Env: env("BEARER_TOKEN_FILE", file, "XDG_RUNTIME_DIR", "x")}, "", nil},
		{"BEARER_TOKEN_FILE that is missing", OIDC{Env: env("BEARER_TOKEN_FILE", file+"x", "XDG_RUNTIME_DIR", dir)}, "", ErrAuth},
		{"XDG_RUNTIME_DIR", OIDC{Env: env("XDG_RUNTIME_DIR", dir)}, "", nil},
		{"ended", OIDC{Value: jwt("old", in(-time.Hour))}, "", ErrAuth},
		{"not a token", OIDC{Value: "a b"}, "", ErrAuth},
		{"kept by the Python client", OIDC{File: file + "x"}, kept, nil},
		{"given before kept", OIDC{Value: good}, write(t, "kept", []byte(other), 0o600), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r.Header.Get("X-Rucio-Auth-Token")
				io.WriteString(w, `[]`)
			}))
			defer s.Close()
			c, err := New(Config{Host: s.URL, Auth: tt.auth, TokenFile: tt.kept})
			if err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(tt.kept)
			if _, err := c.Scopes(t.Context()); !errors.Is(err, tt.want) || err == nil && got != good {
				t.Errorf("got %v, token %q", err, got)
			}
			if after, _ := os.ReadFile(tt.kept); string(after) != string(before) {
				t.Error("the token that another keeps was written over")
			}
			if tok := withClaims(Token{Value: good}); !tok.IsJWT() || tok.Expires.Before(in(59*time.Minute)) {
				t.Errorf("got %v", tok)
			}
		})
	}
}

// A refresh tells the end in seconds since 1970, and nothing when there is nothing better.
func TestOIDCRefresh(t *testing.T) {
	for _, tt := range []struct {
		name, token, expires string
		want                 string
	}{
		{"refreshed", "new", fmt.Sprint(time.Now().Add(time.Hour).Unix()), "new"},
		{"nothing better", "", "", "old"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/auth/oidc_refresh" || r.Header.Get("X-Rucio-Auth-Token") == "" {
					t.Errorf("came to %s with %v", r.URL, r.Header)
				}
				w.Header().Set("X-Rucio-Auth-Token", tt.token)
				w.Header().Set("X-Rucio-Auth-Token-Expires", tt.expires)
			}))
			defer s.Close()
			old := jwt("old", time.Now().Add(3*time.Minute))
			kept := filepath.Join(t.TempDir(), "kept")
			if err := os.WriteFile(kept, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := New(Config{Host: s.URL, Auth: OIDC{File: kept, Refresh: true}})
			if err != nil {
				t.Fatal(err)
			}
			c.tokens.set(withClaims(Token{Value: old}), time.Time{}) // got by another program, long ago
			tok, err := c.Token(t.Context())
			if want := map[string]string{"new": "new", "old": old}[tt.want]; err != nil || tok.Value != want {
				t.Errorf("got %v, %v", tok, err)
			}
			if tt.want == "new" && tok.Expires.Before(time.Now().Add(50*time.Minute)) {
				t.Errorf("it ends %v", tok.Expires)
			}
		})
	}
}
