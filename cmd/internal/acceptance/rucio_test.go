package acceptance

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/google/go-cmp/cmp"
)

// TestRucio is ruciax and massive-ruciax against a real server, with its Python client as
// the judge.
func TestRucio(t *testing.T) {
	s := ruciotest.Start(t, nil)
	for _, tc := range []struct {
		name string
		test func(*testing.T, *ruciotest.Server)
	}{
		{"upload to file", func(t *testing.T, s *ruciotest.Server) { testUpload(t, s, 6001, "170315_1432", ruciotest.RSEA) }},
		{"upload to WebDAV", func(t *testing.T, s *ruciotest.Server) { testUpload(t, s, 6002, "170315_1532", ruciotest.RSEDavs) }},
		{"upload to root", func(t *testing.T, s *ruciotest.Server) { testUpload(t, s, 6003, "160315_1432", ruciotest.RSERoot) }},
		{"rules", testRules},
		{"download", testDownload},
		{"C37 kill -9", testRucioKill},
		{"C27 other bytes at the RSE", testC27},
		{"C35 C36 rule files", testC35},
		{"A4 rules that are lost or stuck", testA4},
		{"quota", testQuota},
		{"outages", testOutage},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, s.With(t)) })
	}
}

// testUpload: one cycle publishes a run of 200 files; the Python client sees what the
// original would have made, and gets every file; the run document has what the original
// would have left.
func testUpload(t *testing.T, s *ruciotest.Server, number int, run, rse string) {
	l := newLab(t, s, rse)
	l.add(number, run, files(number, 200, 3000))
	before := l.document(run)
	start := time.Now()
	l.uploads(run)
	t.Logf("200 files to %s in %s", rse, time.Since(start).Round(time.Millisecond))

	j := l.published(run, rse)
	j.onlyRule(t, rse)
	sr := scienceRun(run)
	if want := []string{scope(run) + ":raw"}; !slices.Equal(j.Container, want) {
		t.Errorf("the run's container has %q, want %q", j.Container, want)
	}
	if want := fmt.Sprintf("x1t_%s:%s", sr, scope(run)); !slices.Contains(j.Over, want) {
		t.Errorf("the science run's container has %q, want %s in it", j.Over, want)
	}
	for what, meta := range map[string]map[string]any{"dataset": j.Dataset, "file": j.File, "container": j.Meta} {
		for k, want := range map[string]any{"phys_group": "daq", "datatype": "Rn220", "campaign": sr, "run_number": float64(number), "prod_step": "raw", "x1t_provenance": "tpc"} {
			if meta[k] != want {
				t.Errorf("metadata %s of the %s is %v, want %v", k, what, meta[k], want)
			}
		}
	}
	for what, d := range map[string]string{"dataset": scope(run) + ":raw", "container": "x1t_" + sr + ":" + scope(run), "over-container": "x1t_" + sr + ":x1t_" + sr + "_data"} {
		var typ string
		sc, name, _ := strings.Cut(d, ":")
		l.python(&typ, "print(json.dumps(c.get_did(*sys.argv[1:3])['type']))", sc, name)
		if want := map[bool]string{true: "DATASET", false: "CONTAINER"}[what == "dataset"]; typ != want {
			t.Errorf("the %s is a %s", what, typ)
		}
	}

	// The Python client downloads it, and compares each file with the catalogue. By xrdcp
	// that takes seconds for a file: a part of them has to do.
	into, want := t.TempDir(), l.raw(run)
	args := []string{"download", "--ndownloader", "8", "--dir", into, scope(run) + ":raw"}
	if rse == ruciotest.RSERoot {
		args = append(args, "--nrandom", "24")
		want = l.some(run, into, args)
	} else {
		s.CLI(args...)
	}
	transfertest.SameTree(t, want, into+"/raw")

	original(t, l, before, l.document(run), rse)

	// A second cycle has nothing to do.
	if out := l.run("ruciax", "--once", "--json"); out.code != 0 || !strings.Contains(out.stdout, `"done":0`) {
		t.Errorf("an idle cycle: %d %s%s", out.code, out.stdout, out.stderr)
	}
	l.explains(run, "it is there and good")
}

// some downloads a part of a run with the Python client, and gives a folder with the same
// files of ours.
func (l *lab) some(run, into string, args []string) string {
	l.t.Helper()
	l.s.CLI(args...)
	came, err := os.ReadDir(into + "/raw")
	if err != nil || len(came) != 24 {
		l.t.Fatalf("%d files came (%v), want 24", len(came), err)
	}
	dir := l.t.TempDir()
	for _, f := range came {
		copyFile(l.t, l.raw(run)+"/"+f.Name(), dir+"/"+f.Name())
	}
	return dir
}

// uploads runs one cycle that publishes a run. XRootD 5.5 crashes now and then under TLS
// (a general protection fault in its own use of OpenSSL): then it is started again,
// and so is the cycle.
func (l *lab) uploads(run string) {
	l.t.Helper()
	for range 4 {
		if o := l.run("ruciax", "--once", "--name", run); o.code == 0 || !strings.Contains(o.stderr, "connection refused") {
			break
		}
		l.t.Log("the storage server has crashed")
		l.s.StopStorage()
		l.s.StartStorage()
	}
	l.is(run, "transferred", "")
}

// original fails the test unless a document is the one before and a record of the form
// that the original writes.
func original(t *testing.T, l *lab, before, after map[string]any, rse string) {
	t.Helper()
	was, is := before["data"].([]any), after["data"].([]any)
	if len(is) != len(was)+1 {
		t.Fatalf("%d records, want %d", len(is), len(was)+1)
	}
	c := record(is[len(was)].(map[string]any))
	after["data"] = is[:len(was)]
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the rest of the document has changed (-before +after):\n%s", diff)
	}
	run := after["name"].(string)
	m, err := checksum.MakeManifest(t.Context(), l.raw(run), nil)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	var names []string
	for i := range m.Entries {
		names = append(names, m.Entries[i].Path)
		sums[m.Entries[i].Path] = m.Entries[i].Sum(checksum.Adler32).Bare()
	}
	slices.Sort(names)
	want := ""
	for _, n := range names {
		want += ":" + sums[n]
	}
	got := map[string]any{}
	for _, k := range []string{"type", "host", "status", "location", "checksum", "rse", "rule_info"} {
		got[k] = c[k]
	}
	if diff := cmp.Diff(map[string]any{"type": "raw", "host": catalogue, "status": "transferred", "location": scope(run) + ":raw",
		"checksum": want, "rse": []any{rse}, "rule_info": []any{rse + ":valid"}}, got); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
	if made, ok := c["creation_time"].(map[string]any); !ok || made["$date"] == nil {
		t.Errorf("creation_time is %v, want a date", c["creation_time"])
	}
	if c["claim"] != nil || c["error"] != nil {
		t.Errorf("claim %v, error %v", c["claim"], c["error"])
	}
}

// testRules: in rules mode ruciax makes the rules of a rule file, writes rse and
// rule_info as they become true, and deletes a rule only when the others are OK.
func testRules(t *testing.T, s *ruciotest.Server) {
	const run, number = "170316_0100", 6101
	l := newLab(t, s, ruciotest.RSEA)
	l.add(number, run, files(number, 5, 2000))
	l.must("ruciax", "--once")
	l.site["task_list"] = []string{"RucioRule"}
	l.configure()

	rule := func(keys string) string {
		file := filepath.Join(t.TempDir(), "rule.json")
		text := fmt.Sprintf(`[{"version": "1.0", "verification_only": false, "run_nb": "%d-%d", "run_nb_exclude": null, "run_name": null, "run_name_exclude": null, "detector_type": null, "source_type": null, %s}]`, number, number, keys)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	both := fmt.Sprintf(`"destination_rse": [%q, %q], "destination_livetime": {%[1]q: "-1", %[2]q: "864000"}`, ruciotest.RSEA, ruciotest.RSEB)
	l.must("ruciax", "--once", "--rucio-rule", rule(both+`, "remove_rse": null`))
	r := l.is(run, "transferred", "")
	if got := r.list("rse"); !slices.Equal(got, []string{ruciotest.RSEA}) {
		t.Errorf("rse is %q before anything is at the second", got)
	}
	j := l.judge(run)
	if len(j.Rules) != 2 {
		t.Fatalf("rules %+v, want two", j.Rules)
	}

	// Not all files have arrived: the rule that is to go stays.
	moved := fmt.Sprintf(`"destination_rse": [%q], "destination_livetime": {%[1]q: "864000"}, "remove_rse": [%q]`, ruciotest.RSEB, ruciotest.RSEA)
	l.must("ruciax", "--once", "--rucio-rule", rule(moved))
	if j := l.judge(run); len(j.Rules) != 2 || j.Rules[0].Expires != nil && j.Rules[1].Expires != nil {
		t.Errorf("rules %+v: the one at %s was ended before the dataset was elsewhere", j.Rules, ruciotest.RSEA)
	}

	l.arrive(run, ruciotest.RSEA, ruciotest.RSEB)
	l.must("ruciax", "--once")
	r = l.is(run, "transferred", "")
	info := r.list("rule_info")
	if got := r.list("rse"); !slices.Equal(got, []string{ruciotest.RSEA, ruciotest.RSEB}) || len(info) != 2 || info[0] != ruciotest.RSEA+":valid" {
		t.Errorf("rse is %q, rule_info %q", got, info)
	} else if until, err := time.Parse(time.DateTime, strings.TrimPrefix(info[1], ruciotest.RSEB+":")); err != nil || until.Sub(time.Now().UTC()).Round(24*time.Hour) != 240*time.Hour {
		t.Errorf("rule_info of the second is %q, want ten days from now (%v)", info[1], err)
	}

	// Now it may go, as far as policy.min_copies allows: nothing less than two others.
	l.must("ruciax", "--once", "--rucio-rule", rule(moved))
	if j := l.judge(run); len(j.Rules) != 2 {
		t.Errorf("rules %+v: one was deleted though too few good copies would be left", j.Rules)
	}
	l.policy = map[string]any{"min_copies": 1, "min_domains": 1}
	l.configure()
	l.must("ruciax", "--once", "--rucio-rule", rule(strings.ReplaceAll(moved, "864000", "8640000")))
	l.must("ruciax", "--once", "--rucio-rule", rule(strings.ReplaceAll(moved, "864000", "8640000")))
	for _, r := range l.judge(run).Rules {
		if r.RSE == ruciotest.RSEA && r.Expires == nil {
			t.Errorf("the rule at %s was not ended", r.RSE)
		}
	}
}

// arrive does what the catalogue's own transfers do: bytes, then the state of replicas.
func (l *lab) arrive(run, from, to string) {
	l.t.Helper()
	var fs []map[string]string
	for name := range l.judge(run).Files {
		at := l.s.File(to, scope(run), name)
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			l.t.Fatal(err)
		}
		copyFile(l.t, l.s.File(from, scope(run), name), at)
		fs = append(fs, map[string]string{"scope": scope(run), "name": name, "state": "A"})
	}
	if status, text := l.s.Call("PUT", "/replicas", map[string]any{"rse": to, "files": fs}); status != 200 {
		l.t.Fatalf("%d: %s", status, text)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	r, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
