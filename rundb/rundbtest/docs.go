package rundbtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func testEvents(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d, By: "cax at a"}
	ctx := t.Context()
	const n = 200
	for i := range n {
		must(t, s.Record(ctx, rundb.Event{Run: runID(1), Number: 1, Name: "x", Key: rundb.Key{Type: rundb.Raw, Version: "v", Host: "b"},
			What: "copied", Why: fmt.Sprint(i), Evidence: bson.D{e("files", int64(i))}}))
		if i%50 == 0 {
			must(t, s.Record(ctx, rundb.Event{Run: runID(2), What: "other"}))
		}
	}
	events := all(t, s.Events(ctx, runID(1)))
	if len(events) != n {
		t.Fatalf("%d events, want %d", len(events), n)
	}
	for i, ev := range events {
		if ev.Why != fmt.Sprint(i) {
			t.Fatalf("event %d is number %s: they are not in the order of their recording", i, ev.Why)
		}
	}
	last := events[n-1]
	now, err := s.Now(ctx)
	must(t, err)
	if last.Time.After(now) || last.Time.Before(now.Add(-time.Hour)) || last.ID.IsZero() {
		t.Errorf("time %v, id %v", last.Time, last.ID)
	}
	want := rundb.Event{ID: last.ID, Time: last.Time, Run: runID(1), Number: 1, Name: "x", Key: rundb.Key{Type: rundb.Raw, Version: "v", Host: "b"},
		By: "cax at a", What: "copied", Why: fmt.Sprint(n - 1), Evidence: bson.D{e("files", int64(n-1))}}
	if diff := cmp.Diff(want, last); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if got := all(t, s.Events(ctx, runID(3))); got != nil {
		t.Errorf("a run without events has %v", got)
	}
}

func testDocs(t *testing.T, d rundb.Driver) {
	ctx := t.Context()
	doc := func(n, run, minute int, key string) bson.Raw {
		return marshal(t, bson.D{e("_id", runID(n)), e("run", runID(run)), e("time", day.Add(time.Duration(minute)*time.Minute)), e("key", key), e("odd", everyType())})
	}
	first := doc(1, 1, 5, "raw//a")
	must(t, d.Add(ctx, rundb.Events, first, doc(2, 1, 5, "raw//ab"), doc(3, 2, 1, "raw//a")))
	must(t, d.Add(ctx, rundb.Events, doc(4, 1, 9, "processed/v%_/a")))
	must(t, d.Add(ctx, rundb.Events))
	must(t, d.Add(ctx, rundb.Manifests, doc(1, 1, 5, "raw//"))) // the same _id in another collection

	wantIs(t, "the same _id", d.Add(ctx, rundb.Events, doc(1, 3, 0, "")), rundb.ErrExist)
	wantIs(t, "no _id", d.Add(ctx, rundb.Events, marshal(t, bson.D{e("x", 1)})), rundb.ErrInvalid)
	wantIs(t, "no BSON", d.Add(ctx, rundb.Events, bson.Raw("text")), rundb.ErrInvalid)

	cases := []struct {
		name string
		q    rundb.DocQuery
		want []int
	}{
		{"all", rundb.DocQuery{}, []int{3, 1, 2, 4}},
		{"newest", rundb.DocQuery{Newest: true}, []int{4, 2, 1, 3}},
		{"run", rundb.DocQuery{Run: runID(1)}, []int{1, 2, 4}},
		{"no such run", rundb.DocQuery{Run: runID(9)}, nil},
		{"key", rundb.DocQuery{KeyPrefix: "raw//a"}, []int{3, 1, 2}},
		{"key of a run", rundb.DocQuery{Run: runID(1), KeyPrefix: "raw//ab"}, []int{2}},
		{"key with signs", rundb.DocQuery{KeyPrefix: "processed/v%_"}, []int{4}},
		{"signs are no pattern", rundb.DocQuery{KeyPrefix: "%"}, nil},
		{"a dot is no pattern", rundb.DocQuery{KeyPrefix: "raw/."}, nil},
		{"upper case is another key", rundb.DocQuery{KeyPrefix: "RAW"}, nil},
		{"from", rundb.DocQuery{From: day.Add(5 * time.Minute)}, []int{1, 2, 4}},
		{"limit", rundb.DocQuery{Limit: 2}, []int{3, 1}},
		{"newest of a run, limit", rundb.DocQuery{Run: runID(1), Newest: true, Limit: 1}, []int{4}},
		{"other collection", rundb.DocQuery{Coll: rundb.Manifests}, []int{1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.q.Coll == "" {
				c.q.Coll = rundb.Events
			}
			var got []int
			for _, x := range all(t, d.Docs(t.Context(), &c.q)) {
				id := x.Lookup("_id").ObjectID()
				got = append(got, int(id[11]))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
		})
	}
	for _, x := range all(t, d.Docs(ctx, &rundb.DocQuery{Coll: rundb.Events, Run: runID(1), Limit: 1})) {
		wantSameFields(t, first, x)
	}
	// Corrections are ordered by the time that people call calculation_time.
	for i, minute := range []int{7, 9, 8} {
		must(t, d.Add(ctx, rundb.Gains, marshal(t, bson.D{e("_id", runID(i)), e("calculation_time", day.Add(time.Duration(minute)*time.Minute)), e("time", day), e("function", "2e6")})))
	}
	newest := all(t, d.Docs(ctx, &rundb.DocQuery{Coll: rundb.Gains, Newest: true, Limit: 1}))
	if len(newest) != 1 || newest[0].Lookup("_id").ObjectID() != runID(1) {
		t.Errorf("the newest correction is %v", newest)
	}
	// Texts as _ids are ordered as texts, and more documents come than any batch holds.
	const n = 300
	for i := range n {
		must(t, d.Add(ctx, rundb.Manifests, marshal(t, bson.D{e("_id", fmt.Sprintf("%c%0*d", 'c'-rune(i%3), i%3, i)), e("run", runID(5)), e("time", day)})))
	}
	var last string
	got := all(t, d.Docs(ctx, &rundb.DocQuery{Coll: rundb.Manifests, Run: runID(5)}))
	for _, x := range got {
		id := x.Lookup("_id").StringValue()
		if id <= last {
			t.Errorf("%q comes after %q", id, last)
		}
		last = id
	}
	if len(got) != n {
		t.Errorf("%d documents, want %d", len(got), n)
	}
	if got := all(t, d.Docs(ctx, &rundb.DocQuery{Coll: rundb.Manifests, Run: runID(5), Newest: true, Limit: 200})); len(got) != 200 || got[0].Lookup("_id").StringValue() != last {
		t.Errorf("the newest 200 are %d", len(got))
	}
}
