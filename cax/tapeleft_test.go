package cax

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestTapeLeftovers: cax reconcile finds what a killed process has prepared for tape or
// brought from there, and removes what nobody will take; nothing else.
func TestTapeLeftovers(t *testing.T) {
	l := newTapeLab(t)
	l.add(runName, 5230, "tpc", flatFiles)
	l.must("A")
	dir, files := l.site("A").DirTSM, map[string]string{}
	for f, text := range flatFiles {
		files[runName+"_"+f] = text
	}
	staged, back := dir+"/"+runName, dir+"/"+transfer.StagingName(runName, "0123456789")
	strange, area := dir+"/160101_0000", l.site("A").DirRaw+"/"+recallName
	for _, d := range []string{staged, back, area + "/data/x"} {
		transfertest.MakeTree(t, d, files)
	}
	transfertest.MakeTree(t, strange, map[string]string{"a": "only here"})

	judge := func() map[string]Verb {
		t.Helper()
		fs, err := l.env("A").Reconcile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]Verb{}
		for _, f := range fs {
			got[f.Path] = f.Verb
			if f.Verb == Do {
				if err := l.env("A").Mend(t.Context(), f); err != nil {
					t.Error(err)
				}
			}
		}
		return got
	}
	want := func(when string, got map[string]Verb, verbs ...Verb) {
		t.Helper()
		for i, p := range []string{staged, back, area, strange} {
			if got[p] != verbs[i] {
				t.Errorf("%s: %s: %q, want %q", when, filepath.Base(p), got[p], verbs[i])
			}
		}
	}
	want("young", judge(), Wait, Wait, Wait, Wait)

	// Of a copy that will be tried again it is left.
	l.cfg.Policy.Settled = time.Nanosecond
	l.change("T", bson.D{{Key: "status", Value: string(rundb.Failed)}})
	want("failed", judge(), Wait, Do, Do, Call)
	l.change("T", bson.D{{Key: "status", Value: string(rundb.Transferred)}})

	// Nor is it touched while a process holds the folder.
	if err := os.Mkdir(area, 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, ok := tryLock(area)
	if !ok {
		t.Fatal("not locked")
	}
	want("in use", judge(), Do, "", "", Call)
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	for p, left := range map[string]bool{staged: false, back: false, strange: true, l.raw("A").Location: true} {
		if _, err := os.Lstat(p); (err == nil) != left {
			t.Errorf("%s: %v", p, err)
		}
	}
	if c := l.raw("A"); c.Status != rundb.Transferred {
		t.Errorf("%+v", c)
	}
}

// TestC39CrashSteps: a process that dies before any write to the run database or to the
// disk, on the way to tape or back, is made good by the next one; no record says
// transferred before tape has every file.
func TestC39CrashSteps(t *testing.T) {
	for _, site := range []string{"A", "B"} {
		t.Run(site, func(t *testing.T) {
			step, every := 0, 3
			if os.Getenv("CAX_INTEGRATION") == "1" {
				every = 1
			}
			for ; ; step += every {
				l := newTapeLab(t)
				l.add(runName, 5230, "tpc", flatFiles)
				if site == "B" {
					l.must("A")
				}
				e, _, dead := l.doomed(site, step)
				_, err := NewDaemon(e).Once(t.Context())
				if err := e.recalls.close(); err != nil {
					t.Error(err)
				}
				if c, ok := l.run().Copy(rundb.Key{Type: rundb.Raw, Host: "T"}); ok && c.Status == rundb.Transferred && len(l.tape.Versions(t)) < len(flatFiles) {
					t.Errorf("step %d: %+v", step, c)
				}
				if !dead() && err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
				l.cfg.Policy.BackoffMin, l.cfg.Policy.BackoffMax = 1, 2
				l.must(site)
				l.must("B")
				l.good2(runName)
				l.bare(l.site("A").DirTSM)
				if t.Failed() {
					t.Fatalf("step %d", step)
				}
				if !dead() {
					break
				}
			}
			if step < 2*every {
				t.Errorf("only %d steps", step)
			}
		})
	}
}
