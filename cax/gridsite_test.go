package cax

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/gfal"
	"github.com/cax-go/cax/transfer/gfal/gfaltest"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/cax-go/cax/tsm/tsmtest"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestMain makes this test binary be the programs of gfal2-util when it is called so.
func TestMain(m *testing.M) {
	gfaltest.Main()
	tsmtest.Main()
	os.Exit(m.Run())
}

// newGrid is a lab in which B is storage of the grid, and C, which pulls from it, a
// site with disks.
func newGrid(t *testing.T, change ...func(*Config)) *lab {
	t.Helper()
	t.Setenv("PATH", gfaltest.Install(t, gfal.Programs())+":"+os.Getenv("PATH"))
	faults(t)
	return newLab(t, append([]func(*Config){func(cfg *Config) {
		b := cfg.Sites[1]
		b.Method, b.Hostname = MethodGfal, "srm://se.example:8443/srm/managerv2?SFN="
		dir := filepath.Join(t.TempDir(), "C", "raw")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		cfg.Sites = append(cfg.Sites, &Site{Name: "C", Method: MethodLocal, DirRaw: dir, DownloadOptions: []string{"B"}})
	}}, change...)...)
}

// faults makes the stand-in fail from now on.
func faults(t *testing.T, fs ...string) {
	t.Helper()
	t.Setenv(gfaltest.Faults, strings.Join(fs, " "))
}

// field is a field of the evidence of the last event at a site with this name.
func (l *lab) field(site, what, name string) any {
	l.t.Helper()
	var v any
	for e, err := range l.store.Events(l.t.Context(), l.run().ID) {
		if err != nil {
			l.t.Fatal(err)
		}
		for _, f := range e.Evidence {
			if e.Key.Host == site && e.What == what && f.Key == name {
				v = f.Value
			}
		}
	}
	return v
}

// TestC11GridCopy: C11: what is pushed to storage of the grid, where nothing of ours
// runs, is verified there by who pushes and becomes usable; the record says by what.
// Who pulls it has the same bytes.
func TestC11GridCopy(t *testing.T) {
	l := newGrid(t)
	l.register()
	l.must("A")
	l.good()
	if b := l.raw("B"); b.Evidence != rundb.Cached || b.VerifiedAt.IsZero() {
		t.Errorf("evidence %q at %v, want cached", b.Evidence, b.VerifiedAt)
	}
	if by := l.field("B", "transferred", "read_back_by"); by != "adler32" {
		t.Errorf("the event says that it was compared by %v, want adler32", by)
	}
	l.must("C")
	c := l.raw("C")
	if c.Status != rundb.Transferred || c.Checksum != l.raw("A").Checksum {
		t.Errorf("the record of C is %+v", c)
	}
	transfertest.SameTree(t, l.raw("A").Location, c.Location)
}

// TestC11GridVerifying: a copy that the old tool left in verifying, where it would have
// stayed, is verified, or sent again if it is not what it should be.
func TestC11GridVerifying(t *testing.T) {
	for name, tc := range map[string]struct {
		damage bool
		sent   int64
	}{"good": {}, "damaged": {damage: true, sent: 1}} {
		t.Run(name, func(t *testing.T) {
			l := newGrid(t)
			l.register()
			l.must("A")
			l.set("B", bson.E{Key: "status", Value: string(rundb.Verifying)}, bson.E{Key: "checksum", Value: nil},
				bson.E{Key: "verified_at", Value: nil}, bson.E{Key: "evidence", Value: nil})
			if tc.damage {
				flip(t, l.raw("B").Location+"/big.zip")
			}
			l.must("A")
			l.good()
			if sent, _ := l.field("B", "transferred", "sent").(int64); (sent > 0) != tc.damage {
				t.Errorf("%d bytes were sent", sent)
			}
		})
	}
}

// TestGridFailures: what fails at the grid is an error with its class, tried again, and
// never transferred.
func TestGridFailures(t *testing.T) {
	for name, tc := range map[string]struct{ fault, class string }{
		"damaged there":   {"rot:a.zip", ClassCorrupt},
		"damaged on way":  {"garble:a.zip", ClassTransient},
		"no space":        {"fail:a.zip:28", ClassSpace},
		"no permission":   {"fail:a.zip:13", ClassPermission},
		"nothing allowed": {"deny", ClassPermission},
	} {
		t.Run(name, func(t *testing.T) {
			l := newGrid(t)
			l.register()
			faults(t, tc.fault)
			if _, err := l.once("A"); err == nil {
				t.Error("no error")
			}
			if b := l.raw("B"); b.Status != rundb.Failed || b.Error == nil || b.Error.Class != tc.class {
				t.Fatalf("the record of B is %s, %+v; want an error of class %s", b.Status, b.Error, tc.class)
			}
			faults(t)
			l.due("B")
			l.must("A")
			l.good()
		})
	}
}

// TestGridVerify: acting for the storage, a copy is compared by the sums that it tells.
// That refreshes nothing; damage is found, and the copy is then sent again.
func TestGridVerify(t *testing.T) {
	l := newGrid(t)
	l.register()
	l.must("A")
	was := l.raw("B")
	if err := l.env("B").Reverify(t.Context(), l.run(), was, false); err != nil {
		t.Fatal(err)
	}
	if now := l.raw("B"); !now.VerifiedAt.Equal(was.VerifiedAt) || now.Status != rundb.Transferred {
		t.Errorf("the record is %+v, want it verified when it was, %v", now, was.VerifiedAt)
	}
	if by := l.field("B", "verified", "by"); by != "adler32" {
		t.Errorf("the event says that it was compared by %v, want adler32", by)
	}
	flip(t, was.Location+"/big.zip")
	if err := l.env("B").Reverify(t.Context(), l.run(), was, false); !errors.Is(err, transfer.ErrCorrupt) && classify(err) != ClassCorrupt {
		t.Errorf("error %v, want one of class corrupt", err)
	}
	if now := l.raw("B"); now.Status != rundb.Failed || now.Error == nil || now.Error.Class != ClassCorrupt {
		t.Errorf("the record is %+v, want an error", now)
	}
	l.due("B")
	l.must("A")
	l.good()
}

// TestGridRemove: acting for the storage, a copy is deleted there: in record and in
// bytes, at once; not if too little is left, and not on this machine.
func TestGridRemove(t *testing.T) {
	l := newGrid(t)
	l.register()
	l.must("A")
	log := filepath.Join(t.TempDir(), "log")
	faults(t, "log:"+log)
	k := rundb.Key{Type: rundb.Raw, Host: "B"}
	e := l.env("B")
	w := Removal{Task: "rm", Why: "test", Keep: e.TrashTime()}
	if err := e.Remove(t.Context(), l.run().ID, k, w); !errors.Is(err, ErrNotNeeded) {
		t.Errorf("with one copy elsewhere: error %v, want ErrNotNeeded", err)
	}
	w.Force = true
	if err := e.Remove(t.Context(), l.run().ID, k, w); err != nil {
		t.Fatal(err)
	}
	if _, ok := l.run().Copy(k); ok {
		t.Error("the record is still there")
	}
	if es, err := os.ReadDir(l.site("B").DirRaw); err != nil || len(es) > 0 {
		t.Errorf("left at B: %v, %v", es, err)
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "gfal-rm ") {
		t.Errorf("no gfal-rm in %s, %v", text, err)
	}
}

// TestGridTrash: a deletion that died before its last step is finished by EmptyTrash.
func TestGridTrash(t *testing.T) {
	l := newGrid(t)
	r := l.register()
	l.must("A")
	e := l.env("B")
	k := rundb.Key{Type: rundb.Raw, Host: "B"}
	// As if kept: what is then left is what a death between record and bytes leaves.
	if err := e.Remove(t.Context(), r.ID, k, Removal{Task: "rm", Why: "test", Force: true, Keep: time.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	l.must("B")
	if es, err := os.ReadDir(l.site("B").DirRaw); err != nil || len(es) > 0 {
		t.Errorf("left at B: %v, %v", es, err)
	}
}

// TestGridTasks: what needs disks of this machine does not run for storage of the grid.
func TestGridTasks(t *testing.T) {
	l := newGrid(t)
	e := l.env("B")
	var names []string
	for _, task := range e.tasks() {
		names = append(names, task.Name())
	}
	for _, n := range []string{"SetPermission", "Scrub", "Reconcile"} {
		if slices.Contains(names, n) {
			t.Errorf("%s runs", n)
		}
	}
	if !slices.Contains(names, "CopyPush") || !slices.Contains(names, "EmptyTrash") {
		t.Errorf("tasks %v", names)
	}
	_, rerr := e.Register(t.Context(), Registration{Path: l.site("B").DirRaw + "/x"})
	_, cerr := e.Reconcile(t.Context())
	_, merr := e.Move(t.Context(), "/a", "/b")
	for what, err := range map[string]error{"register": rerr, "reconcile": cerr, "move": merr} {
		if !errors.Is(err, transfer.ErrUnsupported) {
			t.Errorf("%s: error %v, want ErrUnsupported", what, err)
		}
	}
}

// TestGridAddress: an address that cannot be one fails what needs it, and reaches no
// disk of this machine.
func TestGridAddress(t *testing.T) {
	l := newGrid(t, func(cfg *Config) { cfg.Sites[1].Hostname = "se.example" })
	b := l.env("B").remotes.local()
	if err := b.Remove(t.Context(), l.site("B").DirRaw); !errors.Is(err, transfer.ErrInvalid) {
		t.Errorf("error %v, want ErrInvalid", err)
	}
	if _, err := os.Stat(l.site("B").DirRaw); err != nil {
		t.Error(err)
	}
}

func TestGridCheck(t *testing.T) {
	dirs := []string{"B connection ok", "B directory ok", "B write ok", "B directory ok", "B write ok"}
	for name, tc := range map[string]struct {
		change func(*testing.T, *Config)
		want   []string
	}{
		"good": {nil, slices.Concat([]string{"B grid programs ok", "B certificate skipped"}, dirs)},
		"no programs": {func(t *testing.T, _ *Config) { t.Setenv("PATH", t.TempDir()) },
			[]string{"B grid programs fail"}},
		"no such certificate": {func(t *testing.T, cfg *Config) { cfg.Sites[0].GridCert = t.TempDir() + "/none" },
			[]string{"B grid programs ok", "B certificate fail"}},
		"refused": {func(t *testing.T, _ *Config) { faults(t, "deny") },
			[]string{"B grid programs ok", "B certificate skipped", "B connection ok", "B directory fail", "B directory fail"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newGrid(t)
			if tc.change != nil {
				tc.change(t, l.cfg)
			}
			var got []string
			for _, f := range found(t, l.env("A")) {
				if strings.HasPrefix(f, "B ") {
					got = append(got, f)
				}
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			empty(t, l.cfg)
		})
	}
}

func TestCertFinding(t *testing.T) {
	for left, want := range map[time.Duration]Grade{-time.Second: CheckFail, time.Hour: CheckWarn, 10 * day: CheckOK} {
		if f := certFinding(gfal.Certificate{Subject: "CN=cax", Until: now.Add(left)}, now); f.Grade != want || f.Text == "" {
			t.Errorf("%v left: %+v, want %s", left, f, want)
		}
	}
}

// TestGridOptions: certificate and streams are those of the site that acts, else those
// of the storage.
func TestGridOptions(t *testing.T) {
	log := ""
	for name, tc := range map[string]struct {
		a, b Site
		want []string
	}{
		"ours":   {Site{GridCert: "/ours", NStreams: 3}, Site{GridCert: "/theirs", NStreams: 5}, []string{" -n 3 ", "proxy=/ours"}},
		"theirs": {Site{}, Site{GridCert: "/theirs", NStreams: 5}, []string{" -n 5 ", "proxy=/theirs"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newGrid(t, func(cfg *Config) {
				cfg.Sites[0].GridCert, cfg.Sites[0].NStreams = tc.a.GridCert, tc.a.NStreams
				cfg.Sites[1].GridCert, cfg.Sites[1].NStreams = tc.b.GridCert, tc.b.NStreams
			})
			log = filepath.Join(t.TempDir(), "log")
			faults(t, "log:"+log)
			l.register()
			l.must("A")
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if !strings.HasPrefix(line, "gfal-copy ") {
					continue
				}
				for _, w := range tc.want {
					if !strings.Contains(line, w) {
						t.Errorf("no %q in %s", w, line)
					}
				}
			}
		})
	}
}

// TestC18GridStalled: C18: what the old tool began at storage of the grid and left there
// is freed by who pushes to it, and sent anew.
func TestC18GridStalled(t *testing.T) {
	l := newGrid(t)
	l.stale(rundb.Transferring, 30*time.Hour)
	transfertest.MakeTree(t, l.raw("B").Location, map[string]string{"a.zip": "al"})
	age(t, l.raw("B").Location, 29*time.Hour)
	env, pass := l.watcher("A")
	l.stalledCycle(env)
	pass(6 * time.Minute)
	l.stalledCycle(env)
	if b := l.raw("B"); b.Status != rundb.Failed || b.Error == nil || b.Error.Class != ClassStalled {
		t.Fatalf("the record of B is %+v, want it freed", b)
	}
	l.must("A")
	l.good()
	if n := len(l.asides("B")); n != 1 {
		t.Errorf("%d folders aside, want what was there", n)
	}
}
