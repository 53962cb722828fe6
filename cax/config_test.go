package cax

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write what was found into the golden files")

// golden compares with a file of testdata, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (made by go test -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, written by go test -update):\n%s", file, diff)
	}
}

// TestBrokenConfigs: each broken file gives an error that names file, line, key
// and remedy of everything that is wrong in it.
func TestBrokenConfigs(t *testing.T) {
	t.Chdir(filepath.Join("testdata", "broken"))
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 30 {
		t.Fatalf("%d broken configurations, want at least 30", len(files))
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(f, ".json"), func(t *testing.T) {
			cfg, err := Load(f)
			var e *ConfigError
			if !errors.As(err, &e) {
				t.Fatalf("got %+v, %v; want a ConfigError", cfg, err)
			}
			for _, p := range e.Problems {
				if p.File == "" || p.Line < 1 || p.Col < 1 || p.Text == "" || p.Remedy == "" {
					t.Errorf("%+v lacks file, position, text or remedy", p)
				}
			}
			golden(t, strings.TrimSuffix(f, ".json")+".want", err.Error()+"\n")
		})
	}
}

// TestMissingConfig is C41: a file that is not there never means a built-in one.
func TestMissingConfig(t *testing.T) {
	for _, name := range []string{"gone.json", "."} {
		cfg, err := Load(filepath.Join(t.TempDir(), name))
		var e *ConfigError
		if !errors.As(err, &e) || cfg != nil {
			t.Fatalf("%s: got %+v, %v", name, cfg, err)
		}
		if name == "gone.json" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v is not fs.ErrNotExist", err)
		}
		if !strings.Contains(err.Error(), "--config") {
			t.Errorf("%v gives no remedy", err)
		}
	}
}

func siteNames(cfg *Config) string {
	var names []string
	for _, s := range cfg.Sites {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// TestOriginalConfigs: the original's files load as they are.
func TestOriginalConfigs(t *testing.T) {
	two, sixty := 2, 60
	for _, tc := range []struct {
		file    string
		names   string
		site    Site
		masters []Master
		notes   []string // keys
	}{
		{
			file:  "cax.json",
			names: "lena midway-login1 login tegner-login-1 xe1t-datamanager tsm-server lfc osg-connect-srm midway-srm cnaf-srm nikhef-srm wipp-srm",
			site: Site{Name: "lena", Method: MethodSCP, Hostname: "login.nikhef.nl", Username: "ctunnell",
				DirRaw: "/data/xenon/xenon1t/raw", DirProcessed: "/data/xenon/xenon1t/processed", Purge: &two},
			masters: []Master{{"raw", "xe1t-datamanager"}, {"raw", "tsm-server"}, {"processed", "login"}, {"processed", "midway-login1"}},
		},
		{
			file:  "cax_ruciax.json",
			names: "lena midway-login1 login tegner-login-1 xe1t-datamanager rucio-catalogue lfc osg-connect-srm midway-srm cnaf-srm nikhef-srm wipp-srm",
			site: Site{Name: "rucio-catalogue", Method: MethodRucio, DirRaw: "/data/xenon/raw",
				RucioUploadRSE: "NIKHEF_USERDISK", RucioAccount: "production", RucioTransfer: []string{}},
			masters: []Master{{"raw", "xe1t-datamanager"}, {"processed", "login"}, {"processed", "midway-login1"}},
			notes:   []string{"sites[1].rucio_config_p2", "sites[1].rucio_config_p3", "sites[6].method"},
		},
		{
			file:  "cax_tsm_upload.json",
			names: "lena midway-login1 login tegner-login-1 xe1t-datamanager tsm-server rucio-catalogue lfc osg-connect-srm midway-srm cnaf-srm nikhef-srm wipp-srm",
			site: Site{Name: "midway-login1", Method: MethodSCP, Hostname: "midway-login1.rcc.uchicago.edu", Username: "pdeperio",
				DirRaw: "/project/lgrandi/xenon1t/raw", DirProcessed: "/project/lgrandi/xenon1t/processed",
				DownloadOptions: []string{"xe1t-datamanager"}, Purge: &sixty},
			masters: []Master{{"raw", "xe1t-datamanager"}, {"raw", "tsm-server"}, {"processed", "login"}, {"processed", "midway-login1"}},
			notes:   []string{"sites[3].download_options", "sites[7].method"},
		},
	} {
		t.Run(tc.file, func(t *testing.T) {
			cfg, err := Load(filepath.Join("testdata", "original-configs", tc.file))
			if err != nil {
				t.Fatal(err)
			}
			if got := siteNames(cfg); got != tc.names {
				t.Errorf("sites %s\nwant  %s", got, tc.names)
			}
			got, ok := cfg.Site(tc.site.Name)
			if !ok {
				t.Fatalf("no site %q", tc.site.Name)
			}
			if diff := cmp.Diff(&tc.site, got); diff != "" {
				t.Errorf("site %s (-want +got):\n%s", tc.site.Name, diff)
			}
			if diff := cmp.Diff(tc.masters, cfg.Masters); diff != "" {
				t.Errorf("masters (-want +got):\n%s", diff)
			}
			var notes []string
			for _, n := range cfg.Notes {
				notes = append(notes, n.Key)
				if n.Line < 1 || n.Text == "" || n.Remedy == "" {
					t.Errorf("note %+v is not complete", n)
				}
			}
			if diff := cmp.Diff(tc.notes, notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
	for _, f := range []string{"rule_example.json", "rule_verification.json"} {
		_, err := Load(filepath.Join("testdata", "original-configs", f))
		if err == nil || !strings.Contains(err.Error(), "this is a Rucio rule file") || !strings.Contains(err.Error(), "--rucio-rule") {
			t.Errorf("%s: %v does not say what it is", f, err)
		}
	}
}

// TestNoSitesInCode is R8 and A7: names of real sites are data. The original's
// masters are the one exception, and hold only where the configuration has them.
func TestNoSitesInCode(t *testing.T) {
	var names []string
	for _, f := range []string{"cax.json", "cax_ruciax.json", "cax_tsm_upload.json"} {
		cfg, err := Load(filepath.Join("testdata", "original-configs", f))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range cfg.Sites {
			for _, n := range []string{s.Name, s.Hostname} {
				if n != "" && n != "login" { // also an ordinary word
					names = append(names, n)
				}
			}
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	const masters = `[]Master{{"raw", "xe1t-datamanager"}, {"raw", "tsm-server"}, {"processed", "login"}, {"processed", "midway-login1"}}`
	seen := 0
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		code, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		seen += strings.Count(string(code), masters)
		rest := strings.ReplaceAll(string(code), masters, "")
		for _, n := range names {
			if strings.Contains(rest, `"`+n+`"`) {
				t.Errorf("%s names the site %s", f, n)
			}
		}
	}
	if seen != 1 {
		t.Errorf("the original's masters stand in the code %d times, want once", seen)
	}
	if cfg := load(t, `[{"name": "A"}]`); len(cfg.Masters) > 0 {
		t.Errorf("masters %v in a configuration without these sites", cfg.Masters)
	}
}

func load(t *testing.T, text string) *Config {
	t.Helper()
	f := filepath.Join(t.TempDir(), "cax.json")
	if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(f)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const hostKeyExample = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsNMwJVBuj9yFGzOBlrbjPxnZxMsKdOPTjYiHkF7yTB"

// TestObjectForm: every key gets where it belongs.
func TestObjectForm(t *testing.T) {
	cfg := load(t, `{
	  "rundb": {"uri": "mongodb://cax@db/run", "password_file": "pw", "password_command": ["pass", "show", "cax"]},
	  "master_checksums": [{"type": "raw", "host": "A"}],
	  "policy": {"heartbeat": "10s", "lease_lost": "30s", "lease_expired": "1m", "once_expired": "3m", "others_take_over": "2d",
	    "backoff_min": "2s", "backoff_max": "1m30s", "interval": "5s", "stall": "1d12h", "reserve": "1.5GiB", "verified_within": "60d", "shutdown_grace": "500ms"},
	  "naming": {"science_runs": [{"name": "S0", "until": "2017-02-02 17:40"}, {"name": "S1"}], "scope": "s", "upload_scope": "u_{{.Name}}", "dataset": "{{.Type}}",
	    "container": "c", "over_container": "o", "json_prefix": "p_"},
	  "sites": [
	    {"name": "A", "hostname": "[2001:db8::1]:2222", "username": "xenon", "method": "sftp",
	     "dir_raw": "/data/raw/", "dir_processed": "/data/processed", "dir_minitrees": "/data/minitrees", "dir_tsm": "/data/tsm",
	     "upload_options": ["B"], "download_options": ["B"], "data_type": ["raw", "processed"], "task_list": ["CopyPush", "Scrub"],
	     "dataset_list": ["160315_1432"], "purge": 0, "pax_versions": ["v6.8.0"], "pax_version_purge": "v6.2.1",
	     "identity_file": "~/.ssh/id_cax", "known_hosts": "/etc/known", "host_key": "`+hostKeyExample+`",
	     "verify": "remote", "daemon": "none", "parallel": 4, "bandwidth": [{"from": "08:00", "to": "18:00", "rate": "10MB/s"}],
	     "domain": "d", "same_storage_as": "B", "min_copies": 3, "grid_cert": "/cert", "nstreams": 2,
	     "rucio_upload_rse": "U", "rucio_download_rse": "D", "rucio_account": "P", "rucio_transfer": ["T"],
	     "rucio": {"config": "~/rucio.cfg", "host": "http://h", "auth_host": "http://a", "rses": [{"name": "R", "domain": "d", "same_storage_as": "B"}]}},
	    {"name": "B", "method": "local", "bandwidth": "50MB/s", "pax_processing_versions": ["v1"], "task_list": []}
	  ]}`)
	zero := 0
	want := &Config{
		RunDB:   RunDBConfig{URI: "mongodb://cax@db/run", PasswordFile: "pw", PasswordCommand: []string{"pass", "show", "cax"}},
		Masters: []Master{{"raw", "A"}},
		Policy: Policy{Heartbeat: 10 * time.Second, LeaseLost: 30 * time.Second, LeaseExpired: time.Minute, OnceExpired: 3 * time.Minute, OthersTakeOver: 48 * time.Hour,
			BackoffMin: 2 * time.Second, BackoffMax: 90 * time.Second, Interval: 5 * time.Second, Stall: 36 * time.Hour, Reserve: 3 << 29, VerifiedWithin: 60 * 24 * time.Hour, ShutdownGrace: 500 * time.Millisecond},
		Naming: Naming{ScienceRuns: []ScienceRun{{"S0", time.Date(2017, 2, 2, 17, 40, 0, 0, time.UTC)}, {Name: "S1"}}, Scope: "s", UploadScope: "u_{{.Name}}", Dataset: "{{.Type}}",
			Container: "c", OverContainer: "o", JSONPrefix: "p_"},
		Sites: []*Site{
			{Name: "A", Hostname: "[2001:db8::1]:2222", Port: 2222, Username: "xenon", Method: MethodSFTP,
				DirRaw: "/data/raw", DirProcessed: "/data/processed", DirMinitrees: "/data/minitrees", DirTSM: "/data/tsm",
				UploadOptions: []string{"B"}, DownloadOptions: []string{"B"}, DataType: []string{"raw", "processed"}, TaskList: []string{"CopyPush", "Scrub"},
				DatasetList: []string{"160315_1432"}, Purge: &zero, PaxVersions: []string{"v6.8.0"}, PaxVersionPurge: "v6.2.1",
				IdentityFile: "~/.ssh/id_cax", KnownHosts: "/etc/known", HostKey: hostKeyExample,
				Verify: "remote", Daemon: "none", Parallel: 4, Bandwidth: Bandwidth{Table: []BandwidthWindow{{From: 480, To: 1080, BytesPerSecond: 10e6}}},
				Domain: "d", SameStorageAs: "B", MinCopies: 3, GridCert: "/cert", NStreams: 2,
				RucioUploadRSE: "U", RucioDownloadRSE: "D", RucioAccount: "P", RucioTransfer: []string{"T"},
				Rucio: RucioConfig{Config: "~/rucio.cfg", Host: "http://h", AuthHost: "http://a", RSEs: []RSEConfig{{"R", "d", "B"}}}},
			{Name: "B", Method: MethodLocal, Bandwidth: Bandwidth{BytesPerSecond: 50e6}, PaxVersions: []string{"v1"}, TaskList: []string{}},
		},
	}
	if diff := cmp.Diff(want, cfg, cmpopts.IgnoreFields(Config{}, "File", "Notes")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(cfg.Notes) != 0 {
		t.Errorf("notes %v", cfg.Notes)
	}
	if got := cfg.Sites[0].Host(); got != "2001:db8::1" {
		t.Errorf("host %q", got)
	}
}

// TestSitesByPath: the array stays a file of its own, found beside the
// configuration wherever that is read from.
func TestSitesByPath(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"fleet/sites.json": `[{"name": "A", "dir_raw": "/data/raw", "rucio_config_p2": "x"}]`,
		"cax.json":         `{"policy": {"interval": "5m"}, "sites": "fleet/sites.json"}`,
	} {
		f := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Load(filepath.Join(dir, "cax.json"))
	if err != nil {
		t.Fatal(err)
	}
	if siteNames(cfg) != "A" || cfg.Policy.Interval != 5*time.Minute || cfg.File != filepath.Join(dir, "cax.json") {
		t.Errorf("got %+v", cfg)
	}
	if len(cfg.Notes) != 1 || cfg.Notes[0].File != filepath.Join(dir, "fleet", "sites.json") {
		t.Errorf("notes %v, want one in the file of sites", cfg.Notes)
	}
}

func TestNotes(t *testing.T) {
	for _, tc := range []struct{ name, text, key string }{
		{"key twice with one value", `[{"name": "A", "dir_raw": null, "dir_raw": null}]`, "sites[0].dir_raw"},
		{"pushed to, and nobody there to verify", `[{"name": "A", "upload_options": ["B"]}, {"name": "B", "method": "sftp", "hostname": "b", "daemon": "none"}]`, "sites[1].daemon"},
		{"password where others read it", `{"rundb": {"uri": "mongodb://cax:hunter2@db/run"}, "sites": [{"name": "A"}]}`, "rundb.uri"},
		{"an old name", `[{"name": "A", "method": "lcg-cp", "hostname": "srm://a"}, {"name": "B", "method": "lcg-cp", "hostname": "srm://b"}]`, "sites[0].method"},
		{"a bound that gfal cannot keep", `[{"name": "A", "method": "gfal-copy", "hostname": "srm://a", "bandwidth": "1MB/s"}]`, "sites[0].bandwidth"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := load(t, tc.text)
			if len(cfg.Notes) != 1 || cfg.Notes[0].Key != tc.key || cfg.Notes[0].Remedy == "" {
				t.Errorf("notes %v, want one about %s", cfg.Notes, tc.key)
			}
			if strings.Contains(cfg.Notes[0].String(), "hunter2") {
				t.Errorf("the note shows the password: %v", cfg.Notes[0])
			}
		})
	}
}

// TestConfigError: errors are one line each, and found as one type.
func TestConfigError(t *testing.T) {
	err := error(&ConfigError{Problems: []Problem{
		{File: "cax.json", Line: 3, Col: 5, Key: "sites[2].hostname", Text: "null is not possible here", Remedy: "leave the key out"},
		{File: "cax.json", Text: "it cannot be read"},
	}})
	want := "cax.json:3:5: sites[2].hostname: null is not possible here; leave the key out\ncax.json: it cannot be read"
	if err.Error() != want {
		t.Errorf("got %s\nwant %s", err, want)
	}
}

// FuzzParseConfig: nothing panics, and whatever is wrong has a position.
func FuzzParseConfig(f *testing.F) {
	for _, dir := range []string{"broken", "original-configs"} {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*.json"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(`{"sites":"x","sites":[]}`))
	f.Add([]byte("[{\"name\":\"\\ud800\",\n\t\"bandwidth\":[{},[]]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := parseConfig("x.json", data, func(string) ([]byte, error) { return nil, fs.ErrNotExist })
		if err == nil {
			if len(cfg.Sites) == 0 {
				t.Error("no error and no sites")
			}
			for _, s := range cfg.Sites {
				_, _, _ = s.Host(), s.Types(), cfg.Domain(s.Name)
			}
			return
		}
		var e *ConfigError
		if !errors.As(err, &e) || len(e.Problems) == 0 {
			t.Fatalf("%v is no ConfigError with problems", err)
		}
		for _, p := range e.Problems {
			if p.Line < 1 || p.Col < 1 || p.Text == "" || p.Remedy == "" || strings.ContainsAny(p.String(), "\n\r") {
				t.Errorf("%+v lacks position or remedy, or is not one line", p)
			}
		}
	})
}
