package transfer

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
	"golang.org/x/time/rate"
)

// A Copier copies datasets. The zero value is ready to use. It is safe for
// concurrent use; its fields must not be changed after the first use, and it must
// not be copied.
type Copier struct {
	// Parallel is how many files are copied at once. 0: 16, or 64 where a
	// backend reports a long round trip.
	Parallel int

	// Limit bounds the rate of all copies of this Copier together, in bytes per
	// second. It needs a burst, and may be changed while copies run. nil: no limit.
	Limit *rate.Limiter

	// Stall ends a copy that moves no byte for so long, with ErrStalled.
	// 0: 5 minutes.
	Stall time.Duration

	// Reserve is the number of bytes that a copy must leave free at the target.
	Reserve int64

	// Now gives the time that is part of the name of what is moved aside.
	// nil: time.Now.
	Now func() time.Time

	room room
}

// A Location is a path at a place.
type Location struct {
	Backend Backend
	Path    string
}

// A Job is one dataset to be copied.
type Job struct {
	// Source and Target are the dataset and its copy. Both paths are absolute and
	// clean; the folder that will hold the target exists.
	Source, Target Location

	// Claim names the staging folder. It must be unique to the holder of the
	// right to write this target, and the same when an interrupted job goes on.
	// It is a part of a file name, of at most 64 bytes.
	Claim string

	// Continue names earlier claims whose holders are known to have stopped: what
	// the first of them that left something has in staging is continued in place.
	Continue []string

	// Adopt names earlier claims whose holders are only silent and may wake up:
	// what they left in staging is first moved out of their reach, and its files
	// count once they were copied to fresh inodes and hashed.
	Adopt []string

	// Staged is called when nothing of an earlier claim is needed any more: what
	// there was is in the staging folder of this one. nil: nobody is told.
	Staged func()

	// Manifest is what the source should be. nil: it is made from the bytes
	// that are read (Result.Manifest), with checksum.DefaultAlgorithms.
	Manifest *checksum.Manifest

	// Legacy, if not zero, is the sum that the manifest made while copying must
	// have in the original's form; otherwise the source is damaged: ErrCorrupt,
	// and nothing is committed.
	Legacy checksum.Sum

	// ReadBack also reads what was written before it is committed: by a Hasher
	// where the far side has one, else through the backend.
	ReadBack bool

	// Suspect tells that what stands at the target is known to be bad: it is
	// moved aside without being compared.
	Suspect bool

	// Partial tells that the source may be damaged: what it holds of the manifest,
	// which must be given, is copied to this machine's disk, file by file. If anything is left that neither
	// the source nor staging has, the copy fails with ErrCorrupt, as it does for any
	// damaged source, but keeps what it got: another source may have the rest. What
	// stands at the target is moved aside only when the copy is complete.
	Partial bool

	// BeforeCommit is called when everything is verified and durable, right
	// before the rename, and before something that stands at the target is moved
	// aside: it should tell whether the claim still stands. Its error stops the
	// copy and is returned. It may be called several times. nil: none.
	BeforeCommit func(ctx context.Context) error

	// Aside is told of something found at the target that was not this dataset,
	// and where it was moved: ".<base>.cax-aside-<UTC time>-<claim>" beside it.
	// nil: nobody is told.
	Aside func(from, to string)

	Progress Progress // nil: none
}

// Progress is told how a copy goes on. Its methods are called from several
// goroutines, never after Copy has returned.
type Progress interface {
	// Start is called once, when the totals are known.
	Start(files int, bytes int64)
	// Moved adds bytes that were copied; Skipped those that were there already.
	Moved(n int64)
	Skipped(n int64)
	// File is called when a file is finished.
	File(path string)
}

// A Result tells what a copy did.
type Result struct {
	Manifest *checksum.Manifest
	Bytes    int64 // of the dataset
	Sent     int64 // of file contents, in this call; less than Bytes after a resumption
	Salvaged int64 // of files that were good in what was moved aside, and not sent again
	Files    int
	Resumed  bool // something of an earlier try was found in staging
	Adopted  bool // the target was there already and equal
	Durable  bool // the target was made durable
	ReadBack bool // the target was read after it was written

	// ReadBackBy is the algorithm that the target was then compared by, the weakest of
	// them if there were several; 0 if it was not compared, or made the manifest.
	ReadBackBy checksum.Algorithm
}

// check refuses a job that cannot be carried out, or that could do harm.
func (j *Job) check() error {
	bad := func(path, why string) error {
		return &Error{Op: "copy", Path: path, Kind: ErrInvalid, Err: errors.New(why)}
	}
	for _, l := range []Location{j.Source, j.Target} {
		switch {
		case l.Backend == nil:
			return bad(l.Path, "no backend")
		case !strings.HasPrefix(l.Path, "/") || path.Clean(l.Path) != l.Path || l.Path == "/":
			return bad(l.Path, "not a clean absolute path of a dataset")
		case strings.IndexByte(l.Path, 0) >= 0:
			return bad(l.Path, "it holds a NUL byte")
		}
	}
	if j.Source.Backend.String() == j.Target.Backend.String() {
		s, t := j.Source.Path+"/", j.Target.Path+"/"
		if strings.HasPrefix(s, t) || strings.HasPrefix(t, s) {
			return bad(j.Target.Path, "the source and the target are one, or one holds the other")
		}
	}
	for _, id := range slices.Concat([]string{j.Claim}, j.Continue, j.Adopt) {
		if strings.ContainsAny(id, "/\x00") || len(id) > 64 {
			return bad(j.Target.Path, "a claim id must be a file name of at most 64 bytes")
		}
	}
	if j.Claim == "" {
		return bad(j.Target.Path, "no claim id, which names the staging folder")
	}
	return j.checkManifest()
}

func (j *Job) checkManifest() error {
	if _, here := j.Target.Backend.(Disk); j.Partial && (j.Manifest == nil || !here) {
		return &Error{Op: "copy", Path: j.Source.Path, Kind: ErrInvalid,
			Err: errors.New("of a source that may be damaged only a copy to this machine is made, by its manifest")}
	}
	if j.Manifest == nil {
		return nil
	}
	if err := j.Manifest.Check(); err != nil {
		return &Error{Op: "copy", Path: j.Source.Path, Kind: ErrInvalid, Err: err}
	}
	for i := range j.Manifest.Entries {
		if e := &j.Manifest.Entries[i]; !e.Dir && len(e.Sums) == 0 {
			return &Error{Op: "copy", Path: e.Path, Kind: ErrInvalid, Err: errors.New("its manifest has no sum of it"),
				Hint: "make a new manifest"}
		}
	}
	return nil
}

func (c *Copier) stall() time.Duration {
	if c.Stall > 0 {
		return c.Stall
	}
	return 5 * time.Minute
}

func (c *Copier) now() time.Time {
	if c.Now != nil {
		return c.Now().UTC()
	}
	return time.Now().UTC()
}
