package cax

import (
	"os"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/transfertest"
)

// TestC30RemoveCrash: C30: a deletion that dies before any of its operations, on disk or
// in the run database, is finished by the next cycle, or by cax reconcile --repair and
// the next cycle: record and bytes are both there, or both gone; never is a good copy
// elsewhere touched.
func TestC30RemoveCrash(t *testing.T) {
	for name, keep := range map[string]time.Duration{"purge": 0, "rm": time.Hour} {
		for _, repair := range []bool{false, true} {
			t.Run(map[bool]string{false: name, true: name + ", then repair"}[repair], func(t *testing.T) {
				step := 0
				for ; crashRemove(t, keep, repair, step); step++ {
				}
				if step < 6 {
					t.Errorf("only %d steps", step)
				}
			})
		}
	}
}

// crashRemove has a deletion die before a step; it reports false if there is no such
// step.
func crashRemove(t *testing.T, keep time.Duration, repair bool, step int) bool {
	l := newLab(t, fourSites, atOnce)
	r := l.copies([]string{"A", "B", "C"}, nil)
	for _, s := range l.cfg.Sites { // what follows is recovery alone
		s.Purge = nil
	}
	e, _, dead := l.doomed("A", step)
	k := rundb.Key{Type: rundb.Raw, Host: "A"}
	if err := e.Remove(t.Context(), r.ID, k, Removal{Task: "test", Why: "test", Keep: keep}); !dead() && err != nil {
		t.Fatalf("step %d: %v", step, err)
	}
	if repair {
		l.repair("A")
	}
	for range 2 {
		if _, err := l.cycle("A"); err != nil {
			t.Errorf("step %d: the next cycle: %v", step, err)
		}
	}
	if repair {
		l.repair("A")
	}
	at := l.site("A").DirRaw + "/" + runName
	c, onRecord := l.run().Copy(k)
	_, err := os.Lstat(at)
	switch onDisk := err == nil; {
	case onRecord != onDisk:
		t.Errorf("step %d: on record: %v (%s), on disk: %v", step, onRecord, c.Status, onDisk)
	case onRecord && (c.Status != rundb.Transferred || c.Claim != nil):
		t.Errorf("step %d: the record is %+v", step, c)
	case !onRecord && len(l.run().Deleted) != 1:
		t.Errorf("step %d: deleted_data has %d entries", step, len(l.run().Deleted))
	}
	for _, s := range []string{"B", "C"} {
		if c := l.raw(s); c.Status != rundb.Transferred {
			t.Errorf("step %d: %s is %s", step, s, c.Status)
		}
	}
	transfertest.SameTree(t, l.raw("B").Location, l.raw("C").Location)
	if t.Failed() {
		t.Fatalf("step %d: left %v", step, l.tree("A"))
	}
	return dead()
}
