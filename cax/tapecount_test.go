package cax

import (
	"slices"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/cax-go/cax/tsm/tsmtest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// change sets fields of a copy.
func (l *tapeLab) change(site string, fields bson.D) {
	l.t.Helper()
	if err := l.store.CompareAndSet(l.t.Context(), l.run().ID, l.raw(site), fields); err != nil {
		l.t.Fatal(err)
	}
}

// counts reports whether the copy on tape counts, and what is said about it.
func (l *tapeLab) counts() (bool, string) {
	l.t.Helper()
	now, err := l.store.Now(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, s := range l.env("A").standings(l.run(), rundb.Raw, "", now) {
		if s.Copy.Host == "T" {
			return s.Counts, s.Why
		}
	}
	l.t.Fatal("no standing of T")
	return false, ""
}

// TestTapeCounts: a copy on tape counts only while a query has shown every file not long
// ago, whoever wrote it; AddTSMChecksum asks, and gives records of the original their
// checksum.
func TestTapeCounts(t *testing.T) {
	old := time.Now().Add(-40 * day)
	for _, tc := range []struct {
		name   string
		spoil  func(l *tapeLab)
		before bool // it counts before anybody has looked
		after  bool // and after
		fails  bool
		status rundb.Status // after
	}{
		{name: "fresh", spoil: func(*tapeLab) {}, before: true, after: true, status: rundb.Transferred},
		{name: "seen long ago", spoil: func(l *tapeLab) { l.change("T", bson.D{{Key: "verified_at", Value: old}}) }, after: true, status: rundb.Transferred},
		{name: "of the original", spoil: func(l *tapeLab) {
			l.change("T", bson.D{{Key: "verified_at", Value: nil}, {Key: "archive", Value: nil}, {Key: "files", Value: nil}, {Key: "size", Value: nil}})
		}, after: true, status: rundb.Transferred},
		{name: "without a checksum", spoil: func(l *tapeLab) { l.change("T", bson.D{{Key: "checksum", Value: nil}}) }, after: true, status: rundb.Transferred},
		{name: "one file less", spoil: func(l *tapeLab) {
			l.change("T", bson.D{{Key: "verified_at", Value: old}, {Key: "archive", Value: "other"}})
			dir := l.raw("T").Location
			transfertest.MakeTree(l.t, dir, map[string]string{runName + "_empty": ""})
			if _, err := l.tape.Client().Archive(l.t.Context(), []string{dir + "/" + runName + "_empty"}, "other", nil); err != nil {
				l.t.Fatal(err)
			}
			l.remove(dir)
		}, fails: true, status: rundb.Failed},
		{name: "tape shows nothing", spoil: func(l *tapeLab) {
			l.change("T", bson.D{{Key: "verified_at", Value: old}, {Key: "location", Value: "/elsewhere/" + runName}, {Key: "archive", Value: nil}})
		}, fails: true, status: rundb.Transferred},
		{name: "no server", spoil: func(l *tapeLab) {
			l.change("T", bson.D{{Key: "verified_at", Value: old}})
			l.tape.Fail(l.t, tsmtest.Fault{Kind: tsmtest.NoServer})
		}, fails: true, status: rundb.Transferred},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newTapeLab(t, func(cfg *Config) { cfg.Masters = []Master{{"raw", "A"}} })
			l.add(runName, 5230, "tpc", flatFiles)
			l.must("A")
			tc.spoil(l)
			if got, why := l.counts(); got != tc.before {
				t.Errorf("before: %v, %s", got, why)
			}
			e := l.env("A")
			e.Tasks = []Task{tapeTask{}}
			if _, err := NewDaemon(e).Once(t.Context()); (err != nil) != tc.fails {
				t.Errorf("error %v", err)
			}
			if got, why := l.counts(); got != tc.after {
				t.Errorf("after: %v, %s", got, why)
			}
			c := l.raw("T")
			if c.Status != tc.status || tc.after && c.Checksum != l.raw("A").Checksum {
				t.Errorf("%+v", c)
			}
			if n := len(l.tape.CallsOf(t, "retrieve")); n != 1 {
				t.Errorf("%d retrieves, of which one is the upload's", n)
			}
			if tc.status == rundb.Failed {
				// Whoever has a good copy sends it again.
				l.cfg.Policy.BackoffMin, l.cfg.Policy.BackoffMax = 1, 2
				l.must("A")
				if got, why := l.counts(); !got {
					t.Errorf("sent again: %s", why)
				}
			}
		})
	}
}

// TestC38ExpiringBackups: a backup whose file is gone can be brought back, and is no copy
// that counts.
func TestC38ExpiringBackups(t *testing.T) {
	l := newTapeLab(t, func(cfg *Config) { cfg.Sites[0].TSM.Mode = tapeIncr; cfg.Masters = []Master{{"raw", "A"}} })
	l.add(runName, 5230, "tpc", flatFiles)
	l.must("A")
	if got, why := l.counts(); !got {
		t.Fatal(why)
	}
	// Somebody backs the folder up in which the data were prepared.
	if _, err := l.tape.Client().Incremental(t.Context(), l.site("A").DirTSM, nil); err != nil {
		t.Fatal(err)
	}
	l.change("T", bson.D{{Key: "verified_at", Value: time.Now().Add(-40 * day)}})
	l.must("A")
	if got, why := l.counts(); got {
		t.Errorf("it counts: %s", why)
	}
	l.must("B")
	l.good2(runName)
}

// TestTapeStorage: a tape server shares no storage with the sites that use it, whatever
// their directories are called.
func TestTapeStorage(t *testing.T) {
	l := newTapeLab(t, func(cfg *Config) { cfg.Sites[2].DirRaw = cfg.Sites[0].DirRaw })
	if l.cfg.SameStorage("A", "T") || l.cfg.Domain("T") == l.cfg.Domain("A") {
		t.Error("one storage")
	}
	l.cfg.Sites[2].SameStorageAs = "A"
	if !l.cfg.SameStorage("A", "T") {
		t.Error("said to be one storage")
	}
}

// TestC18StalledAtTape: what other software left as transferring or as an error at tape,
// or could not bring from there, is begun anew.
func TestC18StalledAtTape(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status rundb.Status
		age    time.Duration
		done   bool
	}{
		{"transferring for a day", rundb.Transferring, 25 * time.Hour, true},
		{"transferring", rundb.Transferring, time.Hour, false},
		{"error", rundb.Failed, time.Hour, true},
		{"failed", rundb.Abandoned, time.Hour, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newTapeLab(t)
			r := l.add(runName, 5230, "tpc", flatFiles)
			l.leave(r, "T", l.site("A").DirTSM+"/"+runName, tc.status, tc.age)
			if s := l.must("A"); s.Done > 0 != tc.done {
				t.Errorf("%+v", s)
			}
			if got := l.raw("T").Status == rundb.Transferred; got != tc.done {
				t.Errorf("%+v", l.raw("T"))
			}
		})
	}
	t.Run("a download without a place", func(t *testing.T) {
		l := newTapeLab(t)
		r := l.add(runName, 5230, "tpc", flatFiles)
		l.must("A")
		l.leave(r, "B", noPlace, rundb.Failed, time.Hour)
		l.must("B")
		l.good2(runName)
	})
}

// leave puts a record without a claim on a run, as the original does.
func (l *tapeLab) leave(r *rundb.Run, host, location string, status rundb.Status, age time.Duration) {
	l.t.Helper()
	l.onRecord(r, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: host}, Location: location})
	l.change(host, bson.D{{Key: "status", Value: string(status)}, {Key: "checksum", Value: nil}, {Key: "creation_time", Value: time.Now().Add(-age)}})
}

// TestTapeHeals: a damaged copy is fetched again from tape.
func TestTapeHeals(t *testing.T) {
	l := newTapeLab(t)
	l.add(runName, 5230, "tpc", flatFiles)
	l.must("A")
	l.must("B")
	flip(t, l.raw("B").Location+"/XENON1T-1.zip")
	l.change("B", bson.D{{Key: "status", Value: string(rundb.Verifying)}})
	if _, err := l.once("B"); err == nil {
		t.Error("nothing was found")
	}
	l.due("B")
	l.must("B")
	if b := l.raw("B"); b.Status != rundb.Transferred || b.Checksum != l.raw("A").Checksum {
		t.Errorf("%+v", b)
	}
	whats, _ := l.events("B")
	if !slices.Contains(whats, "transferred") {
		t.Errorf("%q", whats)
	}
}
