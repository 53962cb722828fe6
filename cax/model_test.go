package cax

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
)

var modelSeed = flag.Uint64("model-seed", 0, "run the model with this seed alone")

// TestModel: in random interleavings of all tasks of a fleet, with faults, no action of
// ours takes the good copies of a dataset below the minimum, nothing is deleted without
// evidence, and when the faults end everything comes to rest in good order. A failure
// names its seed: go test ./cax -run TestModel -model-seed N does the same again.
// CAX_MODEL is how many interleavings are tried.
func TestModel(t *testing.T) {
	n := 60
	if many := os.Getenv("CAX_MODEL"); many != "" {
		var err error
		if n, err = strconv.Atoi(many); err != nil {
			t.Fatalf("CAX_MODEL: %v", err)
		}
	}
	first := uint64(1)
	if *modelSeed != 0 {
		first, n = *modelSeed, 1
	}
	root := t.TempDir()
	if d, err := os.MkdirTemp("/dev/shm", "cax-model-"); err == nil { // many small files: memory is kinder
		root = d
		t.Cleanup(func() { os.RemoveAll(d) })
	}
	var next, ops atomic.Uint64
	for w := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			t.Parallel()
			for {
				i := next.Add(1)
				if i > uint64(n) || t.Failed() {
					return
				}
				dir := fmt.Sprintf("%s/%d", root, i)
				m := newModel(t, first+i-1, dir)
				m.live()
				m.test()
				m.settle()
				m.test()
				ops.Add(uint64(m.ops))
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d interleavings, %d operations", n, ops.Load()) })
}

// live lets the fleet live for a while, with faults.
func (m *model) live() {
	m.faults = true
	for range 60 {
		switch m.rnd.IntN(20) {
		case 0, 1, 2:
			m.pass(time.Duration(1+m.rnd.IntN(30)) * time.Hour)
		case 3:
			m.rot()
		case 4:
			m.python()
		case 5:
			m.duplicate()
		case 6:
			m.alias()
		case 7:
			if m.chance(4) { // a site was away for a week
				m.pass(7 * 24 * time.Hour)
			}
		default:
			m.someone("")
		}
	}
}

// alias puts the copy of C on record at D too, which reaches the same disk.
func (m *model) alias() {
	r := m.record(m.dataset())
	c, ok := r.Copy(rundb.Key{Type: rundb.Raw, Host: "C"})
	if _, also := r.Copy(rundb.Key{Type: rundb.Raw, Host: "D"}); !ok || also || c.Status != rundb.Transferred {
		return
	}
	m.say("D registers %s", c.Location)
	p := m.start("D")
	if _, err := p.env.Register(context.Background(), Registration{Path: c.Location, Name: r.Name}); err != nil {
		m.say("D: → %v", err)
	}
}

// rot damages one copy, but leaves each dataset as many good ones as the minimum: what
// nature does is not ours to prevent.
func (m *model) rot() {
	name := m.dataset()
	// Those of the Python tool go without a word: they are no comfort.
	good := slices.DeleteFunc(m.good(name), func(p string) bool { return p == m.dir+"/P/raw/"+name })
	if len(good) <= modelMin {
		return
	}
	p := good[m.rnd.IntN(len(good))]
	m.say("nature damages %s", p)
	m.rotten[p] = true
	f := p + "/a"
	b, err := os.ReadFile(f)
	m.must(err)
	b[0] ^= 1
	m.must(os.WriteFile(f, b, 0o644))
}

func (m *model) dataset() string {
	names := make([]string, 0, len(m.truth))
	for n := range m.truth {
		names = append(names, n)
	}
	slices.Sort(names)
	return names[m.rnd.IntN(len(names))]
}

// python is the Python tool at P: it copies without comparing and purges without
// asking.
func (m *model) python() {
	r := m.record(m.dataset())
	at := m.dir + "/P/raw/" + r.Name
	if c, ok := r.Copy(rundb.Key{Type: rundb.Raw, Host: "P"}); ok {
		m.say("the Python tool purges %s", at)
		m.must(os.RemoveAll(at))
		m.must(m.db.Update(context.Background(), &rundb.Update{Run: r.ID, Pull: &rundb.Pull{Where: c.Exactly(), Withdraw: true}}))
		return
	}
	good := m.good(r.Name)
	if len(good) == 0 {
		return
	}
	m.say("the Python tool copies %s to %s", good[0], at)
	m.must(os.CopyFS(at, os.DirFS(good[0])))
	c := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "P"}, Status: rundb.Transferred, Location: at, Created: m.now}
	if a, ok := r.Copy(rundb.Key{Type: rundb.Raw, Host: "A"}); ok {
		c.Checksum = a.Checksum
	}
	m.must(m.db.Update(context.Background(), &rundb.Update{Run: r.ID, Push: &c}))
}

// duplicate is what older software that raced left: a second record of a copy.
func (m *model) duplicate() {
	r := m.record(m.dataset())
	for i := range r.Data {
		if c := r.Data[i]; c.Host == "P" && len(r.Duplicates()) == 0 {
			m.say("a second record of %s of %s", c.Key, r)
			c.Created = c.Created.Add(-time.Hour)
			m.must(m.db.Update(context.Background(), &rundb.Update{Run: r.ID, Push: &c}))
			return
		}
	}
}

func (m *model) record(name string) *rundb.Run {
	for doc, err := range m.db.Find(context.Background(), &rundb.Query{Names: []string{name}}) {
		m.must(err)
		r, err := rundb.Decode(doc)
		m.must(err)
		return r
	}
	m.t.Fatalf("seed %d: the record of %s is gone", m.seed, name)
	return nil
}

// settle ends the faults and lets every site run its tasks until nothing changes any
// more. Then all must be well.
func (m *model) settle() {
	m.faults = false
	m.say("the faults end")
	for _, s := range m.cfg.Sites[:4] {
		m.start(s.Name)
	}
	m.pass(16 * 24 * time.Hour) // everything is due to be read again
	idle := 0
	for round := 0; idle < 3; round++ {
		if m.test(); round == 80 {
			m.fail("it does not come to rest")
			return
		}
		before := m.snapshot()
		for _, s := range m.cfg.Sites[:4] {
			for _, t := range Tasks() {
				m.procs[s.Name].task(t)
			}
		}
		m.pass(9 * time.Hour)
		if idle++; m.snapshot() != before {
			idle = 0
		}
	}
	for name := range m.truth {
		m.healthy(name)
	}
}

// snapshot is what has to stand still: the statuses and places of all copies.
func (m *model) snapshot() (s string) {
	for doc, err := range m.db.Find(context.Background(), &rundb.Query{}) {
		m.must(err)
		r, err := rundb.Decode(doc)
		m.must(err)
		for i := range r.Data {
			c := &r.Data[i]
			s += fmt.Sprintln(r.Name, c.Key, c.Status, c.Location, c.Claim != nil)
		}
	}
	return s
}

// healthy looks at one dataset after all has come to rest.
func (m *model) healthy(name string) {
	r := m.record(name)
	unknown := true // nobody says what is right: nothing may have been deleted
	for i := range r.Data {
		unknown = unknown && r.Data[i].Checksum == ""
	}
	good := m.good(name)
	if len(good) < modelMin || unknown && !slices.Contains(good, m.dir+"/A/raw/"+name) && !m.rotten[m.dir+"/A/raw/"+name] {
		m.fail("%s: good copies at the end: %q", name, good)
	}
	for _, s := range m.cfg.Sites[:3] {
		c, ok := r.Copy(rundb.Key{Type: rundb.Raw, Host: s.Name})
		at := path.Join(s.DirRaw, name)
		_, err := os.Lstat(at)
		switch {
		case !ok && err == nil && !m.rotten[at]:
			m.fail("%s stands at %s and has no record", name, at)
		case !ok:
		case c.Claim != nil:
			m.fail("%s at %s: a claim is left: %+v", name, s.Name, c.Claim)
		case c.Status == rundb.Transferred && !m.rotten[at] && !m.right(at, name),
			c.Status != rundb.Transferred && !unknown:
			m.fail("%s at %s is %s at the end: %+v", name, s.Name, c.Status, c.Error)
		}
		es, err := os.ReadDir(s.DirRaw)
		m.must(err)
		for _, e := range es {
			// Where nobody can say what is right, a person will.
			if l, ok := transfer.ParseLeftover(e.Name()); ok && l.Base == name && l.Kind != transfer.Aside && !unknown {
				m.fail("left at %s: %s", s.Name, e.Name())
			}
		}
	}
	if d := r.Duplicates(); len(d) > 0 && d[0].Host != "P" {
		m.fail("%s has two records of %v", name, d)
	}
}
