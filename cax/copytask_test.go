package cax

import (
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
)

// now is when all decisions of these tests are made, by the database's clock.
var now = time.Date(2016, 3, 20, 12, 0, 0, 0, time.UTC)

// twoSites is a configuration in which A pushes to B and B pulls from A.
func twoSites() *Config {
	return &Config{Sites: []*Site{
		{Name: "A", Method: MethodSCP, Hostname: "a.example", DirRaw: "/a/raw", DirProcessed: "/a/processed",
			DataType: []string{"raw", "processed"}, UploadOptions: []string{"B"}},
		{Name: "B", Method: MethodSCP, Hostname: "b.example", DirRaw: "/b/raw",
			DataType: []string{"raw", "processed"}, DownloadOptions: []string{"A"}},
	}}
}

func envAt(t *testing.T, cfg *Config, site string, store *rundb.Store) *Env {
	t.Helper()
	s, ok := cfg.Site(site)
	if !ok {
		t.Fatalf("no site %q", site)
	}
	env := NewEnv(cfg, s, store, rundb.Owner{Site: site, Host: "machine-" + site, Boot: "boot", PID: 1 << 30, Started: 1})
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	return env
}

// aRun has the given copies; raw at A is good unless told otherwise.
func aRun(t *testing.T, copies ...rundb.Copy) *rundb.Run {
	t.Helper()
	r, err := rundb.NewRun(rundb.Run{Number: 1, Name: "160315_1432", Detector: "tpc", Start: now.Add(-5 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	r.Data = copies
	return r
}

func rawAt(host string, status rundb.Status, more ...func(*rundb.Copy)) rundb.Copy {
	c := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: host}, Status: status,
		Location: "/" + map[string]string{"A": "a", "B": "b"}[host] + "/raw/160315_1432", Created: now.Add(-time.Hour)}
	for _, f := range more {
		f(&c)
	}
	return c
}

func claimed(site, host, boot string, pid int, heard time.Duration) func(*rundb.Copy) {
	return func(c *rundb.Copy) {
		c.Claim = &rundb.Claim{ID: "0123", Kind: rundb.ClaimPush, Source: "A", Heartbeat: now.Add(-heard),
			Owner: rundb.Owner{Site: site, Host: host, Boot: boot, PID: pid, Started: 1}}
	}
}

func failed(class string, next time.Duration) func(*rundb.Copy) {
	return func(c *rundb.Copy) {
		c.Error = &rundb.CopyError{Class: class, Text: "it broke", Since: now.Add(-time.Hour), Tries: 2, NextTry: now.Add(next)}
	}
}

func TestDecideCopy(t *testing.T) {
	const noProcess = 1 << 29 // larger than any pid
	one := int64(1)
	good := rawAt("A", rundb.Transferred)
	for _, tc := range []struct {
		name   string
		pull   bool
		copies []rundb.Copy
		change func(cfg *Config, env *Env)
		want   Verb
		what   string
	}{
		{name: "no copy at the remote", copies: []rundb.Copy{good}, want: Do, what: "copy"},
		{name: "no copy here", pull: true, copies: []rundb.Copy{good}, want: Do, what: "copy"},
		{name: "source missing", copies: nil, want: Skip, what: "copy"},
		{name: "source not good", copies: []rundb.Copy{rawAt("A", rundb.Failed)}, want: Wait, what: "copy"},
		{name: "source marked for deletion", copies: []rundb.Copy{rawAt("A", rundb.Purging)}, want: Wait, what: "copy"},
		{name: "C15: source outside the site's directories", copies: []rundb.Copy{rawAt("A", rundb.Transferred, func(c *rundb.Copy) { c.Location = "/etc/passwd" })}, want: Call, what: "copy"},
		{name: "C15: source climbs out of the site's directories", copies: []rundb.Copy{rawAt("A", rundb.Transferred, func(c *rundb.Copy) { c.Location = "/a/raw/../../etc" })}, want: Call, what: "copy"},
		{name: "source registered in place", copies: []rundb.Copy{rawAt("A", rundb.Transferred, func(c *rundb.Copy) { c.Location, c.InPlace = "/elsewhere/160315_1432", true })}, want: Do, what: "copy"},
		{name: "name that is none", copies: []rundb.Copy{rawAt("A", rundb.Transferred, func(c *rundb.Copy) { c.Location = "/a/raw/\xff" })}, want: Call, what: "copy"},
		{name: "destination has no directory", copies: []rundb.Copy{good}, change: func(cfg *Config, _ *Env) { cfg.Sites[1].DirRaw = "" }, want: Skip, what: "copy"},
		{name: "method of another task", copies: []rundb.Copy{good}, change: func(cfg *Config, _ *Env) { cfg.Sites[1].Method = MethodRucio }, want: Skip, what: "copy"},
		{name: "not in dataset_list", copies: []rundb.Copy{good}, change: func(cfg *Config, _ *Env) { cfg.Sites[0].DatasetList = []string{"160101_0000"} }, want: Skip, what: "copy"},
		{name: "pull of a run that purge would delete", pull: true, copies: []rundb.Copy{good}, change: func(cfg *Config, _ *Env) { two := 2; cfg.Sites[1].Purge = &two }, want: Skip, what: "copy"},
		{name: "the same, named by an operator", pull: true, copies: []rundb.Copy{good}, change: func(cfg *Config, e *Env) { two := 2; cfg.Sites[1].Purge = &two; e.Only.Number = &one }, want: Do, what: "copy"},
		{name: "there already", copies: []rundb.Copy{good, rawAt("B", rundb.Transferred)}, want: Skip, what: "copy"},
		{name: "waits for verification", copies: []rundb.Copy{good, rawAt("B", rundb.Verifying)}, want: Wait, what: "copy"},
		{name: "verification is ours", copies: []rundb.Copy{good, rawAt("B", rundb.Verifying)}, change: func(cfg *Config, _ *Env) { cfg.Sites[1].Verify = verifyRemote }, want: Do, what: "verify"},
		{name: "C12: failed, not due", copies: []rundb.Copy{good, rawAt("B", rundb.Failed, failed(ClassSpace, time.Minute))}, want: Wait, what: "retry"},
		{name: "failed, due", copies: []rundb.Copy{good, rawAt("B", rundb.Failed, failed(ClassSpace, -time.Second))}, want: Do, what: "retry"},
		{name: "failed, next try beyond the longest backoff", copies: []rundb.Copy{good, rawAt("B", rundb.Failed, failed(ClassSpace, 30*24*time.Hour))}, want: Do, what: "retry"},
		{name: "failed, not due, named by an operator", copies: []rundb.Copy{good, rawAt("B", rundb.Failed, failed(ClassSpace, time.Minute))}, change: func(_ *Config, e *Env) { e.Only.Number = &one }, want: Do, what: "retry"},
		{name: "failed, by other software", copies: []rundb.Copy{good, rawAt("B", rundb.Failed)}, want: Wait, what: "copy"},
		{name: "under way, by other software", copies: []rundb.Copy{good, rawAt("B", rundb.Transferring)}, want: Wait, what: "copy"},
		{name: "under way, by another site", pull: true, copies: []rundb.Copy{good, rawAt("B", rundb.Transferring, claimed("A", "machine-A", "x", 1, time.Hour))}, want: Wait, what: "copy"},
		{name: "under way by another site that is silent for a day", pull: true, copies: []rundb.Copy{good, rawAt("B", rundb.Transferring, claimed("A", "machine-A", "x", 1, 25*time.Hour))}, change: func(_ *Config, e *Env) { e.Once = true }, want: Do, what: "take over"},
		{name: "ours, process of this boot gone", copies: []rundb.Copy{good, rawAt("B", rundb.Transferring, claimed("A", "machine-A", "boot", noProcess, time.Second))}, want: Do, what: "take over"},
		{name: "ours, of another boot, just heard of", copies: []rundb.Copy{good, rawAt("B", rundb.Transferring, claimed("A", "machine-A", "other", noProcess, time.Second))}, want: Wait, what: "take over"},
		{name: "C17: ours, on another machine, clock hours off: only watching counts", copies: []rundb.Copy{good, rawAt("B", rundb.Transferring, claimed("A", "elsewhere", "x", 1, 6*time.Hour))}, want: Wait, what: "take over"},
		{name: "ours, silent by the database's clock, --once", copies: []rundb.Copy{good, rawAt("B", rundb.Transferring, claimed("A", "elsewhere", "x", 1, 16*time.Minute))}, change: func(_ *Config, e *Env) { e.Once = true }, want: Do, what: "take over"},
		{name: "ours, heard of a while ago, --once", copies: []rundb.Copy{good, rawAt("B", rundb.Transferring, claimed("A", "elsewhere", "x", 1, 14*time.Minute))}, change: func(_ *Config, e *Env) { e.Once = true }, want: Wait, what: "take over"},
		{name: "destination marked for deletion", copies: []rundb.Copy{good, rawAt("B", rundb.Purging)}, want: Skip, what: "copy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := twoSites()
			self, remote := "A", cfg.Sites[1]
			if tc.pull {
				self, remote = "B", cfg.Sites[0]
			}
			env := envAt(t, cfg, self, nil)
			if tc.change != nil {
				tc.change(cfg, env)
			}
			d := copyTask{push: !tc.pull, methods: caxMethods()}.decide(env, aRun(t, tc.copies...), rundb.Key{Type: rundb.Raw}, remote, now)
			if d.Verb != tc.want || d.What != tc.what {
				t.Errorf("decided %s %s (%s), want %s %s", d.Verb, d.What, d.Why, tc.want, tc.what)
			}
			if d.Why == "" {
				t.Error("no reason given")
			}
			if d.Verb == Call && d.Next == "" {
				t.Error("a person is called and not told what to do")
			}
		})
	}
}

// TestTakeOverAfterWatching: the daemon takes over only after it has itself seen
// the same sequence number for policy.lease_expired, on its own clock.
func TestTakeOverAfterWatching(t *testing.T) {
	cfg := twoSites()
	env := envAt(t, cfg, "A", nil)
	var elapsed time.Duration
	env.Clock.Elapsed = func() time.Duration { return elapsed }
	r := aRun(t, rawAt("A", rundb.Transferred), rawAt("B", rundb.Transferring, claimed("A", "elsewhere", "x", 1, 10*time.Hour)))
	look := func() Verb {
		return copyTask{push: true}.decide(env, r, rundb.Key{Type: rundb.Raw}, cfg.Sites[1], now).Verb
	}
	step := env.Policy.LeaseExpired / 2
	for i, want := range []Verb{Wait, Wait, Do} {
		if got := look(); got != want {
			t.Errorf("after %v: %s, want %s", elapsed, got, want)
		}
		if i < 2 {
			elapsed += step
		}
	}
	r.Data[1].Claim.Seq++
	if got := look(); got != Wait {
		t.Errorf("after a heartbeat: %s, want wait", got)
	}
}

// TestPullRotatesSources: after a failed pull the next source comes first.
func TestPullRotatesSources(t *testing.T) {
	cfg := twoSites()
	cfg.Sites = append(cfg.Sites, &Site{Name: "C", Method: MethodSCP, Hostname: "c.example", DirRaw: "/c/raw"})
	cfg.Sites[1].DownloadOptions = []string{"A", "C"}
	env := envAt(t, cfg, "B", nil)
	c := rawAt("C", rundb.Transferred)
	c.Location = "/c/raw/160315_1432"
	for tries, want := range map[int]string{0: "A", 1: "C", 2: "A"} {
		mine := rawAt("B", rundb.Failed, failed(ClassTransient, -time.Second))
		mine.Error.Tries = tries
		actions := copyTask{}.planRun(env, aRun(t, rawAt("A", rundb.Transferred), c, mine), now)
		last := actions[len(actions)-1]
		if last.Verb != Do || last.From != want {
			t.Errorf("after %d tries: %s from %s, want %s", tries, last.Verb, last.From, want)
		}
	}
}

func TestFailureBacksOff(t *testing.T) {
	p := Policy{}.WithDefaults()
	var before *rundb.CopyError
	for tries := 1; tries <= 40; tries++ {
		e := p.failure(before, errConflict, now)
		wait := e.NextTry.Sub(now)
		if e.Tries != tries || e.Class != ClassConflict || !e.Since.Equal(now) {
			t.Fatalf("try %d: %+v", tries, e)
		}
		if wait < p.BackoffMin*7/10 || wait > p.BackoffMax {
			t.Fatalf("try %d: wait %v is not within %v and %v", tries, wait, p.BackoffMin, p.BackoffMax)
		}
		if p.due(e, now) || !p.due(e, now.Add(wait)) {
			t.Fatalf("try %d: due at the wrong time", tries)
		}
		before = e
	}
}

// TestC18Faraway: what other software began in a catalogue, or on tape, and never finished
// is begun anew, though no files of it can be looked at.
func TestC18Faraway(t *testing.T) {
	now := time.Date(2017, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, method := range []Method{MethodRucio, MethodTSM} {
		for name, tc := range map[string]struct {
			status rundb.Status
			age    time.Duration
			want   Verb
		}{
			"just begun":         {rundb.Transferring, time.Hour, Wait},
			"begun two days ago": {rundb.Transferring, 48 * time.Hour, Do},
			"failed":             {rundb.Failed, time.Hour, Do},
			"to be repeated":     {rundb.RSEReupload, time.Hour, Do},
			"no quota":           {rundb.RSEQuota, time.Hour, Do},
		} {
			t.Run(string(method)+"/"+name, func(t *testing.T) {
				cfg := &Config{Sites: []*Site{{Name: "A", DirRaw: "/a", DirTSM: "/t", UploadOptions: []string{"far"}}, {Name: "far", Method: method, DirRaw: "/x", RucioUploadRSE: "R"}}}
				env := NewEnv(cfg, cfg.Sites[0], nil, rundb.Owner{})
				dst := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "far"}, Status: tc.status, Location: "n/a", Created: now.Add(-tc.age)}
				mine := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "A"}, Status: rundb.Transferred, Location: "/a/" + runName}
				r := &rundb.Run{Name: runName, Detector: "tpc", Start: now, Data: []rundb.Copy{mine, dst}}
				d := copyTask{push: true}.decide(env, r, rundb.Key{Type: rundb.Raw}, cfg.Sites[1], now)
				if d.Verb != tc.want {
					t.Errorf("%s: %s, want %s", d.Verb, d, tc.want)
				}
			})
		}
	}
}
