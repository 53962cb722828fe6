package cax

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/rundbtest"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestMove(t *testing.T) {
	for _, across := range []bool{false, true} {
		t.Run(map[bool]string{false: "rename", true: "across file systems"}[across], func(t *testing.T) {
			l := newPair(t)
			was := l.raw("B")
			to := l.site("B").DirRaw + "/moved"
			beside, _ := l.save("B")
			e := l.env("B")
			e.DryRun = true
			if _, err := e.Move(t.Context(), was.Location, to); err != nil || isThere(to) {
				t.Fatalf("dry run: %v", err)
			}
			e.DryRun = false
			if across {
				e.remotes.disk = twoFileSystems(to, nil)
			}
			if _, err := e.Move(t.Context(), was.Location, to); err != nil {
				t.Fatal(err)
			}
			c := l.raw("B")
			if c.Status != rundb.Transferred || c.Location != to || c.Claim != nil || c.Checksum != was.Checksum || isThere(was.Location) {
				t.Errorf("the record is %+v", c)
			}
			transfertest.SameTree(t, l.raw("A").Location, to)
			if isThere(beside) || !isThere(l.site("B").DirRaw+"/"+transfer.ManifestName("moved")) {
				t.Errorf("the manifest beside it was not moved: %v", l.tree("B"))
			}
			l.did("B", "intent")
			l.did("B", "moved")
			l.agrees("B")
			if across {
				f := l.only("B", InTrash, Wait, "")
				if !isThere(f.Path + "/data/a.zip") {
					t.Errorf("the old dataset is not in the trash: %v", l.tree("B"))
				}
				// It goes when its time is over, whatever is left elsewhere.
				e.Clock.Now = func() time.Time { return time.Now().Add(30 * day) }
				tr, err := openTrash(t.Context(), local.New(nil), f.Path)
				if err != nil {
					t.Fatal(err)
				}
				if err := e.emptyTrash(t.Context(), tr); err != nil || isThere(f.Path) {
					t.Errorf("emptying the trash: %v", err)
				}
			}
			// Once more says that it is done.
			if _, err := l.env("B").Move(t.Context(), was.Location, to); err != nil {
				t.Errorf("the same move again: %v", err)
			}
		})
	}
}

// twoFileSystems is a disk on which a dataset cannot be renamed to a path. crash is
// asked before each operation; nil: never.
func twoFileSystems(to string, crash func() error) transfer.Backend {
	var first atomic.Bool
	first.Store(true)
	return transfertest.FaultyDisk{Faulty: transfertest.NewFaulty(local.New(nil), transfertest.Faults{Before: func(_ context.Context, op transfertest.Op) error {
		if crash != nil {
			if err := crash(); err != nil {
				return err
			}
		}
		if op.Name == "Rename" && op.Path == to && first.Swap(false) {
			return &transfer.Error{Op: "rename", Path: to, Kind: transfer.ErrTransient, Err: syscall.EXDEV}
		}
		return nil
	}}, nil)}
}

func TestMoveRefused(t *testing.T) {
	l := newPair(t)
	l.addRuns(1, 0)
	var other string
	for r, err := range l.store.Find(t.Context(), &rundb.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Name != runName {
			other = r.Name
		}
	}
	b := l.site("B")
	from := l.raw("B").Location
	write(t, b.DirRaw+"/taken/x", "x")
	outside := t.TempDir()
	if err := os.Symlink(outside, b.DirRaw+"/link"); err != nil {
		t.Fatal(err)
	}
	before := l.raw("B")
	for _, tc := range []struct{ name, from, to, want string }{
		{"exists", from, b.DirRaw + "/taken", "exists"},
		{"outside", from, outside + "/x", "outside the directories"},
		{"by a link", from, b.DirRaw + "/link/x", "outside the directories"},
		{"not clean", from, b.DirRaw + "/../raw/x", "outside the directories"},
		{"relative", from, "x", "outside the directories"},
		{"into itself", from, from + "/x", "inside the other"},
		{"the directory", from, b.DirRaw, "outside the directories"},
		{"hidden", from, b.DirRaw + "/.x", "cannot be the name"},
		{"no folder", from, b.DirRaw + "/none/x", "no such file"},
		{"of another run", from, b.DirProcessed + "/" + other + ".root", "is the name of run"},
		{"of another record", from, b.DirRaw + "/" + other, "has a record of"},
		{"no record", b.DirRaw + "/taken", b.DirRaw + "/new", "no record of B names"},
		{"on record", from, l.site("A").DirRaw + "/" + runName, "outside the directories"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := l.env("B").Move(t.Context(), tc.from, tc.to)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	for name, set := range map[string]bson.D{
		"not transferred": {{Key: "status", Value: "verifying"}},
		"in place":        {{Key: "in_place", Value: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := l.store.CompareAndSet(t.Context(), l.run().ID, l.raw("B"), set); err != nil {
				t.Fatal(err)
			}
			if _, err := l.env("B").Move(t.Context(), from, b.DirRaw+"/new"); err == nil {
				t.Error("moved")
			}
			if err := l.store.CompareAndSet(t.Context(), l.run().ID, l.raw("B"), bson.D{{Key: "status", Value: "transferred"}, {Key: "in_place", Value: nil}}); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("being read", func(t *testing.T) {
		c := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "C"}, Location: "/c/x", Claim: &rundb.Claim{Kind: rundb.ClaimPush, Source: "B", Owner: l.env("B").Owner}}
		if _, err := l.store.Claim(t.Context(), l.run().ID, c); err != nil {
			t.Fatal(err)
		}
		if _, err := l.env("B").Move(t.Context(), from, b.DirRaw+"/new"); err == nil || !strings.Contains(err.Error(), "is being made from it") {
			t.Errorf("error %v", err)
		}
	})
	if diff := cmp.Diff(before, l.raw("B")); diff != "" || !isThere(from) {
		t.Errorf("the record changed:\n%s", diff)
	}
}

// TestMoveFails: C30: a move that fails leaves record and dataset as they were.
func TestMoveFails(t *testing.T) {
	l := newPair(t)
	was := l.raw("B")
	to := l.site("B").DirRaw + "/moved"
	e := l.env("B")
	e.remotes.disk = transfertest.FaultyDisk{Faulty: transfertest.NewFaulty(local.New(nil), transfertest.Faults{Before: func(_ context.Context, op transfertest.Op) error {
		if op.Name == "Rename" {
			return &transfer.Error{Op: "rename", Path: op.Path, Kind: transfer.ErrPermission}
		}
		return nil
	}}, nil)}
	if _, err := e.Move(t.Context(), was.Location, to); !errors.Is(err, transfer.ErrPermission) {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(was, l.raw("B")); diff != "" || !isThere(was.Location) || isThere(to) {
		t.Errorf("(-before +after):\n%s", diff)
	}
	l.did("B", "move settled")
	l.agrees("B")
}

var errCrash = errors.New("the process has died")

// TestMoveCrash: C30: the process dies before any one step of a move, on the disk or
// in the database. Whoever comes next, the daemon, cax reconcile --repair, or the
// same command, brings both together, and no byte is lost.
func TestMoveCrash(t *testing.T) {
	for _, across := range []bool{false, true} {
		for _, next := range []string{"cycle", "repair", "again"} {
			t.Run(map[bool]string{false: "rename, ", true: "across, "}[across]+next, func(t *testing.T) {
				stride := 1
				if os.Getenv("CAX_INTEGRATION") == "" {
					stride = map[bool]int{false: 2, true: 14}[across]
				}
				step := 0
				for ; crashMove(t, across, next, step); step += stride {
				}
				if step < 6 {
					t.Errorf("only %d steps", step)
				}
			})
		}
	}
}

// crashMove has a move die before a step; it reports false if there is no such step.
func crashMove(t *testing.T, across bool, next string, step int) bool {
	l := newLab(t, atOnce)
	path := l.site("A").DirRaw + "/" + runName
	transfertest.MakeTree(t, path, map[string]string{"a.zip": "alpha", "sub/b.zip": "beta"})
	if _, err := l.env("A").Register(t.Context(), Registration{Path: path, Number: 1}); err != nil {
		t.Fatal(err)
	}
	l.must("A")
	l.must("B")
	from, to := l.raw("B").Location, l.site("B").DirRaw+"/moved"
	e, crash, dead := l.doomed("B", step)
	if across {
		e.remotes.disk = twoFileSystems(to, crash)
	}
	if _, err := e.Move(t.Context(), from, to); !dead() && err != nil {
		t.Fatalf("step %d: %v", step, err)
	}
	switch next {
	case "cycle":
		l.must("B") // settles
		l.must("B") // verifies
	case "repair":
		l.repair("B")
		l.must("B")
	case "again":
		e := l.env("B")
		if across {
			e.remotes.disk = twoFileSystems(to, nil)
		}
		if _, err := e.Move(t.Context(), from, to); err != nil {
			t.Errorf("step %d: the same move again: %v", step, err)
		}
		l.must("B") // verifies, if need be
		if at := l.raw("B").Location; at != to {
			t.Errorf("step %d: moved again, and it is at %s", step, at)
		}
	}
	l.repair("B")
	c := l.raw("B")
	if c.Status != rundb.Transferred || c.Claim != nil || c.Location != from && c.Location != to {
		t.Errorf("step %d: the record is %+v", step, c)
	}
	transfertest.SameTree(t, l.raw("A").Location, c.Location)
	l.agrees("B")
	if t.Failed() {
		t.Fatalf("step %d of %s: left %v", step, next, l.tree("B"))
	}
	return dead()
}

// doomed is a process at a site that dies before a step, of those that change a disk or
// the run database. crash counts one step more, and dead tells whether it has died.
func (l *lab) doomed(site string, step int) (e *Env, crash func() error, dead func() bool) {
	l.t.Helper()
	e = l.env(site)
	e.Owner.PID = 1 << 30 // so that it is known to be gone
	var mu sync.Mutex     // files are copied side by side
	n, died := 0, false
	crash = func() error {
		mu.Lock()
		defer mu.Unlock()
		n++
		if died = died || n > step; died {
			return errCrash
		}
		return nil
	}
	e.Store = &rundb.Store{By: "test", Driver: &dying{Driver: l.store.Driver, crash: crash}}
	e.remotes.disk = transfertest.FaultyDisk{Faulty: transfertest.NewFaulty(local.New(nil), transfertest.Faults{
		Before: func(context.Context, transfertest.Op) error { return crash() }}, nil)}
	return e, crash, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return died
	}
}

// dying is a driver whose writes fail once the process has died.
type dying struct {
	rundb.Driver
	crash func() error
}

func (d *dying) Update(ctx context.Context, u *rundb.Update) error {
	if err := d.crash(); err != nil {
		return &rundb.Error{Op: "update", Kind: rundb.ErrTransient, Err: err}
	}
	return d.Driver.Update(ctx, u)
}

func (d *dying) Add(ctx context.Context, coll rundb.Collection, docs ...bson.Raw) error {
	if err := d.crash(); err != nil {
		return &rundb.Error{Op: "add", Kind: rundb.ErrTransient, Err: err}
	}
	return d.Driver.Add(ctx, coll, docs...)
}

// repair does what cax reconcile --repair does.
func (l *lab) repair(site string) {
	l.t.Helper()
	e := l.env(site)
	for _, f := range l.reconcile(site) {
		if f.Verb != Do {
			continue
		}
		if err := e.Mend(l.t.Context(), f); err != nil && !errors.Is(err, ErrNotNeeded) {
			l.t.Errorf("mend %s: %v", f, err)
		}
	}
}

// TestMoveLostAnswers: the database has taken a write and its answer is lost.
func TestMoveLostAnswers(t *testing.T) {
	for _, fault := range []rundbtest.Fault{rundbtest.LoseAnswer, rundbtest.LoseWrite, rundbtest.Fail} {
		for write := range 3 {
			l := newPair(t)
			from, to := l.raw("B").Location, l.site("B").DirRaw+"/moved"
			e := l.env("B")
			n := -1
			e.Store = &rundb.Store{By: "test", Driver: &rundbtest.Faulty{Driver: l.store.Driver, Next: func(op string) rundbtest.Fault {
				if op == "update" {
					if n++; n == write {
						return fault
					}
				}
				return rundbtest.None
			}}}
			_, err := e.Move(t.Context(), from, to)
			if fault == rundbtest.LoseAnswer && err != nil {
				t.Errorf("update %d is taken, its answer lost: %v", write, err)
			}
			l.must("B")
			l.must("B")
			c := l.raw("B")
			if c.Status != rundb.Transferred || c.Claim != nil || (err == nil) && c.Location != to {
				t.Errorf("fault %d of update %d: %v; the record is %+v", fault, write, err, c)
			}
			transfertest.SameTree(t, l.raw("A").Location, c.Location)
			l.agrees("B")
		}
	}
}
