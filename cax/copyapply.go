package cax

import (
	"context"
	"errors"
	"fmt"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// run carries out one copy between this site and a remote: look again, claim,
// copy under a lease, record.
func (t copyTask) run(ctx context.Context, env *Env, id rundb.ID, k rundb.Key, remote *Site) error {
	r, err := env.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		return err
	}
	d := t.decide(env, r, k, remote, now)
	if d.Verb != Do {
		env.Log.Debug("not done now", append(fields(d), zap.String("why", d.Why))...)
		return ErrNotNeeded
	}
	from, to := t.ends(env.Site, remote)
	src, _ := r.Copy(rundb.Key{Type: k.Type, Version: k.Version, Host: from.Name})
	by := t.carrier(remote)
	h := &haul{task: t, w: &work{env: env, run: r, d: d, failed: by.failed}, from: from, to: to, src: &src,
		job: transfer.Job{ReadBack: to.verifiedByPusher()}}
	w := h.w
	if err := t.claim(ctx, h, by); err != nil {
		if errors.Is(err, rundb.ErrConflict) {
			env.Log.Debug("somebody was faster", append(fields(d), zap.Error(err))...)
			return ErrNotNeeded
		}
		return w.error(err)
	}
	err = w.under(ctx, func(ctx context.Context, confirm func(context.Context) error) (rundb.Status, bson.D, error) {
		h.confirm = confirm
		return by.move(ctx, h)
	})
	if t.push && errors.Is(err, transfer.ErrCorrupt) && ctx.Err() == nil {
		// Perhaps it is our own copy that is damaged: then it must not count any more.
		if verr := env.Reverify(ctx, r, src, false); verr != nil {
			env.Log.Error("the source was read again", append(fields(d), zap.Error(verr))...)
		}
	}
	return err
}

// claim gets the right to write the destination's copy: a new record, or the one
// that is there.
func (t copyTask) claim(ctx context.Context, h *haul, by carrier) error {
	w := h.w
	claim := rundb.Claim{Kind: rundb.ClaimPull, Source: h.from.Name, Owner: w.env.Owner}
	if t.push {
		claim.Kind = rundb.ClaimPush
	}
	dst, exists := w.run.Copy(w.d.Key)
	if !exists {
		c := rundb.Copy{Key: w.d.Key, Location: by.place(w.env, h.to, w.run, h.src), PaxHash: h.src.PaxHash,
			CreationPlace: h.src.CreationPlace, Claim: &claim}
		held, err := w.env.Store.Claim(ctx, w.run.ID, c)
		w.held = held
		return err
	}
	if !by.holds(w.env, h.to, dst.Location) {
		return &transfer.Error{Op: "claim", Place: h.to.Name, Path: dst.Location, Kind: transfer.ErrInvalid,
			Err:  errors.New("the record's location is outside the directories of the site"),
			Hint: "correct the location in the run database, or the site's dir_* keys"}
	}
	claim.Left = leftovers(&dst, w.env.Owner)
	held, err := w.env.Store.Reclaim(ctx, w.run.ID, dst, rundb.Transferring, claim)
	if err != nil {
		return err
	}
	w.held, w.before = held, dst.Error
	w.left, h.job.Continue, h.job.Adopt = claim.Left, claim.Left.Continue, claim.Left.Adopt
	h.job.Suspect = dst.Error != nil && dst.Error.Class == ClassCorrupt
	return nil
}

// leftovers are the claims that may have left something of a copy in staging: the
// one that is on the record, and those that it, or the last failure, names.
func leftovers(c *rundb.Copy, me rundb.Owner) rundb.Leftovers {
	if c.Claim == nil {
		if c.Error == nil {
			return rundb.Leftovers{}
		}
		return c.Error.Left
	}
	l := c.Claim.Left
	if gone(c.Claim.Owner, me) {
		l.Continue = append([]string{c.Claim.ID}, l.Continue...)
	} else {
		l.Adopt = append([]string{c.Claim.ID}, l.Adopt...)
	}
	return l
}

// move copies a dataset with a Copier.
func (direct) move(ctx context.Context, h *haul) (rundb.Status, bson.D, error) {
	env := h.w.env
	link, err := env.remotes.open(ctx, h.remote())
	if err != nil {
		return "", nil, err
	}
	source := transfer.Location{Backend: env.remotes.local(), Path: h.src.Location}
	target := transfer.Location{Backend: link.backend, Path: h.w.held.Copy.Location}
	if !h.task.push {
		source.Backend, target.Backend = target.Backend, source.Backend
	}
	return h.copy(ctx, link.copier, source, target)
}

// copy copies a dataset with a Copier, and compares it with what it has to be: its
// manifest, else the checksum on record.
func (h *haul) copy(ctx context.Context, copier *transfer.Copier, source, target transfer.Location) (rundb.Status, bson.D, error) {
	w, env, job := h.w, h.w.env, h.job
	key := rundb.ManifestKey{Run: w.run.ID, Type: h.src.Type, Version: h.src.Version}
	stored, err := env.Store.Manifest(ctx, key)
	switch {
	case err == nil:
		job.Manifest, job.Partial = stored, h.task.heal
	case !errors.Is(err, rundb.ErrNotExist):
		return "", nil, err
	case catalogued(h.src):
		// Its checksum has another form, which the reader compares.
		job.Legacy = master(env.Config, w.run, h.src.Type, h.src.Version).sum
	case h.src.Checksum != "":
		if job.Legacy, err = legacySum(h.src); err != nil {
			return "", nil, err
		}
	}
	job.Source, job.Target = source, target
	job.Claim = w.held.ID
	job.BeforeCommit = h.confirm
	job.Progress = w.progress
	job.Staged = func() { w.staged(ctx) }
	job.Aside = func(was, now string) {
		w.event(ctx, "aside", fmt.Sprintf("%q at %s was not this dataset and was moved to %q", was, h.to.Name, now), nil)
	}
	if err := makeParents(ctx, job.Target, h.to, h.src); err != nil {
		return "", nil, err
	}
	res, err := copier.Copy(ctx, job)
	if err != nil {
		return "", nil, err
	}
	return h.outcome(ctx, key, stored != nil, res)
}

// outcome turns the result of a Copier into the fields of a record. known tells that
// the manifest is on record already.
func (h *haul) outcome(ctx context.Context, key rundb.ManifestKey, known bool, res *transfer.Result) (rundb.Status, bson.D, error) {
	w := h.w
	sum, err := res.Manifest.LegacySum(checksum.SHA512)
	if err != nil {
		return "", nil, err
	}
	w.evidence = bson.D{
		{Key: "source", Value: h.src.Host},
		{Key: "bytes", Value: res.Bytes}, {Key: "sent", Value: res.Sent}, {Key: "salvaged", Value: res.Salvaged}, {Key: "files", Value: int64(res.Files)},
		{Key: "resumed", Value: res.Resumed}, {Key: "adopted", Value: res.Adopted},
		{Key: "durable", Value: res.Durable}, {Key: "read_back", Value: res.ReadBack},
		{Key: "checksum", Value: sum.String()},
	}
	if res.ReadBackBy != 0 {
		w.evidence = append(w.evidence, bson.E{Key: "read_back_by", Value: res.ReadBackBy.String()})
	}
	if !known {
		// Made from what was just read; it becomes the manifest of this dataset
		// only if the run's own records say the same.
		ok, why := acceptable(w.env.Config, w.run, key, sum)
		if !ok && len(master(w.env.Config, w.run, key.Type, key.Version).votes) == 0 {
			ok = attested(h.src, res.Manifest)
		}
		if !ok {
			w.event(ctx, "conflict", why, w.evidence)
			return rundb.Verifying, bson.D{{Key: "files", Value: int64(res.Files)}, {Key: "size", Value: res.Bytes}}, nil
		}
		if err := w.env.Store.PutManifest(ctx, key, res.Manifest); err != nil {
			return "", nil, err
		}
	}
	facts := bson.D{{Key: "files", Value: int64(res.Files)}, {Key: "size", Value: res.Bytes}}
	if h.task.push && !h.to.verifiedByPusher() {
		return rundb.Verifying, facts, nil
	}
	now, err := w.env.Store.Now(ctx)
	if err != nil {
		return "", nil, err
	}
	evidence := rundb.Stream
	if res.ReadBack || res.Adopted {
		evidence = rundb.Cached
	}
	return rundb.Transferred, append(facts,
		bson.E{Key: "checksum", Value: sum.Bare()},
		bson.E{Key: "verified_at", Value: now},
		bson.E{Key: "evidence", Value: string(evidence)}), nil
}
