package cax

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/cax-go/cax/rundb"
)

// A Discrepancy is one place where this site's disks and the run database do not say
// the same, or where something is left over.
type Discrepancy struct {
	Kind   DiscrepancyKind
	Verb   Verb   // Do: Remedy mends it; Wait: a task does; Call: a person has to look; Skip: nothing is to be done
	Remedy Remedy // what [Env.Mend] would do; "" if nothing

	Path    string
	Bytes   int64     // of what lies at Path; 0 if it was not measured
	Files   int64     // likewise
	Changed time.Time // of the newest file in it; zero if it was not measured

	// The record that it is about, or whose it would be; zero if there is none.
	Run    rundb.ID
	Number int64
	Name   string
	Key    rundb.Key

	Why  string // one sentence
	Next string // the next step; may be ""

	// Refused, for a stray, says why it is not moved away; "" if it can be.
	Refused string

	record *rundb.Copy     // as it was read
	item   *item           // as it was found
	source *manifestBeside // what it can be adopted from
}

// A DiscrepancyKind says what a [Discrepancy] is.
type DiscrepancyKind string

// The kinds of findings.
const (
	Stray        DiscrepancyKind = "stray"      // no record of any run names it
	Lost         DiscrepancyKind = "lost"       // a record says that it is there, and it is not
	Duplicate    DiscrepancyKind = "duplicate"  // several records of one copy
	WrongSize    DiscrepancyKind = "size"       // not as many files or bytes as the record says
	Outside      DiscrepancyKind = "outside"    // a record's location is outside the site's directories
	OrphanPart   DiscrepancyKind = "part"       // staging that no record knows of
	OldAside     DiscrepancyKind = "aside"      // what was moved aside to make place
	InTrash      DiscrepancyKind = "trash"      // deleted, and not unlinked yet
	DeadClaim    DiscrepancyKind = "claim"      // its holder has ended or is silent
	HalfDeleted  DiscrepancyKind = "purging"    // a deletion that was begun
	HalfMoved    DiscrepancyKind = "moving"     // a move that was begun
	Unmounted    DiscrepancyKind = "unmounted"  // a directory that is not there, or empty, while records are
	Unreadable   DiscrepancyKind = "unreadable" // what could not be read
	InQuarantine DiscrepancyKind = "quarantine" // strays that were moved away
	Hidden       DiscrepancyKind = "hidden"     // a hidden file that is not ours
	Uncatalogued DiscrepancyKind = "unrecorded" // a catalogue has it, and the run's record does not say so
	Drifted      DiscrepancyKind = "drift"      // a catalogue has it at other RSEs, or in another state, than the record says
)

// A Remedy is what [Env.Mend] does about a finding.
type Remedy string

// The remedies.
const (
	Quarantine   Remedy = "move to quarantine"
	Adopt        Remedy = "make a record of it"
	MarkMissing  Remedy = "mark as missing"
	ReadAgain    Remedy = "have it verified again"
	DropRecord   Remedy = "drop the second record"
	RemovePart   Remedy = "remove"
	SettleMove   Remedy = "settle the move"
	RemoveStaged Remedy = "remove what was left on the way to tape or from there"
	LookAgain    Remedy = "write down what the catalogue has"
)

// String gives the finding on one line.
func (f Discrepancy) String() string {
	s := fmt.Sprintf("%s: %s", f.Kind, f.Path)
	if f.Path == "" {
		s = fmt.Sprintf("%s: %s", f.Kind, f.Key)
	}
	if f.Name != "" {
		s += fmt.Sprintf(" (run %d, %s)", f.Number, f.Name)
	}
	s += ": " + f.Why
	if f.Next != "" {
		s += "; " + f.Next
	}
	return s
}

// MarshalJSON gives the finding as one object, as cax reconcile --json prints it.
func (f Discrepancy) MarshalJSON() ([]byte, error) {
	var changed *time.Time
	if !f.Changed.IsZero() {
		t := f.Changed.UTC()
		changed = &t
	}
	return json.Marshal(struct {
		Kind    DiscrepancyKind `json:"class"`
		Verb    Verb            `json:"verb"`
		Path    string          `json:"path,omitempty"`
		Bytes   int64           `json:"bytes"`
		Files   int64           `json:"files"`
		Changed *time.Time      `json:"changed,omitempty"`
		Number  int64           `json:"number,omitempty"`
		Name    string          `json:"name,omitempty"`
		Type    rundb.Type      `json:"type,omitempty"`
		Version string          `json:"pax_version,omitempty"`
		Host    string          `json:"host,omitempty"`
		Why     string          `json:"why"`
		Next    string          `json:"next,omitempty"`
		Remedy  Remedy          `json:"remedy,omitempty"`
		Refused string          `json:"refused,omitempty"`
	}{f.Kind, f.Verb, f.Path, f.Bytes, f.Files, changed, f.Number, f.Name, f.Key.Type, f.Key.Version, f.Key.Host, f.Why, f.Next, f.Remedy, f.Refused})
}
