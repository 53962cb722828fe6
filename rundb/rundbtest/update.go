package rundbtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// everyType is a document with a value of each BSON type.
func everyType() bson.D {
	return bson.D{
		e("double", 1.5), e("nan", bson.RawValue{Type: bson.TypeDouble, Value: []byte{1, 0, 0, 0, 0, 0, 0xf8, 0x7f}}),
		e("string", "ä\n"), e("empty", ""), e("document", bson.D{e("b", int32(1)), e("a", int32(2))}),
		e("array", bson.A{int32(1), "x", nil, bson.D{}, bson.A{}}),
		e("binary", bson.Binary{Subtype: 0x80, Data: []byte{0, 1, 255}}), e("objectid", runID(77)),
		e("true", true), e("date", bson.DateTime(-1)), e("null", nil), e("regex", bson.Regex{Pattern: "^a", Options: "i"}),
		e("js", bson.JavaScript("1")), e("int32", int32(-7)), e("timestamp", bson.Timestamp{T: 5, I: 6}),
		e("int64", int64(1)<<60), e("decimal", bson.NewDecimal128(1, 2)), e("min", bson.MinKey{}), e("max", bson.MaxKey{}),
	}
}

func at1(host string) rundb.CopyMatch { return rundb.CopyMatch{Hosts: []string{host}} }

func testUpdate(t *testing.T, d rundb.Driver) {
	ctx := t.Context()
	insert(t, d, runDoc(1, bson.A{copyDoc("a"), copyDoc("b")}))
	update := func(u rundb.Update) {
		t.Helper()
		u.Run = runID(1)
		must(t, d.Update(ctx, &u))
	}
	update(rundb.Update{Push: &rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "c"}, Status: rundb.Verifying, Location: "/c", Created: day}})
	if c, ok := get(t, d, 1).Copy(rundb.Key{Type: rundb.Raw, Host: "c"}); !ok || c.Status != rundb.Verifying || !c.Created.Equal(day) {
		t.Errorf("pushed copy reads %+v", c)
	}
	before, err := d.Now(ctx)
	must(t, err)
	update(rundb.Update{Change: &rundb.Change{Where: at1("b"), ServerTime: "claim.heartbeat",
		Set: bson.D{e("status", "error"), e("checksum", nil), e("claim.seq", int64(4)), e("size", int64(9))}}})
	c, _ := get(t, d, 1).Copy(rundb.Key{Type: rundb.Raw, Host: "b"})
	if c.Status != rundb.Failed || c.Checksum != "" || c.Claim == nil || c.Claim.Seq != 4 || c.Size != 9 {
		t.Errorf("changed copy reads %+v", c)
	}
	if c.Claim != nil && (c.Claim.Heartbeat.Before(before.Add(-time.Minute)) || c.Claim.Heartbeat.After(before.Add(time.Minute))) {
		t.Errorf("the server's time is %v, a heartbeat got %v", before, c.Claim.Heartbeat)
	}
	if _, err := copies(t, get(t, d, 1).Raw())[1].LookupErr("checksum"); err == nil {
		t.Error("a field set to nil is still there")
	}
	update(rundb.Update{Pull: &rundb.Pull{Where: at1("a"), History: bson.D{e("by", "me"), e("reason", "test")}}})
	update(rundb.Update{Pull: &rundb.Pull{Where: at1("c"), Withdraw: true}})
	r := get(t, d, 1)
	if len(r.Data) != 1 || r.Data[0].Host != "b" || len(r.Deleted) != 1 {
		t.Fatalf("after two removals: %d copies, %d in the history", len(r.Data), len(r.Deleted))
	}
	if by, _ := r.Deleted[0].Lookup("by").StringValueOK(); by != "me" {
		t.Errorf("history reads %s", r.Deleted[0])
	}
	wantSameFields(t, marshal(t, copyDoc("a")), r.Deleted[0], "by", "reason")
	update(rundb.Update{Set: bson.D{e("reader.ini.write_mode", int32(5)), e("trigger", nil), e("a.b.c", "new"), e("none.x", nil)}})
	raw := get(t, d, 1).Raw()
	if n, _ := raw.Lookup("reader", "ini", "write_mode").Int32OK(); n != 5 {
		t.Errorf("a nested field is %d", n)
	}
	if b, _ := raw.Lookup("reader", "self_trigger").BooleanOK(); !b {
		t.Error("the field beside a nested one is lost")
	}
	if s, _ := raw.Lookup("a", "b", "c").StringValueOK(); s != "new" {
		t.Error("a new nested field is not there")
	}
	for _, gone := range []string{"trigger", "none"} {
		if _, err := raw.LookupErr(gone); err == nil {
			t.Errorf("field %s is there", gone)
		}
	}
}

func testUpdateErrors(t *testing.T, d rundb.Driver) {
	insert(t, d, runDoc(1, bson.A{copyDoc("a"), copyDoc("b")}, e("deleted_data", bson.A{bson.D{e("host", "z")}})))
	before := get(t, d, 1).Raw()
	push := &rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "c"}}
	set := bson.D{e("x", 1)}
	change := func(f ...bson.E) *rundb.Change { return &rundb.Change{Where: at1("a"), Set: f} }
	cases := []struct {
		name string
		u    rundb.Update
		want error
	}{
		{"no such run", rundb.Update{Run: runID(2), Set: set}, rundb.ErrNotExist},
		{"no change", rundb.Update{}, rundb.ErrInvalid},
		{"two changes", rundb.Update{Push: push, Set: set}, rundb.ErrInvalid},
		{"change of nothing", rundb.Update{Change: change()}, rundb.ErrInvalid},
		{"change of the key", rundb.Update{Change: change(e("host", "z"))}, rundb.ErrInvalid},
		{"change of one field twice", rundb.Update{Change: change(e("claim", nil), e("claim.seq", 1))}, rundb.ErrInvalid},
		{"empty path", rundb.Update{Set: bson.D{e("a..b", 1)}}, rundb.ErrInvalid},
		{"operator as a path", rundb.Update{Set: bson.D{e("$set", 1)}}, rundb.ErrInvalid},
		{"set of copies", rundb.Update{Set: bson.D{e("data.0.host", "z")}}, rundb.ErrInvalid},
		{"set of history", rundb.Update{Set: bson.D{e("deleted_data", nil)}}, rundb.ErrInvalid},
		{"set of the id", rundb.Update{Set: bson.D{e("_id", runID(9))}}, rundb.ErrInvalid},
		{"path through text", rundb.Update{Set: bson.D{e("name.first", 1)}}, rundb.ErrInvalid},
		{"path through null", rundb.Update{Set: bson.D{e("trigger.status.x", 1)}}, rundb.ErrInvalid},
		{"path through text of a copy", rundb.Update{Change: change(e("location.x", 1))}, rundb.ErrInvalid},
		{"no copy matches", rundb.Update{Change: &rundb.Change{Where: at1("z"), Set: set}}, rundb.ErrConflict},
		{"no copy to pull", rundb.Update{Pull: &rundb.Pull{Where: at1("z")}}, rundb.ErrConflict},
		{"forbidden copy", rundb.Update{Push: push, Forbid: []rundb.CopyMatch{at1("z"), at1("b")}}, rundb.ErrConflict},
		{"required copy", rundb.Update{Push: push, Require: []rundb.CopyMatch{at1("a"), at1("z")}}, rundb.ErrConflict},
		{"guarded change", rundb.Update{Change: change(e("x", 1)), Forbid: []rundb.CopyMatch{at1("b")}}, rundb.ErrConflict},
		{"guarded pull", rundb.Update{Pull: &rundb.Pull{Where: at1("a")}, Require: []rundb.CopyMatch{{Hosts: []string{"b"}, Statuses: []rundb.Status{rundb.Failed}}}}, rundb.ErrConflict},
		{"guarded set", rundb.Update{Set: set, Require: []rundb.CopyMatch{at1("z")}}, rundb.ErrConflict},
		{"guards of two copies are no guard of one", rundb.Update{Push: push, Require: []rundb.CopyMatch{{Hosts: []string{"a"}, Location: "/data/b/x"}}}, rundb.ErrConflict},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.u.Run.IsZero() {
				c.u.Run = runID(1)
			}
			wantIs(t, "Update", d.Update(t.Context(), &c.u), c.want)
			wantSameFields(t, before, get(t, d, 1).Raw())
		})
	}
	must(t, d.Update(t.Context(), &rundb.Update{Run: runID(1), Pull: &rundb.Pull{Where: at1("a")},
		Require: []rundb.CopyMatch{at1("a"), at1("b")}, Forbid: []rundb.CopyMatch{at1("z")}}))
}

func testUpdateAmbiguous(t *testing.T, d rundb.Driver) {
	insert(t, d, runDoc(1, bson.A{copyDoc("a"), copyDoc("a", e("pax_version", absent)), copyDoc("a", e("location", "/other"))}))
	before := get(t, d, 1).Raw()
	for name, u := range map[string]rundb.Update{
		"change": {Change: &rundb.Change{Where: at1("a"), Set: bson.D{e("x", 1)}}},
		"pull":   {Pull: &rundb.Pull{Where: rundb.CopyMatch{Hosts: []string{"a"}, Location: "/data/a/x"}}},
	} {
		u.Run = runID(1)
		wantIs(t, name, d.Update(t.Context(), &u), rundb.ErrAmbiguous)
		wantSameFields(t, before, get(t, d, 1).Raw())
	}
	// What names one of them changes that one, although others have its key.
	must(t, d.Update(t.Context(), &rundb.Update{Run: runID(1), Change: &rundb.Change{
		Where: rundb.CopyMatch{Hosts: []string{"a"}, Location: "/other"}, Set: bson.D{e("status", "error")}}}))
	r := get(t, d, 1)
	for i, want := range []rundb.Status{rundb.Transferred, rundb.Transferred, rundb.Failed} {
		if r.Data[i].Status != want {
			t.Errorf("copy %d is %s, want %s", i, r.Data[i].Status, want)
		}
	}
}

func testUnknownFieldsStay(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d, By: "test"}
	odd := everyType()
	insert(t, d, runDoc(1, bson.A{copyDoc("a", e("odd", odd)), copyDoc("b", e("odd", odd))}, e("odd", odd),
		e("deleted_data", bson.A{bson.D{e("host", "z"), e("odd", odd)}})))
	before := get(t, d, 1).Raw()
	check := func(what string, changed ...string) {
		t.Helper()
		r := get(t, d, 1)
		wantSameFields(t, before, r.Raw(), append(changed, "data", "deleted_data")...)
		for i, c := range copies(t, before) {
			if i >= len(r.Data) {
				break
			}
			wantSameFields(t, c, copies(t, r.Raw())[i], "status", "claim", "x", "error")
		}
		wantSameFields(t, docList(t, before, "deleted_data")[0], docList(t, r.Raw(), "deleted_data")[0])
		if t.Failed() {
			t.Fatalf("after %s", what)
		}
	}
	ctx := t.Context()
	must(t, s.SetRun(ctx, runID(1), bson.D{e("x.y", 1), e("number", int32(4))}))
	check("SetRun", "x", "number")
	h, err := s.Claim(ctx, runID(1), rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "c"}, Location: "/c"})
	must(t, err)
	check("Claim", "x", "number")
	must(t, h.Heartbeat(ctx))
	must(t, h.Finish(ctx, bson.D{e("status", "verifying")}))
	check("Finish", "x", "number")
	b, _ := get(t, d, 1).Copy(rundb.Key{Type: rundb.Raw, Host: "b"})
	h, err = s.Reclaim(ctx, runID(1), b, rundb.Verifying, rundb.Claim{Kind: rundb.ClaimVerify})
	must(t, err)
	check("Reclaim", "x", "number")
	must(t, h.Set(ctx, bson.D{e("x", "y")}))
	must(t, h.Finish(ctx, bson.D{e("status", "transferred")}))
	check("Set and Finish", "x", "number")
	b, _ = get(t, d, 1).Copy(rundb.Key{Type: rundb.Raw, Host: "b"})
	must(t, s.Remove(ctx, runID(1), b, "test"))
	history := docList(t, get(t, d, 1).Raw(), "deleted_data")
	if len(history) != 2 {
		t.Fatalf("%d entries in the history, want 2", len(history))
	}
	wantSameFields(t, copies(t, before)[1], history[1], "x", "at", "by", "reason")
}

func testNullLists(t *testing.T, d rundb.Driver) {
	insert(t, d, runDoc(1, nil), runDoc(2, nil, e("data", nil), e("deleted_data", nil)), runDoc(3, bson.A{nil, copyDoc("a"), nil, copyDoc("b")}))
	s := &rundb.Store{Driver: d}
	for n := 1; n <= 3; n++ {
		h, err := s.Claim(t.Context(), runID(n), rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "c"}, Location: fmt.Sprint("/c/", n)})
		if err != nil {
			t.Fatalf("run %d: %v", n, err)
		}
		must(t, h.Finish(t.Context(), bson.D{e("status", "error")}))
		c, _ := get(t, d, n).Copy(rundb.Key{Type: rundb.Raw, Host: "c"})
		must(t, s.Remove(t.Context(), runID(n), c, "test"))
		if r := get(t, d, n); len(r.Deleted) != 1 {
			t.Errorf("run %d: history has %d entries", n, len(r.Deleted))
		}
	}
	// The right element is changed, whatever stands before it.
	must(t, d.Update(t.Context(), &rundb.Update{Run: runID(3), Change: &rundb.Change{Where: at1("b"), Set: bson.D{e("status", "error")}}}))
	must(t, d.Update(t.Context(), &rundb.Update{Run: runID(3), Pull: &rundb.Pull{Where: at1("a")}}))
	r := get(t, d, 3)
	if len(r.Data) != 1 || r.Data[0].Host != "b" || r.Data[0].Status != rundb.Failed {
		t.Errorf("run 3 has the copies %+v", r.Data)
	}
}

func testSetRun(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	insert(t, d, runDoc(1, bson.A{copyDoc("a")}))
	ctx := t.Context()
	must(t, s.SetRun(ctx, runID(1), bson.D{e("tags", []rundb.Tag{{Name: "good", User: "me", Date: day}}), e("number", int64(8)), e("end", day)}))
	for name, q := range map[string]*rundb.Query{
		"new tag":    {Tags: []string{"good"}},
		"new number": {Numbers: []rundb.Range{{From: 8, To: 8}}},
	} {
		if ns := found(t, d, q); len(ns) != 1 {
			t.Errorf("%s finds %v", name, ns)
		}
	}
	if ns := found(t, d, &rundb.Query{Numbers: []rundb.Range{{From: 1, To: 1}}}); len(ns) != 0 {
		t.Errorf("the old number finds %v", ns)
	}
	must(t, s.SetRun(ctx, runID(1), bson.D{e("tags", nil)}))
	if ns := found(t, d, &rundb.Query{Tags: []string{"good"}}); len(ns) != 0 {
		t.Errorf("the old tag finds %v", ns)
	}
	for _, path := range []string{"data", "data.0", "_id", "deleted_data.x"} {
		wantIs(t, path, s.SetRun(ctx, runID(1), bson.D{e(path, "x")}), rundb.ErrInvalid)
	}
}

// testConcurrentUpdates: no update of one document is lost.
func testConcurrentUpdates(t *testing.T, d rundb.Driver) {
	insert(t, d, runDoc(1, bson.A{}))
	const writers, each = 8, 10
	var wg sync.WaitGroup
	errs := make(chan error, writers*each)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				errs <- d.Update(t.Context(), &rundb.Update{Run: runID(1),
					Push: &rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: fmt.Sprintf("h%d-%d", w, i)}, Created: day}})
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		must(t, err)
	}
	if n := len(get(t, d, 1).Data); n != writers*each {
		t.Errorf("%d copies, want %d", n, writers*each)
	}
}
