package cax

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/cax-go/cax/transfer/transfertest"
)

// A lab is two sites in temporary folders that meet in an embedded database. A
// pushes to B, or B pulls from A, by the local backend.
type lab struct {
	t     *testing.T
	cfg   *Config
	store *rundb.Store
	sql   []string // statements, while traced
	trace bool
}

const runName = "160315_1432"

// newLab makes the sites; change may alter the configuration.
func newLab(t *testing.T, change ...func(*Config)) *lab {
	t.Helper()
	l := &lab{t: t, cfg: &Config{}}
	for _, n := range []string{"A", "B"} {
		dir := filepath.Join(t.TempDir(), n)
		for _, d := range []string{"raw", "processed"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		l.cfg.Sites = append(l.cfg.Sites, &Site{Name: n, Method: MethodLocal, DirRaw: dir + "/raw", DirProcessed: dir + "/processed",
			DataType: []string{"raw", "processed"}})
	}
	l.cfg.Sites[0].UploadOptions = []string{"B"}
	l.cfg.Policy.Reserve = 1
	for _, f := range change {
		f(l.cfg)
	}
	d, err := sqlitestore.Open(t.Context(), t.TempDir()+"/runs.db", &sqlitestore.Options{Create: true, Trace: func(s string) {
		if l.trace {
			l.sql = append(l.sql, s)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	l.store = &rundb.Store{Driver: d, By: "test"}
	t.Cleanup(func() {
		if err := l.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// pulls turns the push of a lab into a pull.
func pulls(cfg *Config) {
	cfg.Sites[0].UploadOptions = nil
	cfg.Sites[1].DownloadOptions = []string{"A"}
}

func (l *lab) site(name string) *Site {
	s, ok := l.cfg.Site(name)
	if !ok {
		l.t.Fatalf("no site %q", name)
	}
	return s
}

// env is a process at a site. Its owner is this process.
func (l *lab) env(site string) *Env {
	l.t.Helper()
	owner, err := ThisProcess(site)
	if err != nil {
		l.t.Fatal(err)
	}
	e := NewEnv(l.cfg, l.site(site), l.store, owner)
	e.Once = true
	l.t.Cleanup(func() {
		if err := e.Close(); err != nil {
			l.t.Error(err)
		}
	})
	return e
}

var someFiles = map[string]string{"a.zip": "alpha", "sub/b.zip": "beta", "empty": "", "hollow/": "", "big.zip": transfertest.Random(3, 3<<20)}

// register puts a dataset on the disk of A and on record.
func (l *lab) register() *rundb.Run {
	l.t.Helper()
	path := l.site("A").DirRaw + "/" + runName
	transfertest.MakeTree(l.t, path, someFiles)
	r, err := l.env("A").Register(l.t.Context(), Registration{Path: path, Number: 1})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// once runs one cycle at a site.
func (l *lab) once(site string) (Summary, error) {
	l.t.Helper()
	return NewDaemon(l.env(site)).Once(l.t.Context())
}

// must runs one cycle at a site in which nothing may fail.
func (l *lab) must(site string) Summary {
	l.t.Helper()
	s, err := l.once(site)
	if err != nil {
		l.t.Fatalf("cycle at %s: %v", site, err)
	}
	return s
}

// raw is the record of the raw copy at a site.
func (l *lab) raw(site string) rundb.Copy {
	l.t.Helper()
	return l.copy(rundb.Key{Type: rundb.Raw, Host: site})
}

func (l *lab) copy(k rundb.Key) rundb.Copy {
	l.t.Helper()
	c, ok := l.run().Copy(k)
	if !ok {
		l.t.Fatalf("no record of %s", k)
	}
	return c
}

func (l *lab) run() *rundb.Run {
	l.t.Helper()
	r, err := l.store.One(l.t.Context(), &rundb.Query{Names: []string{runName}})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// good fails the test unless the copy at B is transferred and has the bytes of A.
func (l *lab) good() {
	l.t.Helper()
	a, b := l.raw("A"), l.raw("B")
	if b.Status != rundb.Transferred || b.Checksum != a.Checksum || b.Claim != nil || b.Error != nil {
		l.t.Errorf("the record of B is %+v, want transferred with the checksum of A, %s", b, a.Checksum)
	}
	transfertest.SameTree(l.t, a.Location, b.Location)
	es, err := os.ReadDir(l.site("B").DirRaw)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range es {
		if e.Name() != runName && !l.asideOf(e.Name()) {
			l.t.Errorf("left behind at B: %s", e.Name())
		}
	}
}

func (l *lab) asideOf(name string) bool {
	ok, err := filepath.Match("."+runName+".cax-aside-*", name)
	return err == nil && ok
}

// due makes a failed copy's next try now.
func (l *lab) due(site string) {
	l.t.Helper()
	l.cfg.Policy.BackoffMin = time.Nanosecond
	c := l.raw(site)
	if c.Error == nil {
		l.t.Fatalf("the copy at %s has no error: %+v", site, c)
	}
	c.Error.NextTry = time.Now().Add(-time.Second)
	if err := l.store.CompareAndSet(l.t.Context(), l.run().ID, c, bsonError(c.Error)); err != nil {
		l.t.Fatal(err)
	}
}

// events lists what happened to the copy at a site.
func (l *lab) events(site string) (whats []string, last rundb.Event) {
	l.t.Helper()
	for e, err := range l.store.Events(l.t.Context(), l.run().ID) {
		if err != nil {
			l.t.Fatal(err)
		}
		if e.Key.Host == site {
			whats, last = append(whats, e.What), e
		}
	}
	return whats, last
}

// flip changes one byte of a file and keeps its modification time.
func flip(t *testing.T, path string) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, st.Mode()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil {
		t.Fatal(err)
	}
}
