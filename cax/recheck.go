package cax

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// Reverify re-reads one copy of this site against the manifest, whatever its
// status, and records what was found: a transferred copy that is good gets a new
// verified_at, one that is not becomes an error. Without a manifest the master's
// checksum decides. With repair, a dataset without a manifest gets one if the copy's
// sum is the right one. It returns the error of the verification.
func (e *Env) Reverify(ctx context.Context, r *rundb.Run, c rundb.Copy, repair bool) error {
	d := Decision{Task: "verify", Verb: Do, What: "verify", Key: c.Key, Why: "asked for by " + e.Store.By}
	d.about(r)
	return e.reread(ctx, r, &c, reading{d: d, keep: repair})
}

// A reading says how a copy is read again.
type reading struct {
	d    Decision
	keep bool   // store the manifest of a dataset that has none, if the sum is right
	pace *pacer // nil: as fast as it goes
}

// reread re-reads one copy of this site and records what was found. No claim is
// taken: the record that is changed is the one that was read, as long as nobody
// claims it meanwhile; rundb.ErrConflict otherwise.
func (e *Env) reread(ctx context.Context, r *rundb.Run, c *rundb.Copy, o reading) error {
	if !c.InPlace && !e.Site.Contains(c.Location) {
		return fmt.Errorf("%s: the record says %q, which is outside the directories of %s", r, c.Location, e.Site.Name)
	}
	if c.Status != rundb.Transferred && c.Status != rundb.Verifying && c.Status != rundb.Failed {
		return fmt.Errorf("%s: the copy at %s is %s: there is nothing to verify yet", r, c.Host, c.Status)
	}
	if c.Status == rundb.Failed && c.Error != nil && !ofBytes(c.Error.Class) {
		// Its transfer has failed: what the error says is needed to go on.
		return fmt.Errorf("%s: the copy at %s has not come through (%s): there is nothing to verify yet", r, c.Host, c.Error.Class)
	}
	if e.DryRun {
		return nil
	}
	progress, end := e.begin(o.d)
	v, err := verify(ctx, e, r, c, o.pace.slow(ctx, progress))
	if err == nil && !v.known {
		err = e.judge(ctx, r, c, v, o.keep)
	}
	end(err)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return e.verified(ctx, r, c, o, v)
	}
	return fmt.Errorf("%s at %s: %w", r, c.Host, e.unverified(ctx, r, c, v, err))
}

// judge decides about a copy of which no manifest says what it should be.
func (e *Env) judge(ctx context.Context, r *rundb.Run, c *rundb.Copy, v *verification, keep bool) error {
	k := rundb.ManifestKey{Run: r.ID, Type: c.Type, Version: c.Version}
	ok, why := acceptable(e.Config, r, k, v.sum)
	switch {
	case !ok && !master(e.Config, r, c.Type, c.Version).sum.IsZero():
		return foundSum(&transfer.Error{Op: "verify", Path: c.Location, Kind: transfer.ErrCorrupt, Err: errors.New(why)}, v.sum)
	case !ok:
		return fmt.Errorf("%w: %s", errConflict, why)
	case keep:
		return e.Store.PutManifest(ctx, k, v.manifest)
	}
	return nil
}

// verified records that a copy is good, and what its record said wrong.
func (e *Env) verified(ctx context.Context, r *rundb.Run, c *rundb.Copy, o reading, v *verification) error {
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	set := append(bson.D{{Key: "status", Value: string(rundb.Transferred)}, {Key: "error", Value: nil}}, v.fields(now)...)
	if v.level() != rundb.Disk && c.Status == rundb.Transferred && !c.VerifiedAt.IsZero() {
		// Says that it is what it was, and not that it can still be read.
		set = slices.DeleteFunc(set, func(e bson.E) bool { return e.Key == "verified_at" || e.Key == "evidence" })
	}
	if c.ChecksumAlgorithm != "" {
		set = append(set, bson.E{Key: "checksum_algorithm", Value: nil}) // that of the new checksum
	}
	if err := e.Store.CompareAndSet(ctx, r.ID, *c, set); err != nil {
		return err
	}
	e.dropStaged(ctx, c)
	switch {
	case c.Checksum == "":
		e.event(ctx, r, c.Key, "checksum added", "the record had none, and the bytes are right", v.evidence())
	case c.Checksum != v.sum.Bare():
		e.event(ctx, r, c.Key, "record corrected", "the bytes are right, and the checksum on record was not: "+c.Checksum, v.evidence())
	}
	e.event(ctx, r, c.Key, "verified", o.d.Why, v.evidence())
	return nil
}

// dropStaged removes what tries to replace a copy left in staging: the copy is good,
// and its record does not name them any more.
func (e *Env) dropStaged(ctx context.Context, c *rundb.Copy) {
	if c.Error == nil || !e.Site.Contains(c.Location) {
		return
	}
	for _, claim := range slices.Concat(c.Error.Left.Continue, c.Error.Left.Adopt) {
		dir := path.Join(path.Dir(c.Location), transfer.StagingName(path.Base(c.Location), claim))
		if err := e.remotes.local().Remove(ctx, dir); err != nil {
			e.Log.Warn("left in staging", zap.String("path", dir), zap.Error(err))
		}
	}
}

// unverified records what was found wrong with a copy, and returns it. Only damage
// changes the status; a copy that nobody can judge keeps it, with the time before
// which it is not read again. That a disk or a program failed says nothing of it.
func (e *Env) unverified(ctx context.Context, r *rundb.Run, c *rundb.Copy, v *verification, err error) error {
	now, nerr := e.Store.Now(ctx)
	if nerr != nil {
		return errors.Join(err, nerr)
	}
	err = e.contested(ctx, r, c.Key, err)
	fail := e.Policy.failure(c.Error, err, now)
	what, evidence := "damaged", append(bson.D{{Key: "class", Value: fail.Class}}, foundEvidence(err)...)
	set := bson.D{{Key: "error", Value: fail.BSON()}}
	switch {
	case ofBytes(fail.Class):
		set = append(set, bson.E{Key: "status", Value: string(rundb.Failed)})
	case fail.Class == ClassConflict:
		what, evidence = "conflict", v.evidence()
	default:
		return err
	}
	if serr := e.Store.CompareAndSet(ctx, r.ID, *c, set); serr != nil {
		return errors.Join(err, serr)
	}
	if c.Error == nil || c.Error.Class != fail.Class || c.Error.Text != fail.Text {
		e.event(ctx, r, c.Key, what, err.Error(), evidence)
	}
	return err
}

// manifestSum is the original's checksum of a stored manifest; ok is false if there
// is none.
func (e *Env) manifestSum(ctx context.Context, r *rundb.Run, k rundb.Key) (sum checksum.Sum, ok bool, err error) {
	m, err := e.Store.Manifest(ctx, rundb.ManifestKey{Run: r.ID, Type: k.Type, Version: k.Version})
	if errors.Is(err, rundb.ErrNotExist) {
		return sum, false, nil
	}
	if err != nil {
		return sum, false, err
	}
	sum, err = m.LegacySum(checksum.SHA512)
	return sum, err == nil, err
}
