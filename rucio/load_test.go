package rucio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const minimal = "[client]\nrucio_host = https://r\nauth_host = https://a\nauth_type = userpass\nusername = u\npassword = p%%w\n"

// environment looks variables up in pairs.
func environment(kv ...string) func(string) string {
	return func(k string) string {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == k {
				return kv[i+1]
			}
		}
		return ""
	}
}

// The precedence is: what the program says, the environment, the file.
func TestLoad(t *testing.T) {
	uid := os.Geteuid()
	for _, tt := range []struct {
		name, file string
		env        []string
		o          LoadOptions
		want       func(*Config)
	}{
		{"file alone", minimal, nil, LoadOptions{}, func(*Config) {}},
		{"more of the file", minimal + "account = jdoe\nvo = xen\nca_cert = $CAS/ca.pem\nrequest_retries = 5\nauth_token_file_path = /run/token\n[trace]\ntrace_host = https://t\n",
			[]string{"CAS", "/etc/cas"}, LoadOptions{}, func(c *Config) {
				c.Account, c.VO, c.CA, c.Retries, c.TokenFile, c.TraceHost = "jdoe", "xen", "/etc/cas/ca.pem", 4, "/run/token", "https://t"
			}},
		{"environment over file", minimal + "account = a\nvo = v\nca_cert = /file\n", []string{"RUCIO_ACCOUNT", "b", "RUCIO_VO", "w", "X509_CERT_DIR", "/dir",
			"SITE_NAME", "LNGS", "OSG_SITE_NAME", "x"}, LoadOptions{}, func(c *Config) {
			c.Account, c.VO, c.CA, c.Site, c.TokenFile = "b", "w", "/dir", "LNGS", "/tmp/nobody/.rucio_nobody@w/auth_token_for_account_b"
		}},
		{"program over environment", minimal, []string{"RUCIO_ACCOUNT", "b", "RUCIO_VO", "w"}, LoadOptions{Account: "c", VO: "def", Host: "http://h"}, func(c *Config) {
			c.Account, c.VO, c.Host, c.AuthHost, c.TokenFile = "c", "def", "http://h", "http://h", "/tmp/nobody/.rucio_nobody/auth_token_for_account_c"
		}},
		{"no CA without TLS", "[client]\nrucio_host = http://r\nauth_host = http://a\nauth_type = userpass\nusername = u\npassword = p%%w\nca_cert = /file\n",
			[]string{"X509_CERT_DIR", "/dir"}, LoadOptions{}, func(c *Config) { c.Host, c.AuthHost = "http://r", "http://a" }},
		{"login of the environment", minimal, []string{"RUCIO_AUTH_TYPE", "x509", "RUCIO_CLIENT_CERT", "~/cert", "RUCIO_CLIENT_KEY", "${CERTS}/key", "CERTS", "/c", "HOME", "/home/u"},
			LoadOptions{}, func(c *Config) { c.Auth = X509{"/home/u/cert", "/c/key"} }},
		{"certificate with its key", minimal + "client_cert = /c/both\n", nil, LoadOptions{AuthType: "x509"}, func(c *Config) { c.Auth = X509{"/c/both", "/c/both"} }},
		{"proxy: RUCIO_CLIENT_PROXY first", minimal + "client_x509_proxy = /2\n", []string{"RUCIO_CLIENT_PROXY", "/1", "X509_USER_PROXY", "/3"},
			LoadOptions{AuthType: "x509_proxy"}, func(c *Config) { c.Auth = X509Proxy{"/1"} }},
		{"proxy: then the file", minimal + "client_x509_proxy = $X509_USER_PROXY.2\n", []string{"X509_USER_PROXY", "/3"},
			LoadOptions{AuthType: "x509_proxy"}, func(c *Config) { c.Auth = X509Proxy{"/3.2"} }},
		{"proxy: then X509_USER_PROXY", minimal, []string{"X509_USER_PROXY", "/3"}, LoadOptions{AuthType: "x509_proxy"}, func(c *Config) { c.Auth = X509Proxy{"/3"} }},
		{"proxy: then /tmp", minimal, nil, LoadOptions{AuthType: "x509_proxy"}, func(c *Config) { c.Auth = X509Proxy{fmt.Sprintf("/tmp/x509up_u%d", uid)} }},
		{"ssh", minimal + "ssh_private_key = /id$UNSET\n", nil, LoadOptions{AuthType: "ssh"}, func(c *Config) { c.Auth = SSH{KeyFile: "/id$UNSET"} }},
		{"oidc", minimal + "auth_oidc_refresh_active = True\nauth_oidc_refresh_before_exp = 5\n", nil, LoadOptions{AuthType: "oidc", OIDC: OIDC{File: "/t"}},
			func(c *Config) { c.Auth = OIDC{File: "/t", Refresh: true, RefreshBefore: 5 * time.Minute} }},
		{"one try only", minimal + "request_retries = 1\n", nil, LoadOptions{}, func(c *Config) { c.Retries = -1 }},
		{"place", minimal, []string{"RUCIO_LATITUDE", "45.9", "RUCIO_LONGITUDE", "8.6"}, LoadOptions{}, func(c *Config) {
			lat, long := 45.9, 8.6
			c.Location = Location{Latitude: &lat, Longitude: &long}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.File = write(t, "rucio.cfg", []byte(tt.file), 0o600)
			tt.o.Env = environment(append(tt.env, "USER", "nobody")...)
			got, err := Load(&tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if o, ok := got.Auth.(OIDC); ok {
				if o.Env == nil {
					t.Error("no environment for the discovery")
				}
				o.Env = nil
				got.Auth = o
			}
			want := Config{Host: "https://r", AuthHost: "https://a", Auth: Userpass{"u", "p%w"}, TokenFile: "/tmp/nobody/.rucio_nobody/auth_token_for_default_account"}
			tt.want(&want)
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		env        []string
		want       error
	}{
		{"gss", "[client]\nauth_type = gss\n", nil, ErrUnsupported},
		{"saml", "[client]\nauth_type = saml\n", nil, ErrUnsupported},
		{"misspelt login", "[client]\nauth_type = userpas\n", nil, ErrInvalid},
		{"misspelt login in the environment", minimal, []string{"RUCIO_AUTH_TYPE", "Userpass"}, ErrInvalid},
		{"no login", "[client]\nrucio_host = x\n", nil, ErrInvalid},
		{"no password", "[client]\nauth_type = userpass\nusername = u\n", nil, ErrInvalid},
		{"no certificate", "[client]\nauth_type = x509\n", nil, ErrInvalid},
		{"percent", "[client]\nauth_type = userpass\nusername = u\npassword = 100%\n", nil, ErrInvalid},
		{"not a configuration", "{}", nil, ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(&LoadOptions{File: write(t, "rucio.cfg", []byte(tt.file), 0o600), Env: environment(append(tt.env, "USER", "nobody")...)})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// One file is read: RUCIO_CONFIG alone, else the first that is there.
func TestLoadFinds(t *testing.T) {
	home, venv, conda := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{venv, conda} {
		text := "[client]\nrucio_host = http://" + filepath.Base(dir) + "\nauth_type = oidc\n"
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "etc"), 0o755), os.WriteFile(filepath.Join(dir, "etc", "rucio.cfg"), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		env  []string
		want string // base name; "": an error
	}{
		{"the first that is there", []string{"RUCIO_HOME", home, "VIRTUAL_ENV", venv, "CONDA_PREFIX", conda}, venv},
		{"conda", []string{"CONDA_PREFIX", conda}, conda},
		{"RUCIO_CONFIG", []string{"RUCIO_CONFIG", filepath.Join(conda, "etc", "rucio.cfg"), "VIRTUAL_ENV", venv}, conda},
		{"RUCIO_CONFIG that is not there", []string{"RUCIO_CONFIG", filepath.Join(home, "x"), "VIRTUAL_ENV", venv}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := Load(&LoadOptions{Env: environment(tt.env...)})
			if tt.want == "" {
				if !errors.Is(err, ErrNotExist) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || cfg.Host != "http://"+filepath.Base(tt.want) {
				t.Errorf("got %v, %v", cfg.Host, err)
			}
		})
	}
	if cfg, err := Load(&LoadOptions{Host: "http://h", AuthType: "oidc"}); err != nil || cfg.Host != "http://h" {
		t.Errorf("without a file: %v, %v", cfg.Host, err)
	}
}
