package cax

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
	zapobserver "go.uber.org/zap/zaptest/observer"
)

// atOnce makes a lab in which nothing is too young to be mended.
func atOnce(c *Config) { c.Policy.Settled = time.Nanosecond }

// newPair is a lab with one dataset that is good at A and at B.
func newPair(t *testing.T, change ...func(*Config)) *lab {
	t.Helper()
	l := newLab(t, append([]func(*Config){atOnce}, change...)...)
	l.register()
	l.must("A")
	l.must("B")
	l.good()
	return l
}

// reconcile gives the findings at a site whose kind is not among those left out.
func (l *lab) reconcile(site string) []Discrepancy {
	l.t.Helper()
	fs, err := l.env(site).Reconcile(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return fs
}

// only fails the test unless there is one finding, of that kind and verb.
func (l *lab) only(site string, k DiscrepancyKind, v Verb, m Remedy) Discrepancy {
	l.t.Helper()
	fs := l.reconcile(site)
	if len(fs) != 1 || fs[0].Kind != k || fs[0].Verb != v || fs[0].Remedy != m {
		l.t.Fatalf("found %v, want one %s to %s (%s)", fs, k, v, m)
	}
	if fs[0].Why == "" || fs[0].String() == "" {
		l.t.Errorf("it says nothing: %+v", fs[0])
	}
	return fs[0]
}

func (l *lab) mend(site string, f Discrepancy) {
	l.t.Helper()
	dry := l.env(site)
	dry.DryRun = true
	before := l.tree(site)
	if err := dry.Mend(l.t.Context(), f); err != nil {
		l.t.Errorf("dry run: %v", err)
	}
	if diff := cmp.Diff(before, l.tree(site)); diff != "" {
		l.t.Errorf("a dry run changed the disk:\n%s", diff)
	}
	if err := l.env(site).Mend(l.t.Context(), f); err != nil {
		l.t.Fatalf("mend %v: %v", f, err)
	}
}

// tree lists all that is at a site.
func (l *lab) tree(site string) (all []string) {
	l.t.Helper()
	root := filepath.Dir(l.site(site).DirRaw)
	err := filepath.WalkDir(root, func(p string, _ os.DirEntry, err error) error {
		all = append(all, strings.TrimPrefix(p, root))
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return all
}

// agrees fails the test if anything is found that a person or a repair has to see to.
func (l *lab) agrees(site string) {
	l.t.Helper()
	for _, f := range l.reconcile(site) {
		if f.Verb == Call || f.Verb == Do {
			l.t.Errorf("still found at %s: %s", site, f)
		}
	}
}

func (l *lab) did(site, what string) {
	l.t.Helper()
	for e, err := range l.store.Events(l.t.Context(), rundb.ID{}) {
		if err != nil {
			l.t.Fatal(err)
		}
		if e.Key.Host == site && e.What == what {
			return
		}
	}
	l.t.Errorf("no event %q at %s", what, site)
}

func write(t *testing.T, p, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func isThere(p string) bool {
	_, err := os.Lstat(p)
	return err == nil
}

func TestReconcileNothing(t *testing.T) {
	l := newPair(t)
	for _, s := range []string{"A", "B"} {
		if fs := l.reconcile(s); len(fs) != 0 {
			t.Errorf("%s: %v", s, fs)
		}
	}
}

// TestReconcileStray: C34: a stray has its full path, and is moved, never unlinked.
func TestReconcileStray(t *testing.T) {
	l := newPair(t)
	dir := l.site("B").DirRaw
	write(t, dir+"/170101_0000/sub/x", "left by somebody")
	write(t, dir+"/."+runName+".cax-manifest.json", "not a dataset")
	write(t, l.site("B").DirProcessed+"/pax_v6/.note", "hidden")
	fs := l.reconcile("B")
	i := slices.IndexFunc(fs, func(f Discrepancy) bool { return f.Kind == Stray })
	if i < 0 || len(fs) != 2 {
		t.Fatalf("found %v, want a stray and a hidden file", fs)
	}
	f := fs[i]
	if f.Path != dir+"/170101_0000" || f.Bytes != 16 || f.Files != 1 || f.Verb != Do || f.Remedy != Quarantine {
		t.Errorf("%+v", f)
	}
	l.mend("B", f)
	date := time.Now().UTC().Format("2006-01-02")
	to := dir + "/.cax-quarantine/" + date + "/170101_0000"
	if b, err := os.ReadFile(to + "/sub/x"); err != nil || string(b) != "left by somebody" {
		t.Errorf("in quarantine: %q, %v", b, err)
	}
	l.did("B", "quarantined")
	l.agrees("B")
	// A second one of that name on that day.
	write(t, dir+"/170101_0000", "a file now")
	f = l.find("B", Stray)
	l.mend("B", f)
	if !isThere(to + "~1") {
		t.Errorf("the second one is not beside the first: %v", l.tree("B"))
	}
	if err := l.env("B").Mend(t.Context(), f); !errors.Is(err, ErrNotNeeded) {
		t.Errorf("once more: %v", err)
	}
}

func (l *lab) find(site string, k DiscrepancyKind) Discrepancy {
	l.t.Helper()
	for _, f := range l.reconcile(site) {
		if f.Kind == k {
			return f
		}
	}
	l.t.Fatalf("no %s at %s", k, site)
	return Discrepancy{}
}

func TestReconcileStrayRefused(t *testing.T) {
	ctx := t.Context()
	big := transfertest.Random(1, 1<<20)
	for _, tc := range []struct {
		name string
		with func(l *lab)
		want string
	}{
		{"more than a tenth", func(l *lab) { write(t, l.site("B").DirRaw+"/170101_0000", big) }, "more than a tenth"},
		{"too young", func(l *lab) {
			l.cfg.Policy.Settled = time.Hour
			write(t, l.site("B").DirRaw+"/170101_0000", "x")
		}, "changed within"},
		{"no record of the site", func(l *lab) {
			write(t, l.site("B").DirProcessed+"/170101_0000", "x")
			if err := l.store.Remove(ctx, l.run().ID, l.raw("B"), "test"); err != nil {
				t.Fatal(err)
			}
		}, "names no copy of B"},
		{"a run that cannot be read", func(l *lab) {
			write(t, l.site("B").DirRaw+"/170101_0000", "x")
			l.store.Driver = &unreadableRun{l.store.Driver}
		}, "could not be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newPair(t)
			tc.with(l)
			e := l.env("B")
			fs, err := e.Reconcile(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(fs, func(f Discrepancy) bool {
				return f.Kind == Stray && strings.HasSuffix(f.Path, "170101_0000")
			})
			if i < 0 || fs[i].Verb == Do || !strings.Contains(fs[i].Refused, tc.want) {
				t.Fatalf("found %v, want a refused stray", fs)
			}
			if err := e.MoveAway(t.Context(), fs[i]); err == nil {
				t.Error("moved away")
			}
			if !isThere(fs[i].Path) {
				t.Error("it is gone")
			}
		})
	}
}

// unreadableRun is a driver that has one more run, which cannot be decoded.
type unreadableRun struct{ rundb.Driver }

func (u *unreadableRun) Find(ctx context.Context, q *rundb.Query) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		for d, err := range u.Driver.Find(ctx, q) {
			if !yield(d, err) {
				return
			}
		}
		yield(bson.Raw{5, 0, 0, 0, 0}, nil)
	}
}

// TestReconcileSharedStorage: what a site on the same disks has on record is no stray.
func TestReconcileSharedStorage(t *testing.T) {
	l := newPair(t, func(c *Config) {
		twin := *c.Sites[1]
		twin.Name = "B2"
		c.Sites = append(c.Sites, &twin)
	})
	for _, f := range l.reconcile("B2") {
		if f.Kind == Stray {
			t.Errorf("B2: %s", f)
		}
	}
}

func TestReconcileLost(t *testing.T) {
	l := newPair(t)
	dir := l.site("B").DirRaw
	write(t, dir+"/other", "x") // the directory is not empty
	if err := os.Rename(dir+"/"+runName, dir+"/../away"); err != nil {
		t.Fatal(err)
	}
	f := l.find("B", Lost)
	if f.Verb != Do || f.Remedy != MarkMissing || f.Name != runName {
		t.Fatalf("%+v", f)
	}
	l.mend("B", f)
	if c := l.raw("B"); c.Status != rundb.Failed || c.Error == nil || c.Error.Class != ClassMissing {
		t.Errorf("the record is %+v", c)
	}
	l.did("B", "missing")
	if err := l.env("B").Mend(t.Context(), f); !errors.Is(err, ErrNotNeeded) {
		t.Errorf("once more: %v", err)
	}
	// And it comes again.
	l.due("B")
	l.must("A")
	l.must("B")
	if c := l.raw("B"); c.Status != rundb.Transferred {
		t.Errorf("after the next cycles: %+v", c)
	}
}

// TestReconcileUnmounted: a directory that is away, or shows nothing, says nothing
// about its copies.
func TestReconcileUnmounted(t *testing.T) {
	for name, away := range map[string]func(dir string) error{
		"missing": func(dir string) error { return os.Rename(dir, dir+"-away") },
		"empty":   func(dir string) error { return errors.Join(os.Rename(dir, dir+"-away"), os.Mkdir(dir, 0o755)) },
		"hidden only": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+"-away"), os.Mkdir(dir, 0o755), os.WriteFile(dir+"/.keep", nil, 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newPair(t)
			if err := away(l.site("B").DirRaw); err != nil {
				t.Fatal(err)
			}
			f := l.find("B", Unmounted)
			if f.Verb != Call || f.Path != l.site("B").DirRaw {
				t.Errorf("%+v", f)
			}
			for _, f := range l.reconcile("B") {
				if f.Kind == Lost {
					t.Errorf("called lost: %s", f)
				}
			}
			if err := l.env("B").Mend(t.Context(), f); err == nil {
				t.Error("mended")
			}
		})
	}
}

func TestReconcileWrongSize(t *testing.T) {
	l := newPair(t)
	c := l.raw("B")
	write(t, c.Location+"/a.zip", "alph")
	f := l.only("B", WrongSize, Do, ReadAgain)
	l.mend("B", f)
	if c := l.raw("B"); c.Status != rundb.Verifying {
		t.Errorf("the record is %+v", c)
	}
	if _, err := l.once("B"); err == nil {
		t.Error("AddChecksum found it good")
	}
	if c := l.raw("B"); c.Status != rundb.Failed || c.Error.Class != ClassCorrupt {
		t.Errorf("after AddChecksum: %+v", c)
	}
}

// TestReconcileDuplicates is C23 on the records: of several of one place one stays,
// that which everybody uses; records of two places are a person's.
func TestReconcileDuplicates(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(c *rundb.Copy)
		verb   Verb
	}{
		{"identical", func(*rundb.Copy) {}, Do},
		{"one is an error", func(c *rundb.Copy) { c.Status = rundb.Failed }, Do},
		{"created later", func(c *rundb.Copy) { c.Created = c.Created.Add(time.Hour) }, Do},
		{"two places", func(c *rundb.Copy) { c.Location += "_2" }, Call},
		{"two checksums", func(c *rundb.Copy) { c.Checksum = strings.Repeat("0", 128) }, Call},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newPair(t)
			was := l.raw("B")
			twin := was
			tc.change(&twin)
			for range 2 {
				if err := l.store.Driver.Update(t.Context(), &rundb.Update{Run: l.run().ID, Push: &twin}); err != nil {
					t.Fatal(err)
				}
			}
			f := l.only("B", Duplicate, tc.verb, map[Verb]Remedy{Do: DropRecord}[tc.verb])
			if tc.verb == Call {
				if twin.Location != was.Location {
					must(t, os.Rename(was.Location, twin.Location)) // which is no folder to look into
					for _, f := range l.reconcile("B") {
						if f.Kind == Stray {
							t.Errorf("%s", f)
						}
					}
				}
				return
			}
			l.mend("B", f)
			r := l.run()
			if len(r.Duplicates()) != 0 {
				t.Errorf("still %d records", len(r.Data))
			}
			if diff := cmp.Diff(was, l.raw("B")); diff != "" {
				t.Errorf("what stays (-want +got):\n%s", diff)
			}
			if len(r.Deleted) != 0 {
				t.Errorf("a copy counts as deleted: %v", r.Deleted)
			}
			l.did("B", "record dropped")
			l.agrees("B")
		})
	}
}

func TestReconcileParts(t *testing.T) {
	l := newPair(t)
	dir := l.site("B").DirRaw
	beside := dir + "/" + transfer.StagingName(runName, "0123")
	alone := dir + "/" + transfer.StagingName("170101_0000", "4567")
	known := dir + "/" + transfer.StagingName(runName, "89ab")
	for _, p := range []string{beside, alone, known} {
		write(t, p+"/data/x", "a part")
	}
	c := l.raw("A")
	c.Key.Type, c.Host, c.Status, c.Location = rundb.Untriggered, "B", rundb.Failed, dir+"/elsewhere"
	c.Error = &rundb.CopyError{Class: ClassTransient, Left: rundb.Leftovers{Adopt: []string{"89ab"}}}
	if err := l.store.Register(t.Context(), l.run().ID, c); err != nil {
		t.Fatal(err)
	}
	got := map[string]Remedy{}
	for _, f := range l.reconcile("B") {
		got[f.Path] = f.Remedy
		l.mend("B", f)
	}
	if diff := cmp.Diff(map[string]Remedy{beside: RemovePart, alone: Quarantine}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if isThere(beside) || isThere(alone) || !isThere(known) {
		t.Errorf("left: %v", l.tree("B"))
	}
	l.did("B", "leftover removed")
	l.did("B", "quarantined")

	l.cfg.Policy.Settled = time.Hour
	write(t, beside+"/data/x", "a part")
	if f := l.find("B", OrphanPart); f.Verb != Wait {
		t.Errorf("a young one: %s", f)
	}
}

func TestReconcileAside(t *testing.T) {
	l := newPair(t, func(c *Config) { c.Policy.MinCopies, c.Policy.MinDomains = 1, 1 })
	dir := l.site("B").DirRaw
	name := func(at time.Time) string {
		return dir + "/." + runName + ".cax-aside-" + at.UTC().Format("20060102T150405.000000000Z") + "-0123"
	}
	old := name(time.Now().Add(-8 * 24 * time.Hour))
	write(t, old, "old")
	l.mend("B", l.only("B", OldAside, Do, RemovePart))
	if isThere(old) {
		t.Error("it is still there")
	}
	write(t, old, "old")
	l.cfg.Policy.MinCopies = 2
	if f := l.only("B", OldAside, Wait, ""); !strings.Contains(f.Why, "2 copies") {
		t.Errorf("with one copy elsewhere: %s", f)
	}
	l.cfg.Policy.MinCopies = 1
	if err := os.Rename(old, name(time.Now().Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	l.only("B", OldAside, Wait, "")
}

func TestReconcileTrash(t *testing.T) {
	l := newPair(t)
	dir := l.site("B").DirRaw + "/" + transfer.TrashName("170101_0000", "0123")
	write(t, dir+"/data", "x")
	l.only("B", InTrash, Call, "")
	write(t, dir+"/info.json", `{"location": "`+l.site("B").DirRaw+`/170101_0000", "claim": "0123"}`)
	l.only("B", InTrash, Wait, "")
	for _, f := range []string{"/info.json", "/data"} {
		if err := os.Remove(dir + f); err != nil {
			t.Fatal(err)
		}
	}
	l.mend("B", l.only("B", InTrash, Do, RemovePart))
	l.agrees("B")
}

func TestReconcileClaims(t *testing.T) {
	l := newPair(t)
	dead := l.env("B").Owner
	dead.PID = 1 << 30
	c := l.raw("B")
	claim := rundb.Claim{Kind: rundb.ClaimVerify, Owner: dead}
	held, err := l.store.Reclaim(t.Context(), l.run().ID, c, rundb.Verifying, claim)
	if err != nil {
		t.Fatal(err)
	}
	l.only("B", DeadClaim, Wait, "")
	if err := held.Finish(t.Context(), bson.D{{Key: "status", Value: string(rundb.Purging)}}); err != nil {
		t.Fatal(err)
	}
	l.only("B", HalfDeleted, Wait, "")
	// A claim that lives is nobody's business.
	claim.Owner = l.env("B").Owner
	if _, err := l.store.Reclaim(t.Context(), l.run().ID, l.raw("B"), rundb.Verifying, claim); err != nil {
		t.Fatal(err)
	}
	if fs := l.reconcile("B"); len(fs) != 0 {
		t.Errorf("found %v", fs)
	}
}

func TestReconcileOutside(t *testing.T) {
	l := newPair(t)
	if err := l.store.CompareAndSet(t.Context(), l.run().ID, l.raw("B"), bson.D{{Key: "location", Value: "/elsewhere/x"}}); err != nil {
		t.Fatal(err)
	}
	fs := l.reconcile("B")
	if !slices.ContainsFunc(fs, func(f Discrepancy) bool { return f.Kind == Outside && f.Verb == Call }) {
		t.Errorf("found %v", fs)
	}
}

// TestReconcileDirectories: directories of the configuration inside others are no
// strays, nor is anything where the minitrees are.
func TestReconcileDirectories(t *testing.T) {
	l := newPair(t)
	b := l.site("B")
	b.DirMinitrees = b.DirRaw + "/mini/trees"
	write(t, b.DirMinitrees+"/x", "x")
	if fs := l.reconcile("B"); len(fs) != 0 {
		t.Errorf("found %v", fs)
	}
	b.DirMinitrees = b.DirProcessed
	write(t, b.DirProcessed+"/minitree.root", "x")
	if fs := l.reconcile("B"); len(fs) != 1 { // the folder mini, now
		t.Errorf("found %v", fs)
	}
}

// TestReconcileFolders: what lies beside a dataset that is not directly in the
// directory of the site is seen.
func TestReconcileFolders(t *testing.T) {
	l := newPair(t)
	b := l.site("B")
	must(t, os.Mkdir(b.DirRaw+"/old", 0o755))
	if _, err := l.env("B").Move(t.Context(), l.raw("B").Location, b.DirRaw+"/old/"+runName); err != nil {
		t.Fatal(err)
	}
	l.agrees("B")
	write(t, b.DirRaw+"/old/dark", "x")
	write(t, b.DirRaw+"/old/."+runName+".cax-part-0123/data", "x")
	got := map[string]Remedy{}
	for _, f := range l.reconcile("B") {
		got[strings.TrimPrefix(f.Path, b.DirRaw)] = f.Remedy
		l.mend("B", f)
	}
	if diff := cmp.Diff(map[string]Remedy{"/old/dark": Quarantine, "/old/." + runName + ".cax-part-0123": RemovePart}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.agrees("B")
}

// TestReconcileOnePlace: two copies of one place are a person's.
func TestReconcileOnePlace(t *testing.T) {
	l := newPair(t)
	c := l.raw("B")
	c.Type = rundb.Untriggered
	if err := l.store.Driver.Update(t.Context(), &rundb.Update{Run: l.run().ID, Push: &c}); err != nil {
		t.Fatal(err)
	}
	for _, f := range l.reconcile("B") {
		if f.Kind != Duplicate || f.Verb != Call {
			t.Errorf("%s", f)
		}
	}
}

// TestReconcileTask: the daemon looks once a day, tells, and mends nothing.
func TestReconcileTask(t *testing.T) {
	l := newPair(t)
	stray := l.site("B").DirRaw + "/170101_0000"
	write(t, stray, "x")
	if sum := l.must("B"); sum != (Summary{}) {
		t.Errorf("a single cycle: %+v", sum)
	}
	e := l.env("B")
	e.Once = false
	var elapsed time.Duration
	e.Clock.Elapsed = func() time.Duration { return elapsed }
	core, logs := zapobserver.New(zap.InfoLevel)
	e.Log = zap.New(core)
	d := NewDaemon(e)
	d.Tasks = []Task{reconcileTask{}}
	for i, want := range []int{1, 0, 0, 1} {
		sum, err := d.Once(t.Context())
		if err != nil || sum.Done != want {
			t.Errorf("cycle %d: %+v, %v", i, sum, err)
		}
		elapsed += 9 * time.Hour
	}
	if n := logs.FilterMessage("stray").Len(); n != 2 {
		t.Errorf("told %d times", n)
	}
	if !isThere(stray) {
		t.Error("the task moved it")
	}
	l.did("B", "reconciled")
}
