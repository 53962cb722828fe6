package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/transfer/transfertest"
)

// The sites of a lab, as the original's configurations have them.
const (
	datamanager = "xe1t-datamanager"
	catalogue   = "rucio-catalogue"
)

// A lab is a site that uploads to a Rucio catalogue, with a run database, in one folder.
type lab struct {
	t      *testing.T
	s      *ruciotest.Server
	dir    string
	config string
	db     string
	site   map[string]any // keys of the site; configure writes them
	remote map[string]any // and of the catalogue
	policy map[string]any // nil: the array form of the configuration
	naming map[string]any // nil: the default
	env    []string
}

func newLab(t *testing.T, s *ruciotest.Server, entrance string) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{t: t, s: s.With(t), dir: dir, config: dir + "/cax_ruciax.json", db: "sqlite:" + dir + "/runs.db",
		site: map[string]any{"name": datamanager, "method": "rucio", "hostname": "xe1t-datamanager.lngs.infn.it", "username": "xe1ttransfer",
			"dir_raw": dir + "/raw", "dir_processed": dir + "/processed", "upload_options": []string{catalogue}, "download_options": nil,
			"pax_processing_versions": nil, "task_list": []string{"CopyPull", "CopyPush"}, "data_type": []string{"raw"}},
		remote: map[string]any{"name": catalogue, "method": "rucio", "hostname": "", "username": "", "dir_raw": nil, "dir_processed": nil, "upload_options": nil, "download_options": nil,
			"rucio_upload_rse": entrance, "rucio_account": s.Admin.Account, "rucio": map[string]any{"config": s.Config}},
		env: []string{"X509_CERT_DIR=" + s.CADir},
	}
	for _, d := range []string{"/raw", "/processed"} {
		if err := os.Mkdir(dir+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.configure()
	return l
}

func (l *lab) configure() {
	l.t.Helper()
	var doc any = []any{l.site, l.remote}
	if l.policy != nil {
		object := map[string]any{"policy": l.policy, "sites": doc}
		if l.naming != nil {
			object["naming"] = l.naming
		}
		doc = object
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err == nil {
		err = os.WriteFile(l.config, b, 0o644)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// command is one of our programs with the lab's configuration and database.
func (l *lab) command(ctx context.Context, prog string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program(l.t, prog), append([]string{"--config", l.config, "--rundb", l.db}, args...)...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "HOME="+l.dir, "HOSTNAME="+datamanager, "TZ=America/Chicago", "TMPDIR="+l.dir, "RUCIO_CONFIG=", "RUCIO_ACCOUNT=", "RUCIO_AUTH_TYPE=")
	cmd.Env = append(cmd.Env, l.env...)
	return cmd
}

// run runs a program to its end, whatever that is.
func (l *lab) run(prog string, args ...string) outcome {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := l.command(ctx, prog, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		l.t.Fatalf("%s %q: %v\n%s", prog, args, errors.Join(err, ctx.Err()), errs.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// must runs a program and expects success.
func (l *lab) must(prog string, args ...string) string {
	l.t.Helper()
	o := l.run(prog, args...)
	if o.code != 0 {
		l.t.Fatalf("%s %q ended with %d\n%s%s", prog, args, o.code, o.stdout, o.stderr)
	}
	return o.stdout
}

// fails runs a program and expects exit code 1 and these words on stderr.
func (l *lab) fails(words []string, prog string, args ...string) outcome {
	l.t.Helper()
	o := l.run(prog, args...)
	if o.code != 1 {
		l.t.Errorf("%s %q ended with %d, want 1\n%s%s", prog, args, o.code, o.stdout, o.stderr)
	}
	for _, w := range words {
		if !strings.Contains(o.stderr, w) {
			l.t.Errorf("%s %q does not say %q:\n%s", prog, args, w, o.stderr)
		}
	}
	return o
}

func (l *lab) raw(run string) string { return l.dir + "/raw/" + run }

// scope is that of a run of the tpc, with all its files; container that of containers.
func scope(run string) string { return "x1t_" + scienceRun(run) + "_" + run + "_tpc" }

func scienceRun(run string) string {
	if run < "170202_1740" {
		return "SR000"
	}
	return "SR001"
}

// files makes the contents of a run, as pax names them.
func files(number, n, size int) map[string]string {
	out := map[string]string{"trigger_monitor_data.zip": "monitor", "empty.txt": ""}
	for i := range n - len(out) {
		out[fmt.Sprintf("XENON1T-%d-%09d-%09d-%09d.zip", number, i*1000, i*1000+999, 1000)] = transfertest.Random(byte(number+i), size+i)
	}
	return out
}

// add puts a run on disk, and into the run database as the original's document has it.
func (l *lab) add(number int, run string, files map[string]string) {
	l.t.Helper()
	transfertest.MakeTree(l.t, l.raw(run), files)
	sum, err := checksum.DirSum(l.t.Context(), l.raw(run), checksum.SHA512)
	if err != nil {
		l.t.Fatal(err)
	}
	start, err := time.Parse("060102_1504", run)
	if err != nil {
		l.t.Fatal(err)
	}
	date := func(t time.Time) map[string]string {
		return map[string]string{"$date": t.UTC().Format("2006-01-02T15:04:05.000Z")}
	}
	doc := map[string]any{
		"_id": map[string]string{"$oid": fmt.Sprintf("5783f3a9c46e6b%010d", number)}, "number": number, "name": run, "detector": "tpc",
		"start": date(start), "end": date(start.Add(time.Hour)), "user": "daq", "source": map[string]any{"type": "Rn220"},
		"trigger": map[string]any{"events_built": 1000}, "reader": map[string]any{"ini": map[string]any{"write_mode": 2}, "self_trigger": true},
		"tags": []any{}, "comments": []any{map[string]any{"text": "nothing to do with us", "date": date(start)}},
		"data": []any{map[string]any{"type": "raw", "host": datamanager, "status": "transferred", "location": l.raw(run),
			"checksum": sum.Bare(), "creation_time": date(start.Add(2 * time.Hour))}},
	}
	l.load(run, doc)
}

// load imports a document.
func (l *lab) load(run string, doc map[string]any) {
	l.t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		l.t.Fatal(err)
	}
	file := l.dir + "/" + run + ".json"
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.must("cax", "db", "import", file)
}

// document is a run as the database has it, in relaxed Extended JSON.
func (l *lab) document(run string) map[string]any {
	l.t.Helper()
	for line := range strings.Lines(l.must("cax", "db", "export", "--format", "relaxed")) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			l.t.Fatal(err)
		}
		if doc["name"] == run {
			return doc
		}
	}
	l.t.Fatalf("no run %s", run)
	return nil
}

// A record is a copy in a document.
type record map[string]any

func (r record) text(key string) string { return fmt.Sprint(r[key]) }

func (r record) list(key string) []string {
	out := []string{}
	all, _ := r[key].([]any)
	for _, v := range all {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

// class is that of the record's error; "" if it has none.
func (r record) class() string {
	e, _ := r["error"].(map[string]any)
	if e == nil {
		return ""
	}
	return fmt.Sprint(e["class"])
}

// records are those of a run at a host.
func (l *lab) records(run, host string) []record {
	l.t.Helper()
	var out []record
	data, _ := l.document(run)["data"].([]any)
	for _, d := range data {
		if c := record(d.(map[string]any)); c["host"] == host {
			out = append(out, c)
		}
	}
	return out
}

// record is the only one of a run in the catalogue.
func (l *lab) record(run string) record {
	l.t.Helper()
	rs := l.records(run, catalogue)
	if len(rs) != 1 {
		l.t.Fatalf("%d records of %s in the catalogue, want 1", len(rs), run)
	}
	return rs[0]
}

// is fails the test unless the record has a status, and an error of this class.
func (l *lab) is(run, status, class string) record {
	l.t.Helper()
	r := l.record(run)
	if r.text("status") != status || r.class() != class {
		l.t.Errorf("the record of %s is %q with error %v, want %q and class %q", run, r["status"], r["error"], status, class)
	}
	return r
}

// explains fails the test unless cax explain says these words of the copy in the catalogue.
func (l *lab) explains(run string, words ...string) {
	l.t.Helper()
	text := l.must("cax", "explain", "--name", run, "--host", catalogue)
	for _, w := range words {
		if !strings.Contains(text, w) {
			l.t.Errorf("cax explain does not say %q:\n%s", w, text)
		}
	}
}

// python runs a script of Rucio's Python client that prints JSON, and reads it.
func (l *lab) python(into any, script string, args ...string) {
	l.t.Helper()
	out := l.s.Python("import json, sys\nfrom rucio.client import Client\nc = Client()\n"+script, args...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		l.t.Fatalf("%v in %q", err, out)
	}
}

// A judgement is what the Python client says of a run's dataset.
type judgement struct {
	Files    map[string]string // name: adler32
	Replicas map[string]map[string]string
	Attached []string // contents of the dataset
	Rules    []struct {
		RSE, State, Account string
		Expires             *string
	}
	Container, Over     []string
	Orphans             []string // files in the scope that the dataset lacks
	Dataset, File, Meta map[string]any
}

func (l *lab) judge(run string) judgement {
	l.t.Helper()
	return l.judgeAll(run)[run]
}

// judgeAll asks about several runs at once: starting the client takes longer than asking.
func (l *lab) judgeAll(runs ...string) map[string]judgement {
	l.t.Helper()
	var args []string
	for _, r := range runs {
		args = append(args, r, scope(r), "x1t_"+scienceRun(r))
	}
	var js map[string]judgement
	l.python(&js, `
content = lambda s, n: [x['scope'] + ':' + x['name'] for x in c.list_content(s, n)]
meta = lambda s, n: {k: v for k, v in c.get_metadata(s, n, plugin='ALL').items() if isinstance(v, (str, int, float))}
out = {}
for run, scope, basic in zip(*[iter(sys.argv[1:])] * 3):
    files = {f['name']: f['adler32'] for f in c.list_files(scope, 'raw')}
    replicas = {r['name']: r['states'] for r in c.list_replicas([{'scope': scope, 'name': 'raw'}], all_states=True)}
    rules = [{'RSE': r['rse_expression'], 'State': r['state'], 'Account': r['account'], 'Expires': r['expires_at'] and str(r['expires_at'])} for r in c.list_did_rules(scope, 'raw')]
    out[run] = {'Files': files, 'Replicas': replicas, 'Attached': content(scope, 'raw'), 'Rules': rules,
        'Orphans': [n for n in c.list_dids(scope, [{}], did_type='file') if n not in files],
        'Container': content(basic, scope), 'Over': content(basic, basic + '_data'),
        'Dataset': meta(scope, 'raw'), 'File': meta(scope, sorted(files)[-1]), 'Meta': meta(basic, scope)}
print(json.dumps(out))
`, args...)
	return js
}

// published fails the test unless the dataset of a run is at an RSE, whole and right, in
// the eyes of the Python client and on the RSE's disk, with nothing beside it.
func (l *lab) published(run, rse string) judgement {
	l.t.Helper()
	j := l.judge(run)
	l.whole(run, rse, &j)
	return j
}

// whole compares what was said of a run with what it has to be.
func (l *lab) whole(run, rse string, j *judgement) {
	l.t.Helper()
	m, err := checksum.MakeManifest(l.t.Context(), l.raw(run), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	onDisk := l.stored(run, rse)
	for i := range m.Entries {
		e := &m.Entries[i]
		want := e.Sum(checksum.Adler32).Bare()
		if j.Files[e.Path] != want {
			l.t.Errorf("the catalogue has %s with adler32 %q, want %s", e.Path, j.Files[e.Path], want)
		}
		if s := j.Replicas[e.Path][rse]; s != "AVAILABLE" {
			l.t.Errorf("%s is %q at %s", e.Path, s, rse)
		}
		at := l.s.File(rse, scope(run), e.Path)
		b, err := os.ReadFile(at)
		if err != nil {
			l.t.Error(err)
			continue
		}
		src, err := os.ReadFile(l.raw(run) + "/" + e.Path)
		if err != nil {
			l.t.Fatal(err)
		}
		if !bytes.Equal(b, src) {
			l.t.Errorf("%s at %s has other bytes", e.Path, rse)
		}
		delete(onDisk, at)
	}
	if n := len(m.Entries); len(j.Files) != n || len(j.Replicas) != n || len(j.Attached) != n {
		l.t.Errorf("the dataset has %d files, %d replicas and %d contents, want %d of each", len(j.Files), len(j.Replicas), len(j.Attached), n)
	}
	for p := range onDisk {
		l.t.Errorf("left behind at %s: %s", rse, p)
	}
	// Replicas that belong to no dataset show up in the scope.
	if len(j.Orphans) > 0 {
		l.t.Errorf("files of %s that no dataset has: %q", scope(run), j.Orphans)
	}
}

// stored are the files that an RSE's disk holds of a run.
func (l *lab) stored(run, rse string) map[string]bool {
	l.t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(l.s.Folder(rse), scope(run)), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found[p] = true
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.t.Fatal(err)
	}
	return found
}

// onlyRule fails the test unless there is one rule, OK, for ever, at that RSE.
func (j *judgement) onlyRule(t *testing.T, rse string) {
	t.Helper()
	if len(j.Rules) != 1 || j.Rules[0].RSE != rse || j.Rules[0].State != "OK" || j.Rules[0].Expires != nil {
		t.Errorf("rules: %+v, want one at %s that is OK and never ends", j.Rules, rse)
	}
}
