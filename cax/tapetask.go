package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// tapeTask is AddTSMChecksum: it asks tape for names and sizes of the copies that are on
// record there, those first that were never seen, and notes when all files were there:
// a copy counts only for a time after that. Records without a checksum get that of the
// manifest. Nothing is brought back.
type tapeTask struct{}

func (tapeTask) Name() string { return "AddTSMChecksum" }

// Queries are paced: so many copies, so often.
const (
	tapeLookEvery = 10 * time.Minute
	tapeLookMost  = 1000
)

func (t tapeTask) Select(env *Env) []Candidates {
	hosts := env.Config.tapes(env.Site)
	if len(hosts) == 0 || !env.Once && !env.taping.due(env.Clock.elapsed(), tapeLookEvery) {
		return nil
	}
	var cs []Candidates
	for _, host := range hosts {
		m := rundb.CopyMatch{Hosts: []string{host}, Statuses: []rundb.Status{rundb.Transferred}}
		cs = append(cs, Candidates{Query: rundb.Query{Names: env.Site.DatasetList, Copies: []rundb.CopyMatch{m}}, Remote: host})
	}
	return cs
}

func (t tapeTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	m := rundb.CopyMatch{Hosts: env.Config.tapes(env.Site)}
	return func(yield func(Action, error) bool) {
		now, err := env.Store.Now(ctx)
		if err != nil {
			yield(Action{}, err)
			return
		}
		// All that are due are known before the first is looked at: one query shows many.
		glances := map[string]*tapeGlance{}
		var all []Action
		for a, err := range eachCopy(runs, m, func(r *rundb.Run, c rundb.Copy) (Action, error) {
			a := Action{Decision: t.decide(env, r, &c, now), remote: c.Host}
			if a.Verb != Do {
				return a, nil
			}
			g := glances[c.Host]
			if g == nil {
				g = &tapeGlance{}
				glances[c.Host] = g
			}
			if len(g.wants) >= tapeLookMost {
				a.Verb, a.Why = Wait, "enough copies are looked at in one cycle"
				return a, nil
			}
			g.wants = append(g.wants, wantedCopy{copyOf{r.ID, c.Key}, r, c})
			a.apply = func(ctx context.Context) error { return t.run(ctx, env, r.ID, c.Key, g) }
			return a, nil
		}) {
			if err != nil {
				if !yield(Action{}, err) {
					return
				}
				continue
			}
			all = append(all, a)
		}
		for _, a := range all {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// A tapeGlance asks one tape server for many copies at once, when the first of them is
// looked at. It is safe for concurrent use.
type tapeGlance struct {
	wants []wantedCopy

	mu   sync.Mutex
	seen map[copyOf]*taped // nil: nobody has asked
	err  error
}

// of gives what tape has of a copy.
func (g *tapeGlance) of(ctx context.Context, env *Env, drive *tapeDrive, k copyOf) (*taped, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil && g.err == nil {
		found, err := drive.lookAll(ctx, env, g.wants)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		g.err, g.seen = err, map[copyOf]*taped{}
		for i, t := range found {
			g.seen[g.wants[i].copyOf] = t
		}
	}
	return g.seen[k], g.err
}

func (t tapeTask) decide(env *Env, r *rundb.Run, c *rundb.Copy, now time.Time) Decision {
	d := Decision{Task: t.Name(), Verb: Skip, What: "look at tape", Key: c.Key}
	d.about(r)
	say := func(v Verb, why string) Decision {
		d.Verb, d.Why = v, why
		return d
	}
	due := c.VerifiedAt.Add(env.Policy.ScrubAfter)
	switch {
	case c.Status != rundb.Transferred:
		return say(Skip, fmt.Sprintf("the copy is %s", c.Status))
	case !env.Site.Accepts(r.Name):
		return say(Skip, fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name))
	case c.Claim != nil:
		return say(Wait, fmt.Sprintf("pid %d on %s works on the copy", c.Claim.Owner.PID, c.Claim.Owner.Host))
	case c.Error != nil && !env.Only.Named() && !env.Policy.due(c.Error, now):
		d.Until = c.Error.NextTry
		return say(Wait, c.Error.Text)
	case env.outages.of(c.Host, env.Clock.elapsed()) != nil:
		return say(Wait, fmt.Sprintf("%s failed a short while ago and is left alone for now", c.Host))
	case c.Checksum == "":
		return say(Do, "the record has no checksum")
	case c.Error == nil && !env.Policy.stale(c, now):
		d.Until = due
		return say(Skip, fmt.Sprintf("all files were seen on tape %d days ago", int(now.Sub(c.VerifiedAt).Hours()/24)))
	case c.VerifiedAt.IsZero():
		return say(Do, "nobody has looked yet whether all files are on tape")
	}
	return say(Do, "all files were last seen on tape on "+c.VerifiedAt.UTC().Format(time.DateOnly))
}

// run looks at one copy.
func (t tapeTask) run(ctx context.Context, env *Env, id rundb.ID, k rundb.Key, g *tapeGlance) error {
	r, err := env.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	now, err := env.Store.Now(ctx)
	if err != nil {
		return err
	}
	c, ok := r.Copy(k)
	if !ok {
		return ErrNotNeeded
	}
	d := t.decide(env, r, &c, now)
	if d.Verb != Do {
		return ErrNotNeeded
	}
	site, _ := env.Config.Site(k.Host)
	drive, err := env.drive(ctx, site)
	if err != nil {
		return fmt.Errorf("look at %s of %s: %w", k, r, err)
	}
	found, err := g.of(ctx, env, drive, copyOf{id, k})
	if err != nil {
		return fmt.Errorf("look at %s of %s: %w", k, r, err)
	}
	seen, err := env.compareTape(ctx, site, r, &c, found)
	if err != nil {
		return err
	}
	if !seen.Known {
		err = &transfer.Error{Op: "query", Place: k.Host, Path: c.Location, Kind: transfer.ErrInvalid, Err: errors.New("there is no manifest that tells which files it should have"),
			Hint: "make one where a good copy is: cax verify --repair-manifest"}
	} else {
		err = seen.Err
	}
	return t.record(ctx, env, r, &c, d, seen, err, now)
}

// record notes what was seen. Where tape has some of the files, and not all can be brought
// any more, the copy is an error, and is sent again by whoever has a good one. Where it
// shows none, it may be the wrong server that was asked: the status stays, as that of
// backups that will expire, and the copy does not count.
func (tapeTask) record(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy, d Decision, seen *OnTape, found error, now time.Time) error {
	var set bson.D
	lost := seen.Rows > 0 && seen.lost
	if found != nil {
		fail := env.Policy.failure(c.Error, found, now)
		set = bson.D{{Key: "error", Value: fail.BSON()}}
		if lost {
			set = append(set, bson.E{Key: "status", Value: string(rundb.Failed)})
		}
	} else {
		set = bson.D{{Key: "error", Value: nil}, {Key: "verified_at", Value: now}, {Key: "evidence", Value: string(rundb.Listed)},
			{Key: "files", Value: int64(seen.Files)}, {Key: "size", Value: seen.Bytes}}
		if c.Checksum == "" {
			set = append(set, bson.E{Key: "checksum", Value: seen.sum.Bare()}, bson.E{Key: "checksum_algorithm", Value: nil})
		}
	}
	if err := env.changed(env.Store.CompareAndSet(ctx, r.ID, *c, set)); err != nil {
		return err
	}
	switch {
	case found == nil && (c.Error != nil || c.Checksum == "" || c.VerifiedAt.IsZero()):
		env.event(ctx, r, c.Key, "seen", fmt.Sprintf("all files are on tape: %d files, %d bytes", seen.Files, seen.Bytes), bson.D{{Key: "files", Value: int64(seen.Files)}, {Key: "bytes", Value: seen.Bytes}})
	case found != nil && (c.Error == nil || c.Error.Text != found.Error()):
		env.event(ctx, r, c.Key, "failed", found.Error(), bson.D{{Key: "class", Value: classify(found)}, {Key: "rows", Value: int64(seen.Rows)}})
	}
	if found == nil {
		env.Log.Debug("all files are on tape", append(fields(d), zap.Int("files", seen.Files))...)
		return nil
	}
	env.Log.Warn("tape does not show every file", append(fields(d), zap.Error(found))...)
	if lost || seen.Rows == 0 {
		return fmt.Errorf("%s at %s: %w", r, c.Host, found)
	}
	return nil
}

// OnTape says what a tape server has of a copy.
type OnTape struct {
	Rows   int    // that the query gave
	Files  int    // that it should have; without a manifest, that it has
	Bytes  int64  // of them
	Backup bool   // they are backups and no archive copies
	Prefix string // that the files have on tape, "" for their own names
	Known  bool   // there is a manifest to compare with
	Err    error  // what is not as it should be; nil if everything is

	lost bool // some files can not be brought back
	sum  checksum.Sum
}

// SeeTape asks a tape server what it has of a copy, and compares names and sizes with the
// manifest.
func (e *Env) SeeTape(ctx context.Context, tape *Site, r *rundb.Run, c *rundb.Copy) (*OnTape, error) {
	drive, err := e.drive(ctx, tape)
	if err != nil {
		return nil, err
	}
	found, err := drive.lookAll(ctx, e, []wantedCopy{{copyOf{r.ID, c.Key}, r, *c}})
	if err != nil {
		return nil, err
	}
	return e.compareTape(ctx, tape, r, c, found[0])
}

// compareTape says what was found of a copy.
func (e *Env) compareTape(ctx context.Context, tape *Site, r *rundb.Run, c *rundb.Copy, t *taped) (*OnTape, error) {
	o := &OnTape{Rows: len(t.rows), Files: len(t.files), Bytes: bytesOf(t.files), Backup: t.backup, Prefix: t.prefix, Known: t.known, Err: t.gaps(tape.Name), lost: t.known && t.restorable() != nil}
	if !t.known {
		return o, nil
	}
	m, err := e.Store.Manifest(ctx, rundb.ManifestKey{Run: r.ID, Type: c.Type, Version: c.Version})
	if err == nil {
		o.sum, err = m.LegacySum(checksum.SHA512)
	}
	return o, err
}
