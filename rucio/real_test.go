package rucio_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
)

// TestReal runs the client against a real server.
func TestReal(t *testing.T) {
	srv := ruciotest.Start(t, &ruciotest.Options{NoXRootD: true})
	t.Run("operations", func(t *testing.T) { realOperations(t, srv.With(t)) })
	t.Run("logins", func(t *testing.T) { realLogins(t, srv.With(t)) })
	t.Run("token kept for the Python client", func(t *testing.T) { realTokenFile(t, srv.With(t)) })
	t.Run("refusals", func(t *testing.T) { realRefusals(t, srv.With(t)) })
	t.Run("token that ends", func(t *testing.T) { realExpiry(t, srv.With(t)) })
	t.Run("server that restarts", func(t *testing.T) { realRestart(t, srv.With(t)) })
}

func client(t *testing.T, cfg rucio.Config) *rucio.Client {
	t.Helper()
	c, err := rucio.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// as is a client of the server as an account.
func as(t *testing.T, srv *ruciotest.Server, l ruciotest.Login) *rucio.Client {
	t.Helper()
	return client(t, rucio.Config{Host: srv.URL, Account: l.Account, Auth: rucio.Userpass{Username: l.Username, Password: l.Password}})
}

// realLogins logs in by all methods that the server takes.
func realLogins(t *testing.T, srv *ruciotest.Server) {
	l := srv.Admin
	for _, tt := range []struct {
		name string
		host string
		ca   string
		auth rucio.Authenticator
		want error
	}{
		{"userpass", srv.URL, "", rucio.Userpass{Username: l.Username, Password: l.Password}, nil},
		{"wrong password", srv.URL, "", rucio.Userpass{Username: l.Username, Password: "wrong"}, rucio.ErrAuth},
		{"ssh", srv.URL, "", rucio.SSH{KeyFile: l.SSHKey}, nil},
		{"x509, file of CAs", srv.TLSURL, srv.CAFile, rucio.X509{Cert: l.Cert, Key: l.Key}, nil},
		{"x509, directory of CAs", srv.TLSURL, srv.CADir, rucio.X509{Cert: l.Cert, Key: l.Key}, nil},
		{"proxy", srv.TLSURL, srv.CAFile, rucio.X509Proxy{File: l.Proxy}, nil},
		{"unknown CA", srv.TLSURL, "", rucio.X509Proxy{File: l.Proxy}, rucio.ErrAuth},
		{"token of nobody", srv.URL, "", rucio.OIDC{Value: "e30.e30.e30"}, rucio.ErrAuth},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, rucio.Config{Host: tt.host, CA: tt.ca, Account: l.Account, Auth: tt.auth})
			me, err := c.Whoami(t.Context())
			if !errors.Is(err, tt.want) || err == nil && me.Name != l.Account {
				t.Fatalf("got %v, %v", me, err)
			}
			if tok, err := c.Token(t.Context()); tt.want == nil && (err != nil || time.Until(tok.Expires) < 50*time.Minute) {
				t.Errorf("token until %v, %v", tok.Expires, err)
			}
		})
	}
	t.Run("as rucio.cfg says", func(t *testing.T) {
		cfg, err := rucio.Load(&rucio.LoadOptions{File: srv.ClientConfig(l)})
		if err != nil {
			t.Fatal(err)
		}
		cfg.TokenFile = ""
		if me, err := client(t, cfg).Whoami(t.Context()); err != nil || me.Name != l.Account {
			t.Fatalf("got %v, %v", me, err)
		}
	})
	t.Run("account of the identity", func(t *testing.T) {
		c := client(t, rucio.Config{Host: srv.URL, Auth: rucio.Userpass{Username: srv.User.Username, Password: srv.User.Password}})
		if _, err := c.Scopes(t.Context()); err != nil || c.Account() != srv.User.Account {
			t.Fatalf("got %q, %v", c.Account(), err)
		}
	})
}

// realTokenFile has both clients use one token.
func realTokenFile(t *testing.T, srv *ruciotest.Server) {
	dir := t.TempDir()
	file := filepath.Join(dir, "kept", "token")
	text, err := os.ReadFile(srv.Config)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "rucio.cfg")
	text = bytes.Replace(text, []byte("[client]\n"), []byte("[client]\nauth_token_file_path = "+file+"\n"), 1)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ours := func() string {
		t.Helper()
		cfg, err := rucio.Load(&rucio.LoadOptions{File: config})
		if err != nil {
			t.Fatal(err)
		}
		c := client(t, cfg)
		if _, err := c.Whoami(t.Context()); err != nil {
			t.Fatal(err)
		}
		tok, err := c.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tok.Value
	}
	theirs := func() string {
		t.Helper()
		cmd := srv.Command("python", "-c", "from rucio.client import Client\nc = Client()\nc.whoami()\nprint(c.auth_token)")
		cmd.Env = append(cmd.Env, "RUCIO_CONFIG="+config)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	first := ours()
	if got := theirs(); got != first {
		t.Errorf("they use %q, not ours", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	second := theirs()
	if got := ours(); got != second || got == first {
		t.Errorf("we use %q, not theirs", got)
	}
}

// realRefusals sees to it that the server's no is of the right kind, and no reason to
// log in again.
func realRefusals(t *testing.T, srv *ruciotest.Server) {
	ctx := t.Context()
	user, admin := as(t, srv, srv.User), as(t, srv, srv.Admin)
	mine := rucio.DID{Scope: ruciotest.Scope, Name: "refused"}
	if err := admin.AddReplicas(ctx, ruciotest.RSEA, []rucio.NewReplica{{DID: mine, Bytes: 1 << 50, Adler32: "1"}}); err != nil {
		t.Fatal(err)
	}
	token, err := user.Token(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rule := func(c *rucio.Client, rse, account string) error {
		_, err := c.AddRule(ctx, rucio.NewRule{DIDs: []rucio.DID{mine}, RSEExpression: rse, Account: account})
		return err
	}
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"DID in the scope of another", user.AddDID(ctx, rucio.NewDID{DID: rucio.DID{Scope: ruciotest.Scope, Name: "x"}, Type: rucio.Dataset}), rucio.ErrPermission},
		{"metadata of another", user.SetMetadata(ctx, mine, map[string]any{"project": "x"}), rucio.ErrPermission},
		{"scope", user.AddScope(ctx, srv.User.Account, "anything"), rucio.ErrPermission},
		{"state of a replica", user.SetReplicaState(ctx, ruciotest.RSEA, rucio.Available, []rucio.DID{mine}), rucio.ErrPermission},
		{"rule for another", rule(user, ruciotest.RSEA, srv.Admin.Account), rucio.ErrPermission},
		{"limit", user.SetLimit(ctx, srv.User.Account, ruciotest.RSEA, 5), rucio.ErrPermission},
		{"scope that is not there", admin.AddDID(ctx, rucio.NewDID{DID: rucio.DID{Scope: "nowhere", Name: "x"}, Type: rucio.Dataset}), rucio.ErrNotExist},
		{"name that is not allowed", admin.AddDID(ctx, rucio.NewDID{DID: rucio.DID{Scope: ruciotest.Scope, Name: "a b+c%"}, Type: rucio.Dataset}), rucio.ErrInvalid},
		{"quota", rule(user, ruciotest.RSEA, ""), rucio.ErrQuota},
		{"RSE in an expression", rule(admin, "NO-SUCH", ""), rucio.ErrInvalid},
		{"replica at no RSE", admin.AddReplicas(ctx, "NO-SUCH", []rucio.NewReplica{{DID: mine}}), rucio.ErrNotExist},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: got %v", tt.name, tt.err)
		}
	}
	if now, err := user.Token(ctx); err != nil || now.Value != token.Value {
		t.Errorf("logged in again: %v", err)
	}
}

// realExpiry ends tokens under the client.
func realExpiry(t *testing.T, srv *ruciotest.Server) {
	ctx := t.Context()
	c := as(t, srv, srv.Admin)
	if _, err := c.Scopes(ctx); err != nil {
		t.Fatal(err)
	}
	srv.ExpireTokens()
	scope := fmt.Sprintf("after-%x", time.Now().Unix())
	if err := c.AddScope(ctx, srv.Admin.Account, scope); err != nil {
		t.Fatal(err)
	}
	before, err := c.Token(ctx)
	if err != nil {
		t.Fatal(err)
	}
	srv.ExpireTokens()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := c.Scopes(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if after, err := c.Token(ctx); err != nil || after.Value == before.Value {
		t.Errorf("the token is still %q, %v", after.Value, err)
	}
}

// realRestart stops the server under requests, which wait for it.
func realRestart(t *testing.T, srv *ruciotest.Server) {
	c := client(t, rucio.Config{Host: srv.URL, Account: srv.Admin.Account, Retries: 100, Backoff: time.Millisecond,
		Auth: rucio.Userpass{Username: srv.Admin.Username, Password: srv.Admin.Password}})
	if _, err := c.Scopes(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := c.RSEs(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	did := rucio.DID{Scope: ruciotest.Scope, Name: "made-while-away"}
	wg.Go(func() {
		err := c.AddDID(t.Context(), rucio.NewDID{DID: did, Type: rucio.Dataset})
		for doubt := false; err != nil; {
			switch doubt = doubt || errors.Is(err, rucio.ErrTransient); {
			case doubt && errors.Is(err, rucio.ErrExist):
				return // it was carried out
			case !errors.Is(err, rucio.ErrTransient):
				t.Error(err)
				return
			}
			err = c.AddDID(t.Context(), rucio.NewDID{DID: did, Type: rucio.Dataset})
		}
	})
	srv.Start()
	wg.Wait()
	if _, err := c.DID(t.Context(), did); err != nil {
		t.Error(err)
	}
}
