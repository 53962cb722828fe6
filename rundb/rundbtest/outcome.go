package rundbtest

import (
	"context"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// testUnknownOutcome: when the answer to a write is lost, every method finds out
// whether it was applied, and says so; when the write is lost, none says that it
// was.
func testUnknownOutcome(t *testing.T, d rundb.Driver) {
	type setup struct {
		s    *rundb.Store // on the faulty driver
		n    int          // the run: a copy at "a", one that failed at "b", one claimed at "c"
		held *rundb.Held  // of the copy at "c"
	}
	ops := []struct {
		name string
		more bool // it goes on after the write, for which there is no time then
		do   func(ctx context.Context, x setup) error
	}{
		{"insert", false, func(ctx context.Context, x setup) error {
			r, err := rundb.NewRun(rundb.Run{Name: time.Duration(x.n).String(), Detector: "new", Start: day})
			if err != nil {
				return err
			}
			return x.s.Insert(ctx, r)
		}},
		{"claim", true, func(ctx context.Context, x setup) error {
			_, err := x.s.Claim(ctx, runID(x.n), rundb.Copy{Key: rawAt("z"), Location: time.Duration(x.n).String()})
			return err
		}},
		{"register", false, func(ctx context.Context, x setup) error {
			return x.s.Register(ctx, runID(x.n), rundb.Copy{Key: rawAt("z"), Status: rundb.Transferred, Created: day, Checksum: "aa"})
		}},
		{"reclaim", false, func(ctx context.Context, x setup) error {
			was, _ := get(t, d, x.n).Copy(rawAt("b"))
			_, err := x.s.Reclaim(ctx, runID(x.n), was, rundb.Transferring, owner(1))
			return err
		}},
		{"heartbeat", false, func(ctx context.Context, x setup) error { return x.held.Heartbeat(ctx) }},
		{"set", false, func(ctx context.Context, x setup) error {
			return x.held.Set(ctx, bson.D{e("status", "verifying"), e("claim.note", "x"), e("checksum", nil)})
		}},
		{"finish", false, func(ctx context.Context, x setup) error {
			return x.held.Finish(ctx, bson.D{e("status", "transferred"), e("verified_at", day)})
		}},
		{"withdraw", false, func(ctx context.Context, x setup) error { return x.held.Withdraw(ctx) }},
		{"compare and set", false, func(ctx context.Context, x setup) error {
			was, _ := get(t, d, x.n).Copy(rawAt("b"))
			return x.s.CompareAndSet(ctx, runID(x.n), was, bson.D{e("status", "verifying"), e("error.class", "x")})
		}},
		{"remove", false, func(ctx context.Context, x setup) error {
			was, _ := get(t, d, x.n).Copy(rawAt("b"))
			return x.s.Remove(ctx, runID(x.n), was, "test")
		}},
		{"set run", false, func(ctx context.Context, x setup) error {
			return x.s.SetRun(ctx, runID(x.n), bson.D{e("a.b", int32(1)), e("trigger", nil)})
		}},
		{"event", true, func(ctx context.Context, x setup) error {
			return x.s.Record(ctx, rundb.Event{Run: runID(x.n), What: "x"})
		}},
		{"manifest", true, func(ctx context.Context, x setup) error {
			return x.s.PutManifest(ctx, rundb.ManifestKey{Run: runID(x.n), Type: rundb.Raw}, makeManifest(t, 2, "x"))
		}},
	}
	n := 0
	begin := func(t *testing.T, next func(string) Fault) setup {
		n++
		plain := &rundb.Store{Driver: d, By: "test"}
		insert(t, d, runDoc(n, bson.A{copyDoc("a", e("location", time.Duration(n).String())), copyDoc("b", e("location", ""), e("status", "error"))}))
		held, err := plain.Claim(t.Context(), runID(n), rundb.Copy{Key: rawAt("c"), Location: time.Duration(n).String()})
		must(t, err)
		f := &Faulty{Driver: d}
		s := &rundb.Store{Driver: f, By: "test"}
		// The claim is held by way of the faulty driver.
		c, _ := get(t, d, n).Copy(rawAt("c"))
		held, err = s.Reclaim(t.Context(), runID(n), c, rundb.Transferring, *held.Copy.Claim)
		must(t, err)
		f.Next = next
		return setup{s, n, held}
	}
	for _, op := range ops {
		t.Run(op.name, func(t *testing.T) {
			x := begin(t, Once(LoseAnswer))
			if err := op.do(t.Context(), x); err != nil {
				t.Errorf("with the answer lost: %v", err)
			}
			x = begin(t, func(string) Fault { return LoseWrite })
			before := get(t, d, x.n).Raw()
			err := op.do(t.Context(), x)
			wantIs(t, "with the write lost", err, rundb.ErrUnknownOutcome)
			wantSameFields(t, before, get(t, d, x.n).Raw())

			// The usual reason for a lost answer is that the time was up. What is read
			// back is known all the same.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			x = begin(t, Once(LoseAnswer))
			x.s.Driver.(*Faulty).After = func(string) { cancel() }
			err = op.do(ctx, x)
			if op.more && err != nil {
				wantIs(t, "with the answer lost and the time up", err, context.Canceled)
			} else {
				wantIs(t, "with the answer lost and the time up", err, nil)
			}
		})
	}
}

// testUnknownOutcomeOfOthers: what another process wrote is not mistaken for a
// write of our own that was lost.
func testUnknownOutcomeOfOthers(t *testing.T, d rundb.Driver) {
	others := &rundb.Store{Driver: d, By: "others"}
	n := 0
	// prepare gives a claimed copy at "b", and a store whose first write is lost
	// after another process did something.
	prepare := func(t *testing.T, meanwhile func(n int, seen rundb.Copy)) (*rundb.Store, *rundb.Held, rundb.ID) {
		n++
		insert(t, d, runDoc(n, bson.A{copyDoc("a", e("location", time.Duration(n).String()))}))
		f := &Faulty{Driver: d}
		s := &rundb.Store{Driver: f, By: "we"}
		h, err := s.Claim(t.Context(), runID(n), rundb.Copy{Key: rawAt("b"), Location: time.Duration(n).String()})
		must(t, err)
		f.Next = func(string) Fault {
			seen, _ := get(t, d, n).Copy(rawAt("b"))
			meanwhile(n, seen)
			f.Next = nil
			return LoseWrite
		}
		return s, h, runID(n)
	}
	taken := func(n int, seen rundb.Copy) {
		_, err := others.Reclaim(t.Context(), runID(n), seen, rundb.Transferring, owner(9))
		must(t, err)
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		if err == nil {
			t.Error("a write that was lost is said to be done")
		}
	}
	t.Run("heartbeat of a claim that was taken over", func(t *testing.T) {
		_, h, _ := prepare(t, taken)
		refused(t, h.Heartbeat(t.Context()))
	})
	t.Run("heartbeat that observers did not see", func(t *testing.T) {
		_, h, id := prepare(t, func(int, rundb.Copy) {})
		refused(t, h.Heartbeat(t.Context()))
		must(t, h.Heartbeat(t.Context()))
		if r, err := others.Get(t.Context(), id); err != nil || r.Data[1].Claim.Seq < 2 {
			t.Errorf("the next heartbeat did not raise the number: %v", err)
		}
	})
	t.Run("set of what the taker has set", func(t *testing.T) {
		_, h, _ := prepare(t, taken)
		refused(t, h.Set(t.Context(), bson.D{e("status", "transferring")}))
	})
	t.Run("finish of a claim that was taken over", func(t *testing.T) {
		_, h, _ := prepare(t, taken)
		refused(t, h.Finish(t.Context(), bson.D{e("status", "transferring")}))
	})
	t.Run("withdrawal of a claim that was taken over", func(t *testing.T) {
		_, h, _ := prepare(t, taken)
		refused(t, h.Withdraw(t.Context()))
	})
	t.Run("removal of a copy that was changed", func(t *testing.T) {
		s, _, id := prepare(t, taken)
		seen, _ := get(t, d, n).Copy(rawAt("b"))
		refused(t, s.Remove(t.Context(), id, seen, "test"))
	})
	t.Run("removal of a copy that others removed", func(t *testing.T) {
		s, _, id := prepare(t, func(n int, seen rundb.Copy) { must(t, others.Remove(t.Context(), runID(n), seen, "test")) })
		seen, _ := get(t, d, n).Copy(rawAt("b"))
		refused(t, s.Remove(t.Context(), id, seen, "test"))
	})
	t.Run("claim of a key that others claimed", func(t *testing.T) {
		s, h, id := prepare(t, func(int, rundb.Copy) {})
		f := s.Driver.(*Faulty)
		f.Next = nil
		must(t, h.Withdraw(t.Context()))
		f.Next = func(string) Fault {
			_, err := others.Claim(t.Context(), id, rundb.Copy{Key: rawAt("b"), Location: "/theirs"})
			must(t, err)
			f.Next = nil
			return LoseWrite
		}
		_, err := s.Claim(t.Context(), id, rundb.Copy{Key: rawAt("b"), Location: "/ours"})
		refused(t, err)
	})
}

// testUnknownOutcomeManifest: a head whose answer is lost, and that another
// writer's manifest was in the way of, is not ours.
func testUnknownOutcomeManifest(t *testing.T, d rundb.Driver) {
	ours, theirs := makeManifest(t, 2, "ours"), makeManifest(t, 2, "theirs")
	k := rundb.ManifestKey{Run: runID(1), Type: rundb.Raw}
	writes := 0
	f := &Faulty{Driver: d, Next: func(string) Fault {
		if writes++; writes != 2 { // the head comes after one chunk
			return None
		}
		must(t, (&rundb.Store{Driver: d}).PutManifest(t.Context(), k, theirs))
		return LoseWrite
	}}
	err := (&rundb.Store{Driver: f}).PutManifest(t.Context(), k, ours)
	wantIs(t, "a lost head", err, rundb.ErrExist)
	got, err := (&rundb.Store{Driver: d}).Manifest(t.Context(), k)
	must(t, err)
	if got.Root() != theirs.Root() {
		t.Error("their manifest was replaced")
	}
}
