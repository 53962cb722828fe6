package cax

import (
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
)

func TestContains(t *testing.T) {
	s := &Site{DirRaw: "/data/raw/", DirProcessed: "/data/processed", DirTSM: "/"}
	for p, want := range map[string]bool{
		"/data/raw/160315_1432":         true,
		"/data/processed/pax_v6/a.root": true,
		"/data/raw/..160315":            true,
		"/data/raw":                     false,
		"/data/raw/":                    false,
		"/data/raw/160315_1432/":        false,
		"/data/raw2/160315_1432":        false,
		"/data/raw-old":                 false,
		"/data/raw/../../etc/passwd":    false,
		"/data/raw/..":                  false,
		"/data/raw/.":                   false,
		"/data/raw/./160315_1432":       false,
		"/data/raw//160315_1432":        false,
		"//data/raw/160315_1432":        false,
		"data/raw/160315_1432":          false,
		"/data":                         false,
		"/":                             false,
		"":                              false,
		"/etc/passwd":                   false,
		"/data/raw/a\x00b":              false,
		"n/a":                           false,
		"x1t_SR001_170315_1432_tpc:raw": false,
	} {
		if got := s.Contains(p); got != want {
			t.Errorf("Contains(%q) = %v", p, got)
		}
	}
	if (&Site{}).Contains("/data/raw/x") {
		t.Error("a site without directories contains something")
	}
}

func TestLocation(t *testing.T) {
	s := &Site{DirRaw: "/data/raw/", DirProcessed: "/data/processed"}
	for _, tc := range []struct {
		typ           rundb.Type
		version, base string
		want          string
	}{
		{rundb.Raw, "", "160315_1432", "/data/raw/160315_1432"},
		{rundb.Raw, "", "160315_1432_MV", "/data/raw/160315_1432_MV"},
		{rundb.Processed, "v6.8.0", "160315_1432.root", "/data/processed/pax_v6.8.0/160315_1432.root"},
		{rundb.Processed, "", "160315_1432.root", "/data/processed/160315_1432.root"},
		{"minitrees", "v6.8.0", "a", ""},
		{rundb.Untriggered, "", "a", ""},
		{rundb.Raw, "", "", ""},
		{rundb.Raw, "", ".", ""},
		{rundb.Raw, "", "..", ""},
		{rundb.Raw, "", "/", ""},
		{rundb.Raw, "", "a/b", ""},
		{rundb.Raw, "", "../a", ""},
		{rundb.Raw, "", "a\x00", ""},
		{rundb.Raw, "", "\xff", ""},
		{rundb.Raw, "", strings.Repeat("a", 256), ""},
		{rundb.Processed, "../../etc", "passwd", ""},
		{rundb.Processed, "a/b", "c", ""},
	} {
		got := s.Location(tc.typ, tc.version, tc.base)
		if got != tc.want {
			t.Errorf("Location(%s, %q, %q) = %q, want %q", tc.typ, tc.version, tc.base, got, tc.want)
		}
		if got != "" && !s.Contains(got) {
			t.Errorf("%q is outside of the site", got)
		}
	}
}

func TestSiteWants(t *testing.T) {
	all, some, none := &Site{}, &Site{TaskList: []string{"CopyPush"}, DatasetList: []string{"a"}}, &Site{TaskList: []string{}, DatasetList: []string{}}
	if !all.Wants("CopyPush") || !some.Wants("CopyPush") || some.Wants("CopyPull") || none.Wants("CopyPush") {
		t.Error("task_list is not obeyed")
	}
	if !all.Accepts("a") || !some.Accepts("a") || some.Accepts("b") || none.Accepts("a") {
		t.Error("dataset_list is not obeyed")
	}
}

func TestSiteTypesAndVersions(t *testing.T) {
	s := &Site{DataType: []string{"raw", "processed"}, PaxVersions: []string{"v1"}}
	if diff := cmp.Diff([]rundb.Type{rundb.Raw}, (&Site{}).Types()); diff != "" {
		t.Errorf("C43: without data_type (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]rundb.Type{rundb.Raw, rundb.Processed}, s.Types()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.versions(rundb.Raw) != nil || (&Site{}).versions(rundb.Processed) != nil {
		t.Error("versions bound what they should not")
	}
	if diff := cmp.Diff([]string{"v1"}, s.versions(rundb.Processed)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHost(t *testing.T) {
	for _, tc := range []struct {
		method Method
		in     string
		want   string
	}{
		{MethodSCP, "a.example", "a.example"},
		{MethodSCP, "a.example:22", "a.example"},
		{MethodSFTP, "[2001:db8::1]:22", "2001:db8::1"},
		{MethodSFTP, "[2001:db8::1]", "2001:db8::1"},
		{MethodRsync, "2001:db8::1", "2001:db8::1"},
		{MethodGfal, "srm://x.example:8443/srm/v2/server?SFN=", "srm://x.example:8443/srm/v2/server?SFN="},
		{MethodGfal, "lfn:", "lfn:"},
		{MethodTSM, "", ""},
	} {
		if got := (&Site{Method: tc.method, Hostname: tc.in}).Host(); got != tc.want {
			t.Errorf("%s %q: host %q, want %q", tc.method, tc.in, got, tc.want)
		}
	}
}

func TestBandwidthAt(t *testing.T) {
	day := Bandwidth{BytesPerSecond: 7, Table: []BandwidthWindow{
		{From: 22 * 60, To: 6 * 60, BytesPerSecond: 1},
		{From: 8 * 60, To: 18 * 60, BytesPerSecond: 2},
		{From: 12 * 60, To: 13 * 60, BytesPerSecond: 3}, // never: the window before wins
		{From: 20 * 60, To: 24 * 60, BytesPerSecond: 4},
	}}
	at := func(s string) time.Time {
		tm, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return tm
	}
	for s, want := range map[string]int64{
		"2016-03-15T22:00:00Z":      1,
		"2016-03-15T23:59:59Z":      1,
		"2016-03-16T00:00:00Z":      1,
		"2016-03-16T05:59:59Z":      1,
		"2016-03-16T06:00:00Z":      7,
		"2016-03-16T07:59:59Z":      7,
		"2016-03-16T08:00:00Z":      2,
		"2016-03-16T12:30:00Z":      2,
		"2016-03-16T18:00:00Z":      7,
		"2016-03-16T20:00:00Z":      4,
		"2016-03-16T10:00:00-06:00": 2, // C44: 16:00 UTC, whatever the zone
		"2016-03-16T17:00:00-06:00": 1,
	} {
		if got := day.At(at(s)); got != want {
			t.Errorf("at %s: %d, want %d", s, got, want)
		}
	}
	if got := (Bandwidth{}).At(at("2016-03-15T22:00:00Z")); got != 0 {
		t.Errorf("the zero value bounds to %d", got)
	}
}

func TestDomain(t *testing.T) {
	cfg := &Config{Sites: []*Site{
		{Name: "a", Hostname: "a", DirRaw: "/a/raw"},
		{Name: "b", Hostname: "b", DirRaw: "/b/raw", Domain: "chicago"},
		{Name: "c", Hostname: "c", DirRaw: "/c/raw", Domain: "chicago"},
		{Name: "d", Hostname: "d", DirRaw: "/d/raw", SameStorageAs: "a"},
		{Name: "e", Hostname: "e", DirRaw: "/a/raw/inner/"},
		{Name: "f", Hostname: "f", DirRaw: "/f", Domain: "x"},
		{Name: "g", Hostname: "g", DirProcessed: "/f/g", Domain: "y"},
		{Name: "h", Hostname: "f", DirProcessed: "/f/h", Domain: "z"},
		{Name: "i", Hostname: "i", DirRaw: "/a/raw2"},
		{Name: "j"}, {Name: "k"},
	}}
	for host, want := range map[string]string{
		"a": "a", "d": "a", "e": "a", // one storage, by word and by directory
		"b": "chicago", "c": "chicago",
		"f": "x", "g": "y", // apart by their own word, at two addresses
		"h": "x", // its word does not help: the same machine
		"i": "i", "j": "j", "k": "k",
		"unknown": "unknown",
	} {
		if got := cfg.Domain(host); got != want {
			t.Errorf("domain of %s is %s, want %s", host, got, want)
		}
	}
	for _, tc := range []struct {
		a, b string
		want bool
	}{{"a", "e", true}, {"a", "d", true}, {"b", "c", false}, {"f", "g", false}, {"f", "h", true}, {"a", "i", false}, {"j", "k", false}, {"a", "unknown", false}, {"a", "a", true}} {
		if got := cfg.SameStorage(tc.a, tc.b); got != tc.want {
			t.Errorf("same storage %s and %s: %v", tc.a, tc.b, got)
		}
	}
}

func TestParseUnits(t *testing.T) {
	for in, want := range map[string]time.Duration{"7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond} {
		if got, err := parseDuration(in); err != nil || got != want {
			t.Errorf("duration %q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "d", "5", "7 days", "1w", "NaNd", "Infd", "1e9d", "1d2d"} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("duration %q: %v", in, got)
		}
	}
	for in, want := range map[string]int64{"0": 0, "1073741824": 1 << 30, "100MiB": 100 << 20, "1GB": 1e9, "1.5 GiB": 3 << 29, "10kB": 10e3, "5 b": 5} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("size %q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "MB", "-1", "1e3", "10%", "1 gigabyte", "9999999PB", "1.2.3", "0x10"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("size %q: %v", in, got)
		}
	}
}
