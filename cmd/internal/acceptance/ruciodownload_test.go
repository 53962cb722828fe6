package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/transfer/transfertest"
)

// A downloaded is a line of ruciax download --json.
type downloaded struct {
	Name, Path, Verb, Error string
	Files, Failed           int
	Bytes, Fetched          int64
}

func downloads(t *testing.T, out string) map[string]downloaded {
	t.Helper()
	all := map[string]downloaded{}
	for line := range strings.Lines(out) {
		var d downloaded
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all[d.Name] = d
	}
	return all
}

// byOther puts a run into the catalogue with the Python client, and the record of it into
// the run database, as the original did.
func (l *lab) byOther(number int, run, rse string, fs map[string]string) string {
	l.t.Helper()
	src := filepath.Join(l.t.TempDir(), run)
	delete(fs, "empty.txt") // over which that client waits for a minute
	transfertest.MakeTree(l.t, src, fs)
	l.s.AddScope(l.s.Admin.Account, scope(run))
	l.s.CLI("upload", "--rse", rse, "--scope", scope(run), scope(run)+":raw", src)
	sums := ""
	for _, s := range l.judge2(run) {
		sums += ":" + s
	}
	doc := fmt.Sprintf(`{"_id": {"$oid": "5783f3a9c46e6b%010d"}, "number": %[1]d, "name": %[2]q, "detector": "tpc", "start": {"$date": "2017-03-20T00:00:00Z"}, "user": "daq", "source": {"type": "none"},
 "data": [{"type": "raw", "host": %q, "status": "transferred", "location": "%s:raw", "checksum": %q, "creation_time": {"$date": "2017-03-20T02:00:00Z"}, "rse": [%q], "rule_info": ["%[6]s:valid"]}]}`,
		number, run, catalogue, scope(run), sums, rse)
	file := l.dir + "/" + run + ".json"
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(doc, "\n", "")+"\n"), 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.must("cax", "db", "import", file)
	return src
}

// judge2 gives the adler32 of each file of a dataset that has no container, by name.
func (l *lab) judge2(run string) []string {
	l.t.Helper()
	var sums []string
	l.python(&sums, `print(json.dumps([f['adler32'] for f in sorted(c.list_files(sys.argv[1], 'raw'), key=lambda f: f['name'])]))`, scope(run))
	return sums
}

// testDownload: what the Python client has uploaded is fetched and verified, into a
// folder or back into a site.
func testDownload(t *testing.T, s *ruciotest.Server) {
	l := newLab(t, s, ruciotest.RSEA)
	const runA, runB = "170320_0100", "170320_0200"
	a := l.byOther(6201, runA, ruciotest.RSEDavs, files(6201, 13, 5000))
	b := l.byOther(6202, runB, ruciotest.RSERoot, files(6202, 7, 100_000))

	into := t.TempDir()
	l.must("ruciax", "download", "--dir", into, "--run", "6201")
	transfertest.SameTree(t, a, into+"/"+runA)
	// A second one fetches nothing; a damaged file is an error, and mended if that is wanted.
	if d := downloads(t, l.must("ruciax", "download", "--dir", into, "--run", "6201", "--json"))[runA]; d.Fetched != 0 || d.Files != 12 {
		t.Errorf("a second download: %+v", d)
	}
	flip(t, into+"/"+runA+"/trigger_monitor_data.zip")
	l.fails([]string{"trigger_monitor_data.zip", "adler32"}, "ruciax", "download", "--dir", into, "--run", "6201")
	l.must("ruciax", "download", "--dir", into, "--run", "6201", "--overwrite")
	transfertest.SameTree(t, a, into+"/"+runA)

	// C8: every line of a list counts, and one that fails does not stop the others.
	list := l.dir + "/runs.txt"
	text := fmt.Sprintf("# two runs, and one that is not there\n6201\n\n%s  # by name\n9999\n%s:raw\n", runB, scope(runA))
	if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	into = t.TempDir()
	if d := downloads(t, l.fails([]string{list + ":5: 9999"}, "ruciax", "download", "--dir", into, "--list", list, "--json", "--dry-run").stdout); len(d) != 2 || d[runB].Failed != 6 || d[runB].Fetched < 400_000 {
		t.Errorf("dry run: %+v", d)
	}
	if names, err := os.ReadDir(into); err != nil || len(names) != 0 {
		t.Errorf("a dry run has left %v (%v)", names, err)
	}
	o := l.fails([]string{list + ":5: 9999"}, "ruciax", "download", "--dir", into, "--list", list)
	if n := strings.Count(o.stdout, "are right"); n != 3 {
		t.Errorf("%d lines of 3:\n%s", n, o.stdout)
	}
	transfertest.SameTree(t, a, into+"/"+runA)
	transfertest.SameTree(t, b, into+"/"+runB)

	// By DID alone, as the Python client has it.
	into = t.TempDir()
	l.must("ruciax", "download", "--dir", into, "--location", scope(runB)+":raw", "--rse", ruciotest.RSERoot)
	transfertest.SameTree(t, b, into+"/"+runB)
	l.fails([]string{"no RSE"}, "ruciax", "download", "--dir", t.TempDir(), "--run", "6202", "--rse", ruciotest.RSEB)

	// Restored: a copy of this site, with a record.
	l.must("ruciax", "download", "--restore", "--run", "6202", "--dry-run")
	if n := len(l.records(runB, datamanager)); n != 0 {
		t.Errorf("a dry run has left %d records", n)
	}
	l.must("ruciax", "download", "--restore", "--run", "6202", "--rse", ruciotest.RSERoot)
	transfertest.SameTree(t, b, l.raw(runB))
	rs := l.records(runB, datamanager)
	if len(rs) != 1 || rs[0].text("status") != "transferred" || rs[0].text("location") != l.raw(runB) || len(rs[0].text("checksum")) != 128 {
		t.Errorf("restored records: %v", rs)
	}
	if out := l.must("ruciax", "download", "--restore", "--run", "6202"); !strings.Contains(out, "has a good copy already") {
		t.Errorf("a second time: %s", out)
	}
	// A file that is damaged at the RSE is not taken for the run.
	flip(t, l.s.File(ruciotest.RSEDavs, scope(runA), "trigger_monitor_data.zip"))
	into = t.TempDir()
	l.fails([]string{"trigger_monitor_data.zip"}, "ruciax", "download", "--dir", into, "--run", "6201")
	if _, err := os.Stat(into + "/" + runA + "/trigger_monitor_data.zip"); err == nil {
		t.Error("a damaged file got its name")
	}
	l.fails([]string{"trigger_monitor_data.zip"}, "ruciax", "download", "--restore", "--run", "6201")
	if _, err := os.Stat(l.raw(runA)); err == nil {
		t.Error("a damaged dataset was restored under its name")
	}
}
