package cax

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/rundbtest"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/time/rate"
)

// The model is a small fleet on simulated time, whose processes are interleaved at
// every operation on the run database and every change on a disk: at such a point
// other processes may run, to their end or to their death, the clock may jump, the
// process may die. All of it follows from one seed.
//
//	A   takes data, pushes to B and C, purges
//	B   pulls nothing, purges
//	C   pulls from A and B
//	D   is the same storage as C, under another name
//	P   is run by the Python tool, which purges without asking
//
// and a record of a catalogue whose rule has expired.
type model struct {
	t    testing.TB
	rnd  *rand.Rand
	seed uint64
	cfg  *Config
	db   *rundbtest.Memory
	disk *local.Backend
	dir  string
	now  time.Time     // of the database
	up   time.Duration // monotonic, of all machines

	truth  map[string]map[string]string // by dataset: file → content
	rotten map[string]bool              // paths of datasets that were damaged and not yet found out
	depth  int
	ops    int
	faults bool
	procs  map[string]*proc // the running daemon of each site
	broken string           // what went wrong
	trail  []string
}

// A proc is one process of a site, from its start to its death.
type proc struct {
	m    *model
	site string
	env  *Env
	dead bool
	busy bool          // it runs a task, and is held
	zone time.Duration // how far its wall clock is off
}

var errDead = errors.New("this process has died")

const modelMin = 2

func newModel(t testing.TB, seed uint64, dir string) *model {
	m := &model{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), disk: local.New(nil), dir: dir,
		now: time.Date(2016, 6, 1, 0, 0, 0, 0, time.UTC), up: 1000 * time.Hour,
		truth: map[string]map[string]string{}, rotten: map[string]bool{}, procs: map[string]*proc{}}
	m.db = &rundbtest.Memory{Clock: func() time.Time { return m.now }}
	days := 3
	site := func(name string, more func(*Site)) *Site {
		s := &Site{Name: name, Method: MethodLocal, DirRaw: dir + "/" + name + "/raw"}
		if more != nil {
			more(s)
		}
		if err := os.MkdirAll(s.DirRaw, 0o755); err != nil {
			t.Fatal(err)
		}
		return s
	}
	m.cfg = &Config{
		Masters: []Master{{Type: "raw", Host: "A"}},
		Policy: Policy{Reserve: 1, MinCopies: modelMin, MinDomains: modelMin, Trash: 24 * time.Hour,
			Scrub: Bandwidth{BytesPerSecond: 1 << 40}},
		Sites: []*Site{
			site("A", func(s *Site) { s.UploadOptions, s.Purge = []string{"B", "C"}, &days }),
			site("B", func(s *Site) { s.Purge = &days }),
			site("C", func(s *Site) { s.DownloadOptions = []string{"A", "B"} }),
			site("D", func(s *Site) { s.SameStorageAs, s.DirRaw = "C", dir+"/C/raw" }),
			site("P", func(s *Site) { s.Daemon, s.Purge = "python", &days }),
		},
	}
	for i := range 3 {
		m.takeData(fmt.Sprintf("160531_12%02d", i), i)
	}
	return m
}

// takeData makes a dataset at A: registered by us, or left by the original, with a
// checksum or with none.
func (m *model) takeData(name string, kind int) {
	files := map[string]string{"a": name + " a", "b/c": name + " c", "d": ""}
	m.truth[name] = files
	for f, content := range files {
		p := m.dir + "/A/raw/" + name + "/" + f
		m.must(os.MkdirAll(filepath.Dir(p), 0o755))
		m.must(os.WriteFile(p, []byte(content), 0o644))
	}
	start, err := time.Parse(nameLayout, name)
	m.must(err)
	r := rundb.Run{Number: int64(len(m.truth)), Name: name, Detector: "tpc", Start: start}
	if kind%3 > 0 { // a manifest conflict waits: what the others say is not what is there
		c := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "A"}, Status: rundb.Transferred, Location: m.dir + "/A/raw/" + name, Created: start}
		if kind%3 == 1 {
			v, err := checksum.DirSum(context.Background(), c.Location, checksum.SHA512)
			m.must(err)
			c.Checksum = v.Bare()
		}
		r.Data = []rundb.Copy{c,
			{Key: rundb.Key{Type: rundb.Raw, Host: "rucio-catalogue"}, Status: rundb.Transferred, Location: "x:y", Created: start, RSE: []string{"R"}, RuleInfo: []string{"R:2016-05-01 00:00:00"}}}
		doc, err := rundb.NewRun(r)
		m.must(err)
		m.must(m.db.Insert(context.Background(), doc.Raw()))
		return
	}
	p := m.start("A")
	_, err = p.env.Register(context.Background(), Registration{Path: m.dir + "/A/raw/" + name, Number: r.Number})
	m.must(err)
}

func (m *model) must(err error) {
	if err != nil {
		m.t.Helper()
		m.t.Fatalf("seed %d: %v", m.seed, err)
	}
}

func (m *model) say(format string, args ...any) {
	m.trail = append(m.trail, fmt.Sprintf("%*s", 2*m.depth, "")+fmt.Sprintf(format, args...))
}

// fail notes what went wrong, with the way that led here, and stops everything. It may
// be called from any goroutine; test says it.
func (m *model) fail(format string, args ...any) {
	if m.broken == "" {
		n := max(0, len(m.trail)-400)
		m.broken = fmt.Sprintf("seed %d: %s\n%s", m.seed, fmt.Sprintf(format, args...), strings.Join(m.trail[n:], "\n"))
	}
}

// test ends the test if something went wrong.
func (m *model) test() {
	if m.broken != "" {
		m.t.Helper()
		m.t.Fatal(m.broken)
	}
}

// start starts a process at a site, in place of the one that runs there.
func (m *model) start(site string) *proc {
	p := &proc{m: m, site: site}
	s, _ := m.cfg.Site(site)
	owner, err := ThisProcess(site)
	m.must(err)
	owner.Host = "machine-" + site
	owner.Boot = fmt.Sprint(m.rnd.Uint64()) // of each start: nobody knows whether the one before has ended
	p.env = NewEnv(m.cfg, s, &rundb.Store{Driver: modelDriver{m.db, p}, By: "cax at " + site}, owner)
	p.env.Clock = Clock{Now: func() time.Time { return m.now.Add(p.zone) }, Elapsed: func() time.Duration { return m.up }}
	p.env.Parallel = 1
	p.env.remotes.disk = modelDisk{m.disk, p}
	for _, s := range m.cfg.Sites { // one file after the other, so that a seed always leads the same way
		p.env.remotes.links[s.Name] = &link{backend: p.env.remotes.disk, copier: &transfer.Copier{Parallel: 1, Limit: rate.NewLimiter(rate.Inf, 0), Reserve: 1}}
	}
	m.procs[site] = p
	return p
}

// chance is true once in n, while there are faults.
func (m *model) chance(n int) bool { return m.faults && m.rnd.IntN(n) == 0 }

// step is where a process can be interrupted. It returns errDead if the process is
// no more.
func (p *proc) step(op string) error {
	m := p.m
	if p.dead || m.broken != "" {
		return errDead
	}
	m.ops++
	if !m.faults {
		return nil
	}
	if m.chance(150) {
		m.say("%s dies before %s", p.site, op)
		p.dead = true
		return errDead
	}
	often := 25
	if op == "update" || op == "add" { // between a decision and what follows
		often = 8
	}
	if m.depth < 3 && m.chance(often) {
		m.say("%s is held before %s", p.site, op)
		m.depth++
		if m.chance(3) {
			m.pass(time.Duration(1+m.rnd.IntN(400)) * time.Minute)
		}
		m.someone(p.site)
		m.depth--
		m.say("%s goes on with %s", p.site, op)
	}
	if p.dead {
		return errDead
	}
	return nil
}

// pass lets time pass.
func (m *model) pass(d time.Duration) {
	m.now, m.up = m.now.Add(d), m.up+d
	m.say("%v pass", d)
}

// someone lets a process of some site run one task; a second process of the same site
// is started where the first one is held, as after a restart.
func (m *model) someone(held string) {
	site := m.cfg.Sites[m.rnd.IntN(4)].Name
	p := m.procs[site]
	if p == nil || p.dead || site == held || p.busy || m.chance(20) {
		p = m.start(site)
	}
	if m.chance(10) {
		p.zone = time.Duration(m.rnd.IntN(49)-24) * time.Hour
	}
	tasks := Tasks()
	if m.chance(3) { // what does most harm
		tasks = slices.DeleteFunc(tasks, func(t Task) bool { return t.Name() != "BufferPurger" && t.Name() != "EmptyTrash" })
	}
	p.task(tasks[m.rnd.IntN(len(tasks))])
}

// task runs one task to its end, one action after the other.
func (p *proc) task(t Task) {
	m, ctx := p.m, context.Background()
	m.say("%s: %s", p.site, t.Name())
	p.busy = true
	defer func() { p.busy = false }()
	for _, o := range p.env.origins(ctx, t, p.env.considered(t, false)) {
		for a, err := range o.actions {
			if err != nil || p.dead || m.broken != "" {
				break
			}
			if a.Verb != Do {
				continue
			}
			m.say("%s: %s", p.site, a.Decision)
			err := a.Apply(ctx)
			if err != nil {
				m.say("%s: → %v", p.site, err)
			}
			var bug *defect
			if errors.As(err, &bug) {
				m.fail("%s: %s\n%s", p.site, bug, bug.stack)
			}
			p.env.outages.note(a.remote, err, p.env.Policy, m.up)
		}
	}
}

// modelDriver is the run database as one process sees it.
type modelDriver struct {
	rundb.Driver
	p *proc
}

func (d modelDriver) Get(ctx context.Context, id rundb.ID) (bson.Raw, error) {
	if err := d.p.step("get"); err != nil {
		return nil, err
	}
	return d.Driver.Get(ctx, id)
}

func (d modelDriver) Find(ctx context.Context, q *rundb.Query) iter.Seq2[bson.Raw, error] {
	if err := d.p.step("find"); err != nil {
		return func(yield func(bson.Raw, error) bool) { yield(nil, err) }
	}
	// Read at once: what is held afterwards decides on what is old by then.
	var docs []bson.Raw
	for doc, err := range d.Driver.Find(ctx, q) {
		if err == nil {
			docs = append(docs, doc)
		}
	}
	return func(yield func(bson.Raw, error) bool) {
		for _, doc := range docs {
			if !yield(doc, nil) {
				return
			}
		}
	}
}

func (d modelDriver) Update(ctx context.Context, u *rundb.Update) error {
	if err := d.p.step("update"); err != nil {
		return err
	}
	err := d.Driver.Update(ctx, u)
	d.p.m.check(d.p.site, "update")
	if err == nil && d.p.m.chance(100) {
		return &rundb.Error{Op: "update", Kind: rundb.ErrUnknownOutcome}
	}
	return err
}

func (d modelDriver) Add(ctx context.Context, c rundb.Collection, docs ...bson.Raw) error {
	if err := d.p.step("add"); err != nil {
		return err
	}
	return d.Driver.Add(ctx, c, docs...)
}

// modelDisk is all disks as one process sees them. Every change can be held before.
type modelDisk struct {
	*local.Backend
	p *proc
}

func (d modelDisk) Sync(context.Context, string) (bool, error) { return true, nil }

func (d modelDisk) Mkdir(ctx context.Context, dir string) error {
	if err := d.p.step("mkdir"); err != nil {
		return err
	}
	return d.Backend.Mkdir(ctx, dir)
}

func (d modelDisk) Create(ctx context.Context, p string, offset, size int64, mtime time.Time) (io.WriteCloser, error) {
	if err := d.p.step("create " + path.Base(p)); err != nil {
		return nil, err
	}
	return d.Backend.Create(ctx, p, offset, size, mtime)
}

func (d modelDisk) Rename(ctx context.Context, from, to string) error {
	if err := d.p.step("rename to " + path.Base(to)); err != nil {
		return err
	}
	return d.p.m.watched(d.p.site, "rename "+from+" to "+to, func() error { return d.Backend.Rename(ctx, from, to) })
}

func (d modelDisk) Remove(ctx context.Context, p string) error {
	if err := d.p.step("remove " + path.Base(p)); err != nil {
		return err
	}
	return d.p.m.watched(d.p.site, "remove "+p, func() error { return d.Backend.Remove(ctx, p) })
}

// good lists the storages on which a dataset stands under its name with the right
// bytes.
func (m *model) good(name string) (dirs []string) {
	for _, s := range m.cfg.Sites {
		p := s.DirRaw + "/" + name
		if !slices.Contains(dirs, p) && m.right(p, name) {
			dirs = append(dirs, p)
		}
	}
	return dirs
}

// right reports whether a path holds a dataset, byte for byte.
func (m *model) right(p, name string) bool {
	got := map[string]string{}
	err := filepath.WalkDir(p, func(f string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(f)
		got[strings.TrimPrefix(f, p+"/")] = string(b)
		return err
	})
	if err != nil || len(got) != len(m.truth[name]) {
		return false
	}
	for f, content := range m.truth[name] {
		if got[f] != content {
			return false
		}
	}
	return true
}

// watched carries out a change on a disk and fails the test if it took away a good
// copy that was needed: that is judged by the bytes on all disks, not by records. A
// copy that rotted and was not yet read again was counted in good faith.
func (m *model) watched(site, what string, change func() error) error {
	before := map[string]int{}
	for name := range m.truth {
		before[name] = len(m.good(name))
	}
	err := change()
	for name, was := range before {
		is := len(m.good(name))
		if is >= was {
			continue
		}
		trusted := 0
		for p := range m.rotten {
			if path.Base(p) == name {
				trusted++
			}
		}
		if is+trusted < modelMin || is == 0 {
			m.fail("%s: %s: of %d good copies of %s %d are left, and %d that were trusted", site, what, was, name, is, trusted)
		}
		if !m.evidence(name) {
			m.fail("%s: %s: a good copy of %s went, and no event says why", site, what, name)
		}
	}
	m.check(site, what)
	return err
}

// evidence reports whether an event gives a reason for a deletion of a dataset.
func (m *model) evidence(name string) bool {
	for d, err := range m.db.Docs(context.Background(), &rundb.DocQuery{Coll: rundb.Events}) {
		m.must(err)
		what, _ := d.Lookup("what").StringValueOK()
		of, _ := d.Lookup("name").StringValueOK()
		if of == name && what == "intent" {
			return true
		}
	}
	return false
}

// check compares what the records say with the bytes: a copy that is transferred by
// our doing has been good at that moment.
func (m *model) check(site, what string) {
	for doc, err := range m.db.Find(context.Background(), &rundb.Query{}) {
		m.must(err)
		r, err := rundb.Decode(doc)
		m.must(err)
		for i := range r.Data {
			c := &r.Data[i]
			if c.Status != rundb.Transferred || c.VerifiedAt.IsZero() || m.rotten[c.Location] || c.Host == "P" {
				continue
			}
			if !m.right(c.Location, r.Name) {
				m.fail("%s: %s: the record says that %s is transferred and verified, and its bytes are not right", site, what, c.Location)
			}
		}
	}
}
