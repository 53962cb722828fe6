package cax

import (
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestSummarize: what counts where, and a run that cannot be read hides no other.
func TestSummarize(t *testing.T) {
	l := newLab(t)
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	raw := func(host string, status rundb.Status, size int64, verified time.Time) rundb.Copy {
		return rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: host}, Status: status, Location: "/" + host, Size: size, VerifiedAt: verified}
	}
	for i, copies := range [][]rundb.Copy{
		{raw("A", rundb.Transferred, 10, ago(time.Hour)), raw("elsewhere", rundb.Transferred, 10, ago(40*day))},
		{raw("A", rundb.Transferred, 0, ago(time.Hour)), raw("A", rundb.Failed, 0, time.Time{})}, // two records of one copy
		{raw("A", rundb.Transferred, 30, time.Time{}), raw("B", rundb.Verifying, 5, ago(time.Hour))},
		{raw("A", rundb.Transferred, 40, time.Now().Add(time.Hour))},
	} {
		r := rundb.Run{Number: int64(i), Name: string(rune('a' + i)), Detector: "tpc", Start: ago(day), Data: copies}
		if i == 1 {
			r.RawSize = 20
		}
		doc, err := rundb.NewRun(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.store.Insert(t.Context(), doc); err != nil {
			t.Fatal(err)
		}
	}
	r, err := l.store.One(t.Context(), &rundb.Query{Names: []string{"d"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.store.CompareAndSet(t.Context(), r.ID, r.Data[0], bson.D{{Key: "size", Value: nil}}); err != nil {
		t.Fatal(err)
	}
	want := []SiteSummary{
		{Site: "A", Type: "raw", Status: "transferred", Copies: 4, Bytes: 60, UnknownSize: 1, VerifiedCopies: 2, VerifiedBytes: 30},
		{Site: "B", Type: "raw", Status: "verifying", Copies: 1, Bytes: 5},
		{Site: "elsewhere", Type: "raw", Status: "transferred", Copies: 1, Bytes: 10},
	}
	got, err := Summarize(t.Context(), l.store, &rundb.Query{}, rundb.CopyMatch{}, Policy{})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	store := &rundb.Store{Driver: oddDriver{l.store.Driver}}
	got, err = Summarize(t.Context(), store, &rundb.Query{}, rundb.CopyMatch{Hosts: []string{"B"}}, Policy{})
	if diff := cmp.Diff(want[1:2], got); err == nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
