package rundb

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// An Event is one thing that happened to a copy, or was decided about it. Events
// are only ever added. They are stored in the collection "events" with the
// fields _id, run, time, key ("type/version/host"), number, name, by, what, why
// and evidence.
type Event struct {
	ID       ID // chosen by Record
	Time     time.Time
	Run      ID
	Number   int64
	Name     string
	Key      Key
	By       string // program, site, host and pid of the writer
	What     string // one word: "claimed", "copied", "transferred", "failed", "conflict", …
	Why      string // one sentence for people
	Evidence bson.D // the facts that justified it
}

// Record appends an event. Time, By and ID are filled in.
func (s *Store) Record(ctx context.Context, e Event) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	e.ID, e.Time, e.By = bson.NewObjectID(), now, s.By
	if e.Evidence == nil {
		e.Evidence = bson.D{}
	}
	doc, err := bson.Marshal(bson.D{
		{Key: "_id", Value: e.ID},
		{Key: "run", Value: e.Run},
		{Key: "time", Value: date(e.Time)},
		{Key: "key", Value: string(e.Key.Type) + "/" + e.Key.Version + "/" + e.Key.Host},
		{Key: "type", Value: string(e.Key.Type)},
		{Key: "version", Value: e.Key.Version},
		{Key: "host", Value: e.Key.Host},
		{Key: "number", Value: e.Number},
		{Key: "name", Value: e.Name},
		{Key: "by", Value: e.By},
		{Key: "what", Value: e.What},
		{Key: "why", Value: e.Why},
		{Key: "evidence", Value: e.Evidence},
	})
	if err != nil {
		return &Error{Op: "record", What: e.What, Kind: ErrInvalid, Err: err}
	}
	if err = s.add(ctx, Events, doc); errors.Is(err, ErrExist) {
		return nil // the first try arrived: the id is ours alone
	}
	return err
}

// Events returns the events of one run, oldest first.
func (s *Store) Events(ctx context.Context, run ID) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for d, err := range s.Driver.Docs(ctx, &DocQuery{Coll: Events, Run: run}) {
			if err != nil {
				yield(Event{}, err)
				return
			}
			if !yield(decodeEvent(d), nil) {
				return
			}
		}
	}
}

func decodeEvent(d bson.Raw) Event {
	e := Event{
		Time:   asTime(lookup(d, "time")),
		Number: asInt(lookup(d, "number")),
		Name:   asString(lookup(d, "name")),
		Key: Key{
			Type:    Type(asString(lookup(d, "type"))),
			Version: asString(lookup(d, "version")),
			Host:    asString(lookup(d, "host")),
		},
		By:   asString(lookup(d, "by")),
		What: asString(lookup(d, "what")),
		Why:  asString(lookup(d, "why")),
	}
	e.ID, _ = lookup(d, "_id").ObjectIDOK()
	e.Run, _ = lookup(d, "run").ObjectIDOK()
	if ev, ok := lookup(d, "evidence").DocumentOK(); ok {
		// A document that was valid as a whole has valid parts.
		_ = bson.Unmarshal(ev, &e.Evidence)
	}
	return e
}
