package storage

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
)

// TestTrusted: who may see a token.
func TestTrusted(t *testing.T) {
	for _, tc := range []struct {
		door, to string
		want     bool
	}{
		{"https://door.site.org:443/x", "https://door.site.org:24880/x", true},
		{"https://door.site.org/x", "https://Pool7.SITE.org:24880/x", true},
		{"https://door.site.org/x", "https://pool.sub.site.org/x", true},
		{"https://door.site.org/x", "http://pool.site.org/x", false},
		{"http://door.site.org/x", "http://door.site.org/x", false},
		{"https://door.site.org/x", "https://evil.org/x", false},
		{"https://door.site.org/x", "https://evilsite.org/x", false},
		{"https://site.org/x", "https://evil.org/x", false},
		{"https://door.site.org/x", "https://door.site.org.evil.net/x", false},
		{"https://127.0.0.1:1/x", "https://127.0.0.1:2/x", true},
		{"https://10.1.2.3/x", "https://10.2.2.3/x", false},
		{"https://9.1.2.3/x", "https://8.1.2.3/x", false},
	} {
		door, err := url.Parse(tc.door)
		if err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(tc.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := trusted(door, to); got != tc.want {
			t.Errorf("%s to %s: %v", tc.door, tc.to, got)
		}
	}
}

// TestParsePFN: what is of a place and what is not.
func TestParsePFN(t *testing.T) {
	for _, tc := range []struct {
		p    Protocol
		pfn  string
		path string // "": refused
	}{
		{Protocol{Scheme: "davs", Host: "se.example", Port: 443, Prefix: "/rucio"}, "davs://se.example:443/rucio/a/b", "/rucio/a/b"},
		{Protocol{Scheme: "davs", Host: "se.example", Port: 443, Prefix: "/rucio"}, "https://se.example/rucio/a", "/rucio/a"},
		{Protocol{Scheme: "davs", Host: "se.example", Port: 2880, Prefix: "/rucio"}, "davs://se.example/rucio/a", ""},
		{Protocol{Scheme: "davs", Host: "se.example", Port: 2880, Prefix: "/rucio"}, "davs://se.example:443/rucio/a", ""},
		{Protocol{Scheme: "davs", Host: "https://se.example", Prefix: "/rucio"}, "davs://se.example/rucio/a", "/rucio/a"},
		{Protocol{Scheme: "davs", Host: "se.example", Prefix: "/rucio"}, "davs://se.example/rucio2/a", ""},
		{Protocol{Scheme: "davs", Host: "se.example", Prefix: "/rucio"}, "davs://se.example/rucio", ""},
		{Protocol{Scheme: "davs", Host: "se.example", Prefix: "/"}, "davs://se.example/a", "/a"},
		{Protocol{Scheme: "davs", Host: "se.example"}, "davs://se.example/rucio/../a", ""},
		{Protocol{Scheme: "root", Host: "se.example", Port: 1094, Prefix: "//rucio/"}, "root://se.example:1094//rucio/a", "//rucio/a"},
		{Protocol{Scheme: "xroot", Host: "se.example", Port: 1094, Prefix: "//rucio/"}, "root://se.example//rucio/a", "//rucio/a"},
		{Protocol{Scheme: "srm", Host: "se.example", Port: 8443, Prefix: "/pnfs"}, "srm://se.example:8443/srm/managerv2?SFN=/pnfs/a", "/pnfs/a"},
		{Protocol{Scheme: "srm", Host: "se.example", Port: 8443, Prefix: "/pnfs"}, "srm://se.example:8443/pnfs/a", "/pnfs/a"},
		{Protocol{Scheme: "scp", Host: "se.example", Port: 22, Prefix: "/d"}, "scp://joe@se.example:22/d/a", "/d/a"},
		{Protocol{Scheme: "file", Host: "localhost", Prefix: "/d"}, "file://localhost/d/a?b#c%20", "/d/a?b#c%20"},
	} {
		pl, err := newPlace(tc.p, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		f, err := pl.parse("stat", tc.pfn)
		if (err == nil) != (tc.path != "") || err == nil && f.path != tc.path {
			t.Errorf("%s at %s: %q, %v", tc.pfn, pl, f.path, err)
		}
	}
}

func FuzzPFN(f *testing.F) {
	for _, s := range []string{"davs://se.example:443/rucio/a/b", "davs://u:p@se.example/rucio/a?x=y", "davs://se.example/rucio/../etc", "davs://[::1]:443/rucio//a", ""} {
		f.Add(s)
	}
	pl, err := newPlace(Protocol{Scheme: "davs", Host: "se.example", Prefix: "/rucio"}, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := pl.parse("stat", s)
		if err == nil && (!below(got.path, "/rucio") || strings.Contains(got.path, "/../") || strings.Contains(got.path, "?")) {
			t.Errorf("%q is taken for %q", s, got.path)
		}
		if err == nil && strings.ContainsAny(shown(s), "?") {
			t.Errorf("%q shows %q", s, shown(s))
		}
	})
}

func FuzzDigest(f *testing.F) {
	for _, s := range []string{"adler32=084b021f", "md5=sZRqySSS0jR8YjW00mERhA==,adler32=1", "adler=:CEsCHw==:", ","} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, name := range []string{"Digest", "Repr-Digest", "X-Goog-Hash", "Content-MD5"} {
			for _, a := range []checksum.Algorithm{checksum.Adler32, checksum.MD5} {
				if sum := digest(http.Header{name: {s}}, a); !sum.IsZero() && sum.Algorithm() != a {
					t.Errorf("%s: %q gives %v for %v", name, s, sum, a)
				}
			}
		}
	})
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 3-5/6", "bytes */6", "bytes 3--1/6", "bytes 0-0/*", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if from, all, ok := contentRange(s); ok && (from < 0 || all < -1) {
			t.Errorf("%q gives %d of %d", s, from, all)
		}
	})
}

// realStat is what xrdfs of XRootD 5.5.3 prints.
const realStat = `
Path:   /rucio/two
Id:     44614750176345600
Size:   4
MTime:  2026-11-26 00:06:23
Flags:  48 (IsReadable|IsWritable)
Mode:   0644
`

func FuzzXrdfsStat(f *testing.F) {
	f.Add(realStat)
	f.Add("Size: x\nFlags:")
	f.Fuzz(func(t *testing.T, s string) {
		i, ok := parseXrdfsStat(s)
		if ok && (i.Size < 0 || !strings.Contains(s, strings.TrimLeft(strconv.FormatInt(i.Size, 10), "0"))) {
			t.Errorf("%q has size %d", s, i.Size)
		}
		if s == realStat && (!ok || i.Size != 4) {
			t.Errorf("the real one: %+v, %v", i, ok)
		}
	})
}
