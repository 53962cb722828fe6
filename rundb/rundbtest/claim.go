package rundbtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func rawAt(host string) rundb.Key { return rundb.Key{Type: rundb.Raw, Host: host} }

func owner(pid int) rundb.Claim {
	return rundb.Claim{Kind: rundb.ClaimPush, Source: "a", Owner: rundb.Owner{Site: "a", Host: "machine", Boot: "boot", PID: pid, Started: 7}}
}

func testClaim(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	insert(t, d, runDoc(1, bson.A{copyDoc("a")}))
	mine := owner(12)
	h, err := s.Claim(t.Context(), runID(1), rundb.Copy{Key: rawAt("b"), Location: "/b/x", PaxHash: "h", Claim: &mine, Status: "nonsense"})
	must(t, err)
	got, ok := get(t, d, 1).Copy(rawAt("b"))
	if !ok {
		t.Fatal("the record is not there")
	}
	if diff := cmp.Diff(h.Copy, got); diff != "" {
		t.Errorf("the record is not what the claim says (-claim +record):\n%s", diff)
	}
	if got.Status != rundb.Transferring || got.Claim.Seq != 1 || got.Claim.ID != h.ID || len(h.ID) != 32 || got.Claim.Owner != mine.Owner || got.Created.IsZero() {
		t.Errorf("record %+v", got)
	}
	for want := int64(2); want <= 4; want++ {
		must(t, h.Heartbeat(t.Context()))
		if c, _ := get(t, d, 1).Copy(rawAt("b")); c.Claim.Seq != want || c.Claim.Heartbeat.Before(got.Claim.Heartbeat) {
			t.Errorf("after a heartbeat: %+v", c.Claim)
		}
	}
	must(t, h.Set(t.Context(), bson.D{e("status", "verifying")}))
	must(t, h.Finish(t.Context(), bson.D{e("status", "transferred"), e("size", int64(5))}))
	if c, _ := get(t, d, 1).Copy(rawAt("b")); c.Claim != nil || c.Status != rundb.Transferred || c.Size != 5 {
		t.Errorf("after the end: %+v", c)
	}
	for what, err := range map[string]error{
		"heartbeat": h.Heartbeat(t.Context()),
		"set":       h.Set(t.Context(), bson.D{e("status", "error")}),
		"finish":    h.Finish(t.Context(), bson.D{e("status", "error")}),
		"withdraw":  h.Withdraw(t.Context()),
	} {
		wantIs(t, what+" after the end", err, rundb.ErrConflict)
	}
	_, err = s.Claim(t.Context(), runID(1), rundb.Copy{Key: rawAt("b"), Location: "/b/y"})
	wantIs(t, "a second claim", err, rundb.ErrConflict)
	_, err = s.Claim(t.Context(), runID(2), rundb.Copy{Key: rawAt("b"), Location: "/b/y"})
	wantIs(t, "a claim on no run", err, rundb.ErrNotExist)
	other := rundb.Key{Type: rundb.Processed, Version: "v1", Host: "b"}
	_, err = s.Claim(t.Context(), runID(1), rundb.Copy{Key: other, Location: "/b/z"})
	wantIs(t, "another type at that host", err, nil)
}

// race runs f n times at once and returns how many calls gave no error; all
// others must give ErrConflict, or ErrExist where they race for a place.
func race(t *testing.T, n int, f func(i int) error) (won int) {
	t.Helper()
	start := make(chan struct{})
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs <- f(i)
		})
	}
	close(start)
	wg.Wait()
	close(errs)
	for err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, rundb.ErrExist):
			wantIs(t, "a loser", err, rundb.ErrConflict)
		}
	}
	return won
}

func testClaimOneWinner(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	for n := 1; n <= 5; n++ {
		insert(t, d, runDoc(n, bson.A{copyDoc("a")}))
		var mu sync.Mutex
		var ids []string
		won := race(t, 20, func(i int) error {
			c := owner(i)
			h, err := s.Claim(t.Context(), runID(n), rundb.Copy{Key: rawAt("b"), Location: fmt.Sprintf("/b/%d", n), Claim: &c})
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, h.ID)
			}
			return err
		})
		r := get(t, d, n)
		if won != 1 || len(r.Data) != 2 || len(r.Duplicates()) != 0 {
			t.Fatalf("%d winners, %d records", won, len(r.Data))
		}
		if c, _ := r.Copy(rawAt("b")); c.Claim == nil || c.Claim.ID != ids[0] {
			t.Errorf("the winner is %s, the record says %+v", ids[0], c.Claim)
		}
	}
}

// testClaimOldRecords: records of older software occupy their key, however they
// write the absence of a version.
func testClaimOldRecords(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	old := map[string]bson.A{
		"null version":    {copyDoc("b", e("pax_version", nil))},
		"missing version": {copyDoc("b", e("pax_version", absent))},
		"empty version":   {copyDoc("b", e("pax_version", ""))},
		"failed":          {copyDoc("b", e("status", "error"))},
		"duplicates":      {copyDoc("b"), copyDoc("b", e("pax_version", absent), e("status", "error"))},
		"among others":    {copyDoc("a"), copyDoc("b", e("type", "processed"), e("pax_version", "v1")), copyDoc("b")},
		"beside a null":   {nil, copyDoc("b")},
	}
	n := 0
	for name, data := range old {
		n++
		insert(t, d, runDoc(n, data))
		if won := race(t, 4, func(int) error {
			_, err := s.Claim(t.Context(), runID(n), rundb.Copy{Key: rawAt("b"), Location: fmt.Sprint("/new/", n)})
			return err
		}); won != 0 {
			t.Errorf("%s: %d claims of a taken key", name, won)
		}
		if won := race(t, 4, func(int) error {
			_, err := s.Claim(t.Context(), runID(n), rundb.Copy{Key: rawAt("c"), Location: fmt.Sprint("/c/", n)})
			return err
		}); won != 1 {
			t.Errorf("%s: %d claims of a free key", name, won)
		}
	}
}

func testClaimLocationTaken(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	insert(t, d, runDoc(1, bson.A{copyDoc("b", e("location", "/b/160315_1432"))}), runDoc(2, bson.A{copyDoc("a")}, e("detector", "muon_veto")))
	_, err := s.Claim(t.Context(), runID(2), rundb.Copy{Key: rawAt("b"), Location: "/b/160315_1432"})
	wantIs(t, "a location of another run", err, rundb.ErrExist)
	if len(get(t, d, 2).Data) != 1 {
		t.Error("a refused claim left a record")
	}
	_, err = s.Claim(t.Context(), runID(2), rundb.Copy{Key: rawAt("c"), Location: "/b/160315_1432"})
	wantIs(t, "the same path at another host", err, nil)
	_, err = s.Claim(t.Context(), runID(2), rundb.Copy{Key: rawAt("b"), Location: "/b/160315_1432_MV"})
	wantIs(t, "another path", err, nil)
}

// testClaimLocationRace: of many runs that claim one place at once, at most one
// gets it, and the others leave nothing.
func testClaimLocationRace(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	for n := 1; n <= 8; n++ {
		insert(t, d, runDoc(n, bson.A{copyDoc("a")}))
	}
	won := race(t, 8, func(i int) error {
		_, err := s.Claim(t.Context(), runID(i+1), rundb.Copy{Key: rawAt("b"), Location: "/b/same"})
		return err
	})
	have := found(t, d, &rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"b"}, Location: "/b/same"}}})
	if won > 1 || len(have) != won {
		t.Errorf("%d winners, records in runs %v", won, have)
	}
}

// testClaimLocationMeanwhile: a place that another run gets between the first look
// and the claim is found out afterwards, also when the caller's time is up by then.
func testClaimLocationMeanwhile(t *testing.T, d rundb.Driver) {
	others := &rundb.Store{Driver: d}
	c := rundb.Copy{Key: rawAt("b"), Location: "/b/same", Status: rundb.Transferred, Created: day}
	n := 0
	for what, do := range map[string]func(context.Context, *rundb.Store, rundb.ID) error{
		"claim": func(ctx context.Context, s *rundb.Store, id rundb.ID) error {
			_, err := s.Claim(ctx, id, c)
			return err
		},
		"registration": func(ctx context.Context, s *rundb.Store, id rundb.ID) error { return s.Register(ctx, id, c) },
	} {
		for _, timeUp := range []bool{false, true} {
			n += 2
			ours, theirs := runID(n), runID(n+1)
			insert(t, d, runDoc(n, nil), runDoc(n+1, nil))
			c.Location = fmt.Sprint("/b/", n)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f := &Faulty{Driver: d}
			first := true
			f.Next = func(string) Fault {
				if first {
					must(t, others.Register(t.Context(), theirs, c))
				}
				return None
			}
			f.After = func(string) {
				if first && timeUp {
					cancel()
				}
				first = false
			}
			err := do(ctx, &rundb.Store{Driver: f}, ours)
			if timeUp {
				wantIs(t, what+" with the time up", err, context.Canceled)
			} else {
				wantIs(t, what, err, rundb.ErrExist)
			}
			if r := get(t, d, n); len(r.Data) != 0 {
				t.Errorf("%s, time up %v: a record was left: %+v", what, timeUp, r.Data)
			}
			if r := get(t, d, n+1); len(r.Data) != 1 {
				t.Errorf("%s: the other run's record is gone", what)
			}
		}
	}
}

func testReclaim(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	insert(t, d, runDoc(1, bson.A{copyDoc("a"), copyDoc("b", e("status", "error"))}))
	ctx := t.Context()
	old, _ := get(t, d, 1).Copy(rawAt("b"))
	h, err := s.Reclaim(ctx, runID(1), old, rundb.Transferring, owner(1))
	must(t, err)
	if c, _ := get(t, d, 1).Copy(rawAt("b")); !cmp.Equal(h.Copy, c) {
		t.Errorf("the record is not what the claim says (-claim +record):\n%s", cmp.Diff(h.Copy, c))
	}
	_, err = s.Reclaim(ctx, runID(1), old, rundb.Transferring, owner(2))
	wantIs(t, "reclaim of what was read before", err, rundb.ErrConflict)
	stale, _ := get(t, d, 1).Copy(rawAt("b"))
	must(t, h.Heartbeat(ctx))
	_, err = s.Reclaim(ctx, runID(1), stale, rundb.Transferring, owner(2))
	wantIs(t, "reclaim of a claim that moved", err, rundb.ErrConflict)
	now, _ := get(t, d, 1).Copy(rawAt("b"))
	h2, err := s.Reclaim(ctx, runID(1), now, rundb.Transferring, owner(2))
	must(t, err)
	if h2.ID == h.ID {
		t.Error("take-over kept the claim id")
	}
	wantIs(t, "the old holder's heartbeat", h.Heartbeat(ctx), rundb.ErrConflict)
	must(t, h2.Heartbeat(ctx))
	must(t, h2.Heartbeat(ctx))
}

func testReclaimOneWinner(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	claim := bson.D{e("id", "old"), e("seq", 2.0), e("kind", "push")} // a double, as other tools write numbers
	for n, c := range []bson.D{copyDoc("b", e("status", "error")), copyDoc("b", e("status", "transferring"), e("claim", claim)),
		copyDoc("b", e("status", "transferring"), e("creation_time", bson.A{day})), copyDoc("b", e("status", "verifying"), e("creation_time", absent))} {
		insert(t, d, runDoc(n, bson.A{copyDoc("a"), c}))
		was, _ := get(t, d, n).Copy(rawAt("b"))
		if won := race(t, 20, func(i int) error {
			_, err := s.Reclaim(t.Context(), runID(n), was, rundb.Transferring, owner(i))
			return err
		}); won != 1 {
			t.Errorf("run %d: %d winners", n, won)
		}
	}
}

// testFencing: whoever lost a claim can write nothing any more.
func testFencing(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	insert(t, d, runDoc(1, bson.A{copyDoc("a")}))
	ctx := t.Context()
	h, err := s.Claim(ctx, runID(1), rundb.Copy{Key: rawAt("b"), Location: "/b/x"})
	must(t, err)
	seen, _ := get(t, d, 1).Copy(rawAt("b"))
	taker, err := s.Reclaim(ctx, runID(1), seen, rundb.Transferring, owner(2))
	must(t, err)
	before := get(t, d, 1).Raw()
	done := bson.D{e("status", "transferred")}
	for what, f := range map[string]func() error{
		"heartbeat": func() error { return h.Heartbeat(ctx) },
		"set":       func() error { return h.Set(ctx, done) },
		"finish":    func() error { return h.Finish(ctx, done) },
		"withdraw":  func() error { return h.Withdraw(ctx) },
		"compare":   func() error { return s.CompareAndSet(ctx, runID(1), seen, done) },
		"remove":    func() error { return s.Remove(ctx, runID(1), seen, "test") },
		"reclaim":   func() error { _, err := s.Reclaim(ctx, runID(1), seen, rundb.Verifying, owner(3)); return err },
	} {
		wantIs(t, what+" of the old holder", f(), rundb.ErrConflict)
	}
	wantSameFields(t, before, get(t, d, 1).Raw())
	must(t, taker.Finish(ctx, done))
}
