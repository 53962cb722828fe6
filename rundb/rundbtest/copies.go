package rundbtest

import (
	"errors"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func testCompareAndSet(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	ctx := t.Context()
	set := bson.D{e("status", "error")}
	for n, meanwhile := range []bson.D{
		{e("status", "verifying")}, {e("location", "/elsewhere")}, {e("creation_time", day.Add(time.Millisecond))},
		{e("claim", bson.D{e("id", "c"), e("seq", int64(1))})},
	} {
		insert(t, d, runDoc(n, bson.A{copyDoc("a"), copyDoc("b")}))
		was, _ := get(t, d, n).Copy(rawAt("b"))
		must(t, d.Update(ctx, &rundb.Update{Run: runID(n), Change: &rundb.Change{Where: at1("b"), Set: meanwhile}}))
		wantIs(t, "after a change of "+meanwhile[0].Key, s.CompareAndSet(ctx, runID(n), was, set), rundb.ErrConflict)
	}
	insert(t, d, runDoc(9, bson.A{copyDoc("a"), copyDoc("b")}))
	was, _ := get(t, d, 9).Copy(rawAt("b"))
	// Another field may have been added since: it is not part of what was read.
	must(t, d.Update(ctx, &rundb.Update{Run: runID(9), Change: &rundb.Change{Where: at1("b"), Set: bson.D{e("size", int64(1))}}}))
	must(t, s.CompareAndSet(ctx, runID(9), was, set))
	if c, _ := get(t, d, 9).Copy(rawAt("b")); c.Status != rundb.Failed || c.Size != 1 {
		t.Errorf("copy %+v", c)
	}
}

func testCompareAndSetOldRecords(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	for n, c := range []bson.D{
		copyDoc("b", e("pax_version", absent)), copyDoc("b", e("creation_time", bson.A{day})), copyDoc("b", e("creation_time", absent)),
		copyDoc("b", e("location", "n/a")), copyDoc("b", e("checksum", absent), e("size", 5.0)),
	} {
		insert(t, d, runDoc(n, bson.A{copyDoc("a"), c}))
		was, ok := get(t, d, n).Copy(rawAt("b"))
		if !ok {
			t.Fatalf("run %d has no such copy", n)
		}
		must(t, s.CompareAndSet(t.Context(), runID(n), was, bson.D{e("status", "error")}))
	}
	// Of two records with one key and different creation times, the one that was read.
	insert(t, d, runDoc(9, bson.A{copyDoc("b"), copyDoc("b", e("creation_time", day.Add(time.Second)))}))
	second := get(t, d, 9).Data[1]
	must(t, s.CompareAndSet(t.Context(), runID(9), second, bson.D{e("status", "error")}))
	if r := get(t, d, 9); r.Data[0].Status != rundb.Transferred || r.Data[1].Status != rundb.Failed {
		t.Errorf("the wrong one was changed: %+v", r.Data)
	}
	// Two that nothing tells apart are nobody's to change.
	insert(t, d, runDoc(10, bson.A{copyDoc("b"), copyDoc("b", e("pax_version", absent))}))
	err := s.CompareAndSet(t.Context(), runID(10), get(t, d, 10).Data[0], bson.D{e("status", "error")})
	wantIs(t, "two equal records", err, rundb.ErrAmbiguous)
}

func testRemove(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d, By: "cax at a"}
	ctx := t.Context()
	insert(t, d, runDoc(1, bson.A{copyDoc("a"), copyDoc("b")}))
	was, _ := get(t, d, 1).Copy(rawAt("b"))
	// C29: a field that another task added in the meantime does not save the record.
	must(t, d.Update(ctx, &rundb.Update{Run: runID(1), Change: &rundb.Change{Where: at1("b"), Set: bson.D{e("size", int64(7))}}}))
	must(t, s.Remove(ctx, runID(1), was, "purged"))
	r := get(t, d, 1)
	if len(r.Data) != 1 || r.Data[0].Host != "a" || len(r.Deleted) != 1 {
		t.Fatalf("%d copies, %d in the history", len(r.Data), len(r.Deleted))
	}
	gone := r.Deleted[0]
	for k, want := range map[string]string{"host": "b", "by": "cax at a", "reason": "purged", "status": "transferred"} {
		if got, _ := gone.Lookup(k).StringValueOK(); got != want {
			t.Errorf("history: %s is %q, want %q", k, got, want)
		}
	}
	if at, ok := gone.Lookup("at").TimeOK(); !ok || at.Before(day) {
		t.Errorf("history: at is %v", at)
	}
	if n, _ := gone.Lookup("size").Int64OK(); n != 7 {
		t.Errorf("history: size is %d, want the newest, 7", n)
	}
	wantIs(t, "a second removal", s.Remove(ctx, runID(1), was, "again"), rundb.ErrConflict)
	stale, _ := r.Copy(rawAt("a"))
	must(t, s.CompareAndSet(ctx, runID(1), stale, bson.D{e("status", "error")}))
	wantIs(t, "removal of a copy that changed", s.Remove(ctx, runID(1), stale, "x"), rundb.ErrConflict)
}

// testDropTwin: C23: a second record of one copy can go, even one that nothing
// tells from the first; the last record of a copy cannot.
func testDropTwin(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	ctx := t.Context()
	insert(t, d, runDoc(1, bson.A{copyDoc("b", e("note", "first")), copyDoc("a"), copyDoc("b", e("pax_version", absent), e("note", "second"))}))
	r := get(t, d, 1)
	must(t, s.DropTwin(ctx, r, r.Data[0], r.Data[2]))
	left := copies(t, get(t, d, 1).Raw())
	if len(left) != 2 || left[0].Lookup("note").StringValue() != "first" || len(get(t, d, 1).Deleted) != 0 {
		t.Errorf("left: %v", left)
	}
	wantIs(t, "the last record", s.DropTwin(ctx, r, r.Data[0], r.Data[0]), rundb.ErrConflict)

	insert(t, d, runDoc(2, bson.A{nil, copyDoc("b", e("status", "error")), copyDoc("b")}))
	r = get(t, d, 2)
	must(t, s.DropTwin(ctx, r, r.Data[1], r.Data[0]))
	if r = get(t, d, 2); len(r.Data) != 1 || r.Data[0].Status != rundb.Transferred {
		t.Errorf("left: %+v", r.Data)
	}

	insert(t, d, runDoc(3, bson.A{copyDoc("b"), copyDoc("b", e("location", "/elsewhere"), e("status", "error"))}))
	r = get(t, d, 3)
	wantIs(t, "two places", s.DropTwin(ctx, r, r.Data[0], r.Data[1]), rundb.ErrConflict)
	insert(t, d, runDoc(4, bson.A{copyDoc("b"), copyDoc("b", e("status", "error"))}))
	r = get(t, d, 4)
	must(t, d.Update(ctx, &rundb.Update{Run: runID(4), Change: &rundb.Change{Where: rundb.CopyMatch{Statuses: []rundb.Status{rundb.Transferred}}, Set: bson.D{e("status", "verifying")}}}))
	wantIs(t, "what stays has changed", s.DropTwin(ctx, r, r.Data[0], r.Data[1]), rundb.ErrConflict)

	for _, f := range []Fault{LoseAnswer, LoseWrite} {
		insert(t, d, runDoc(10+int(f), bson.A{copyDoc("b"), copyDoc("b")}))
		r = get(t, d, 10+int(f))
		err := (&rundb.Store{Driver: &Faulty{Driver: d, Next: Once(f)}}).DropTwin(ctx, r, r.Data[0], r.Data[1])
		if n := len(get(t, d, 10+int(f)).Data); (err == nil) != (n == 1) {
			t.Errorf("fault %d: error %v, %d records", f, err, n)
		}
	}
}

func testWithdraw(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	insert(t, d, runDoc(1, bson.A{copyDoc("a")}))
	before := get(t, d, 1).Raw()
	h, err := s.Claim(t.Context(), runID(1), rundb.Copy{Key: rawAt("b"), Location: "/b/x"})
	must(t, err)
	must(t, h.Withdraw(t.Context()))
	wantSameFields(t, before, get(t, d, 1).Raw())
	wantIs(t, "a second withdrawal", h.Withdraw(t.Context()), rundb.ErrConflict)
	_, err = s.Claim(t.Context(), runID(1), rundb.Copy{Key: rawAt("b"), Location: "/b/x"})
	wantIs(t, "a new claim", err, nil)
}

func testRegister(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	ctx := t.Context()
	insert(t, d, runDoc(1, nil), runDoc(2, nil))
	c := rundb.Copy{Key: rawAt("a"), Status: rundb.Transferred, Location: "/a/x", Checksum: "aa", Created: day}
	must(t, s.Register(ctx, runID(1), c))
	got, _ := get(t, d, 1).Copy(rawAt("a"))
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	wantIs(t, "the same copy again", s.Register(ctx, runID(1), c), rundb.ErrConflict)
	wantIs(t, "its location for another run", s.Register(ctx, runID(2), c), rundb.ErrExist)
	for n := 3; n <= 8; n++ {
		insert(t, d, runDoc(n, nil))
	}
	c.Location = "/a/same"
	won := race(t, 6, func(i int) error { return s.Register(ctx, runID(i+3), c) })
	have := found(t, d, &rundb.Query{Copies: []rundb.CopyMatch{{Location: "/a/same"}}})
	if won > 1 || len(have) != won {
		t.Errorf("%d registrations of one place, records in runs %v", won, have)
	}
	c.Location = "/a/free"
	if err := s.Register(ctx, runID(99), c); !errors.Is(err, rundb.ErrNotExist) {
		t.Errorf("registration for no run: %v", err)
	}
}
