package cax

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func bsonError(e *rundb.CopyError) bson.D { return bson.D{{Key: "error", Value: e.BSON()}} }

func TestPushIsVerifiedByItsDestination(t *testing.T) {
	l := newLab(t)
	l.register()
	l.must("A")
	if b := l.raw("B"); b.Status != rundb.Verifying || b.Claim != nil {
		t.Fatalf("after the push the record is %+v, want verifying without a claim", b)
	}
	l.must("B")
	l.good()
	if e := l.raw("B").Evidence; e != rundb.Disk {
		t.Errorf("evidence %q, want disk: it was read again", e)
	}
	if got, _ := l.events("B"); !slices.Equal(got, []string{"claimed", "copied", "claimed", "transferred"}) {
		t.Errorf("events %q", got)
	}
	// Nothing is left to do.
	for _, s := range []string{"A", "B"} {
		if sum := l.must(s); sum != (Summary{}) {
			t.Errorf("a second cycle at %s did %+v", s, sum)
		}
	}
}

func TestPullHashesWhatItWrites(t *testing.T) {
	l := newLab(t, pulls)
	l.register()
	l.must("B")
	l.good()
	if e := l.raw("B").Evidence; e != rundb.Stream {
		t.Errorf("evidence %q, want stream", e)
	}
}

// TestRemoteVerification: C11: a site without a daemon is verified by the pusher.
func TestRemoteVerification(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Sites[1].Verify = verifyRemote })
	l.register()
	l.must("A")
	l.good()
}

func TestProcessedGoesToItsVersion(t *testing.T) {
	l := newLab(t, pulls, func(c *Config) { c.Sites[1].PaxVersions = []string{"v6.8.0"} })
	l.register()
	for _, v := range []string{"v6.8.0", "v6.0.0"} {
		p := l.site("A").DirProcessed + "/pax_" + v + "/" + runName + ".root"
		transfertest.MakeTree(t, filepath.Dir(p), map[string]string{filepath.Base(p): "events of " + v})
		if _, err := l.env("A").Register(t.Context(), Registration{Path: p, Type: rundb.Processed, Version: v, Name: runName}); err != nil {
			t.Fatal(err)
		}
	}
	l.must("B")
	c := l.copy(rundb.Key{Type: rundb.Processed, Version: "v6.8.0", Host: "B"})
	if want := l.site("B").DirProcessed + "/pax_v6.8.0/" + runName + ".root"; c.Location != want || c.Status != rundb.Transferred {
		t.Errorf("copy %s at %s, want transferred at %s", c.Status, c.Location, want)
	}
	if c, ok := l.run().Copy(rundb.Key{Type: rundb.Processed, Version: "v6.0.0", Host: "B"}); ok {
		t.Errorf("a version that is not current was copied: %+v", c)
	}
}

// TestFlippedAtSource: C9, C20: bytes that are not what the manifest says are
// never called transferred, and the event names the file.
func TestFlippedAtSource(t *testing.T) {
	for name, change := range map[string]func(*Config){"push": func(*Config) {}, "pull": pulls} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, change)
			l.register()
			flip(t, l.site("A").DirRaw+"/"+runName+"/sub/b.zip")
			site := map[string]string{"push": "A", "pull": "B"}[name]
			if _, err := l.once(site); !errors.Is(err, transfer.ErrCorrupt) {
				t.Errorf("error %v, want corrupt", err)
			}
			b := l.raw("B")
			if b.Status != rundb.Failed || b.Error == nil || b.Error.Class != ClassCorrupt || !strings.Contains(b.Error.Text, "sub/b.zip") {
				t.Errorf("record %+v, want an error of class corrupt that names the file", b)
			}
			if _, err := os.Lstat(b.Location); err == nil {
				t.Error("damaged data stand under the final name")
			}
			if _, last := l.events("B"); last.What != "failed" || !strings.Contains(last.Why, "sub/b.zip") {
				t.Errorf("last event %+v", last)
			}
		})
	}
}

// TestFlippedAtDestination: found by the destination, fetched again, the bad copy
// kept aside.
func TestFlippedAtDestination(t *testing.T) {
	l := newLab(t)
	l.register()
	l.must("A")
	flip(t, l.raw("B").Location+"/a.zip")
	if _, err := l.once("B"); !errors.Is(err, checksum.ErrCorrupt) {
		t.Errorf("error %v, want corrupt", err)
	}
	if b := l.raw("B"); b.Status != rundb.Failed || b.Error.Class != ClassCorrupt || !strings.Contains(b.Error.Text, "a.zip") {
		t.Fatalf("record %+v", b)
	}
	if sum := l.must("A"); sum.Waiting != 1 {
		t.Errorf("a failed copy is tried again at once: %+v", sum)
	}
	l.due("B")
	l.must("A")
	l.must("B")
	l.good()
	if got, _ := l.events("B"); !slices.Contains(got, "aside") {
		t.Errorf("events %q do not tell where the bad copy went", got)
	}
}

// TestSameFailureIsToldOnce: lines 14 and 15 of what users asked for.
func TestSameFailureIsToldOnce(t *testing.T) {
	l := newLab(t)
	l.register()
	if err := os.Rename(l.site("B").DirRaw, l.site("B").DirRaw+"-away"); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := l.once("A"); err == nil {
			t.Fatal("a copy to a missing directory did not fail")
		}
		l.due("B")
	}
	got, _ := l.events("B")
	if n := len(slices.DeleteFunc(got, func(w string) bool { return w != "failed" })); n != 1 {
		t.Errorf("%d events of one failure", n)
	}
	if b := l.raw("B"); b.Error.Tries != 4 || b.Error.Class != ClassMissing {
		t.Errorf("record %+v", b.Error)
	}
	if err := os.Rename(l.site("B").DirRaw+"-away", l.site("B").DirRaw); err != nil {
		t.Fatal(err)
	}
	l.must("A")
	l.must("B")
	l.good()
}

// TestLocationOfAnotherRun: a name that another run's record holds is refused,
// and nothing is written.
func TestLocationOfAnotherRun(t *testing.T) {
	l := newLab(t)
	l.register()
	other, err := rundb.NewRun(rundb.Run{Name: runName, Detector: "muon_veto", Start: time.Now(), Data: []rundb.Copy{{
		Key: rundb.Key{Type: rundb.Raw, Host: "B"}, Status: rundb.Transferred, Location: l.site("B").DirRaw + "/" + runName, Created: time.Now()}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.store.Insert(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	_, err = l.once("A")
	if !errors.Is(err, rundb.ErrExist) {
		t.Errorf("error %v, want that the location is taken", err)
	}
	if es, _ := os.ReadDir(l.site("B").DirRaw); len(es) > 0 {
		t.Errorf("written at B: %v", es)
	}
}

// TestNullChecksum: C22, C20: a source without a checksum and without a manifest is
// copied, and its copy is never called good.
func TestNullChecksum(t *testing.T) {
	l := newLab(t)
	path := l.site("A").DirRaw + "/" + runName
	transfertest.MakeTree(t, path, someFiles)
	r, err := rundb.NewRun(rundb.Run{Number: 1, Name: runName, Detector: "tpc", Start: time.Now(), Data: []rundb.Copy{{
		Key: rundb.Key{Type: rundb.Raw, Host: "A"}, Status: rundb.Transferred, Location: path, Created: time.Now()}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.store.Insert(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	l.must("A")
	if _, err := l.once("B"); !errors.Is(err, errConflict) {
		t.Errorf("error %v, want a conflict", err)
	}
	if b := l.raw("B"); b.Status != rundb.Verifying {
		t.Errorf("status %s, want verifying: nobody knows what is right", b.Status)
	}
	if _, err := l.store.Manifest(t.Context(), rundb.ManifestKey{Run: r.ID, Type: rundb.Raw}); !errors.Is(err, rundb.ErrNotExist) {
		t.Errorf("a manifest was made of data that nothing vouches for (%v)", err)
	}
	if got, _ := l.events("B"); !slices.Contains(got, "conflict") {
		t.Errorf("events %q", got)
	}
}

// TestLegacySource: a record of the original, checksum and no manifest: the source
// is hashed while it is read, and the manifest is kept.
func TestLegacySource(t *testing.T) {
	for name, damaged := range map[string]bool{"good": false, "damaged": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, pulls)
			path := l.site("A").DirRaw + "/" + runName
			transfertest.MakeTree(t, path, someFiles)
			sum, err := checksum.DirSum(t.Context(), path, checksum.SHA512)
			if err != nil {
				t.Fatal(err)
			}
			r, err := rundb.NewRun(rundb.Run{Number: 1, Name: runName, Detector: "tpc", Start: time.Now(), Data: []rundb.Copy{{
				Key: rundb.Key{Type: rundb.Raw, Host: "A"}, Status: rundb.Transferred, Location: path, Checksum: sum.Bare(), Created: time.Now()}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.store.Insert(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if damaged {
				flip(t, path+"/big.zip")
				if _, err := l.once("B"); !errors.Is(err, transfer.ErrCorrupt) {
					t.Errorf("error %v, want corrupt", err)
				}
				return
			}
			l.must("B")
			l.good()
			if _, err := l.store.Manifest(t.Context(), rundb.ManifestKey{Run: r.ID, Type: rundb.Raw}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestInterrupted: a signal is no failure: the copy goes on where it was.
func TestInterrupted(t *testing.T) {
	l := newLab(t)
	l.register()
	env := l.env("A")
	ctx, cancel := context.WithCancel(t.Context())
	env.Monitor = monitorFunc(func() { cancel() })
	if _, err := NewDaemon(env).Once(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	b := l.raw("B")
	if b.Status != rundb.Failed || b.Error.Class != ClassInterrupted || b.Error.Tries != 0 || b.Claim != nil {
		t.Fatalf("record %+v, want an interruption that is no failure", b)
	}
	l.must("A")
	l.must("B")
	l.good()
}

// monitorFunc is called when something begins to move.
type monitorFunc func()

func (f monitorFunc) Begin(Decision) (transfer.Progress, func(error)) { return f, func(error) {} }
func (f monitorFunc) Start(int, int64)                                { f() }
func (monitorFunc) Moved(int64)                                       {}
func (monitorFunc) Skipped(int64)                                     {}
func (monitorFunc) File(string)                                       {}

// TestOneOfManyCopies: C1: of many processes exactly one copies.
func TestOneOfManyCopies(t *testing.T) {
	l := newLab(t)
	l.register()
	var wg sync.WaitGroup
	for range 12 {
		env := l.env("A")
		wg.Go(func() {
			if _, err := NewDaemon(env).Once(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l.must("B")
	l.good()
	got, _ := l.events("B")
	if n := len(slices.DeleteFunc(got, func(w string) bool { return w != "copied" })); n != 1 {
		t.Errorf("copied %d times", n)
	}
}

// TestC28DryRun: C28, R12: nothing is written, on disk or in the database.
func TestC28DryRun(t *testing.T) {
	l := newLab(t)
	l.register()
	before := l.run().Raw()
	env := l.env("A")
	env.DryRun = true
	sum, err := NewDaemon(env).Once(t.Context())
	if err != nil || sum.Done != 1 {
		t.Errorf("%+v, %v; want one copy that would be made", sum, err)
	}
	if !slices.Equal(before, l.run().Raw()) {
		t.Error("the run changed")
	}
	if es, _ := os.ReadDir(l.site("B").DirRaw); len(es) > 0 {
		t.Errorf("written at B: %v", es)
	}
}
