package rucio

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const rseAnswer = `{"id":"1","rse":"A","rse_type":"DISK","deterministic":true,"volatile":false,"staging_area":false,"availability_read":true,"availability_write":false,
"availability_delete":true,"availability":5,"domain":["lan","wan"],"lfn2pfn_algorithm":"hash","sign_url":"s3","credentials":null,"protocols":[
{"scheme":"davs","hostname":"h","port":443,"prefix":"/d/","impl":"rucio.rse.protocols.webdav.Default","extended_attributes":{"a":1},"domains":{"lan":{"read":1,"write":0,"delete":null},"wan":{"read":2,"write":2,"delete":2,"third_party_copy_read":3,"third_party_copy_write":null}}},
{"scheme":"root","hostname":"h","port":1094,"prefix":"//r/","impl":"rucio.rse.protocols.xrootd.Default","extended_attributes":"{\"b\": 2}","domains":{"lan":{"read":0,"write":1,"delete":1},"wan":{"read":1,"write":null,"delete":0}}},
{"scheme":"srm","hostname":"h","port":8443,"prefix":"/s/","impl":"rucio.rse.protocols.gfal.Default","extended_attributes":"raw text","domains":{"lan":{},"wan":{"read":1,"write":1,"delete":1}}}]}`

func answeredRSE(t *testing.T) RSE {
	t.Helper()
	r, err := answering(t, says(rseAnswer)).client(t).RSE(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRSEAnswer(t *testing.T) {
	n := func(i int) *int { return &i }
	want := RSE{ID: "1", Name: "A", Type: "DISK", Deterministic: true, Readable: true, Deletable: true, LFN2PFN: "hash", VerifyChecksum: true, SignURL: "s3", Protocols: []Protocol{
		{"davs", "h", 443, "/d/", "rucio.rse.protocols.webdav.Default", map[string]any{"a": 1.0}, Priorities{Read: n(1), Write: n(0)}, Priorities{n(2), n(2), n(2), n(3), nil}},
		{"root", "h", 1094, "//r/", "rucio.rse.protocols.xrootd.Default", map[string]any{"b": 2.0}, Priorities{Read: n(0), Write: n(1), Delete: n(1)}, Priorities{Read: n(1), Delete: n(0)}},
		{"srm", "h", 8443, "/s/", "rucio.rse.protocols.gfal.Default", nil, Priorities{}, Priorities{Read: n(1), Write: n(1), Delete: n(1)}}}}
	if d := cmp.Diff(want, answeredRSE(t)); d != "" {
		t.Error(d)
	}
}

// A priority of 0 is "off" before 39 and the best since.
func TestBest(t *testing.T) {
	r := answeredRSE(t)
	for _, tt := range []struct {
		name    string
		op      Operation
		domain  string
		version string
		schemes []string
		want    []string
	}{
		{"equal ones in their order", OpRead, "wan", "41.0.0", nil, []string{"root", "srm", "davs"}},
		{"0, new", OpRead, "lan", "39.0.0", nil, []string{"root", "davs"}},
		{"0, old", OpRead, "lan", "38.5.0", nil, []string{"davs"}},
		{"0, version unknown", OpWrite, "lan", "", nil, []string{"root"}},
		{"null", OpWrite, "wan", "41.0.0", nil, []string{"srm", "davs"}},
		{"delete", OpDelete, "wan", "41.0.0", nil, []string{"root", "srm", "davs"}},
		{"one scheme", OpRead, "wan", "41.0.0", []string{"srm"}, []string{"srm"}},
		{"a scheme by another name", OpRead, "wan", "41.0.0", []string{"https"}, []string{"davs"}},
		{"a scheme that it has not", OpRead, "wan", "41.0.0", []string{"gsiftp"}, nil},
		{"another operation", "list", "wan", "41.0.0", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range r.Best(tt.op, tt.domain, parseVersion(tt.version), tt.schemes...) {
				got = append(got, p.Scheme)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]int{"41.5.1": 41, "1.29.0": 29, "39.0.0rc1": 39, "": 0, "dev": 0} {
		if v := parseVersion(in); v.Major != want || v.Text != in {
			t.Errorf("%q: %+v", in, v)
		}
	}
}

// The vectors were computed with the server's own code.
func TestLFNPath(t *testing.T) {
	for _, tt := range []struct{ algorithm, scope, name, want string }{
		{"hash", "user.jdoe", "file1", "user/jdoe/a2/cb/file1"},
		{"hash", "mock", "raw-000001", "mock/74/16/raw-000001"},
		{"hash", "group.phys.test", "a_b", "group/phys/test/1f/f9/a_b"},
		{"hash", "xnt_006789", "peaklets-abcdef-000000", "xnt_006789/69/d1/peaklets-abcdef-000000"},
		{"identity", "user.jdoe", "file1", "user/jdoe/file1"},
		{"identity", "x.y", "a/b", "x.y/a/b"},
		{"xenon", "x1t_SR000_160706_1234_tpc", "XENON1T-1234-000.zip", "x1t_SR0/SR000_160706_1234_tpc/XENON1T-1234/XENON1T-1234-000.zip"},
		{"xenon", "x1t", "XENON1T-1234-000.zip", ""},
		{"xenon", "x1t_SR000_160706_1234_tpc", "nodash", ""},
		{"ligo", "mock", "a", ""},
	} {
		t.Run(tt.algorithm+" "+tt.scope+":"+tt.name, func(t *testing.T) {
			if got, ok := LFNPath(tt.algorithm, DID{tt.scope, tt.name}); got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestPFN(t *testing.T) {
	did := DID{"mock", "raw-000001"}
	for _, tt := range []struct {
		name string
		p    Protocol
		want string
	}{
		{"webdav", Protocol{Scheme: "davs", Host: "h", Port: 443, Prefix: "/d/", Impl: "rucio.rse.protocols.webdav.Default"}, "davs://h:443/d/mock/74/16/raw-000001"},
		{"prefix without slashes", Protocol{Scheme: "davs", Host: "h", Port: 443, Prefix: "d", Impl: "rucio.rse.protocols.webdav.Default"}, "davs://h:443/d/mock/74/16/raw-000001"},
		{"root", Protocol{Scheme: "root", Host: "h", Port: 1094, Prefix: "//r", Impl: "rucio.rse.protocols.xrootd.Default"}, "root://h:1094//r/mock/74/16/raw-000001"},
		{"posix", Protocol{Scheme: "file", Host: "localhost", Port: 0, Prefix: "/p/", Impl: "rucio.rse.protocols.posix.Default"}, "file://localhost/p/mock/74/16/raw-000001"},
		{"gfal without a port", Protocol{Scheme: "davs", Host: "h", Prefix: "/d/", Impl: "rucio.rse.protocols.gfal.Default"}, "davs://h/d/mock/74/16/raw-000001"},
		{"srm", Protocol{Scheme: "srm", Host: "srm://h", Port: 8443, Prefix: "/s/", Impl: "rucio.rse.protocols.gfal.Default", Extended: map[string]any{"web_service_path": "/srm/managerv2?SFN="}},
			"srm://h:8443/srm/managerv2?SFN=/s/mock/74/16/raw-000001"},
		{"ssh", Protocol{Scheme: "scp", Host: "h", Port: 22, Prefix: "/x/", Impl: "rucio.rse.protocols.ssh.Default", Extended: map[string]any{"user": "u"}}, "scp://u@h:22/x/mock/74/16/raw-000001"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
			got, err := s.client(t).PFN(t.Context(), RSE{Name: "A", Deterministic: true, LFN2PFN: "hash"}, tt.p, did)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// What only the server knows is asked of it.
func TestPFNOfServer(t *testing.T) {
	did := DID{"mock", "raw-000001"}
	for _, tt := range []struct {
		name, answer string
		rse          RSE
		want         string
		err          error
	}{
		{"another algorithm", `{"mock:raw-000001": "davs://h:443/d/raw"}`, RSE{Name: "A", Deterministic: true, LFN2PFN: "ligo"}, "davs://h:443/d/raw", nil},
		{"not deterministic", `{"mock:raw-000001": "davs://h:443/d/raw"}`, RSE{Name: "A", LFN2PFN: "hash"}, "davs://h:443/d/raw", nil},
		{"no answer", `{}`, RSE{Name: "A", LFN2PFN: "hash"}, "", ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, tt.answer) })
			got, err := s.client(t).PFN(t.Context(), tt.rse, Protocol{Scheme: "davs"}, did)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v", got, err)
			}
			if uri := s.requests()[0].URI; uri != "/rses/A/lfns2pfns?lfn=mock%3Araw-000001&scheme=davs" {
				t.Errorf("asked %s", uri)
			}
		})
	}
}
