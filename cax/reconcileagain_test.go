package cax

import (
	"errors"
	"os"
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestMendLooksAgain: what has changed between the look and the remedy is left alone.
func TestMendLooksAgain(t *testing.T) {
	part := func(l *lab) string { return l.site("B").DirRaw + "/" + transfer.StagingName(runName, "0123") }
	stray := func(l *lab) string { return l.site("B").DirRaw + "/170101_0000" }
	aside := func(l *lab) string {
		return l.site("B").DirRaw + "/." + runName + ".cax-aside-20160101T000000.000000000Z-0123"
	}
	set := func(l *lab, site string, fields ...bson.E) {
		must(l.t, l.store.CompareAndSet(l.t.Context(), l.run().ID, l.raw(site), fields))
	}
	for _, tc := range []struct {
		name          string
		kind          DiscrepancyKind
		before, after func(l *lab)
		stays         func(l *lab) string // a path that must still be there; nil: none
	}{
		{"a stray got a record", Stray, func(l *lab) { write(t, stray(l), "x") }, func(l *lab) {
			set(l, "B", bson.E{Key: "location", Value: stray(l)})
		}, stray},
		{"a stray grew", Stray, func(l *lab) { write(t, stray(l), "x") }, func(l *lab) { write(t, stray(l), "xx") }, stray},
		{"a stray went", Stray, func(l *lab) { write(t, stray(l), "x") }, func(l *lab) { must(t, os.Remove(stray(l))) }, nil},
		{"staging got a claim", OrphanPart, func(l *lab) { write(t, part(l)+"/data", "x") }, func(l *lab) {
			set(l, "B", bson.E{Key: "claim", Value: (&rundb.Claim{ID: "0123", Owner: l.env("B").Owner}).BSON()})
		}, part},
		{"the dataset beside staging failed", OrphanPart, func(l *lab) { write(t, part(l)+"/data", "x") }, func(l *lab) {
			set(l, "B", bson.E{Key: "status", Value: "error"})
		}, part},
		{"too few copies for what was moved aside", OldAside, func(l *lab) { write(t, aside(l), "x") }, func(l *lab) {
			set(l, "A", bson.E{Key: "status", Value: "verifying"})
		}, aside},
		{"the lost one came back", Lost, func(l *lab) {
			write(t, l.site("B").DirRaw+"/other", "x")
			must(t, os.Rename(l.raw0("B"), l.raw0("B")+"-away"))
		}, func(l *lab) { must(t, os.Rename(l.raw0("B")+"-away", l.raw0("B"))) }, nil},
		{"the lost one is being made", Lost, func(l *lab) {
			write(t, l.site("B").DirRaw+"/other", "x")
			must(t, os.Rename(l.raw0("B"), l.raw0("B")+"-away"))
		}, func(l *lab) { set(l, "B", bson.E{Key: "status", Value: "error"}) }, nil},
		{"the size is right again", WrongSize, func(l *lab) { write(t, l.raw0("B")+"/more", "x") }, func(l *lab) {
			must(t, os.Remove(l.raw0("B")+"/more"))
		}, nil},
		{"the second record went", Duplicate, func(l *lab) {
			c := l.raw("B")
			must(t, l.store.Driver.Update(t.Context(), &rundb.Update{Run: l.run().ID, Push: &c}))
		}, func(l *lab) { r := l.run(); must(t, l.store.DropTwin(t.Context(), r, l.raw("B"), l.raw("B"))) }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newPair(t, func(c *Config) { c.Policy.MinCopies, c.Policy.MinDomains = 1, 1 })
			tc.before(l)
			f := l.find("B", tc.kind)
			if f.Verb != Do && f.Remedy != Quarantine {
				f.Remedy, f.Refused = Quarantine, "" // as if its directory were larger
			}
			tc.after(l)
			was := l.run()
			if err := l.env("B").Mend(t.Context(), f); !errors.Is(err, ErrNotNeeded) {
				t.Errorf("mend %s: %v", f, err)
			}
			if string(was.Raw()) != string(l.run().Raw()) {
				t.Error("the run was changed")
			}
			if tc.stays != nil && !isThere(tc.stays(l)) {
				t.Error("it is gone")
			}
		})
	}
}
