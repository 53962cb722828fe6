package rundb

import (
	"context"
	"iter"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// An ID is the _id of a run document.
type ID = bson.ObjectID

// A Driver speaks to one database. All methods are safe for concurrent use and
// return within a second of the end of their context. Reads see every write
// that was acknowledged before, by whichever process. Returned documents share
// no memory with the driver.
type Driver interface {
	// Get returns one run document. ErrNotExist if there is none.
	Get(ctx context.Context, id ID) (bson.Raw, error)

	// Find returns the run documents that a query selects, in its order. The
	// sequence ends after the first error. It does not hold locks between
	// elements that would keep other processes from writing.
	Find(ctx context.Context, q *Query) iter.Seq2[bson.Raw, error]

	// Insert adds a run document. ErrExist if there is one with that _id, or
	// with that name and detector; runs without a name are told apart by _id alone.
	// ErrInvalid if the document cannot be decoded.
	Insert(ctx context.Context, doc bson.Raw) error

	// Update applies one guarded change to one run document, atomically and
	// durably. ErrInvalid if the update is none ([Update.Check]), or a dotted path
	// leads through something that is no document; ErrNotExist if there is no such
	// run; ErrConflict if a guard does not hold, or no copy matches; ErrAmbiguous if
	// the change is of one copy and more than one match it. Lists that are null
	// count as missing. New fields may come in any order.
	Update(ctx context.Context, u *Update) error

	// Add appends documents to a collection beside the runs, all or none where
	// the database can, in order otherwise. ErrExist if one with the same _id is
	// there; ErrInvalid if one is no BSON or has no _id.
	Add(ctx context.Context, coll Collection, docs ...bson.Raw) error

	// Docs returns the documents of a collection beside the runs.
	Docs(ctx context.Context, q *DocQuery) iter.Seq2[bson.Raw, error]

	// Now returns the database server's time, UTC, to the millisecond.
	Now(ctx context.Context) (time.Time, error)

	Close() error
}

// A Collection is an append-only collection beside the runs.
type Collection string

// The collections beside the runs. Their documents have the indexed fields
// "_id", "run" (ObjectId), "time" (date) and "key" (string).
const (
	Events    Collection = "events"
	Manifests Collection = "manifests"
)

// The collections of corrections, as the original calls them. They are small, people
// write them, and the time of a document is its "calculation_time".
const (
	Gains                     Collection = "gains"
	DriftVelocity             Collection = "drift_velocity"
	NeuralNetwork             Collection = "neural_network"
	FieldDistortion           Collection = "field_distortion"
	LightCollectionEfficiency Collection = "light_collection_efficiency"
	S2XYMap                   Collection = "s2_xy_map"
)

// Corrections are the collections of corrections.
func Corrections() []Collection {
	return []Collection{Gains, DriftVelocity, NeuralNetwork, FieldDistortion, LightCollectionEfficiency, S2XYMap}
}

// TimeField is the field of its documents that a collection is ordered by.
func (c Collection) TimeField() string {
	if slices.Contains(Corrections(), c) {
		return "calculation_time"
	}
	return "time"
}

// A DocQuery selects documents of a collection beside the runs, in the order of
// (time, _id), where time is the collection's [Collection.TimeField]; what is no date
// there comes first, or last. The _ids of one collection are of one type, ObjectId or text.
type DocQuery struct {
	Coll      Collection
	Run       ID        // zero: of any run
	KeyPrefix string    // key begins so; "": any
	From      time.Time // time not before, to the millisecond; zero: any
	Newest    bool      // newest first; default: oldest first
	Limit     int       // 0: all
}

// An Update is one guarded change of one run document. The guards and the
// change are evaluated together, atomically. Exactly one of Push, Change, Pull
// and Set is given.
type Update struct {
	Run ID

	// Require must each match at least one copy of the run; Forbid none.
	Require, Forbid []CopyMatch

	// Push appends a copy record.
	Push *Copy

	// Change alters the fields of the one copy that matches.
	Change *Change

	// Pull removes the one copy that matches and, in the same update, appends
	// it with the fields of History to the run's list deleted_data.
	Pull *Pull

	// Set sets or replaces fields of the run outside data and deleted_data, by
	// dotted path; a nil value removes the field.
	Set bson.D
}

// A Change sets fields of one copy. Fields are named as in the document, by
// dotted path; a nil value removes the field. The key fields cannot be changed.
type Change struct {
	Where CopyMatch
	Set   bson.D
	// ServerTime, if not "", is a field (a dotted path below the copy) that is
	// set to the database server's time.
	ServerTime string
}

// A Pull removes one copy.
type Pull struct {
	Where   CopyMatch
	History bson.D

	// Withdraw removes the record without adding it to deleted_data.
	Withdraw bool

	// Twins removes one of several records of one copy: the last that matches and
	// has another beside it, of the same type, version, host and location, which
	// stays. More than one may match; ErrConflict if none of those has another.
	Twins bool
}
