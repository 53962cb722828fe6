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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/cax-go/cax/tsm/tsmtest"
)

// programs are the binaries under test; each is built when it is first needed.
var programs struct {
	mu   sync.Mutex
	dir  string
	made map[string]error // by name: how building it ended
}

func TestMain(m *testing.M) {
	tsmtest.Main()
	if code, served := serveFlipped(os.Args); served {
		os.Exit(code)
	}
	code := m.Run()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

func cax(t testing.TB) string {
	t.Helper()
	return program(t, "cax")
}

// program builds one of the binaries and gives its path.
func program(t testing.TB, name string) string {
	t.Helper()
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "cax-acceptance-")
		if err != nil {
			t.Fatal(err)
		}
		programs.dir, programs.made = dir, map[string]error{}
	}
	err, made := programs.made[name]
	if !made {
		var out []byte
		if out, err = exec.Command("go", "build", "-o", programs.dir+"/"+name, "github.com/cax-go/cax/cmd/"+name).CombinedOutput(); err != nil {
			err = fmt.Errorf("go build: %w\n%s", err, out)
		}
		programs.made[name] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return programs.dir + "/" + name
}

// long reports whether tests run at full length.
func long() bool { return os.Getenv("CAX_INTEGRATION") == "1" }

// A world is two sites, "a" and "b", in one folder, reached by SSH on loopback or by
// the local backend, and a run database.
type world struct {
	t      *testing.T
	dir    string
	sshd   *transfertest.SSHD // nil for method local
	db     string
	config string
	sites  map[string]map[string]any
	policy map[string]any
}

// options of a world.
type options struct {
	method string // of both sites
	pull   bool   // b pulls, instead of a pushing
	sshd   transfertest.SSHDOptions
	policy map[string]any            // nil: the array form of the configuration
	site   map[string]map[string]any // further keys of sites
	db     string                    // "": an embedded one
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, dir: dir, db: o.db, config: dir + "/cax.json", sites: map[string]map[string]any{}, policy: o.policy}
	if w.db == "" {
		w.db = "sqlite:" + dir + "/runs.db"
	}
	if o.method != "local" {
		w.sshd = transfertest.StartSSHD(t, o.sshd)
	}
	for _, n := range []string{"a", "b"} {
		s := map[string]any{"name": n, "method": o.method, "dir_raw": w.raw(n), "data_type": []string{"raw"},
			"upload_options": nil, "download_options": nil}
		if w.sshd != nil {
			s["hostname"], s["port"], s["username"] = w.sshd.Host, w.sshd.Port, w.sshd.User
			s["identity_file"], s["known_hosts"] = w.sshd.IdentityFile, w.sshd.KnownHosts
		}
		w.sites[n] = s
		if err := os.MkdirAll(w.raw(n), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if o.pull {
		w.sites["b"]["download_options"] = []string{"a"}
	} else {
		w.sites["a"]["upload_options"] = []string{"b"}
	}
	for n, keys := range o.site {
		for k, v := range keys {
			w.sites[n][k] = v
		}
	}
	w.configure()
	return w
}

// configure writes the configuration as it is now.
func (w *world) configure() {
	w.t.Helper()
	var doc any = []any{w.sites["a"], w.sites["b"]}
	if w.policy != nil {
		doc = map[string]any{"policy": w.policy, "sites": doc}
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	if err == nil {
		err = os.WriteFile(w.config, b, 0o644)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// raw is the directory for raw data of a site.
func (w *world) raw(site string) string { return w.dir + "/" + site + "/raw" }

// at is where a run is at a site.
func (w *world) at(site, run string) string { return w.raw(site) + "/" + run }

// command is cax with the world's configuration and database.
func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, cax(w.t), append([]string{"--config", w.config, "--rundb", w.db}, args...)...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "HOME="+w.dir, "SSH_AUTH_SOCK=", "TZ=America/Chicago")
	return cmd
}

// An outcome is how a command ended.
type outcome struct {
	code   int
	stdout string
	stderr string
}

// run runs cax to its end, whatever that is.
func (w *world) run(args ...string) outcome {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := w.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		w.t.Fatalf("cax %q: %v\n%s", args, errors.Join(err, ctx.Err()), errs.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// must runs cax and expects success.
func (w *world) must(args ...string) string {
	w.t.Helper()
	o := w.run(args...)
	if o.code != 0 {
		w.t.Fatalf("cax %q ended with %d\n%s%s", args, o.code, o.stdout, o.stderr)
	}
	return o.stdout
}

// fails runs cax and expects exit code 1 and these words on stderr.
func (w *world) fails(words []string, args ...string) {
	w.t.Helper()
	o := w.run(args...)
	if o.code != 1 {
		w.t.Errorf("cax %q ended with %d, want 1\n%s%s", args, o.code, o.stdout, o.stderr)
	}
	for _, s := range words {
		if !strings.Contains(o.stderr, s) {
			w.t.Errorf("cax %q does not say %q:\n%s", args, s, o.stderr)
		}
	}
}

// once runs one cycle at a site for one run.
func (w *world) once(site, run string) string {
	w.t.Helper()
	return w.must("--once", "--host", site, "--name", run)
}

// A copy is a record as cax status --json prints it.
type copyRecord struct {
	Type     string `json:"type"`
	Host     string `json:"host"`
	Status   string `json:"status"`
	Location string `json:"location"`
	Checksum string `json:"checksum"`
	Evidence string `json:"evidence"`
	Error    *struct {
		Class   string    `json:"class"`
		Text    string    `json:"text"`
		Tries   int       `json:"tries"`
		NextTry time.Time `json:"next_try"`
	} `json:"error"`
	Claim *struct {
		ID string `json:"id"`
	} `json:"claim"`
}

type runRecord struct {
	Number int          `json:"number"`
	Name   string       `json:"name"`
	Data   []copyRecord `json:"data"`
}

// copies are all records of a run at a site.
func (w *world) copies(site, run string) []copyRecord {
	w.t.Helper()
	var cs []copyRecord
	for _, r := range w.all() {
		for _, c := range r.Data {
			if r.Name == run && c.Host == site {
				cs = append(cs, c)
			}
		}
	}
	return cs
}

// all reads cax status --json.
func (w *world) all() []runRecord {
	w.t.Helper()
	var runs []runRecord
	for line := range strings.Lines(w.must("status", "--json")) {
		var r runRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.t.Fatalf("%v in %q", err, line)
		}
		runs = append(runs, r)
	}
	return runs
}

// copy is the only record of a run at a site.
func (w *world) copy(site, run string) copyRecord {
	w.t.Helper()
	cs := w.copies(site, run)
	if len(cs) != 1 {
		w.t.Fatalf("%d records of %s at %s", len(cs), run, site)
	}
	return cs[0]
}

// good fails the test unless the copy at b is as good as that at a, in record and
// in bytes, and nothing else is left in b's directory.
func (w *world) good(run string) {
	w.t.Helper()
	a, b := w.copy("a", run), w.copy("b", run)
	if b.Status != "transferred" || b.Checksum != a.Checksum || b.Claim != nil || b.Error != nil {
		w.t.Errorf("record at b: %+v, want transferred with checksum %s", b, a.Checksum)
	}
	transfertest.SameTree(w.t, w.at("a", run), w.at("b", run))
	sum, err := checksum.DirSum(w.t.Context(), w.at("b", run), checksum.SHA512)
	if err != nil || sum.Bare() != b.Checksum {
		w.t.Errorf("checksumdir gives %s (%v), the record says %s", sum, err, b.Checksum)
	}
	for _, n := range w.names("b") {
		if strings.HasPrefix(n, ".") && !strings.Contains(n, ".cax-aside-") {
			w.t.Errorf("left behind at b: %s", n)
		}
	}
}

func (w *world) names(site string) []string {
	w.t.Helper()
	es, err := os.ReadDir(w.raw(site))
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names
}

// register puts a dataset on the disk of a and on record there.
func (w *world) register(run string, files map[string]string) {
	w.t.Helper()
	transfertest.MakeTree(w.t, w.at("a", run), files)
	w.must("register", "--host", "a", w.at("a", run))
}

// event finds the last event of a kind in a run's history.
func (w *world) event(run, what string) (text string, ok bool) {
	w.t.Helper()
	for line := range strings.Lines(w.must("history", "--json", "--name", run)) {
		var e struct{ What, Why string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.t.Fatalf("%v in %q", err, line)
		}
		if e.What == what {
			text, ok = e.Why, true
		}
	}
	return text, ok
}

// small is a dataset of a few kinds of files.
func small() map[string]string {
	files := map[string]string{"XENON1T-0-000000000-000000999-000001000.zip": transfertest.Random(1, 1<<20), "trigger_monitor_data.zip": "monitor",
		"sub/notes.txt": "notes", "empty": "", "hollow/": "", ".hidden": "h"}
	for _, n := range transfertest.OddNames() {
		files["odd/"+n] = n
	}
	return files
}

// flip changes one bit of a file and keeps its modification time.
func flip(t *testing.T, path string) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	at := st.Size() / 2
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// python is a Python with checksumdir; "" where it cannot be had.
func python(t *testing.T) string {
	t.Helper()
	if !long() {
		return ""
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	venv := filepath.Join(cache, "cax-test", "checksumdir-1.3.0")
	bin := venv + "/bin/python"
	if exec.Command(bin, "-c", "import checksumdir").Run() == nil {
		return bin
	}
	for _, args := range [][]string{{"python3", "-m", "venv", venv}, {bin, "-m", "pip", "install", "-q", "setuptools<80", "checksumdir==1.3.0"}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return bin
}

var methods = []struct {
	name   string
	method string
	sshd   transfertest.SSHDOptions
	tools  []string
}{
	{"scp", "scp", transfertest.SSHDOptions{}, nil},
	{"sftp", "sftp", transfertest.SSHDOptions{}, nil},
	{"scp protocol only", "scp", transfertest.SSHDOptions{NoSFTP: true}, []string{"scp"}},
	{"rsync", "rsync", transfertest.SSHDOptions{}, []string{"rsync", "ssh"}},
}

// TestMainJob: with the array form of the configuration, register, push and verify,
// or pull: identical bytes, both copies transferred, the checksum of checksumdir.
func TestMainJob(t *testing.T) {
	for _, m := range methods {
		for _, pull := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/pull=%v", m.name, pull), func(t *testing.T) {
				t.Parallel()
				for _, tool := range m.tools {
					transfertest.RequireTool(t, m.method, tool)
				}
				w := newWorld(t, options{method: m.method, sshd: m.sshd, pull: pull})
				const run = "160315_1432"
				w.register(run, small())
				if !pull {
					w.once("a", run)
					if s := w.copy("b", run).Status; s != "verifying" {
						t.Errorf("after the push the copy is %s, want verifying", s)
					}
				}
				w.once("b", run)
				w.good(run)
				if py := python(t); py != "" {
					out, err := exec.Command(py, "-c", "import checksumdir, sys; print(checksumdir.dirhash(sys.argv[1], 'sha512'))", w.at("b", run)).CombinedOutput()
					if got := strings.TrimSpace(string(out)); err != nil || got != w.copy("b", run).Checksum {
						t.Errorf("Python's checksumdir says %s (%v), the record %s", got, err, w.copy("b", run).Checksum)
					}
				}
				for _, s := range []string{"a", "b"} {
					if o := w.run("--once", "--host", s); o.code != 0 {
						t.Errorf("an idle cycle at %s ended with %d\n%s", s, o.code, o.stderr)
					}
				}
				if n := w.names("b"); !slices.Equal(n, []string{run}) {
					t.Errorf("b holds %q", n)
				}
			})
		}
	}
}
