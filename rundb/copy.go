package rundb

import "time"

// A Type is the kind of data that a copy holds: "raw", "processed", ….
type Type string

// The types of the original.
const (
	Raw         Type = "raw"
	Processed   Type = "processed"
	Untriggered Type = "untriggered" // the buffer of the data acquisition
)

// A Status is the state of a copy. Unknown ones are kept and match only
// themselves.
type Status string

// The states of a copy. The first five are the original's.
const (
	Transferring Status = "transferring" // claimed; bytes are on their way
	Verifying    Status = "verifying"    // complete in place, not yet re-read
	Transferred  Status = "transferred"  // verified; the only good state
	Failed       Status = "error"        // failed; the field error says why
	Abandoned    Status = "failed"       // the original's second word for it
	Purging      Status = "purging"      // marked for deletion; counts zero
	RSEReupload  Status = "RSEreupload"
	RSEQuota     Status = "RSEquota"
)

// A Key identifies a copy within its run. Version is empty for raw data; a
// missing, null and empty pax_version are the same.
type Key struct {
	Type    Type
	Version string
	Host    string
}

// A Copy is the record of one copy of a run at one host. Fields that are
// missing from the document are zero.
type Copy struct {
	Key
	Status            Status
	Location          string
	Checksum          string // the digest alone, in the form of Algorithm; "" for null
	Created           time.Time
	PaxHash           string
	CreationPlace     string
	Size              int64 // bytes; 0: unknown
	Files             int64 // number of files; 0: unknown
	RSE               []string
	RuleInfo          []string
	Replicas          []Replica // of a copy in a Rucio catalogue, one for each RSE that was looked at
	Content           string    // sum, in the original's form, of the dataset whose files were found to be these; for copies whose checksum has another form
	Archive           string    // description of the archive run whose copies on tape these are; "": another, or unknown
	Claim             *Claim
	VerifiedAt        time.Time
	Evidence          Evidence
	ChecksumAlgorithm string // "" means sha512 in the original's form
	InPlace           bool   // in_place: registered outside the site's directories; only read there
	Permissions       string // digest of the permissions that were given to its files; "": of none
	Error             *CopyError
}

// A Replica is what was found of a catalogued copy at one RSE.
type Replica struct {
	RSE       string
	Rule      string    // id of the rule that keeps it there; "" if none does
	State     string    // of the rule, as Rucio names it: "OK", "REPLICATING", "STUCK", …
	Files     int64     // replicas that are available there, counted file by file
	ExpiresAt time.Time // when the rule ends; zero: never
	CheckedAt time.Time // when this was found, by the database server's clock
	Text      string    // why it is not OK; "" if it is, or if nobody says
}

// Evidence tells how a copy was last verified.
type Evidence string

// The kinds of evidence, weakest last. Only Disk refreshes the age of a
// verification.
const (
	Disk   Evidence = "disk"   // re-read from the medium, page cache dropped
	Cached Evidence = "cached" // re-read, perhaps from the page cache
	Stream Evidence = "stream" // hashed while it was written
	Listed Evidence = "listed" // names and sizes were seen on tape, contents not
)

// A ClaimKind tells what the holder of a claim does.
type ClaimKind string

// The kinds of claims.
const (
	ClaimPush   ClaimKind = "push"   // the source's site writes to the copy's host
	ClaimPull   ClaimKind = "pull"   // the copy's host fetches
	ClaimVerify ClaimKind = "verify" // the copy's host re-reads
	ClaimDelete ClaimKind = "delete" // the copy's host deletes it
	ClaimMove   ClaimKind = "move"   // the copy's host moves it to Claim.Target

	ClaimProcess ClaimKind = "process" // the copy's host makes it from another copy of the run there
)

// A Claim is the right of one process to work on one copy.
type Claim struct {
	ID        string // random, 128 bit, hexadecimal: the fencing token
	Kind      ClaimKind
	Source    string // host of the copy that is read; "" if none
	Target    string // for ClaimMove the other place: where the copy goes, and once that is its location, where it was; else ""
	Job       string // for ClaimProcess the key of the batch job that works, or will work, under it; "" if none
	Owner     Owner
	Seq       int64     // raised by each heartbeat
	Heartbeat time.Time // of the last one, by the database server's clock
	Left      Leftovers // of earlier claims, not yet taken over by this one
}

// Leftovers name the claims that may have left a part of a copy in staging.
type Leftovers struct {
	Continue []string // their holders have stopped: what they left can be continued
	Adopt    []string // their holders may wake up: it must first be moved and hashed
}

// An Owner is a process on a host. Boot is the kernel's boot id and Started the
// process's start time in clock ticks since boot, so that a pid that was given
// to another process is not mistaken for the owner.
type Owner struct {
	Site    string // the site's name in the configuration
	Host    string // the machine's host name
	Boot    string
	PID     int
	Started int64
}

// A CopyError says why a copy is in status [Failed], and when to try again.
type CopyError struct {
	Class   string    // for programs: "hostkey", "space", "corrupt", …
	Text    string    // for people
	Since   time.Time // of the first of the failures in a row
	Tries   int       // failures in a row
	NextTry time.Time // not before; zero: at once

	// Found identifies what was found in place of what the manifest says, so that
	// two copies can be told to agree with each other against it; "": nothing can be
	// said, as of a file that is missing.
	Found string

	Left Leftovers // of the tries that failed
}
