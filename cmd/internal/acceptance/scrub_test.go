package acceptance

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/cax-go/cax/transfer/transfertest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A trio is three sites in one folder, reached by the local backend, that all have a
// good copy of some runs. The bytes that every copy should have are kept apart.
type trio struct {
	*world
	sites []string
	runs  []string
	files int // of a run
}

// newTrio makes runs of so many files of so many bytes.
func newTrio(t *testing.T, runs, files, size int) *trio {
	w := newWorld(t, options{method: "local", pull: true})
	c := &trio{world: w, sites: []string{"a", "b", "c"}, files: files}
	var sites []any
	for _, s := range c.sites {
		if err := os.MkdirAll(w.raw(s), 0o755); err != nil {
			t.Fatal(err)
		}
		site := map[string]any{"name": s, "method": "local", "dir_raw": w.raw(s)}
		if s != "a" {
			site["download_options"] = []string{"a"}
		}
		sites = append(sites, site)
	}
	b, err := json.Marshal(map[string]any{"policy": map[string]any{"reserve": 1}, "sites": sites})
	if err == nil {
		err = os.WriteFile(w.config, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for r := range runs {
		run := fmt.Sprintf("1603%02d_0000", r+1)
		c.runs = append(c.runs, run)
		tree := map[string]string{}
		for f := range files {
			tree[c.file(f)] = transfertest.Random(byte(r*files+f), size)
		}
		transfertest.MakeTree(t, c.want(run), tree)
		transfertest.MakeTree(t, w.at("a", run), tree)
		w.must("register", "--host", "a", w.at("a", run))
	}
	for _, s := range c.sites[1:] {
		w.must("--once", "--host", s)
	}
	return c
}

func (c *trio) file(i int) string { return fmt.Sprintf("sub%d/%04d.zip", i%3, i) }

// want is where the bytes that every copy of a run should have are kept.
func (c *trio) want(run string) string { return c.dir + "/want/" + run }

// damage flips random bits and deletes random files at random sites. Each file stays
// good at one site at least. It returns how many files of each copy are damaged.
func (c *trio) damage(seed uint64, flips, deletions int) map[string]int {
	c.t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	damaged := map[string]map[string]bool{} // by file, the sites
	bits := map[string]bool{}
	count := map[string]int{}
	gone := map[string]bool{}
	for n := 0; n < flips+deletions; {
		site, run, file := c.sites[rng.IntN(3)], c.runs[rng.IntN(len(c.runs))], c.file(rng.IntN(c.files))
		path := c.at(site, run) + "/" + file
		at := damaged[run+"/"+file]
		if at == nil {
			at = map[string]bool{}
			damaged[run+"/"+file] = at
		}
		remove := n >= flips
		if gone[path] || len(at) == 2 && !at[site] || remove && at[site] {
			continue
		}
		if remove {
			gone[path] = true
			if err := os.Remove(path); err != nil {
				c.t.Fatal(err)
			}
		} else if !flipBit(c.t, path, rng, bits) {
			continue
		}
		n++
		if !at[site] {
			at[site] = true
			count[site+" "+run]++
		}
	}
	return count
}

// flipBit flips a random bit of a file and keeps its modification time; false if
// that bit was flipped before.
func flipBit(t *testing.T, path string, rng *rand.Rand, before map[string]bool) bool {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	at, bit := rng.Int64N(st.Size()), rng.IntN(8)
	key := fmt.Sprint(path, at, bit)
	if before[key] {
		return false
	}
	before[key] = true
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << bit
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil {
		t.Fatal(err)
	}
	return true
}

// A scrubbed is a line of cax scrub --json: about a copy, or the share of a site.
type scrubbed struct {
	Name   string
	Host   string
	Result string
	Found  string
	Error  string
	Next   string

	Site                    string
	Copies, Verified_copies int
}

// scrub runs cax scrub at a site.
func (c *trio) scrub(site string, args ...string) (lines []scrubbed, o outcome) {
	c.t.Helper()
	o = c.run(append([]string{"scrub", "--host", site, "--json"}, args...)...)
	for line := range strings.Lines(o.stdout) {
		var s scrubbed
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			c.t.Fatalf("%v in %q", err, line)
		}
		lines = append(lines, s)
	}
	return lines, o
}

// healthy fails the test unless all copies are good, in record and in bytes.
func (c *trio) healthy() {
	c.t.Helper()
	for _, s := range c.sites {
		for _, run := range c.runs {
			if r := c.copy(s, run); r.Status != "transferred" || r.Error != nil || r.Claim != nil {
				c.t.Errorf("%s at %s: %+v", run, s, r)
			}
			transfertest.SameTree(c.t, c.want(run), c.at(s, run))
		}
		left, err := filepath.Glob(c.raw(s) + "/.*.cax-part-*")
		if err != nil || len(left) > 0 {
			c.t.Errorf("left at %s: %q, %v", s, left, err)
		}
	}
}

// TestScrub: random bit flips and deleted files over three sites: cax scrub at each
// finds every damaged file, heals every copy, and says so.
func TestScrub(t *testing.T) {
	t.Parallel()
	runs, files, size, flips, deletions := 5, 10, 210<<10, 40, 6 // 30 MiB over three sites
	if long() {
		runs, files, size, flips, deletions = 16, 16, 4<<20, 200, 20 // 1 GiB, three times
	}
	c := newTrio(t, runs, files, size)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	damaged := c.damage(seed, flips, deletions)
	found, want := 0, 0
	for _, s := range c.sites {
		lines, o := c.scrub(s, "--all")
		if o.code != 0 {
			t.Errorf("cax scrub at %s ended with %d\n%s", s, o.code, o.stderr)
		}
		seen := map[string]bool{}
		for _, l := range lines {
			if l.Site != "" {
				if l.Site == s && (l.Copies != runs || l.Verified_copies != runs) {
					t.Errorf("the share of %s: %+v", s, l)
				}
				continue
			}
			seen[l.Name] = true
			n := damaged[s+" "+l.Name]
			want += n
			switch {
			case n == 0 && l.Result != "good", n > 0 && l.Result != "healed":
				t.Errorf("%d files of %s at %s were damaged: %+v", n, l.Name, s, l)
			case n > 0 && strings.Contains(l.Found, fmt.Sprintf("differs from its manifest in %d file(s)", n)):
				found += n
			case n > 0:
				t.Errorf("%d files of %s at %s were damaged, and it says %s", n, l.Name, s, l.Found)
			}
		}
		if len(seen) != runs {
			t.Errorf("%d copies were read at %s, want %d", len(seen), s, runs)
		}
	}
	t.Logf("%d of %d damaged files found, by %d flips and %d deletions", found, want, flips, deletions)
	c.healthy()
	for _, s := range c.sites {
		if lines, o := c.scrub(s, "--all"); o.code != 0 || strings.Contains(o.stdout, "healed") || len(lines) != runs+len(c.sites) {
			t.Errorf("a second scrub at %s: %d, %s", s, o.code, o.stdout)
		}
	}
}

// verifiedAt reads when the copies at a site were last verified.
func (c *trio) verifiedAt(site string) map[string]time.Time {
	c.t.Helper()
	at := map[string]time.Time{}
	for line := range strings.Lines(c.must("status", "--json")) {
		var r struct {
			Name string
			Data []struct {
				Host        string
				Verified_at time.Time
			}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			c.t.Fatal(err)
		}
		for _, d := range r.Data {
			if d.Host == site {
				at[r.Name] = d.Verified_at
			}
		}
	}
	return at
}

// age makes the copies at a site last verified 20 days ago.
func (c *trio) age(site string) {
	c.t.Helper()
	d, err := sqlitestore.Open(c.t.Context(), strings.TrimPrefix(c.db, "sqlite:"), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	store := &rundb.Store{Driver: d, By: "test"}
	defer store.Close()
	for r, err := range store.Find(c.t.Context(), &rundb.Query{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		k, ok := r.Copy(rundb.Key{Type: rundb.Raw, Host: site})
		if !ok {
			c.t.Fatalf("no copy of %s at %s", r, site)
		}
		if err := store.CompareAndSet(c.t.Context(), r.ID, k, bson.D{{Key: "verified_at", Value: time.Now().Add(-20 * 24 * time.Hour)}}); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestScrubKilled: a scrub that is killed with SIGKILL, again and again, goes on where
// it was: what was read is not read again, and all is healed in the end.
func TestScrubKilled(t *testing.T) {
	t.Parallel()
	kills := 4
	if long() {
		kills = 12
	}
	c := newTrio(t, 2*kills+2, 4, 128<<10)
	c.age("b")
	c.damage(1, 2*kills, kills)
	old := c.verifiedAt("b")
	read := map[string]time.Time{}
	for range kills {
		then := c.verifiedAt("b")
		cmd, out := c.start("scrub", "--host", "b", "--rate", "2MB/s")
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for deadline := time.Now().Add(time.Minute); ; {
			fresh := 0
			for run, at := range c.verifiedAt("b") {
				if before, ok := read[run]; ok && !before.Equal(at) {
					t.Fatalf("%s was read at %v, and again at %v", run, before, at)
				}
				if !at.Equal(then[run]) {
					fresh++
				}
			}
			if fresh > 0 {
				break
			}
			select {
			case err := <-ended:
				t.Fatalf("the scrub ended before it was killed: %v\n%s", err, out)
			default:
			}
			if time.Now().After(deadline) {
				t.Fatalf("no copy was read within a minute\n%s", out)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-ended
		for run, at := range c.verifiedAt("b") {
			// One that was healed and not yet read once more is read again.
			if !at.Equal(old[run]) && c.copy("b", run).Evidence == "disk" {
				read[run] = at
			}
		}
	}
	if len(read) == 0 || len(read) == len(c.runs) {
		t.Fatalf("%d of %d copies were read before the last kill: the test shows nothing", len(read), len(c.runs))
	}
	lines, o := c.scrub("b")
	if o.code != 0 {
		t.Errorf("the last scrub ended with %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	for _, l := range lines {
		if _, ok := read[l.Name]; ok && l.Site == "" {
			t.Errorf("%s was read again", l.Name)
		}
	}
	for run, at := range c.verifiedAt("b") {
		if before, ok := read[run]; ok && !before.Equal(at) {
			t.Errorf("%s was read at %v, and again at %v", run, before, at)
		}
		if time.Since(at) > time.Hour {
			t.Errorf("%s was not read", run)
		}
	}
	for _, s := range []string{"a", "c"} {
		if _, o := c.scrub(s, "--all"); o.code != 0 {
			t.Errorf("cax scrub at %s ended with %d\n%s", s, o.code, o.stdout)
		}
	}
	c.healthy()
}

// TestScrubDispute: two copies that agree with each other against the manifest: no
// byte of them is touched, and a person is called.
func TestScrubDispute(t *testing.T) {
	t.Parallel()
	c := newTrio(t, 1, 3, 64<<10)
	run := c.runs[0]
	for _, s := range []string{"b", "c"} {
		flip(t, c.at(s, run)+"/"+c.file(1))
	}
	for _, s := range []string{"b", "c"} {
		if o := c.run("verify", "--host", s); o.code != 1 {
			t.Errorf("cax verify at %s ended with %d", s, o.code)
		}
	}
	before := map[string]string{}
	for _, s := range []string{"b", "c"} {
		b, err := os.ReadFile(c.at(s, run) + "/" + c.file(1))
		if err != nil {
			t.Fatal(err)
		}
		before[s] = string(b)
	}
	for _, s := range []string{"b", "c"} {
		lines, o := c.scrub(s, "--all")
		if o.code != 1 || len(lines) == 0 || lines[0].Result != "bad" || !strings.Contains(lines[0].Next, "a person") {
			t.Errorf("cax scrub at %s ended with %d: %+v", s, o.code, lines)
		}
		c.run("--once", "--host", s, "--name", run) // asked for by name, so that no backoff keeps it
	}
	for _, s := range []string{"b", "c"} {
		b, err := os.ReadFile(c.at(s, run) + "/" + c.file(1))
		if err != nil || string(b) != before[s] {
			t.Errorf("the copy at %s was touched (%v)", s, err)
		}
		if n := c.names(s); len(n) != 1 {
			t.Errorf("%s holds %q", s, n)
		}
	}
	if _, ok := c.event(run, "dispute"); !ok {
		t.Error("no event tells of the dispute")
	}
	out := c.must("plan", "--explain", "--host", "b", "--name", run)
	if !strings.Contains(out, "call") {
		t.Errorf("cax plan calls nobody:\n%s", out)
	}
}
