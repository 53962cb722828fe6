package cax

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/transfertest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// crashed runs ruciax at a site; it dies before one of its writes, or before or after one
// of its requests that change the catalogue, whichever comes as the step. It reports
// whether it has died.
func (l *catalogLab) crashed(site, rules string, step int) bool {
	l.t.Helper()
	e, crash, dead := l.doomed(site, step)
	alive := l.ruciax(site, rules)
	e.Tasks = alive.Tasks
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	die := func(r ruciotest.Request) bool {
		changes := r.Method != "GET" && r.Path != "/replicas/list" && r.Path != "/traces/"
		if changes && crash() != nil {
			cancel()
		}
		return dead()
	}
	l.srv.Fail(-1, ruciotest.CutBefore, die)
	l.srv.Fail(-1, ruciotest.CutAfter, func(r ruciotest.Request) bool { return r.Method != "GET" && die(r) })
	_, err := NewDaemon(e).Once(ctx)
	l.srv.Recover()
	if !dead() && err != nil {
		l.t.Fatalf("step %d: %v", step, err)
	}
	return dead()
}

// again runs cycles until the catalogue is in order, as daemons would.
func (l *catalogLab) again(site, rules string) {
	l.t.Helper()
	for range 3 {
		if c, ok := l.run().Copy(atR); ok && c.Error != nil {
			l.late(atR)
		}
		if _, err := l.cycle(site, rules); err != nil {
			l.t.Logf("a cycle: %v", err)
		}
	}
}

// TestC37PullThenPush: C37: a process that dies between any two of its writes, in the run
// database or in the catalogue, loses no record and leaves none twice; the next one
// finishes what it began.
func TestC37PullThenPush(t *testing.T) {
	stride := 7
	if transfertest.Long() {
		stride = 1
	}
	rules := ruleFile(map[string]string{ruciotest.RSEB: "86400"}, "")
	longer := ruleFile(map[string]string{ruciotest.RSEB: "864000"}, "")
	inOrder := func(t *testing.T, l *catalogLab, step int) {
		n := 0
		for i := range l.run().Data {
			if l.run().Data[i].Key == atR {
				n++
			}
		}
		if n != 1 {
			t.Errorf("step %d: %d records", step, n)
		}
		l.inCatalogue()
		if t.Failed() {
			whats, last := l.events("R")
			t.Fatalf("step %d: events %q, the last %+v", step, whats, last)
		}
	}
	t.Run("upload", func(t *testing.T) {
		step := 0
		for died := true; died; step += stride {
			l := newCatalogLab(t)
			l.add()
			died = l.crashed("A", "", step)
			if a := l.raw("A"); a.Status != rundb.Transferred {
				t.Errorf("step %d: the source is %s", step, a.Status)
			}
			l.again("A", "")
			inOrder(t, l, step)
		}
		if step < 20 {
			t.Errorf("only %d steps", step)
		}
	})
	t.Run("rules", func(t *testing.T) {
		for step, died := 0, true; died; step++ {
			l := uploaded(t)
			l.well("A", rules)
			l.replicate(ruciotest.RSEB)
			died = l.crashed("A", longer, step)
			if c := l.copy(atR); c.Location != dataset.String() || c.Checksum == "" || c.Status != rundb.Transferred {
				t.Errorf("step %d: the record is %+v", step, c)
			}
			l.again("A", longer)
			inOrder(t, l, step)
			c := l.copy(atR)
			r := l.rulesAt(ruciotest.RSEB)
			if len(r) != 1 || time.Until(r[0].ExpiresAt).Round(time.Hour) != 240*time.Hour || !slices.Equal(c.RSE, []string{ruciotest.RSEA, ruciotest.RSEB}) {
				t.Errorf("step %d: rules %+v, the record is at %v", step, r, c.RSE)
			}
		}
	})
	t.Run("download", func(t *testing.T) {
		for step, died := 0, true; died; step += stride {
			l := uploaded(t)
			died = l.crashed("B", "", step)
			inOrder(t, l, step)
			for range 2 {
				if c, ok := l.run().Copy(rundb.Key{Type: rundb.Raw, Host: "B"}); ok && c.Error != nil {
					l.late(c.Key)
				}
				if _, err := l.cycle("B", ""); err != nil {
					t.Logf("a cycle: %v", err)
				}
			}
			l.good()
			if t.Failed() {
				t.Fatalf("step %d", step)
			}
		}
	})
}

// TestReconcileCatalogue: what run database, catalogue and the disks of an RSE of ours say
// differently is found, each with a remedy, and is in order when it was carried out.
func TestReconcileCatalogue(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*catalogLab)
		kind  DiscrepancyKind
		verb  Verb
		after func(*catalogLab) // beside the remedy
	}{
		"in order": {},
		"a file is nowhere": {spoil: func(l *catalogLab) { l.srv.SetReplica(ruciotest.RSEA, scope, "empty", "BAD") }, kind: Lost, verb: Do,
			after: func(l *catalogLab) { l.late(atR); l.well("A", "") }},
		"a rule is gone": {spoil: func(l *catalogLab) { l.deleteRules(ruciotest.RSEA) }, kind: Drifted, verb: Do},
		"the record has an error": {spoil: func(l *catalogLab) {
			l.change(atR, bson.E{Key: "status", Value: string(rundb.RSEReupload)})
		}, kind: Uncatalogued, verb: Wait, after: func(l *catalogLab) { l.well("A", "") }},
		"no record": {spoil: func(l *catalogLab) {
			if err := l.env("A").Forget(l.t.Context(), l.run(), l.copy(atR), "test"); err != nil {
				l.t.Fatal(err)
			}
		}, kind: Uncatalogued, verb: Call},
		"the location is no DID": {spoil: func(l *catalogLab) { l.change(atR, bson.E{Key: "location", Value: "nowhere"}) }, kind: Outside, verb: Call,
			after: func(l *catalogLab) { l.change(atR, bson.E{Key: "location", Value: dataset.String()}) }},
		"not on our disks": {spoil: func(l *catalogLab) { l.remove(l.srv.File(ruciotest.RSEA, scope, "XENON1T-0.zip")) }, kind: Lost, verb: Call,
			after: func(l *catalogLab) {
				l.srv.SetReplica(ruciotest.RSEA, scope, "XENON1T-0.zip", "BAD")
				l.well("A", "")
				l.late(atR)
				l.well("A", "")
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := uploaded(t, func(c *Config) {
				c.Sites[2].Rucio.RSEs = []RSEConfig{{Name: ruciotest.RSEA, SameStorageAs: "A"}}
			})
			if tc.spoil != nil {
				tc.spoil(l)
			}
			l.srv.Forget()
			before := l.run()
			found := l.reconciled("A")
			for _, r := range l.srv.Requests() {
				if r.Method != "GET" && r.Path != "/replicas/list" {
					t.Errorf("looking asked %s %s", r.Method, r.Path)
				}
			}
			if string(before.Raw()) != string(l.run().Raw()) {
				t.Error("looking changed the record")
			}
			if tc.kind == "" {
				if len(found) > 0 {
					t.Errorf("found %v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Kind != tc.kind || found[0].Verb != tc.verb || found[0].Why == "" || found[0].Next == "" {
				t.Fatalf("found %v, want one %s to %s", found, tc.kind, tc.verb)
			}
			l.mended("A")
			if tc.after != nil {
				tc.after(l)
			}
			if found := l.reconciled("A"); len(found) > 0 {
				t.Errorf("afterwards: %v; the record is %+v", found, l.run().Data)
			}
		})
	}
}
