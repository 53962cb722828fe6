package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// verifyTask is AddChecksum: it re-reads copies of this site that are complete
// but not verified, and compares them with the manifest, or without one with the
// master's checksum, before it calls them transferred. Transferred copies that other
// software left without a checksum get one in the same way, where another copy has
// one to agree with.
type verifyTask struct{}

func (verifyTask) Name() string { return "AddChecksum" }

func (verifyTask) Select(env *Env) []Candidates {
	here, transferred := []string{env.Site.Name}, []rundb.Status{rundb.Transferred}
	return []Candidates{
		{Query: rundb.Query{Copies: []rundb.CopyMatch{{Hosts: here, Statuses: []rundb.Status{rundb.Verifying}}}}},
		{Query: rundb.Query{Copies: []rundb.CopyMatch{
			{Hosts: here, Statuses: transferred, NoChecksum: true},
			{NotHosts: here, Statuses: transferred, AnyChecksum: true}}}},
	}
}

func (t verifyTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return eachCopy(runs, env.here(), func(r *rundb.Run, c rundb.Copy) (Action, error) {
		d, err := t.decide(ctx, env, r, &c)
		a := Action{Decision: d}
		switch {
		case d.Verb == Do && c.Status == rundb.Transferred:
			a.apply = func(ctx context.Context) error {
				return env.rereadIf(ctx, r.ID, c, reading{d: d, keep: true})
			}
		case d.Verb == Do:
			a.apply = func(ctx context.Context) error { return t.run(ctx, env, r.ID, c.Key) }
		}
		return a, err
	})
}

func (t verifyTask) decide(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy) (Decision, error) {
	d := Decision{Task: t.Name(), Verb: Skip, What: "verify", Key: c.Key}
	d.about(r)
	say := func(v Verb, why, next string) (Decision, error) {
		d.Verb, d.Why, d.Next = v, why, next
		return d, nil
	}
	bare := c.Status == rundb.Transferred && c.Checksum == ""
	if c.Status != rundb.Verifying && !bare {
		return say(Skip, fmt.Sprintf("the copy is %s, not waiting for verification", c.Status), "")
	}
	if bare {
		d.What = "add checksum"
		switch v := master(env.Config, r, c.Type, c.Version); {
		case len(v.votes) == 0:
			return say(Skip, "the copy has no checksum on record, and no other copy has one to compare with",
				"cax verify --repair-manifest tells what it is; it is not taken for right until another copy agrees")
		case v.sum.IsZero() && len(v.votes) > 1:
			return say(Call, "the copy has no checksum on record, and those of the others differ, so that no master decides", settle)
		}
	}
	if !env.Site.Accepts(r.Name) {
		return say(Skip, fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name), "")
	}
	if !c.InPlace && !env.Site.Contains(c.Location) {
		return say(Call, fmt.Sprintf("the record says %q, which is outside the directories of this site", c.Location),
			"correct the location in the run database, or the site's dir_* keys")
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		return d, err
	}
	if c.Claim != nil {
		switch env.liveness(c.Claim, now) {
		case ownerAlive:
			return say(Wait, fmt.Sprintf("pid %d on %s is at it, last heard of %s ago", c.Claim.Owner.PID, c.Claim.Owner.Host, ago(now, c.Claim.Heartbeat)), "")
		default:
			if c.Claim.Kind == rundb.ClaimMove {
				d.What = "settle move"
				return say(Do, fmt.Sprintf("the move to %s by pid %d on %s has ended or is silent", c.Claim.Target, c.Claim.Owner.PID, c.Claim.Owner.Host), "")
			}
			d.What = "take over"
			return say(Do, fmt.Sprintf("the verification by pid %d on %s has ended or is silent", c.Claim.Owner.PID, c.Claim.Owner.Host), "")
		}
	}
	if !env.Only.Named() && c.Error != nil && !env.Policy.due(c.Error, now) {
		d.Until = c.Error.NextTry
		return say(Wait, fmt.Sprintf("try %d failed (%s): %s", c.Error.Tries, c.Error.Class, c.Error.Text), "name the run with --run to try at once")
	}
	if bare {
		return say(Do, "the copy has no checksum on record, and another one has", "")
	}
	return say(Do, "the copy is complete and not yet verified", "")
}

// run carries out one verification.
func (t verifyTask) run(ctx context.Context, env *Env, id rundb.ID, k rundb.Key) error {
	r, err := env.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	c, ok := r.Copy(k)
	if !ok || c.Status != rundb.Verifying {
		return ErrNotNeeded
	}
	d, err := t.decide(ctx, env, r, &c)
	if err != nil {
		return err
	}
	if d.Verb != Do {
		return ErrNotNeeded
	}
	if c.Claim != nil && c.Claim.Kind == rundb.ClaimMove {
		return env.settleMove(ctx, r, c)
	}
	held, err := env.Store.Reclaim(ctx, r.ID, c, rundb.Verifying, rundb.Claim{Kind: rundb.ClaimVerify, Owner: env.Owner})
	if errors.Is(err, rundb.ErrConflict) {
		env.Log.Debug("somebody was faster", append(fields(d), zap.Error(err))...)
		return ErrNotNeeded
	}
	if err != nil {
		return err
	}
	w := &work{env: env, run: r, d: d, held: held, before: c.Error, keep: rundb.Verifying}
	return w.under(ctx, func(ctx context.Context, _ func(context.Context) error) (rundb.Status, bson.D, error) {
		v, err := verify(ctx, env, r, &c, w.progress)
		if err != nil {
			return "", nil, err
		}
		w.evidence = v.evidence()
		return v.status(ctx, env, w)
	})
}

// A verification is what re-reading a copy of this site gave.
type verification struct {
	manifest *checksum.Manifest // what the copy is
	known    bool               // it was compared with a stored manifest
	sum      checksum.Sum       // in the original's form

	// by is the algorithm by which the storage itself told what the copy is; 0: all was
	// read from the disk.
	by checksum.Algorithm
}

// level says what the verification proves.
func (v *verification) level() rundb.Evidence {
	if v.by != 0 {
		return rundb.Cached
	}
	return rundb.Disk
}

// verify re-reads a copy of this site from the medium and compares it with the
// stored manifest, where there is one. A difference is an error that names the
// first files that differ.
func verify(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, p transfer.Progress) (*verification, error) {
	key := rundb.ManifestKey{Run: r.ID, Type: c.Type, Version: c.Version}
	m, err := env.Store.Manifest(ctx, key)
	if err != nil && !errors.Is(err, rundb.ErrNotExist) {
		return nil, err
	}
	if env.onGrid() {
		return env.verifyGrid(ctx, c, m, p)
	}
	if dir := env.Site.Dir(c.Type); !c.InPlace {
		if _, err := os.Stat(dir); err != nil {
			// Says nothing about the copy: its disk may not be mounted.
			return nil, fmt.Errorf("%s, the directory for %s data of %s, cannot be looked into (%v): see that it is mounted", dir, c.Type, env.Site.Name, err)
		}
	}
	o := &checksum.ManifestOptions{DropCache: true}
	if p != nil {
		o.Progress = func(_ string, n int64) { p.Moved(n) }
	}
	if m == nil {
		if p != nil {
			p.Start(int(c.Files), c.Size)
		}
		made, err := checksum.MakeManifest(ctx, c.Location, o)
		if err != nil {
			return nil, err
		}
		if made.Files() == 0 {
			return nil, &transfer.Error{Op: "verify", Path: c.Location, Kind: transfer.ErrCorrupt, Err: errors.New("there is no file in it")}
		}
		sum, err := made.LegacySum(checksum.SHA512)
		return &verification{manifest: made, sum: sum}, err
	}
	if p != nil {
		p.Start(m.Files(), m.Size())
	}
	diffs, err := m.CompareTree(ctx, c.Location, o)
	if err != nil {
		return nil, err
	}
	if err := foundIn(ctx, c.Location, m.Single, diffs); err != nil {
		return nil, err
	}
	sum, err := m.LegacySum(checksum.SHA512)
	return &verification{manifest: m, known: true, sum: sum}, err
}

func (v *verification) evidence() bson.D {
	e := bson.D{{Key: "checksum", Value: v.sum.String()}, {Key: "files", Value: int64(v.manifest.Files())},
		{Key: "bytes", Value: v.manifest.Size()}, {Key: "manifest", Value: v.known}, {Key: "evidence", Value: string(v.level())}}
	if v.by != 0 {
		e = append(e, bson.E{Key: "by", Value: v.by.String()})
	}
	return e
}

// status says what the record becomes after a re-read that found no difference.
// Without a stored manifest the sum must be acceptable to the other copies; only
// the very first copy of a dataset is taken at its word.
func (v *verification) status(ctx context.Context, env *Env, w *work) (rundb.Status, bson.D, error) {
	if !v.known {
		key := rundb.ManifestKey{Run: w.run.ID, Type: w.d.Key.Type, Version: w.d.Key.Version}
		if ok, why := acceptable(env.Config, w.run, key, v.sum); !ok && !alone(w.run, w.d.Key) {
			return "", nil, fmt.Errorf("%w: %s", errConflict, why)
		}
		if err := env.Store.PutManifest(ctx, key, v.manifest); err != nil {
			return "", nil, err
		}
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		return "", nil, err
	}
	return rundb.Transferred, v.fields(now), nil
}

// alone reports whether a run has no other record of this type and version.
func alone(r *rundb.Run, k rundb.Key) bool {
	for c := range r.Copies(rundb.CopyMatch{Types: []rundb.Type{k.Type}, Versions: []string{k.Version}}) {
		if c.Key != k {
			return false
		}
	}
	return true
}

// fields are those of a copy that was just re-read and found good.
func (v *verification) fields(now time.Time) bson.D {
	return bson.D{
		{Key: "checksum", Value: v.sum.Bare()},
		{Key: "files", Value: int64(v.manifest.Files())},
		{Key: "size", Value: v.manifest.Size()},
		{Key: "verified_at", Value: now},
		{Key: "evidence", Value: string(v.level())},
	}
}
