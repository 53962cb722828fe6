package rundb

import "time"

// A Query selects runs. All given conditions must hold; the zero value selects
// every run. Drivers answer all conditions on the server side, by indexes.
type Query struct {
	IDs       []ID
	Numbers   []Range
	Names     []string
	Detectors []string
	Tags      []string // all of them
	NotTags   []string // none of them

	// From and Until bound the start of the run: From ≤ start < Until. Zero
	// times do not bound. A run without a start is in no bounded window.
	From, Until time.Time

	// Copies must each match at least one copy, NoCopies none.
	Copies, NoCopies []CopyMatch

	// Disagree, if not nil, asks for runs in which a transferred copy that
	// matches it has another checksum than some other transferred copy of the
	// same type and version. Only checksums of one kind are compared: null ones,
	// and those of another algorithm or length, do not disagree.
	Disagree *CopyMatch

	// Missing, if not nil, asks for runs in which some copy matches Have, and the
	// run has no record at all of that copy's type and version at host At.
	Missing *Missing

	// Spare, if not nil, asks for runs in which some copy matches Have, and at least
	// Others further hosts have a transferred copy of the same type, version and
	// checksum (of one kind, as for Disagree).
	Spare *Spare

	// NoRawSize asks for runs whose raw_size_byte is unknown.
	NoRawSize bool

	// Uncorrected, if not nil, asks for runs that have ended, and whose version of a
	// correction is another one, or none.
	Uncorrected *Uncorrected

	OldestFirst bool // order by (start, id); default: newest first, which is the reverse
	Limit       int  // 0: no limit
}

// Spare is a condition on copies and the number of others like them; see [Query].
type Spare struct {
	Have   CopyMatch
	Others int
}

// Uncorrected is a condition on the version of a correction; see [Query].
type Uncorrected struct {
	Task    string // the correction, by the task that applies it: a name without dots
	Version string // the version that is current; not ""
}

// Missing is a condition on pairs of copies; see [Query].
type Missing struct {
	Have CopyMatch
	At   string
}

// A Range is a range of run numbers, both ends included. To < 0 means no upper
// end. A run without a number counts as number 0.
type Range struct{ From, To int64 }

// A CopyMatch is a condition on one copy. All given conditions must hold on the
// same copy; the zero value matches any copy. As everywhere in a query, a list that
// is nil is no condition, and one that is empty matches nothing.
type CopyMatch struct {
	Types    []Type
	Hosts    []string
	NotHosts []string
	Statuses []Status
	// Versions are the accepted versions; "" stands for a null or missing one.
	Versions []string
	Location string
	// ClaimID, if not "", must be the id of the copy's claim; NoClaim asks for
	// a copy without one.
	ClaimID string
	NoClaim bool
	// Seq, together with ClaimID, asks for this sequence number if not nil.
	Seq *int64
	// Source, if not "", must be the source that the copy's claim names: the copy
	// is being made from there.
	Source string
	// Checksum, if not "", must be the copy's; NoChecksum asks for a copy whose
	// checksum is null, AnyChecksum for one that has some.
	Checksum    string
	NoChecksum  bool
	AnyChecksum bool
	// Created, if not zero, must be the creation time, to the millisecond.
	Created time.Time
	// VerifiedAt, if not zero, must be the time of the last verification, to the
	// millisecond.
	VerifiedAt time.Time
	// NotPermissions, if not "", must not be the copy's permissions.
	NotPermissions string
	// NoError asks for a copy without an error, NoSize for one whose size is unknown,
	// NotInPlace for one that was not registered where it lies.
	NoError, NoSize, NotInPlace bool
	// DueBy, if not zero, asks for copies whose error is absent or has its next
	// try at or before this time.
	DueBy time.Time
}
