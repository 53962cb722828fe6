package rundb

import (
	"errors"
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

	// Corrected are the versions of the corrections that the run has, by task, as text
	// (processor.correction_versions); nil: it has none.
	Corrected map[string]string

	raw bson.Raw
}

// CorrectionVersions is the field of a run below which each correction's version is.
const CorrectionVersions = "processor.correction_versions"

var errNeeded = errors.New("name, detector and start are needed")

// A Tag is a label that a person or program gave to a run.
type Tag struct {
	Name string
	User string
	Date time.Time
}

// Raw returns the document that the run was decoded from. It must not be changed.
func (r *Run) Raw() bson.Raw { return r.raw }
