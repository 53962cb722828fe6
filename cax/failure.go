package cax

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/correction"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
)

// Classes of failures, as they stand in a copy's error.class. Programs may
// match on them; new ones may be added.
const (
	ClassHostKey     = "hostkey"     // the remote's host key is not trusted
	ClassAuth        = "auth"        // the remote refused the login
	ClassTransient   = "transient"   // network or server trouble
	ClassStalled     = "stalled"     // no byte moved for policy.stall
	ClassSpace       = "space"       // not enough room at the destination
	ClassPermission  = "permission"  // not allowed to read or write
	ClassMissing     = "missing"     // the source, or the copy to verify, is not there
	ClassSource      = "source"      // the source changed while it was copied
	ClassCorrupt     = "corrupt"     // bytes are not what the manifest says
	ClassDispute     = "dispute"     // the same wrong bytes were found in another copy: who is right is for a person to say
	ClassConflict    = "conflict"    // checksums of other copies leave no right answer
	ClassUnsupported = "unsupported" // the method cannot do it
	ClassInvalid     = "invalid"     // names or settings that cannot be used
	ClassQuota       = "quota"       // the account may not store more there
	ClassUnavailable = "unavailable" // the storage element takes nothing now
	ClassConfig      = "config"      // a program that is needed is not there, or not set up
	ClassPending     = "pending"     // the tape server keeps an interrupted restore that has to go first
	ClassProcessor   = "processor"   // the processor ended with another exit code than 0
	ClassOutput      = "output"      // the processor's product is missing, empty or was rejected
	ClassCancelled   = "cancelled"   // the job was cancelled
	ClassTimeout     = "walltime"    // the job's walltime was over
	ClassMemory      = "memory"      // the job used more memory than it may
	ClassNode        = "node"        // the job's node was lost, or the job with it
	ClassNotStarted  = "not started" // the job ended without having started, as when its log cannot be written
	ClassRefused     = "refused"     // the batch system does not take the job
	ClassJob         = "job"         // the job ended, and left no outcome
	ClassInterrupted = "interrupted" // the program was told to stop
	ClassOther       = "other"
)

// classify gives the class of an error of a transfer or a verification.
func classify(err error) string {
	if j := (*jobError)(nil); errors.As(err, &j) {
		return j.class
	}
	for _, k := range []struct {
		kind  error
		class string
	}{
		{transfer.ErrHostKey, ClassHostKey},
		{transfer.ErrAuth, ClassAuth},
		{transfer.ErrNoSpace, ClassSpace},
		{errDispute, ClassDispute},
		{transfer.ErrSourceChanged, ClassSource}, // before corrupt: it may say how it differs by now
		{transfer.ErrCorrupt, ClassCorrupt},
		{checksum.ErrCorrupt, ClassCorrupt},
		{checksum.ErrChanged, ClassSource},
		{checksum.ErrUnfit, ClassInvalid},
		{transfer.ErrPermission, ClassPermission},
		{transfer.ErrStalled, ClassStalled},
		{transfer.ErrTransient, ClassTransient},
		{transfer.ErrNotExist, ClassMissing},
		{fs.ErrNotExist, ClassMissing},
		{fs.ErrPermission, ClassPermission},
		{transfer.ErrUnsupported, ClassUnsupported},
		{transfer.ErrInvalid, ClassInvalid},
		{transfer.ErrExist, ClassInvalid},
		{errConflict, ClassConflict},
		{rucio.ErrQuota, ClassQuota},
		{rucio.ErrAuth, ClassAuth},
		{rucio.ErrTransient, ClassTransient},
		{rucio.ErrUnavailable, ClassUnavailable},
		{rucio.ErrCorrupt, ClassCorrupt},
		{rucio.ErrConflict, ClassConflict},
		{rucio.ErrPermission, ClassPermission},
		{rucio.ErrNotExist, ClassMissing},
		{rucio.ErrUnsupported, ClassUnsupported},
		{rucio.ErrInvalid, ClassInvalid},
		{rucio.ErrExist, ClassInvalid},
		{tsm.ErrAuth, ClassAuth},
		{tsm.ErrNotInstalled, ClassConfig},
		{tsm.ErrConfig, ClassConfig},
		{tsm.ErrStalled, ClassStalled},
		{tsm.ErrNoSpace, ClassSpace},
		{tsm.ErrTransient, ClassTransient},
		{tsm.ErrPending, ClassPending},
		{tsm.ErrPrompt, ClassConfig},
		{tsm.ErrIncomplete, ClassSource},
		{tsm.ErrNotExist, ClassMissing},
		{tsm.ErrPermission, ClassPermission},
		{tsm.ErrUnsupported, ClassUnsupported},
		{tsm.ErrInvalid, ClassInvalid},
		{tsm.ErrExist, ClassInvalid},
		{process.ErrFailed, ClassProcessor},
		{process.ErrOutput, ClassOutput},
		{process.ErrNotExist, ClassMissing},
		{process.ErrUnavailable, ClassTransient},
		{process.ErrRefused, ClassRefused},
		{process.ErrInvalid, ClassInvalid},
		{correction.ErrUnavailable, ClassTransient},
		{correction.ErrRefused, ClassAuth},
		{correction.ErrNotExist, ClassMissing},
		{correction.ErrInvalid, ClassInvalid},
		{context.Canceled, ClassInterrupted},
	} {
		if errors.Is(err, k.kind) {
			return k.class
		}
	}
	return ClassOther
}

// errConflict: copies of a run disagree, so that none can be called right.
var errConflict = errors.New("checksums of the copies disagree")

// ofBytes reports whether a failure of this class says that a copy is damaged or gone.
func ofBytes(class string) bool {
	return class == ClassCorrupt || class == ClassMissing || class == ClassDispute
}

// ofRemote reports whether a failure of this class is one of the remote as a
// whole: the next dataset would meet it too.
func ofRemote(class string) bool {
	switch class {
	case ClassHostKey, ClassAuth, ClassTransient, ClassStalled, ClassSpace, ClassConfig, ClassPending:
		return true
	}
	return false
}

// failure makes the error field of a copy after one more failure: the wait
// doubles with each failure in a row, up to BackoffMax, and is spread by ±20 %
// so that many copies do not come back at once. now is the database's time.
func (p Policy) failure(before *rundb.CopyError, err error, now time.Time) *rundb.CopyError {
	e := &rundb.CopyError{Class: classify(err), Text: err.Error(), Since: now, Tries: 1}
	if e.Class == ClassInterrupted {
		// Not a failure: whoever comes next goes on at once, and what was
		// counted before still counts.
		e.NextTry = now
		e.Tries = 0
		if before != nil {
			e.Tries, e.Found = before.Tries, before.Found
		}
		return e
	}
	if before != nil && before.Class != ClassInterrupted {
		e.Since = before.Since
	}
	if before != nil {
		e.Tries = before.Tries + 1
	}
	var f *finding
	switch {
	case errors.As(err, &f):
		e.Found = f.print
	case before != nil && e.Class != ClassMissing:
		// A try to replace what was found says nothing about it.
		e.Found = before.Found
	}
	wait := time.Duration(float64(p.backoff(e.Tries-1)) * (0.8 + 0.4*rand.Float64()))
	e.NextTry = now.Add(min(wait, p.BackoffMax))
	return e
}

// backoff is the wait after so many failures in a row before this one.
func (p Policy) backoff(before int) time.Duration {
	wait := p.BackoffMin << min(before, 16)
	if wait <= 0 || wait > p.BackoffMax {
		return p.BackoffMax
	}
	return wait
}

// due reports whether a failed copy may be tried again. A next try further away
// than the longest backoff is somebody's wrong clock and means now.
func (p Policy) due(e *rundb.CopyError, now time.Time) bool {
	return e == nil || !e.NextTry.After(now) || e.NextTry.After(now.Add(p.BackoffMax))
}
