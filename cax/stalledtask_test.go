package cax

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/transfertest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestStalledDecisions: what is done about a copy at B, by B's own site.
func TestStalledDecisions(t *testing.T) {
	at := func(ago time.Duration) func(*rundb.Copy) {
		return func(c *rundb.Copy) { c.Created = now.Add(-ago) }
	}
	seen := func(newest, unchanged time.Duration) *growth {
		return &growth{size: size{files: 2, bytes: 10, newest: now.Add(-newest)}, unchanged: unchanged}
	}
	told := func(g *growth) *growth { g.told = true; return g }
	const h = time.Hour
	chicago := time.FixedZone("CST", -6*3600)
	for _, tc := range []struct {
		name   string
		c      rundb.Copy
		g      *growth
		site   string // where it is decided; B
		change func(*Config)
		named  bool
		verb   Verb
		what   string
	}{
		{name: "young", c: rawAt("B", rundb.Transferring, at(h)), verb: Wait, what: "free"},
		{name: "files are to be looked at", c: rawAt("B", rundb.Transferring, at(30*h)), verb: Wait, what: "free"},
		{name: "grew an hour ago", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(h, 0), verb: Wait, what: "free"},
		{name: "C17: local time is not UTC", c: rawAt("B", rundb.Transferring, at(30*h)),
			g: &growth{size: size{newest: now.Add(-time.Minute).In(chicago)}, unchanged: h}, verb: Wait, what: "free"},
		{name: "has not grown for three hours", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(3*h, 0), verb: Do, what: "tell"},
		{name: "that was told", c: rawAt("B", rundb.Transferring, at(30*h)), g: told(seen(3*h, 0)), verb: Wait, what: "free"},
		{name: "has not grown for a day, and was watched", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(25*h, 6*time.Minute), verb: Do, what: "free"},
		{name: "has not grown for a day, by a clock that may have jumped", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(25*h, time.Minute), verb: Wait, what: "free"},
		{name: "the same, named by a person", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(25*h, 0), named: true, verb: Do, what: "free"},
		{name: "old files, and begun an hour ago", c: rawAt("B", rundb.Transferring, at(h)), g: seen(100*h, h), verb: Wait, what: "free"},
		{name: "nothing is there", c: rawAt("B", rundb.Transferring, at(30*h)), g: &growth{unchanged: h}, verb: Do, what: "free"},
		{name: "no creation time", c: rawAt("B", rundb.Transferring, func(c *rundb.Copy) { c.Created = time.Time{} }), g: seen(25*h, h), verb: Do, what: "free"},
		{name: "neither files nor creation time", c: rawAt("B", rundb.Transferring, func(c *rundb.Copy) { c.Created = time.Time{} }), g: told(&growth{unchanged: 3 * h}), verb: Wait, what: "free"},
		{name: "times in the future", c: rawAt("B", rundb.Transferring, at(30*h)), g: told(seen(-100*h, 3*h)), verb: Wait, what: "free"},
		{name: "times in the future, watched for a day", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(-100*h, 25*h), verb: Do, what: "free"},
		{name: "cannot be looked at", c: rawAt("B", rundb.Transferring, at(30*h)), g: &growth{err: os.ErrPermission, unchanged: 30 * h}, verb: Wait, what: "free"},
		{name: "an error of the old tool", c: rawAt("B", rundb.Failed, at(30*h)), g: seen(25*h, h), verb: Do, what: "free"},
		{name: "its other word for it", c: rawAt("B", rundb.Abandoned, at(30*h)), g: seen(25*h, h), verb: Do, what: "free"},
		{name: "an error of ours", c: rawAt("B", rundb.Failed, at(30*h), failed("space", h)), g: seen(25*h, h), verb: Skip, what: "free"},
		{name: "transferred", c: rawAt("B", rundb.Transferred, at(30*h)), g: seen(25*h, h), verb: Skip, what: "free"},
		{name: "outside", c: rawAt("B", rundb.Transferring, at(30*h), func(c *rundb.Copy) { c.Location = "n/a" }), g: seen(25*h, h), verb: Call, what: "free"},
		{name: "a site of the old tool is not ours", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(25*h, h), site: "A",
			change: func(c *Config) { c.Sites[1].Daemon, c.Sites[1].Verify = "python", verifyRemote }, verb: Skip, what: "free"},
		{name: "a site with a daemon looks after itself", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(25*h, h), site: "A", verb: Skip, what: "free"},
		{name: "a site without a daemon", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(25*h, h), site: "A",
			change: func(c *Config) { c.Sites[1].Daemon = "none" }, verb: Do, what: "free"},
		{name: "C18: storage of the grid", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(25*h, h), site: "A",
			change: func(c *Config) { c.Sites[1].Method = MethodGfal }, verb: Do, what: "free"},
		{name: "C18: the same, by a daemon that is gone", c: rawAt("B", rundb.Transferring, claimed("C", "other", "boot", 1, 25*h)), site: "A",
			change: func(c *Config) { c.Sites[1].Method = MethodLcg }, verb: Do, what: "free"},
		{name: "that we do not push to", c: rawAt("B", rundb.Transferring, at(30*h)), g: seen(25*h, h), site: "A",
			change: func(c *Config) { c.Sites[1].Daemon, c.Sites[0].UploadOptions = "none", nil }, verb: Skip, what: "free"},
		{name: "claimed and alive", c: rawAt("B", rundb.Transferring, claimed("A", "other", "boot", 1, time.Minute)), verb: Wait, what: "free"},
		{name: "claimed and silent for an hour", c: rawAt("B", rundb.Transferring, claimed("A", "other", "boot", 1, h)), verb: Wait, what: "free"},
		{name: "claimed and silent for a day", c: rawAt("B", rundb.Transferring, claimed("A", "other", "boot", 1, 25*h)), verb: Do, what: "free"},
		{name: "the same, where CopyPull takes it over", c: rawAt("B", rundb.Transferring, claimed("B", "other", "boot", 1, 25*h)),
			change: func(c *Config) { c.Masters = nil; c.Sites[0].DataType = []string{"raw"} }, verb: Wait, what: "free"},
		{name: "claimed by another site for another", c: rawAt("B", rundb.Transferring, claimed("C", "other", "boot", 1, 25*h)), site: "A", verb: Skip, what: "free"},
		{name: "claimed by us, for a site that is not pushed to any more", c: rawAt("B", rundb.Transferring, claimed("A", "other", "boot", 1, 25*h)), site: "A",
			change: func(c *Config) { c.Sites[0].UploadOptions = nil }, verb: Do, what: "free"},
		{name: "being verified by us where nobody else does", c: rawAt("B", rundb.Verifying, claimed("A", "other", "boot", 1, 25*h)), site: "A",
			change: func(c *Config) { c.Sites[1].Verify = verifyRemote }, verb: Do, what: "free"},
		{name: "being verified at its site", c: rawAt("B", rundb.Verifying, claimed("B", "other", "boot", 1, 25*h)), verb: Skip, what: "free"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := twoSites()
			if tc.change != nil {
				tc.change(cfg)
			}
			if tc.site == "" {
				tc.site = "B"
			}
			env := envAt(t, cfg, tc.site, nil)
			if env.Once = true; tc.named {
				env.Only.Name = "160315_1432"
			}
			copies := []rundb.Copy{tc.c}
			if strings.Contains(tc.name, "CopyPull") {
				copies = append(copies, rawAt("A", rundb.Transferred))
			}
			d, _ := stalledTask{}.decide(env, aRun(t, copies...), &tc.c, now, tc.g)
			if d.Verb != tc.verb || d.What != tc.what || d.Why == "" {
				t.Errorf("%s", d)
			}
		})
	}
}

// stale puts a record at B as the old tool leaves it, begun so long ago.
func (l *lab) stale(status rundb.Status, begun time.Duration) {
	l.t.Helper()
	r := l.register()
	c := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "B"}, Status: status, Location: l.site("B").DirRaw + "/" + runName, Created: time.Now().Add(-begun)}
	if err := l.store.Register(l.t.Context(), r.ID, c); err != nil {
		l.t.Fatal(err)
	}
}

// age sets the times of everything in a directory, and its own.
func age(t *testing.T, dir string, ago time.Duration) {
	t.Helper()
	then := time.Now().Add(-ago)
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(p, then, then)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// watcher is a daemon's environment whose clock of elapsed time the test turns.
func (l *lab) watcher(site string) (env *Env, pass func(time.Duration)) {
	env = l.env(site)
	env.Once = false
	at := time.Hour
	env.Clock.Elapsed = func() time.Duration { return at }
	return env, func(d time.Duration) { at += d }
}

// stalledCycle runs RetryStalledTransfer once and returns what it decided.
func (l *lab) stalledCycle(env *Env) (ds []Decision) {
	l.t.Helper()
	for _, src := range env.origins(l.t.Context(), stalledTask{}, env.considered(stalledTask{}, false)) {
		for a, err := range src.actions {
			if err == nil {
				err = a.Apply(l.t.Context())
			}
			if err != nil {
				l.t.Fatal(err)
			}
			ds = append(ds, a.Decision)
		}
	}
	return ds
}

// TestC17GrowthIsLife: C17: the time of a directory does not move while a file in it
// grows, and a copy may keep the times of its source: what grows is alive. What does
// not grow for a day is told of, freed, and copied anew, and its bytes are kept.
func TestC17GrowthIsLife(t *testing.T) {
	l := newLab(t)
	l.stale(rundb.Transferring, 30*time.Hour)
	dir := l.site("B").DirRaw + "/" + runName
	transfertest.MakeTree(t, dir, map[string]string{"sub/big.zip": "begin"})
	age(t, dir, 30*time.Hour)
	env, pass := l.watcher("B")
	status := func(why string, want Verb) {
		t.Helper()
		ds := l.stalledCycle(env)
		if len(ds) != 1 || ds[0].Verb != want {
			t.Fatalf("%s: decided %v, want %s", why, ds, want)
		}
	}

	// A file deep below grows now; the directories stay as old as they are.
	if err := os.Chtimes(dir+"/sub/big.zip", time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	status("a young file", Wait)
	age(t, dir, 30*time.Hour)
	pass(10 * time.Minute)
	status("nothing seems to grow, for the first time", Wait)
	// It grows, and keeps the times of its source.
	for range 3 {
		f, err := os.OpenFile(dir+"/sub/big.zip", os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("more"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		age(t, dir, 30*time.Hour)
		pass(10 * time.Minute)
		status("it grows", Wait)
	}
	if b := l.raw("B"); b.Status != rundb.Transferring || b.Error != nil {
		t.Fatalf("a living copy was touched: %+v", b)
	}
	pass(time.Minute)
	status("looked at a moment ago", Wait)
	pass(10 * time.Minute)
	status("it has ended", Do)
	if b := l.raw("B"); b.Status != rundb.Failed || b.Error == nil || b.Error.Class != ClassStalled || b.Claim != nil {
		t.Fatalf("record %+v, want an error of class stalled", b)
	}
	if got, _ := l.events("B"); !slices.Contains(got, "freed") {
		t.Errorf("events %q", got)
	}
	if b, err := os.ReadFile(dir + "/sub/big.zip"); err != nil || !strings.HasPrefix(string(b), "begin") {
		t.Errorf("the files were touched: %q %v", b, err)
	}
	if ds := l.stalledCycle(env); len(ds) != 0 {
		t.Errorf("a copy that is freed is selected again: %v", ds)
	}
	l.must("A")
	l.must("B")
	l.good()
}

// TestStalledIsToldOnce: between two hours and a day people are told, once, whatever
// process looks.
func TestStalledIsToldOnce(t *testing.T) {
	l := newLab(t)
	l.stale(rundb.Failed, 5*time.Hour)
	for range 3 {
		l.must("B")
	}
	got, last := l.events("B")
	if len(got) != 1 || last.What != eventStalled {
		t.Errorf("events %q, want one of %q", got, eventStalled)
	}
	if b := l.raw("B"); b.Status != rundb.Failed || b.Error != nil {
		t.Errorf("record %+v was changed", b)
	}
}

// TestStalledNeedsAName: one cycle alone cannot see that something does not grow: it
// takes a person's word.
func TestStalledNeedsAName(t *testing.T) {
	l := newLab(t)
	l.stale(rundb.Transferring, 30*time.Hour)
	l.must("B")
	if b := l.raw("B"); b.Status != rundb.Transferring {
		t.Fatalf("freed after one look: %+v", b)
	}
	env := l.env("B")
	env.Only.Name, env.DryRun = runName, true
	if sum, err := NewDaemon(env).Once(t.Context()); err != nil || sum.Done != 1 {
		t.Errorf("dry run: %+v, %v", sum, err)
	}
	if b := l.raw("B"); b.Status != rundb.Transferring {
		t.Fatalf("a dry run freed it: %+v", b)
	}
	env.DryRun = false
	if _, err := NewDaemon(env).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := l.raw("B"); b.Status != rundb.Failed {
		t.Errorf("record %+v, want an error", b)
	}
}

// TestStalledNamesOneRecord: of two records that nothing tells apart none is changed,
// nor one that changed since it was read.
func TestStalledNamesOneRecord(t *testing.T) {
	l := newLab(t)
	l.stale(rundb.Transferring, 30*time.Hour)
	r := l.run()
	was := l.raw("B")
	env := l.env("B")
	if err := l.store.CompareAndSet(t.Context(), r.ID, was, bson.D{{Key: "creation_time", Value: time.Now().Add(-40 * time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	err := stalledTask{}.free(t.Context(), env, r, &was, Decision{Why: "test"}, time.Now())
	if err == nil || l.raw("B").Status != rundb.Transferring {
		t.Errorf("a record that changed meanwhile was freed (%v)", err)
	}
}

// TestC18StalledPushes: C18: pushes to a site without a daemon are recovered by those
// who push there, whoever began them, and even if the source is gone.
func TestC18StalledPushes(t *testing.T) {
	none := func(c *Config) { c.Sites[1].Verify = verifyRemote }
	t.Run("without a claim", func(t *testing.T) {
		l := newLab(t, none)
		l.stale(rundb.Transferring, 30*time.Hour)
		dir := l.site("B").DirRaw + "/" + runName
		transfertest.MakeTree(t, dir, map[string]string{"a.zip": "alp"})
		age(t, dir, 30*time.Hour)
		env, pass := l.watcher("A")
		for range 2 {
			l.stalledCycle(env)
			pass(10 * time.Minute)
		}
		l.must("A")
		l.good()
	})
	t.Run("with a claim, the source is gone", func(t *testing.T) {
		l := newLab(t, none, func(c *Config) {
			third := *c.Sites[0]
			third.Name = "C"
			third.DirRaw, third.DirProcessed = strings.Replace(third.DirRaw, "/A/", "/C/", 1), strings.Replace(third.DirProcessed, "/A/", "/C/", 1)
			for _, d := range []string{third.DirRaw, third.DirProcessed} {
				if err := os.MkdirAll(d, 0o755); err != nil {
					panic(err)
				}
			}
			c.Sites = append(c.Sites, &third)
		})
		r := l.register()
		// A began to push, long ago, and has lost its copy; C has one too.
		env := l.env("C")
		p := l.site("C").DirRaw + "/" + runName
		transfertest.MakeTree(t, p, someFiles)
		if _, err := env.Register(t.Context(), Registration{Path: p, Number: 1}); err != nil {
			t.Fatal(err)
		}
		gone := rundb.Owner{Site: "A", Host: "elsewhere", Boot: "b", PID: 1}
		if _, err := l.store.Claim(t.Context(), r.ID, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "B"}, Location: l.site("B").DirRaw + "/" + runName,
			Claim: &rundb.Claim{Kind: rundb.ClaimPush, Source: "A", Owner: gone}}); err != nil {
			t.Fatal(err)
		}
		a := l.raw("A")
		if err := l.store.Remove(t.Context(), r.ID, a, "lost"); err != nil {
			t.Fatal(err)
		}
		l.must("C")
		if b := l.raw("B"); b.Status != rundb.Transferring || b.Claim == nil {
			t.Fatalf("a claim that was heard of a moment ago was taken: %+v", b)
		}
		l.cfg.Policy.OthersTakeOver, l.cfg.Policy.OnceExpired = time.Nanosecond, time.Nanosecond
		l.must("C")
		if b := l.raw("B"); b.Status != rundb.Failed || b.Claim != nil || b.Error.Class != ClassStalled || len(b.Error.Left.Adopt) != 1 {
			t.Fatalf("record %+v, want an error that names what the first try may have left", b)
		}
		l.must("C")
		if b := l.raw("B"); b.Status != rundb.Transferred {
			t.Errorf("record %+v, want transferred", b)
		}
		transfertest.SameTree(t, p, l.raw("B").Location)
	})
}
