package rundb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A Held is a claim that this process holds. Its methods are safe for
// concurrent use.
type Held struct {
	Run  ID
	Key  Key
	ID   string
	Copy Copy // as claimed

	store *Store
	mu    sync.Mutex
	seq   int64
}

// newClaimID is 128 random bits. crypto/rand does not fail.
func newClaimID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Claim adds a record for a copy that does not exist yet, in status
// Transferring, with a fresh claim. c.Claim gives kind, source and owner; id,
// seq and heartbeat are filled in. ErrConflict if the run has a copy with that
// key; ErrExist if another run has one with that host and location.
//
// The key is guarded by the update itself: of any number of processes one wins.
// Host and location belong to other documents, so they are looked at before and,
// because two runs may be claimed at the same moment, again afterwards; then
// this claim is withdrawn, and both may be.
//
// The returned Held names the claim in all later calls.
func (s *Store) Claim(ctx context.Context, id ID, c Copy) (*Held, error) {
	return s.ClaimIf(ctx, id, c, Guards{})
}

// Guards are conditions on other copies of a run that a claim depends on: they
// hold at the very moment at which it is made.
type Guards struct {
	Require []CopyMatch // each must match at least one copy
	Forbid  []CopyMatch // none may match any
}

// ClaimIf is [Store.Claim] that also returns ErrConflict if the guards do not hold.
func (s *Store) ClaimIf(ctx context.Context, id ID, c Copy, g Guards) (*Held, error) {
	if err := s.free(ctx, id, &c); err != nil {
		return nil, err
	}
	now, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	claim := Claim{}
	if c.Claim != nil {
		claim = *c.Claim
	}
	claim.ID, claim.Seq, claim.Heartbeat = newClaimID(), 1, now
	c.Claim, c.Status, c.Created = &claim, Transferring, now
	u := &Update{Run: id, Require: g.Require, Forbid: append([]CopyMatch{c.Key.match()}, g.Forbid...), Push: &c}
	if err := s.update(ctx, u, heldBy(claim.ID)); err != nil {
		return nil, err
	}
	h := &Held{Run: id, Key: c.Key, ID: claim.ID, Copy: c, store: s, seq: 1}
	if err := s.free(ctx, id, &c); err != nil {
		ctx, cancel := afterwards(ctx)
		defer cancel()
		return nil, errors.Join(err, h.Withdraw(ctx))
	}
	return h, nil
}

// Reclaim puts a fresh claim on an existing record and sets its status. The
// record is named by was, a copy as it was read (see Copy.Exactly), and must not
// have changed since. It serves a new try after an error, the verification of a
// copy, and, with the claim that was seen, take-over: then the sequence number
// must still be the one in was.Claim. ErrConflict otherwise; ErrAmbiguous if older
// software left two records that nothing tells apart.
func (s *Store) Reclaim(ctx context.Context, id ID, was Copy, status Status, claim Claim) (*Held, error) {
	return s.ReclaimIf(ctx, id, was, status, claim, Guards{})
}

// ReclaimIf is [Store.Reclaim] that also returns ErrConflict if the guards do not
// hold.
func (s *Store) ReclaimIf(ctx context.Context, id ID, was Copy, status Status, claim Claim, g Guards) (*Held, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	where := was.Exactly()
	if was.Claim != nil {
		where.Seq = &was.Claim.Seq
	}
	claim.ID, claim.Seq, claim.Heartbeat = newClaimID(), 1, now
	set := bson.D{{Key: "status", Value: string(status)}, {Key: "claim", Value: claim.BSON()}}
	u := &Update{Run: id, Require: g.Require, Forbid: g.Forbid, Change: &Change{Where: where, Set: set}}
	if err := s.update(ctx, u, heldBy(claim.ID)); err != nil {
		return nil, err
	}
	c := was
	c.Status, c.Claim = status, &claim
	return &Held{Run: id, Key: c.Key, ID: claim.ID, Copy: c, store: s, seq: 1}, nil
}

// free reports ErrExist if another run's record has the same host and location.
func (s *Store) free(ctx context.Context, id ID, c *Copy) error {
	if c.Location == "" {
		return nil
	}
	q := &Query{Copies: []CopyMatch{{Hosts: []string{c.Host}, Location: c.Location}}, Limit: 2}
	for r, err := range s.Find(ctx, q) {
		if err != nil {
			return err
		}
		if r.ID != id {
			return &Error{Op: "claim", What: c.Key.String(), Kind: ErrExist,
				Err: fmt.Errorf("%s has a record for %s at %s", r, c.Location, c.Host)}
		}
	}
	return nil
}

// heldBy reports whether a claim with this id is on the run.
func heldBy(id string) func(*Run) bool {
	return func(r *Run) bool {
		for i := range r.Data {
			if c := r.Data[i].Claim; c != nil && c.ID == id {
				return true
			}
		}
		return false
	}
}

// where is the condition that only this claim fulfils.
func (h *Held) where() CopyMatch {
	m := h.Key.match()
	m.ClaimID = h.ID
	return m
}

// Heartbeat raises the claim's sequence number and records the database
// server's time. ErrConflict if the claim is no longer ours.
func (h *Held) Heartbeat(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Each try has its own number, so that reading it back tells which one arrived:
	// that the claim is still there does not say that observers saw it move.
	h.seq++
	want := h.where()
	want.Seq = &h.seq
	u := &Update{Run: h.Run, Change: &Change{Where: h.where(), Set: bson.D{{Key: "claim.seq", Value: h.seq}}, ServerTime: "claim.heartbeat"}}
	return h.store.update(ctx, u, func(r *Run) bool { return holds(r, want, nil) })
}

// Set changes fields of the claimed copy and keeps the claim. ErrConflict if the
// claim is no longer ours.
func (h *Held) Set(ctx context.Context, fields bson.D) error {
	u := &Update{Run: h.Run, Change: &Change{Where: h.where(), Set: fields}}
	return h.store.update(ctx, u, func(r *Run) bool { return holds(r, h.where(), fields) })
}

// Finish changes fields of the claimed copy and drops the claim, in one update.
// ErrConflict if the claim is no longer ours.
func (h *Held) Finish(ctx context.Context, fields bson.D) error {
	fields = append(fields[:len(fields):len(fields)], bson.E{Key: "claim", Value: nil})
	u := &Update{Run: h.Run, Change: &Change{Where: h.where(), Set: fields}}
	done := h.Key.match()
	done.Location, done.Created = h.Copy.Location, h.Copy.Created
	for _, f := range fields {
		if to, ok := f.Value.(string); ok && f.Key == "location" {
			done.Location = to
		}
	}
	return h.store.update(ctx, u, func(r *Run) bool { return holds(r, done, fields) })
}

// Withdraw removes the record that [Store.Claim] made; nothing was done under
// it, so it leaves no history. ErrConflict if the claim is no longer ours.
func (h *Held) Withdraw(ctx context.Context) error {
	u := &Update{Run: h.Run, Pull: &Pull{Where: h.where(), Withdraw: true}}
	return h.store.update(ctx, u, func(r *Run) bool {
		// A record under another claim was taken over, or is a new one: who knows.
		_, ok := r.Copy(h.Key)
		return !ok
	})
}

// Delete removes the claimed copy's record and appends it to the run's
// deleted_data with the fields at, by, reason and those of more, in one update.
// ErrConflict if the claim is no longer ours.
func (h *Held) Delete(ctx context.Context, why string, more bson.D) error {
	now, err := h.store.Now(ctx)
	if err != nil {
		return err
	}
	history := append(bson.D{{Key: "at", Value: date(now)}, {Key: "by", Value: h.store.By}, {Key: "reason", Value: why}, {Key: "claim", Value: nil}}, more...)
	u := &Update{Run: h.Run, Pull: &Pull{Where: h.where(), History: history}}
	return h.store.update(ctx, u, func(r *Run) bool {
		_, ok := r.Copy(h.Key)
		return !ok
	})
}
