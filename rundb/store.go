package rundb

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A Store is the run database as all sites share it. It is safe for concurrent
// use. Its guarded writes either happen, or return an error that tells that they
// did not; a write whose outcome the driver does not know is read back.
type Store struct {
	Driver Driver

	// By names the writer in events: program, site, host, pid.
	By string
}

// Get returns one run. ErrNotExist if there is none.
func (s *Store) Get(ctx context.Context, id ID) (*Run, error) {
	doc, err := s.Driver.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return Decode(doc)
}

// Find returns the runs that a query selects. A document that cannot be decoded
// yields its error and the sequence goes on with the next one; an error of the
// driver ends it.
func (s *Store) Find(ctx context.Context, q *Query) iter.Seq2[*Run, error] {
	return func(yield func(*Run, error) bool) {
		for doc, err := range s.Driver.Find(ctx, q) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(Decode(doc)) {
				return
			}
		}
	}
}

// One returns the single run that the query selects: ErrNotExist if none,
// ErrAmbiguous, naming them, if several.
func (s *Store) One(ctx context.Context, q *Query) (*Run, error) {
	var found []*Run
	few := *q
	few.Limit = 4
	for r, err := range s.Find(ctx, &few) {
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	switch len(found) {
	case 0:
		return nil, &Error{Op: "find", What: q.String(), Kind: ErrNotExist}
	case 1:
		return found[0], nil
	}
	var names []string
	for _, r := range found {
		names = append(names, r.String())
	}
	return nil, &Error{Op: "find", What: q.String(), Kind: ErrAmbiguous, Err: errors.New(strings.Join(names, ", "))}
}

// Insert adds a run. ErrExist if its id, or name and detector, are taken.
func (s *Store) Insert(ctx context.Context, r *Run) error {
	err := s.Driver.Insert(ctx, r.raw)
	if errors.Is(err, ErrUnknownOutcome) {
		if _, gerr := s.Driver.Get(ctx, r.ID); gerr == nil {
			return nil
		}
	}
	return err
}

// Register adds a copy record that needs no claim, because its bytes are there
// and verified. ErrConflict if the key, or host and location, are taken.
func (s *Store) Register(ctx context.Context, id ID, c Copy) error {
	if err := s.free(ctx, id, &c); err != nil {
		return err
	}
	u := &Update{Run: id, Forbid: []CopyMatch{c.Key.match()}, Push: &c}
	return s.update(ctx, u, func(r *Run) bool {
		was, ok := r.Copy(c.Key)
		return ok && was.Location == c.Location && was.Created.Equal(c.Created.Truncate(time.Millisecond)) && was.Checksum == c.Checksum
	})
}

// CompareAndSet changes fields of a copy that nobody has claimed, if it still is
// as it was read. ErrConflict otherwise.
func (s *Store) CompareAndSet(ctx context.Context, id ID, was Copy, fields bson.D) error {
	if was.Claim != nil {
		return &Error{Op: "change", What: was.Key.String(), Kind: ErrConflict, Err: fmt.Errorf("it is claimed by pid %d on %s", was.Claim.Owner.PID, was.Claim.Owner.Host)}
	}
	u := &Update{Run: id, Change: &Change{Where: was.Exactly(), Set: fields}}
	return s.update(ctx, u, func(r *Run) bool { return holds(r, was.Key, fields) })
}

// Remove takes a copy record out of the run, if it still is as it was read, and
// appends it to the run's deleted_data with the fields at, by and reason, in
// one update.
func (s *Store) Remove(ctx context.Context, id ID, was Copy, why string) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	u := &Update{Run: id, Pull: &Pull{Where: was.Exactly(), History: bson.D{
		{Key: "at", Value: date(now)}, {Key: "by", Value: s.By}, {Key: "reason", Value: why}}}}
	return s.update(ctx, u, func(r *Run) bool {
		for _, c := range r.Data {
			if m := was.Exactly(); m.Match(&c) {
				return false
			}
		}
		return true
	})
}

// SetRun sets fields of the run outside its copies, by dotted path; nil removes
// one. Values of type []Tag are written as tags.
func (s *Store) SetRun(ctx context.Context, id ID, fields bson.D) error {
	set := make(bson.D, len(fields))
	for i, f := range fields {
		if f.Key == "_id" || f.Key == "data" || strings.HasPrefix(f.Key, "data.") {
			return &Error{Op: "set", What: f.Key, Kind: ErrInvalid, Err: errors.New("copies are changed by their own methods")}
		}
		if tags, ok := f.Value.([]Tag); ok {
			f.Value = TagsBSON(tags)
		}
		set[i] = f
	}
	return s.update(ctx, &Update{Run: id, Set: set}, func(*Run) bool { return false })
}

// Now returns the database server's time.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.Driver.Now(ctx) }

// Close closes the driver.
func (s *Store) Close() error { return s.Driver.Close() }

// update carries out a guarded update. If nobody knows whether it was applied,
// the run is read back and applied tells.
func (s *Store) update(ctx context.Context, u *Update, applied func(*Run) bool) error {
	err := s.Driver.Update(ctx, u)
	if !errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	// A write that is still on its way can arrive after this read. Then the record
	// carries a claim that nobody works under, and its lease runs out.
	r, gerr := s.Get(ctx, u.Run)
	switch {
	case gerr != nil:
		return errors.Join(err, gerr)
	case applied(r):
		return nil
	}
	return err
}

// holds reports whether a copy has these values.
func holds(r *Run, k Key, fields bson.D) bool {
	for _, v := range list(lookup(r.raw, "data")) {
		d, ok := v.DocumentOK()
		if !ok || decodeCopy(d).Key != k {
			continue
		}
		for _, f := range fields {
			got := lookup(d, f.Key)
			if f.Value == nil {
				if !got.IsZero() {
					return false
				}
				continue
			}
			if want, err := rawValue(f.Value); err != nil || !want.Equal(got) {
				return false
			}
		}
		return true
	}
	return false
}

func (k Key) match() CopyMatch {
	return CopyMatch{Types: []Type{k.Type}, Versions: []string{k.Version}, Hosts: []string{k.Host}}
}

// String names what the query asks for, as far as people name runs.
func (q *Query) String() string {
	var s []string
	for _, r := range q.Numbers {
		switch {
		case r.To < 0:
			s = append(s, fmt.Sprintf("run from %d", r.From))
		case r.From == r.To:
			s = append(s, fmt.Sprintf("run %d", r.From))
		default:
			s = append(s, fmt.Sprintf("runs %d to %d", r.From, r.To))
		}
	}
	for _, n := range q.Names {
		s = append(s, "run "+n)
	}
	for _, d := range q.Detectors {
		s = append(s, d)
	}
	if len(s) == 0 {
		return "runs"
	}
	return strings.Join(s, ", ")
}
