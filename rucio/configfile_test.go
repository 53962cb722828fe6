package rucio

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The wanted values are what ConfigParser of Python 3.11 gives.
func TestParseConfig(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     configFile // nil: an error
	}{
		{"empty", "", configFile{"DEFAULT": {}}},
		{"plain", "[client]\nrucio_host = https://a:443\nauth_host: https://b\n",
			configFile{"DEFAULT": {}, "client": {"rucio_host": "https://a:443", "auth_host": "https://b"}}},
		{"keys in any case, sections as they are", "[Client]\nACCOUNT=a\n[client]\nAccount=b",
			configFile{"DEFAULT": {}, "Client": {"account": "a"}, "client": {"account": "b"}}},
		{"whole lines of comment", "# a\n[s]\n; b\n  # c\nk = v # stays ; this too\n", configFile{"DEFAULT": {}, "s": {"k": "v # stays ; this too"}}},
		{"continued", "[s]\nk = a\n  b\n\n\tc\n# comment\n  d\nl = x\n\n\n", configFile{"DEFAULT": {}, "s": {"k": "a\nb\n\nc\nd", "l": "x"}}},
		{"continued from nothing", "[s]\nk =\n  a\n", configFile{"DEFAULT": {}, "s": {"k": "\na"}}},
		{"indented keys", "[s]\n  k = a\n  l = b\n    c\n m = d\n", configFile{"DEFAULT": {}, "s": {"k": "a", "l": "b\nc", "m": "d"}}},
		{"indented after a section", "[s]\n   [t]\n   k = v", configFile{"DEFAULT": {}, "s": {}, "t": {"k": "v"}}},
		{"defaults, twice", "[DEFAULT]\na = 1\n[s]\nb = 2\n[DEFAULT]\nc = 3\n", configFile{"DEFAULT": {"a": "1", "c": "3"}, "s": {"b": "2"}}},
		{"no value", "[s]\nk =\n", configFile{"DEFAULT": {}, "s": {"k": ""}}},
		{"first delimiter counts", "[s]\na : b = c\nd = e : f", configFile{"DEFAULT": {}, "s": {"a": "b = c", "d": "e : f"}}},
		{"behind a section", "[s] # x\nk = v", configFile{"DEFAULT": {}, "s": {"k": "v"}}},
		{"brackets in a section", "[a]b]\nk = v", configFile{"DEFAULT": {}, "a]b": {"k": "v"}}},
		{"line ends of Windows", "[s]\r\nk = a\r\n  b\r\n", configFile{"DEFAULT": {}, "s": {"k": "a\nb"}}},
		{"key before a section", "k = v\n", nil},
		{"section twice", "[s]\n[s]\n", nil},
		{"key twice", "[s]\nk = 1\nK = 2\n", nil},
		{"neither key nor section", "[s]\nnothing\n", nil},
		{"no key", "[s]\n = v\n", nil},
		{"empty section name", "[]\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseConfig(tt.in)
			if d := cmp.Diff(tt.want, got); (err != nil) != (tt.want == nil) || d != "" {
				t.Errorf("%v %s", err, d)
			}
		})
	}
}

func TestConfigGet(t *testing.T) {
	f, err := parseConfig(`[DEFAULT]
host = example.org
[client]
rucio_host = https://%(Host)s:443
password = 100%%safe
both = %(rucio_host)s/%(host)s
bad = 100%safe
last = 5%
open = %(host
unknown = %(nobody)s
loop = %(loop)s
own = %(HOST)s
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		section, key, want string
		bad                bool
	}{
		{"client", "rucio_host", "https://example.org:443", false},
		{"client", "password", "100%safe", false},
		{"client", "both", "https://example.org:443/example.org", false},
		{"client", "host", "example.org", false},
		{"client", "own", "example.org", false},
		{"client", "nothing", "", false},
		{"trace", "host", "", false}, // no section, no defaults
		{"client", "bad", "", true},
		{"client", "last", "", true},
		{"client", "open", "", true},
		{"client", "unknown", "", true},
		{"client", "loop", "", true},
	} {
		t.Run(tt.section+" "+tt.key, func(t *testing.T) {
			if got, err := f.get(tt.section, tt.key); got != tt.want || (err != nil) != tt.bad {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("[client]\nrucio_host = https://rucio.example:443\nauth_host = https://rucio.example:443\nauth_type = userpass\nusername = jdoe\npassword = a%%b\nca_cert = $RUCIO_HOME/etc/ca.pem\naccount = jdoe\nrequest_retries = 3\n[policy]\npermission = generic\n")
	f.Add("[DEFAULT]\nx=1\n[s]\ny = %(x)s\n  more\n\n# c\n  still\n")
	f.Add("[a]b]\n k : v\n  w\n")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := parseConfig(in)
		if err != nil {
			return
		}
		for section, keys := range c {
			for key, raw := range keys {
				if key == "" || strings.ToLower(key) != key || strings.TrimSpace(key) != key {
					t.Fatalf("key %q", key)
				}
				got, err := c.get(section, key)
				if err == nil && !strings.Contains(raw, "%") && got != raw {
					t.Fatalf("%q became %q", raw, got)
				}
			}
		}
	})
}
