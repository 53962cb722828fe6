package cax

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/cax-go/cax/tsm/tsmtest"
)

// TestC37TapeFaults: whatever dsmc does, the record says what happened, by its exit code
// and its codes; nothing is left over; and the next cycle recovers.
func TestC37TapeFaults(t *testing.T) {
	const none = ""
	for _, tc := range []struct {
		op    string
		fault tsmtest.FaultKind
		after int
		up    string // class of the upload's failure; none: it succeeds
		down  string
		long  bool // only at full length
	}{
		{fault: tsmtest.NotInstalled, up: ClassConfig, down: ClassConfig},
		{fault: tsmtest.NoOptions, up: ClassConfig, down: ClassConfig, long: true},
		{fault: tsmtest.NoServer, up: ClassTransient, down: ClassTransient},
		{fault: tsmtest.NoPassword, up: ClassAuth, down: ClassAuth, long: true},
		{op: "archive", fault: tsmtest.NoDirectory, after: 1, up: ClassMissing, long: true},
		{op: "archive", fault: tsmtest.Full, after: 2, up: ClassSpace},
		{op: "archive", fault: tsmtest.NoMedia, after: 2, up: ClassTransient, long: true},
		{op: "archive", fault: tsmtest.Changing, after: 1, up: ClassSource},
		{op: "archive", fault: tsmtest.ChangedOnce, after: 1, up: none, long: true},
		{op: "archive", fault: tsmtest.Reconnect, after: 1, up: none, long: true},
		{op: "archive", fault: tsmtest.Attribute, after: 1, up: none, long: true},
		{op: "archive", fault: tsmtest.Killed, after: 2, up: ClassTransient},
		{op: "archive", fault: tsmtest.LosesWord, up: none},
		{op: "archive", fault: tsmtest.Loses, after: 2, up: ClassMissing},
		{op: "archive", fault: tsmtest.Shortens, after: 4, up: ClassCorrupt},
		{op: "archive", fault: tsmtest.Asks, up: ClassConfig, long: true},
		{op: "archive", fault: tsmtest.Hangs, after: 1, up: ClassStalled},
		{op: "query archive", fault: tsmtest.NoMatch, up: ClassMissing, down: ClassMissing},
		{op: "query archive", fault: tsmtest.NoServer, up: ClassTransient, down: ClassTransient, long: true},
		{op: "retrieve", fault: tsmtest.NoMedia, after: 1, up: ClassTransient, down: ClassTransient},
		{op: "retrieve", fault: tsmtest.NoMatch, up: ClassMissing, down: ClassMissing, long: true},
		{op: "retrieve", fault: tsmtest.Killed, after: 2, up: ClassTransient, down: ClassTransient},
		{op: "retrieve", fault: tsmtest.LosesWord, up: ClassTransient, down: none, long: true},
		{op: "retrieve", fault: tsmtest.Pending, up: none, down: none},
		{op: "retrieve", fault: tsmtest.Reconnect, after: 1, up: none, down: none, long: true},
		{op: "retrieve", fault: tsmtest.Damages, after: 4, up: ClassCorrupt, down: ClassCorrupt},
		{op: "retrieve", fault: tsmtest.Asks, up: ClassConfig, down: ClassConfig, long: true},
		{op: "retrieve", fault: tsmtest.Hangs, after: 1, up: ClassStalled, down: ClassStalled, long: true},
	} {
		if tc.long && os.Getenv("CAX_INTEGRATION") != "1" {
			continue
		}
		name := strings.TrimSpace(string(tc.fault) + " " + tc.op)
		fault := tsmtest.Fault{Op: tc.op, Kind: tc.fault, After: tc.after, Times: 3}
		hasty := func(cfg *Config) {
			for _, s := range cfg.Sites {
				if tc.fault == tsmtest.Hangs {
					s.TSM.Stall, s.TSM.TapeWait = time.Second, time.Second
				}
			}
		}
		t.Run(name+"/upload", func(t *testing.T) {
			t.Parallel()
			l := newTapeLab(t, hasty)
			l.add(runName, 5230, "tpc", flatFiles)
			if tc.fault != tsmtest.Pending {
				l.tape.Fail(t, fault)
			} else {
				l.tape.Fail(t, tsmtest.Fault{Op: tc.op, Kind: tc.fault})
			}
			l.failsThenRecovers("A", "T", tc.up)
			l.bare(l.site("A").DirTSM)
			c := l.raw("T")
			if c.Status != rundb.Transferred || c.Checksum != l.raw("A").Checksum {
				t.Errorf("%+v", c)
			}
			if a := l.raw("A"); a.Status != rundb.Transferred {
				t.Errorf("the source is %s", a.Status)
			}
			if tc.up == ClassCorrupt || tc.up == ClassMissing {
				l.must("B") // what counts as a copy comes back
				l.good2(runName)
			}
		})
		if tc.op == "archive" {
			continue
		}
		t.Run(name+"/download", func(t *testing.T) {
			t.Parallel()
			l := newTapeLab(t, hasty)
			l.add(runName, 5230, "tpc", flatFiles)
			l.must("A")
			if tc.fault != tsmtest.Pending {
				l.tape.Fail(t, fault)
			} else {
				l.tape.Fail(t, tsmtest.Fault{Op: tc.op, Kind: tc.fault})
			}
			l.failsThenRecovers("B", "B", tc.down)
			l.good2(runName)
			if c := l.raw("T"); c.Status != rundb.Transferred {
				t.Errorf("the copy on tape is %s", c.Status)
			}
		})
	}
}

// failsThenRecovers runs a cycle that fails with a class, "" for none, and then one with a
// tape that is well.
func (l *tapeLab) failsThenRecovers(site, host, class string) {
	l.t.Helper()
	_, err := l.once(site)
	c := l.raw(host)
	if class == "" {
		if err != nil || c.Status != rundb.Transferred {
			l.t.Fatalf("%v: %+v", err, c)
		}
		return
	}
	if err == nil || c.Status != rundb.Failed || c.Error == nil || c.Error.Class != class || c.Claim != nil {
		l.t.Fatalf("want an error of class %s: %v: %s %+v", class, err, c.Status, c.Error)
	}
	whats, last := l.events(host)
	if last.What != "failed" || last.Why == "" {
		l.t.Errorf("events %q, the last: %+v", whats, last)
	}
	l.tape.Fail(l.t)
	l.due(host)
	l.must(site)
}

// TestTapeRefuses: what cannot go to tape is refused before anything is sent.
func TestTapeRefuses(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		spoil func(l *tapeLab)
		class string
	}{
		{name: "sub-folders", files: map[string]string{"a": "1", "sub/b": "2"}, class: ClassInvalid},
		{name: "an empty folder", files: map[string]string{"a": "1", "sub/": ""}, class: ClassInvalid},
		{name: "a newline", files: map[string]string{"a\nb": "1"}, class: ClassInvalid},
		{name: "a damaged source", files: flatFiles, class: ClassCorrupt, spoil: func(l *tapeLab) { flip(l.t, l.raw("A").Location+"/XENON1T-1.zip") }},
		{name: "a file that went", files: flatFiles, class: ClassCorrupt, spoil: func(l *tapeLab) { l.remove(l.raw("A").Location + "/XENON1T-1.zip") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newTapeLab(t)
			l.add(runName, 1, "tpc", tc.files)
			if tc.spoil != nil {
				tc.spoil(l)
			}
			if _, err := l.once("A"); err == nil {
				t.Error("no error")
			}
			if c := l.raw("T"); c.Status != rundb.Failed || c.Error == nil || c.Error.Class != tc.class {
				t.Errorf("%s %+v", c.Status, c.Error)
			}
			if n := len(l.tape.Versions(t)); n != 0 {
				t.Errorf("%d files were sent", n)
			}
			l.bare(l.site("A").DirTSM)
		})
	}
}

func (l *tapeLab) remove(path string) {
	l.t.Helper()
	if err := os.RemoveAll(path); err != nil {
		l.t.Fatal(err)
	}
}

// TestC26EqualFiles: files with equal contents, or none, are no mistake.
func TestC26EqualFiles(t *testing.T) {
	l := newTapeLab(t)
	l.add(runName, 1, "tpc", map[string]string{"a": "same", "b": "same", "c": "", "d": "", "e": transfertest.Random(7, 1000), "f": transfertest.Random(7, 1000)})
	l.must("A")
	l.must("B")
	l.good2(runName)
	if c := l.raw("T"); c.Files != 6 {
		t.Errorf("%+v", c)
	}
}
