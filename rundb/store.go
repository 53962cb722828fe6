package rundb

import (
	"context"
	"iter"
	"time"

	"github.com/cax-go/cax/checksum"
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
func (s *Store) Get(ctx context.Context, id ID) (*Run, error) { panic("unfinished") }

// Find returns the runs that a query selects. A document that cannot be decoded
// yields its error and the sequence goes on with the next one; an error of the
// driver ends it.
func (s *Store) Find(ctx context.Context, q *Query) iter.Seq2[*Run, error] { panic("unfinished") }

// One returns the single run that the query selects: ErrNotExist if none,
// ErrAmbiguous, naming them, if several.
func (s *Store) One(ctx context.Context, q *Query) (*Run, error) { panic("unfinished") }

// Insert adds a run. ErrExist if its id, or name and detector, are taken.
func (s *Store) Insert(ctx context.Context, r *Run) error { panic("unfinished") }

// Register adds a copy record that needs no claim, because its bytes are there
// and verified. ErrConflict if the key, or host and location, are taken.
func (s *Store) Register(ctx context.Context, id ID, c Copy) error { panic("unfinished") }

// Claim adds a record for a copy that does not exist yet, in status
// Transferring, with a fresh claim. c.Claim gives kind, source and owner; id,
// seq and heartbeat are filled in. ErrConflict if the run has a copy with that
// key, or any run one with that host and location.
//
// The returned Held names the claim in all later calls.
func (s *Store) Claim(ctx context.Context, id ID, c Copy) (*Held, error) { panic("unfinished") }

// Reclaim puts a fresh claim on an existing record and sets its status. The
// record is named by was, a copy as it was read (see Copy.Exactly), and must not
// have changed since. It serves a new try after an error, the verification of a
// copy, and, with the claim that was seen, take-over: then the sequence number
// must still be the one in was.Claim.
func (s *Store) Reclaim(ctx context.Context, id ID, was Copy, status Status, claim Claim) (*Held, error) {
	panic("unfinished")
}

// A Held is a claim that this process holds. Its methods are safe for
// concurrent use.
type Held struct {
	Run  ID
	Key  Key
	ID   string
	Copy Copy // as claimed

	store *Store
}

// Heartbeat raises the claim's sequence number and records the database
// server's time. ErrConflict if the claim is no longer ours.
func (h *Held) Heartbeat(ctx context.Context) error { panic("unfinished") }

// Set changes fields of the claimed copy and keeps the claim. ErrConflict if the
// claim is no longer ours.
func (h *Held) Set(ctx context.Context, fields bson.D) error { panic("unfinished") }

// Finish changes fields of the claimed copy and drops the claim, in one update.
// ErrConflict if the claim is no longer ours.
func (h *Held) Finish(ctx context.Context, fields bson.D) error { panic("unfinished") }

// Withdraw removes the record that [Store.Claim] made. ErrConflict if the claim
// is no longer ours.
func (h *Held) Withdraw(ctx context.Context) error { panic("unfinished") }

// CompareAndSet changes fields of a copy that nobody has claimed, if it still is
// as it was read. ErrConflict otherwise.
func (s *Store) CompareAndSet(ctx context.Context, id ID, was Copy, fields bson.D) error {
	panic("unfinished")
}

// Remove takes a copy record out of the run, if it still is as it was read, and
// appends it to the run's deleted_data with time, writer and reason.
func (s *Store) Remove(ctx context.Context, id ID, was Copy, why string) error { panic("unfinished") }

// SetRun sets fields of the run outside its copies, by dotted path.
func (s *Store) SetRun(ctx context.Context, id ID, fields bson.D) error { panic("unfinished") }

// Now returns the database server's time.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.Driver.Now(ctx) }

// Close closes the driver.
func (s *Store) Close() error { return s.Driver.Close() }

// ManifestKey names a manifest: one per run, type and version.
type ManifestKey struct {
	Run     ID
	Type    Type
	Version string
}

// PutManifest stores a manifest, once. If one is stored already under that key:
// no error if it lists the same files with the same sums, ErrExist otherwise.
// Chunks of 5 000 files are written first and the head document last, so that a
// manifest is there in full or not at all; a retry after a crash succeeds.
func (s *Store) PutManifest(ctx context.Context, k ManifestKey, m *checksum.Manifest) error {
	panic("unfinished")
}

// Manifest returns a stored manifest; ErrNotExist if there is none, ErrInvalid
// if the stored chunks do not give the head's root digest.
func (s *Store) Manifest(ctx context.Context, k ManifestKey) (*checksum.Manifest, error) {
	panic("unfinished")
}

// An Event is one thing that happened to a copy, or was decided about it.
type Event struct {
	ID       ID // chosen by Record
	Time     time.Time
	Run      ID
	Number   int64
	Name     string
	Key      Key
	By       string // program, site, host and pid of the writer
	What     string // one word: "claimed", "copied", "verified", "failed", "conflict", …
	Why      string // one sentence for people
	Evidence bson.D // the facts that justified it
}

// Record appends an event. Time and By are filled in.
func (s *Store) Record(ctx context.Context, e Event) error { panic("unfinished") }

// Events returns the events of one run, oldest first.
func (s *Store) Events(ctx context.Context, run ID) iter.Seq2[Event, error] { panic("unfinished") }
