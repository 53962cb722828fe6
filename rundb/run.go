package rundb

import (
	"iter"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A Run is a decoded run document. It shares no memory with a store and is not
// changed by this package after it was made.
type Run struct {
	ID       ID
	Number   int64 // 0 for some muon-veto runs: not unique outside "tpc"
	Name     string
	Detector string
	Start    time.Time
	End      time.Time // zero while the run is being taken
	User     string
	Source   string // source.type
	Tags     []Tag
	Data     []Copy // in the order of the document
	RawSize  int64  // raw_size_byte
	Deleted  []bson.Raw

	raw bson.Raw
}

// A Tag is a label that a person or program gave to a run.
type Tag struct {
	Name string
	User string
	Date time.Time
}

// Decode reads a run document. It is tolerant: it accepts every oddity that is
// found in documents of the original (dates in one-element lists, numbers as
// doubles, null and missing fields, unknown fields of any kind). It fails only
// where the document is no BSON, has no _id, or "data" is not a list of
// documents; the error wraps ErrInvalid and names run and field.
func Decode(doc bson.Raw) (*Run, error) { panic("unfinished") }

// NewRun makes the document of a run that is new to the database, in the
// original's form. Name, Detector and Start must be set; ID is chosen if zero.
func NewRun(r Run) (*Run, error) { panic("unfinished") }

// Raw returns the document that the run was decoded from. It must not be changed.
func (r *Run) Raw() bson.Raw { return r.raw }

// String names the run for people: `run 1234 (160315_1432, tpc)`.
func (r *Run) String() string { panic("unfinished") }

// Copy returns the copy with that key. If older software left several, it is the
// one that other readers would use: the first that is transferred, else the first.
func (r *Run) Copy(k Key) (Copy, bool) { panic("unfinished") }

// Copies yields the copies that match, one per key, as [Run.Copy] chooses them.
func (r *Run) Copies(m CopyMatch) iter.Seq[Copy] { panic("unfinished") }

// Duplicates returns the keys that more than one record has.
func (r *Run) Duplicates() []Key { panic("unfinished") }

// Match reports whether a copy fulfils the condition.
func (m *CopyMatch) Match(c *Copy) bool { panic("unfinished") }

// Match reports whether a run fulfils the query, apart from its limit.
func (q *Query) Match(r *Run) bool { panic("unfinished") }

// Exactly returns the narrowest condition that this copy matches: key, status,
// location, creation time, and claim id or its absence. It is what guards name.
func (c *Copy) Exactly() CopyMatch { panic("unfinished") }
