package rundbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func testInsert(t *testing.T, d rundb.Driver) {
	ctx := t.Context()
	if _, err := d.Get(ctx, runID(1)); !errors.Is(err, rundb.ErrNotExist) {
		t.Errorf("Get before Insert: %v", err)
	}
	first := runDoc(1, bson.A{copyDoc("a")})
	insert(t, d, first)
	got, err := d.Get(ctx, runID(1))
	must(t, err)
	wantSameFields(t, marshal(t, first), got)

	err = d.Insert(ctx, marshal(t, runDoc(1, nil, e("name", "other"))))
	wantIs(t, "same id", err, rundb.ErrExist)
	err = d.Insert(ctx, marshal(t, runDoc(2, nil, e("name", "160315_0001"))))
	wantIs(t, "same name and detector", err, rundb.ErrExist)
	err = d.Insert(ctx, marshal(t, runDoc(3, nil, e("name", "160315_0001"), e("detector", "muon_veto"))))
	wantIs(t, "same name, other detector", err, nil)
	err = d.Insert(ctx, marshal(t, runDoc(4, nil, e("number", int32(1)))))
	wantIs(t, "same number", err, nil)
	insert(t, d, runDoc(5, nil, e("name", absent)), runDoc(6, nil, e("name", absent))) // nameless runs do not collide

	err = d.Insert(ctx, marshal(t, bson.D{e("name", "x")}))
	wantIs(t, "without _id", err, rundb.ErrInvalid)
	err = d.Insert(ctx, marshal(t, runDoc(7, "text")))
	wantIs(t, "data is text", err, rundb.ErrInvalid)
	got, err = d.Get(ctx, runID(1))
	must(t, err)
	wantSameFields(t, marshal(t, first), got)
	if n := len(all(t, d.Find(ctx, &rundb.Query{}))); n != 5 {
		t.Errorf("%d runs, want 5", n)
	}
}

// findDocs are the runs that the queries of testFind are about.
func findDocs() []bson.D {
	tag := func(name string) bson.D { return bson.D{e("name", name), e("user", "u"), e("date", day)} }
	due := func(at any) bson.D { return bson.D{e("class", "network"), e("next_try", at)} }
	claim := bson.D{e("id", "c1"), e("kind", "push"), e("source", "a"), e("seq", int64(3)), e("heartbeat", day)}
	ended := e("end", day.Add(time.Hour))
	corrected := func(version any) bson.E {
		return e("processor", bson.D{e("DEFAULT", bson.D{e("gains", bson.A{1.0})}), e("correction_versions", bson.D{e("AddGains", version), e("SetX", "v1")})})
	}
	return []bson.D{
		runDoc(1, bson.A{copyDoc("a", e("permissions", "f1")), copyDoc("b", e("status", "error"), e("error", due(day.Add(time.Hour))))}, ended, corrected("v1")),
		runDoc(2, bson.A{copyDoc("a", e("in_place", true)), copyDoc("b", e("checksum", "bb"))}, e("tags", bson.A{tag("good"), tag("led")}), ended, corrected("v2")),
		runDoc(3, bson.A{copyDoc("a", e("pax_version", absent), e("size", 7.0))}, e("detector", "muon_veto"), e("tags", bson.A{tag("good")}), ended),
		runDoc(4, bson.A{copyDoc("a", e("type", "processed"), e("pax_version", "v6.1.0")), copyDoc("b", e("type", "processed"), e("pax_version", "v6.2.0"))}, e("end", nil)),
		runDoc(5, bson.A{copyDoc("a", e("checksum", nil)), copyDoc("b", e("checksum", "cc"))}, e("raw_size_byte", int64(9)), e("end", bson.A{day}), corrected(3.0)),
		runDoc(6, nil, e("raw_size_byte", "9"), ended, e("processor", "text")),
		runDoc(7, bson.A{}, e("tags", nil), e("raw_size_byte", 0)),
		runDoc(8, bson.A{copyDoc("a"), copyDoc("b", e("status", "transferring"), e("claim", claim), e("checksum", nil))}, ended, e("processor", bson.D{e("correction_versions", nil)})),
		runDoc(9, bson.A{copyDoc("a"), copyDoc("a", e("location", "/data/a/y"), e("creation_time", bson.A{day.Add(time.Minute)}), e("verified_at", bson.A{day.Add(time.Minute)}))}, e("tags", bson.A{})),
		runDoc(10, bson.A{copyDoc("b", e("status", "error"), e("error", due(nil)), e("pax_version", ""))}, e("number", 10.0)),
		runDoc(11, bson.A{copyDoc("r", e("checksum", ":1:2"), e("checksum_algorithm", "adler32")), copyDoc("a")}, e("number", int64(11))),
		runDoc(12, nil, e("number", absent), e("start", absent)),
	}
}

func testFind(t *testing.T, d rundb.Driver) {
	insert(t, d, findDocs()...)
	seq := int64(3)
	two := int64(2)
	cases := []struct {
		name string
		q    rundb.Query
		want []int // newest first
	}{
		{"everything", rundb.Query{}, []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 12}},
		{"ids", rundb.Query{IDs: []rundb.ID{runID(3), runID(99), runID(1)}}, []int{3, 1}},
		{"no ids", rundb.Query{IDs: []rundb.ID{}}, nil},
		{"one number", rundb.Query{Numbers: []rundb.Range{{From: 3, To: 3}}}, []int{3}},
		{"number that is a double", rundb.Query{Numbers: []rundb.Range{{From: 10, To: 10}}}, []int{10}},
		{"ranges", rundb.Query{Numbers: []rundb.Range{{From: 1, To: 2}, {From: 9, To: 10}}}, []int{10, 9, 2, 1}},
		{"open range", rundb.Query{Numbers: []rundb.Range{{From: 10, To: -1}}}, []int{11, 10}},
		{"empty range", rundb.Query{Numbers: []rundb.Range{{From: 5, To: 4}}}, nil},
		{"a missing number is 0", rundb.Query{Numbers: []rundb.Range{{From: 0, To: 1}}}, []int{1, 12}},
		{"no numbers", rundb.Query{Numbers: []rundb.Range{}}, nil},
		{"names", rundb.Query{Names: []string{"160315_0002", "160315_0007", "none"}}, []int{7, 2}},
		{"no names", rundb.Query{Names: []string{}}, nil},
		{"detector", rundb.Query{Detectors: []string{"muon_veto"}}, []int{3}},
		{"detectors", rundb.Query{Detectors: []string{"muon_veto", "tpc"}, Names: []string{"160315_0003", "160315_0004"}}, []int{4, 3}},
		{"no detectors", rundb.Query{Detectors: []string{}}, nil},
		{"tag", rundb.Query{Tags: []string{"good"}}, []int{3, 2}},
		{"both tags", rundb.Query{Tags: []string{"good", "led"}}, []int{2}},
		{"not tags", rundb.Query{NotTags: []string{"good", "none"}}, []int{11, 10, 9, 8, 7, 6, 5, 4, 1, 12}},
		{"tag and not tag", rundb.Query{Tags: []string{"good"}, NotTags: []string{"led"}}, []int{3}},
		{"from", rundb.Query{From: day.Add(10 * time.Hour)}, []int{11, 10}},
		{"until", rundb.Query{Until: day.Add(2 * time.Hour)}, []int{1}},
		{"window", rundb.Query{From: day.Add(2 * time.Hour), Until: day.Add(4 * time.Hour)}, []int{3, 2}},
		{"empty window", rundb.Query{From: day.Add(4 * time.Hour), Until: day.Add(4 * time.Hour)}, nil},
		{"copy at host", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"b"}}}}, []int{10, 8, 5, 4, 2, 1}},
		{"any copy", rundb.Query{Copies: []rundb.CopyMatch{{}}}, []int{11, 10, 9, 8, 5, 4, 3, 2, 1}},
		{"no copy at all", rundb.Query{NoCopies: []rundb.CopyMatch{{}}}, []int{7, 6, 12}},
		{"conditions on one copy", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"b"}, Statuses: []rundb.Status{rundb.Transferred}}}}, []int{5, 4, 2}},
		{"two copies", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a"}}, {Hosts: []string{"b"}, Statuses: []rundb.Status{rundb.Failed}}}}, []int{1}},
		{"copy and no copy", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a"}}}, NoCopies: []rundb.CopyMatch{{Hosts: []string{"b"}}}}, []int{11, 9, 3}},
		{"types", rundb.Query{Copies: []rundb.CopyMatch{{Types: []rundb.Type{rundb.Processed, rundb.Untriggered}}}}, []int{4}},
		{"not hosts", rundb.Query{Copies: []rundb.CopyMatch{{NotHosts: []string{"a"}}}}, []int{11, 10, 8, 5, 4, 2, 1}},
		{"version", rundb.Query{Copies: []rundb.CopyMatch{{Versions: []string{"v6.2.0"}}}}, []int{4}},
		{"no version, however written", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a", "b"}, Versions: []string{""}}}, Numbers: []rundb.Range{{From: 1, To: 4}, {From: 10, To: 10}}}, []int{10, 3, 2, 1}},
		{"this version or none", rundb.Query{Copies: []rundb.CopyMatch{{Versions: []string{"", "v6.1.0"}}}, Numbers: []rundb.Range{{From: 3, To: 4}}}, []int{4, 3}},
		{"empty lists match nothing", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{}}}}, nil},
		{"empty types", rundb.Query{Copies: []rundb.CopyMatch{{Types: []rundb.Type{}}}}, nil},
		{"empty statuses", rundb.Query{Copies: []rundb.CopyMatch{{Statuses: []rundb.Status{}}}}, nil},
		{"empty versions", rundb.Query{Copies: []rundb.CopyMatch{{Versions: []string{}}}}, nil},
		{"empty not hosts", rundb.Query{Copies: []rundb.CopyMatch{{NotHosts: []string{}, Hosts: []string{"r"}}}}, []int{11}},
		{"no copy that matches nothing", rundb.Query{NoCopies: []rundb.CopyMatch{{Hosts: []string{}}}, Numbers: []rundb.Range{{From: 1, To: 1}}}, []int{1}},
		{"null checksum", rundb.Query{Copies: []rundb.CopyMatch{{NoChecksum: true}}}, []int{8, 5}},
		{"null checksum at a host, and another with one", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a"}, NoChecksum: true}, {AnyChecksum: true}}}, []int{5}},
		{"no copy without a checksum", rundb.Query{NoCopies: []rundb.CopyMatch{{NoChecksum: true}}, Copies: []rundb.CopyMatch{{Hosts: []string{"b"}}}}, []int{10, 4, 2, 1}},
		{"no copy with a checksum", rundb.Query{NoCopies: []rundb.CopyMatch{{Hosts: []string{"a"}, AnyChecksum: true}}, Copies: []rundb.CopyMatch{{Hosts: []string{"a"}}}}, []int{5}},
		{"location", rundb.Query{Copies: []rundb.CopyMatch{{Location: "/data/a/y"}}}, []int{9}},
		{"host and location", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"b"}, Location: "/data/b/x"}}}, []int{10, 8, 5, 4, 2, 1}},
		{"host and the location of another", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"b"}, Location: "/data/a/x"}}}, nil},
		{"not that location", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a"}}}, NoCopies: []rundb.CopyMatch{{Location: "/data/a/y"}}}, []int{11, 8, 5, 4, 3, 2, 1}},
		{"claim", rundb.Query{Copies: []rundb.CopyMatch{{ClaimID: "c1"}}}, []int{8}},
		{"claim and seq", rundb.Query{Copies: []rundb.CopyMatch{{ClaimID: "c1", Seq: &seq}}}, []int{8}},
		{"claim and another seq", rundb.Query{Copies: []rundb.CopyMatch{{ClaimID: "c1", Seq: &two}}}, nil},
		{"no claim", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"b"}, NoClaim: true}}}, []int{10, 5, 4, 2, 1}},
		{"created", rundb.Query{Copies: []rundb.CopyMatch{{Created: day.Add(time.Minute)}}}, []int{9}},
		{"verified", rundb.Query{Copies: []rundb.CopyMatch{{VerifiedAt: day.Add(time.Minute)}}}, []int{9}},
		{"verified at another time", rundb.Query{Copies: []rundb.CopyMatch{{VerifiedAt: day}}}, nil},
		{"due never before", rundb.Query{Copies: []rundb.CopyMatch{{Statuses: []rundb.Status{rundb.Failed}, DueBy: day}}}, []int{10}},
		{"due", rundb.Query{Copies: []rundb.CopyMatch{{Statuses: []rundb.Status{rundb.Failed}, DueBy: day.Add(time.Hour)}}}, []int{10, 1}},
		{"due without an error", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"b"}, DueBy: day}}}, []int{10, 8, 5, 4, 2}},
		{"disagree", rundb.Query{Disagree: &rundb.CopyMatch{Hosts: []string{"a"}}}, []int{2}},
		{"disagree, by location", rundb.Query{Disagree: &rundb.CopyMatch{Location: "/data/b/x"}}, []int{2}},
		{"disagree, at no such host", rundb.Query{Disagree: &rundb.CopyMatch{Hosts: []string{"r"}}}, nil},
		{"missing", rundb.Query{Missing: &rundb.Missing{Have: rundb.CopyMatch{Hosts: []string{"a"}, Statuses: []rundb.Status{rundb.Transferred}}, At: "b"}}, []int{11, 9, 4, 3}},
		{"missing the other way", rundb.Query{Missing: &rundb.Missing{Have: rundb.CopyMatch{Hosts: []string{"b"}}, At: "a"}}, []int{10, 4}},
		{"missing of one type", rundb.Query{Missing: &rundb.Missing{Have: rundb.CopyMatch{Types: []rundb.Type{rundb.Raw}, Versions: []string{""}, Hosts: []string{"a"}}, At: "b"}, NotTags: []string{"good"}}, []int{11, 9}},
		{"other permissions", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a"}, NotPermissions: "f1"}}, Numbers: []rundb.Range{{From: 1, To: 3}}}, []int{3, 2}},
		{"no copy with other permissions", rundb.Query{NoCopies: []rundb.CopyMatch{{NotPermissions: "f1"}}, Numbers: []rundb.Range{{From: 1, To: 6}}}, []int{6}},
		{"without error", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"b"}, NoError: true}}}, []int{8, 5, 4, 2}},
		{"no copy without error", rundb.Query{NoCopies: []rundb.CopyMatch{{Hosts: []string{"b"}, NoError: true}}, Numbers: []rundb.Range{{From: 1, To: 5}}}, []int{3, 1}},
		{"not in place", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a"}, NotInPlace: true}}, Numbers: []rundb.Range{{From: 1, To: 3}}}, []int{3, 1}},
		{"no copy that is not in place", rundb.Query{NoCopies: []rundb.CopyMatch{{Hosts: []string{"a"}, NotInPlace: true}}, Numbers: []rundb.Range{{From: 1, To: 3}}}, []int{2}},
		{"size unknown", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"a"}, NoSize: true}}, Numbers: []rundb.Range{{From: 1, To: 5}}}, []int{5, 4, 2, 1}},
		{"no copy of unknown size", rundb.Query{NoCopies: []rundb.CopyMatch{{NoSize: true}}}, []int{7, 6, 3, 12}},
		{"raw size unknown", rundb.Query{NoRawSize: true, Numbers: []rundb.Range{{From: 1, To: 8}}}, []int{8, 7, 4, 3, 2, 1}},
		{"raw size unknown, with a copy", rundb.Query{NoRawSize: true, Copies: []rundb.CopyMatch{{Hosts: []string{"b"}}}, Numbers: []rundb.Range{{From: 1, To: 8}}}, []int{8, 4, 2, 1}},
		{"another version of a correction, or none", rundb.Query{Uncorrected: &rundb.Uncorrected{Task: "AddGains", Version: "v1"}}, []int{8, 6, 5, 3, 2}},
		{"a version that is a number", rundb.Query{Uncorrected: &rundb.Uncorrected{Task: "AddGains", Version: "3"}}, []int{8, 6, 3, 2, 1}},
		{"the version of another correction", rundb.Query{Uncorrected: &rundb.Uncorrected{Task: "SetX", Version: "v1"}}, []int{8, 6, 3}},
		{"a correction that no run has", rundb.Query{Uncorrected: &rundb.Uncorrected{Task: "SetY", Version: "v1"}}, []int{8, 6, 5, 3, 2, 1}},
		{"uncorrected, with a copy and a number", rundb.Query{Uncorrected: &rundb.Uncorrected{Task: "AddGains", Version: "v1"}, Copies: []rundb.CopyMatch{{}}, Numbers: []rundb.Range{{From: 3, To: 6}}}, []int{5, 3}},
		{"together", rundb.Query{Numbers: []rundb.Range{{From: 1, To: -1}}, Detectors: []string{"tpc"}, From: day, Tags: []string{"good"}, Copies: []rundb.CopyMatch{{Hosts: []string{"b"}}}}, []int{2}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, oldest := range []bool{false, true} {
				q, want := c.q, slices.Clone(c.want)
				if q.OldestFirst = oldest; oldest {
					slices.Reverse(want)
				}
				if diff := cmp.Diff(want, found(t, d, &q)); diff != "" {
					t.Errorf("oldest first %v: runs (-want +got):\n%s", oldest, diff)
				}
			}
		})
	}
}

// found lists the runs, by the n of runID, that a query selects.
func found(t testing.TB, d rundb.Driver, q *rundb.Query) (ns []int) {
	t.Helper()
	for _, r := range all(t, (&rundb.Store{Driver: d}).Find(t.Context(), q)) {
		ns = append(ns, int(r.ID[10])<<8+int(r.ID[11]))
	}
	return ns
}

func testFindOrderAndLimit(t *testing.T, d rundb.Driver) {
	const n = 300 // more than any batch
	for i := n; i >= 1; i-- {
		// Two runs each begin at the same time: the id decides.
		insert(t, d, runDoc(i, bson.A{copyDoc("a")}, e("start", day.Add(time.Duration(i/2)*time.Minute))))
	}
	var newest []int
	for i := n; i >= 1; i-- {
		newest = append(newest, i)
	}
	oldest := slices.Clone(newest)
	slices.Reverse(oldest)
	for _, limit := range []int{0, 1, 128, 129, n, n + 1} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			k := n
			if limit > 0 {
				k = min(limit, n)
			}
			if diff := cmp.Diff(newest[:k], found(t, d, &rundb.Query{Limit: limit})); diff != "" {
				t.Errorf("newest first (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(oldest[:k], found(t, d, &rundb.Query{Limit: limit, OldestFirst: true})); diff != "" {
				t.Errorf("oldest first (-want +got):\n%s", diff)
			}
		})
	}
}

// testFindWhileWriting: a reader that stops in the middle holds nobody up, and
// what it has read belongs to it.
func testFindWhileWriting(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	for i := 1; i <= 10; i++ {
		insert(t, d, runDoc(i, bson.A{copyDoc("a")}))
	}
	seen := 0
	for r, err := range s.Find(t.Context(), &rundb.Query{}) {
		must(t, err)
		seen++
		must(t, s.SetRun(t.Context(), r.ID, bson.D{e("seen", true)}))
		raw := r.Raw()
		for i := range raw {
			raw[i] = 0xff // no memory is shared
		}
	}
	if seen != 10 {
		t.Errorf("saw %d runs, want 10", seen)
	}
	for r, err := range s.Find(t.Context(), &rundb.Query{}) {
		must(t, err)
		if v, _ := r.Raw().Lookup("seen").BooleanOK(); !v {
			t.Errorf("%s was not changed while it was read", r)
		}
	}
}

func testOne(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	insert(t, d, runDoc(1, nil), runDoc(2, nil), runDoc(3, nil, e("name", "160315_0001"), e("detector", "muon_veto")))
	r, err := s.One(t.Context(), &rundb.Query{Numbers: []rundb.Range{{From: 2, To: 2}}})
	must(t, err)
	if r.ID != runID(2) {
		t.Errorf("got %s", r)
	}
	_, err = s.One(t.Context(), &rundb.Query{Names: []string{"160315_0001"}})
	wantIs(t, "a name of two runs", err, rundb.ErrAmbiguous)
	_, err = s.One(t.Context(), &rundb.Query{Names: []string{"x"}})
	wantIs(t, "no such name", err, rundb.ErrNotExist)
}

func testContext(t *testing.T, d rundb.Driver) {
	for i := 1; i <= 300; i++ {
		insert(t, d, runDoc(i, bson.A{copyDoc("a")}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range d.Find(ctx, &rundb.Query{}) {
		if n++; n == 1 {
			cancel()
		}
		last = err
	}
	if n > 300 || !errors.Is(last, context.Canceled) {
		t.Errorf("a cancelled Find ended after %d elements with %v", n, last)
	}
	_, err := d.Get(ctx, runID(1))
	wantIs(t, "Get", err, context.Canceled)
	wantIs(t, "Insert", d.Insert(ctx, marshal(t, runDoc(400, nil))), context.Canceled)
	wantIs(t, "Update", d.Update(ctx, &rundb.Update{Run: runID(1), Set: bson.D{e("x", 1)}}), context.Canceled)
	wantIs(t, "Add", d.Add(ctx, rundb.Events, marshal(t, bson.D{e("_id", runID(1))})), context.Canceled)
	for _, err := range d.Docs(ctx, &rundb.DocQuery{Coll: rundb.Events}) {
		wantIs(t, "Docs", err, context.Canceled)
	}
	// The database works on.
	if _, err := d.Get(t.Context(), runID(400)); !errors.Is(err, rundb.ErrNotExist) {
		t.Errorf("a cancelled Insert left something: %v", err)
	}
	must(t, d.Update(t.Context(), &rundb.Update{Run: runID(1), Set: bson.D{e("x", 1)}}))
}

func testNow(t *testing.T, d rundb.Driver) {
	a, err := d.Now(t.Context())
	must(t, err)
	b, err := d.Now(t.Context())
	must(t, err)
	if b.Before(a) || a.Location() != time.UTC || !a.Equal(a.Truncate(time.Millisecond)) || a.Before(day) {
		t.Errorf("Now gave %v, then %v", a, b)
	}
}
