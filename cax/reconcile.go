package cax

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// Reconcile compares what lies in this site's directories with what the run
// database says about them. It reads names and sizes, no contents, and changes
// nothing. The directory for minitrees is not looked into.
func (e *Env) Reconcile(ctx context.Context) ([]Discrepancy, error) {
	if err := e.onDisk("reconcile"); err != nil {
		return nil, err
	}
	s, err := e.survey(ctx)
	if err != nil {
		return nil, err
	}
	left, err := e.tapeLeft(ctx)
	return append(s.judge(e), left...), err
}

// Mend carries out the remedy of a finding, after it has looked again at what the
// remedy depends on. ErrNotNeeded if that is not as it was found; an error if there
// is no remedy, or it failed. With Env.DryRun nothing is done.
func (e *Env) Mend(ctx context.Context, f Discrepancy) error {
	if e.DryRun {
		return nil
	}
	if f.Kind == Uncatalogued && f.Remedy == Adopt {
		return e.adoptCatalogued(ctx, &f)
	}
	do := map[Remedy]func(context.Context, *Discrepancy) error{
		Quarantine: e.quarantineStray, Adopt: e.adopt, MarkMissing: e.markMissing, ReadAgain: e.readAgain,
		DropRecord: e.dropTwins, RemovePart: e.removePart, RemoveStaged: e.removeStaged, SettleMove: e.settleFound, LookAgain: e.lookAgain,
	}[f.Remedy]
	if do == nil {
		return fmt.Errorf("%s: there is no remedy but a person's", f)
	}
	if err := do(ctx, &f); err != nil {
		return err
	}
	e.Log.Info("mended", zap.String("finding", string(f.Kind)), zap.String("remedy", string(f.Remedy)), zap.String("path", f.Path), zap.String("run", f.Name))
	return nil
}

// MoveAway moves a stray to quarantine, one that could be adopted too. An error if
// that is refused.
func (e *Env) MoveAway(ctx context.Context, f Discrepancy) error {
	if f.Kind != Stray || f.item == nil {
		return fmt.Errorf("%s is no stray", f.Path)
	}
	if f.Refused != "" {
		return fmt.Errorf("%s is not moved: %s", f.Path, f.Refused)
	}
	f.Remedy = Quarantine
	return e.Mend(ctx, f)
}

// again reads the run of a finding and returns its record as it is now, if that is
// the one that was found: ErrNotNeeded otherwise.
func (e *Env) again(ctx context.Context, f *Discrepancy) (*rundb.Run, rundb.Copy, error) {
	r, err := e.Store.Get(ctx, f.Run)
	if err != nil {
		return nil, rundb.Copy{}, err
	}
	c, ok := r.Copy(f.Key)
	same := f.record.Exactly()
	if !ok || !same.Match(&c) {
		return nil, rundb.Copy{}, ErrNotNeeded
	}
	return r, c, nil
}

// markMissing makes a record whose dataset is gone an error; the record stays.
func (e *Env) markMissing(ctx context.Context, f *Discrepancy) error {
	r, c, err := e.again(ctx, f)
	if err != nil {
		return err
	}
	for _, dir := range e.Site.dirs() {
		if _, err := os.Stat(dir); below(c.Location, path.Clean(dir)) && err != nil {
			return err // its disk has gone away meanwhile
		}
	}
	if _, err := os.Lstat(c.Location); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ErrNotNeeded, err)
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	lost := &transfer.Error{Op: "reconcile", Path: c.Location, Kind: transfer.ErrNotExist}
	fail := e.Policy.failure(c.Error, lost, now)
	set := bson.D{{Key: "status", Value: string(rundb.Failed)}, {Key: "error", Value: fail.BSON()}}
	if err := e.changed(e.Store.CompareAndSet(ctx, r.ID, c, set)); err != nil {
		return err
	}
	e.event(ctx, r, c.Key, "missing", f.Why, bson.D{{Key: "location", Value: c.Location}, {Key: "was", Value: string(c.Status)}, {Key: "checksum", Value: c.Checksum}})
	return nil
}

// changed makes a record that somebody else changed first no failure.
func (e *Env) changed(err error) error {
	if errors.Is(err, rundb.ErrConflict) {
		return ErrNotNeeded
	}
	return err
}

// readAgain takes back that a copy is verified, so that AddChecksum reads it.
func (e *Env) readAgain(ctx context.Context, f *Discrepancy) error {
	r, c, err := e.again(ctx, f)
	if err != nil {
		return err
	}
	t, err := measureTree(ctx, c.Location)
	if err != nil {
		return err
	}
	if c.Size > 0 && c.Size == t.bytes && (c.Files == 0 || c.Files == t.files) {
		return ErrNotNeeded
	}
	if err := e.changed(e.Store.CompareAndSet(ctx, r.ID, c, bson.D{{Key: "status", Value: string(rundb.Verifying)}})); err != nil {
		return err
	}
	e.event(ctx, r, c.Key, "doubted", f.Why, bson.D{{Key: "files", Value: t.files}, {Key: "bytes", Value: t.bytes}})
	return nil
}

// dropTwins leaves one record of a copy that has several of one place.
func (e *Env) dropTwins(ctx context.Context, f *Discrepancy) error {
	dropped := 0
	for {
		r, err := e.Store.Get(ctx, f.Run)
		if err != nil {
			return err
		}
		now, err := e.Store.Now(ctx)
		if err != nil {
			return err
		}
		s := &survey{now: now, liveness: func(c *rundb.Claim) liveness { return e.liveness(c, now) }}
		var all []rundb.Copy
		kept := -1
		keep, _ := r.Copy(f.Key)
		for i := range r.Data {
			c := r.Data[i]
			if c.Key != f.Key {
				continue
			}
			if kept < 0 && c.Status == keep.Status {
				kept = len(all) // the one that Run.Copy chose: the first of its status
			}
			all = append(all, c)
		}
		if len(all) < 2 {
			if dropped == 0 {
				return ErrNotNeeded
			}
			return nil
		}
		if v, _, _, why := s.ofTwins(&record{copy: keep, twins: all}); v != Do {
			return fmt.Errorf("%s: %s", f.Key, why)
		}
		i := len(all) - 1
		if i == kept {
			i--
		}
		drop := all[i]
		if drop.Location != keep.Location {
			return fmt.Errorf("%s: the records spell its place as %q and %q: delete one by hand", f.Key, keep.Location, drop.Location)
		}
		if err := e.changed(e.Store.DropTwin(ctx, r, keep, drop)); err != nil {
			return err
		}
		dropped++
		e.event(ctx, r, f.Key, "record dropped", "there was another record of this copy, of the same place", bson.D{{Key: "record", Value: drop.BSON()}})
	}
}

// intent records what is about to be done to a file that cannot be brought back by
// a record. Without the event nothing is done.
func (e *Env) intent(ctx context.Context, f *Discrepancy, what string, evidence bson.D) error {
	return e.Store.Record(ctx, rundb.Event{Run: f.Run, Number: f.Number, Name: f.Name, Key: f.Key, What: what, Why: f.Why, Evidence: evidence})
}

// removePart removes staging that nobody knows, beside a dataset that is good, or
// what was moved aside for one that has enough good copies elsewhere.
func (e *Env) removePart(ctx context.Context, f *Discrepancy) error {
	if f.Kind == InTrash {
		return e.removeBare(ctx, f)
	}
	r, err := e.Store.Get(ctx, f.Run)
	if err != nil {
		return err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	c, ok := r.Copy(f.item.owner.Key)
	left := e.tally(r, rundb.Key{Type: f.Key.Type, Version: f.Key.Version, Host: e.Site.Name}, e.minimum(e.Site, f.Key.Type), now)
	switch f.Kind {
	case OrphanPart:
		if !ok || c.Status != rundb.Transferred || c.Claim != nil || c.Location != f.item.owner.Location {
			return ErrNotNeeded
		}
		if _, err := os.Lstat(c.Location); err != nil {
			return ErrNotNeeded
		}
	default:
		if !left.Enough() {
			return ErrNotNeeded
		}
	}
	if err := e.unchanged(ctx, f); err != nil {
		return err
	}
	evidence := append(left.evidence(), bson.E{Key: "path", Value: path.Base(f.Path)}, bson.E{Key: "bytes", Value: f.Bytes})
	if err := e.intent(ctx, f, "leftover removed", evidence); err != nil {
		return err
	}
	return e.remotes.local().Remove(ctx, f.Path)
}

// removeBare removes a trash folder that holds no dataset, of a claim that nobody has.
func (e *Env) removeBare(ctx context.Context, f *Discrepancy) error {
	q := &rundb.Query{Copies: []rundb.CopyMatch{{ClaimID: f.item.left.Claim}}, Limit: 1}
	for _, err := range e.Store.Find(ctx, q) {
		return errors.Join(ErrNotNeeded, err)
	}
	if _, err := os.Lstat(f.Path + "/data"); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ErrNotNeeded, err)
	}
	if err := e.intent(ctx, f, "leftover removed", bson.D{{Key: "path", Value: path.Base(f.Path)}}); err != nil {
		return err
	}
	return e.remotes.local().Remove(ctx, f.Path)
}

// unchanged reports ErrNotNeeded if something is not as it was found.
func (e *Env) unchanged(ctx context.Context, f *Discrepancy) error {
	t, err := measureTree(ctx, f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotNeeded
	}
	if err != nil {
		return err
	}
	if t.bytes != f.item.tree.bytes || t.files != f.item.tree.files || !t.changed.Equal(f.item.tree.changed) {
		return fmt.Errorf("%s is being changed: %w", f.Path, ErrNotNeeded)
	}
	return nil
}
