package rundb

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
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
	if !errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	got, gerr := s.Get(ctx, r.ID)
	switch {
	case errors.Is(gerr, ErrNotExist):
		return err
	case gerr != nil:
		return errors.Join(err, gerr)
	case got.Name != r.Name || got.Detector != r.Detector || !got.Start.Equal(r.Start):
		return &Error{Op: "insert", What: r.String(), Kind: ErrExist, Err: fmt.Errorf("its id is that of %s", got)}
	}
	return nil
}

// Register adds a copy record that needs no claim, because its bytes are there
// and verified. ErrConflict if the key is taken, ErrExist if host and location are.
func (s *Store) Register(ctx context.Context, id ID, c Copy) error {
	if err := s.free(ctx, id, &c); err != nil {
		return err
	}
	u := &Update{Run: id, Forbid: []CopyMatch{c.Key.match()}, Push: &c}
	err := s.update(ctx, u, func(r *Run) bool {
		return holds(r, c.Exactly(), c.BSON())
	})
	if err != nil {
		return err
	}
	// Two runs may be given the same location at the same moment.
	if err := s.free(ctx, id, &c); err != nil {
		ctx, cancel := afterwards(ctx)
		defer cancel()
		back := &Update{Run: id, Pull: &Pull{Where: c.Exactly(), Withdraw: true}}
		return errors.Join(err, s.update(ctx, back, func(r *Run) bool {
			_, ok := r.Copy(c.Key)
			return !ok
		}))
	}
	return nil
}

// CompareAndSet changes fields of a copy that nobody has claimed, if it still is
// as it was read. ErrConflict otherwise; ErrAmbiguous if older software left two
// records that nothing tells apart.
func (s *Store) CompareAndSet(ctx context.Context, id ID, was Copy, fields bson.D) error {
	if was.Claim != nil {
		return &Error{Op: "change", What: was.Key.String(), Kind: ErrConflict, Err: fmt.Errorf("it is claimed by pid %d on %s", was.Claim.Owner.PID, was.Claim.Owner.Host)}
	}
	u := &Update{Run: id, Change: &Change{Where: was.Exactly(), Set: fields}}
	now := was.Key.match()
	now.Location, now.Created = was.Location, was.Created
	return s.update(ctx, u, func(r *Run) bool { return holds(r, now, fields) })
}

// Remove takes a copy record out of the run, if it still is as it was read, and
// appends it to the run's deleted_data with the fields at, by and reason, in
// one update.
func (s *Store) Remove(ctx context.Context, id ID, was Copy, why string) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	history := bson.D{{Key: "at", Value: date(now)}, {Key: "by", Value: s.By}, {Key: "reason", Value: why}}
	u := &Update{Run: id, Pull: &Pull{Where: was.Exactly(), History: history}}
	return s.update(ctx, u, func(r *Run) bool {
		// That the copy is not there as it was says nothing: it may have been
		// changed. Our entry in the history says that we removed it.
		where := was.Exactly()
		return slices.ContainsFunc(r.Deleted, func(d bson.Raw) bool {
			c := decodeCopy(d)
			return where.Match(&c) && hasFields(d, history)
		})
	})
}

// DropTwin takes a second record of one copy out of a run as it was read: drop,
// while keep, of the same key and location, stays. Nothing of it goes to
// deleted_data, since no copy does. Of records that nothing tells apart it drops
// the last. ErrConflict if they are not as they were read.
func (s *Store) DropTwin(ctx context.Context, r *Run, keep, drop Copy) error {
	where := drop.Exactly()
	same := func(r *Run) (n int) {
		for i := range r.Data {
			if where.Match(&r.Data[i]) {
				n++
			}
		}
		return n
	}
	before := same(r)
	u := &Update{Run: r.ID, Require: []CopyMatch{keep.Exactly()}, Pull: &Pull{Where: where, Withdraw: true, Twins: true}}
	return s.update(ctx, u, func(now *Run) bool { return same(now) < before })
}

// SetRun sets fields of the run outside its copies, by dotted path; nil removes
// one. Values of type []Tag are written as tags. ErrInvalid for _id, data and
// deleted_data.
func (s *Store) SetRun(ctx context.Context, id ID, fields bson.D) error {
	set := make(bson.D, len(fields))
	for i, f := range fields {
		if tags, ok := f.Value.([]Tag); ok {
			f.Value = TagsBSON(tags)
		}
		set[i] = f
	}
	return s.update(ctx, &Update{Run: id, Set: set}, func(r *Run) bool { return hasFields(r.raw, set) })
}

// Now returns the database server's time.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.Driver.Now(ctx) }

// Close closes the driver.
func (s *Store) Close() error { return s.Driver.Close() }

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
	s = append(s, q.Detectors...)
	if len(s) == 0 {
		return "runs"
	}
	return strings.Join(s, ", ")
}
