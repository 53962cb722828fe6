package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// emptyTrashTask is EmptyTrash: it finishes deletions that were begun, unlinks what was deleted at this site and whose
// time in the trash is over, after counting once more what is left of the run; and
// puts back what is missing.
type emptyTrashTask struct{}

func (emptyTrashTask) Name() string { return "EmptyTrash" }

// Select finds deletions that were begun and not finished.
func (emptyTrashTask) Select(env *Env) []Candidates {
	return []Candidates{{Query: rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{env.Site.Name}, Statuses: []rundb.Status{rundb.Purging}}}}}}
}

func (t emptyTrashTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	m := env.here()
	m.Statuses = []rundb.Status{rundb.Purging}
	return atTime(ctx, env, func(now time.Time) iter.Seq2[Action, error] {
		return eachCopy(runs, m, func(r *rundb.Run, c rundb.Copy) (Action, error) {
			// For how long its trash was to be kept, nobody knows any more, unless the
			// folder is there and says so.
			w := Removal{Task: t.Name(), Why: "a deletion that was begun", Keep: env.Policy.Trash}
			d, _ := env.DecideRemoval(r, &c, w, now)
			return NewAction(d, "", func(ctx context.Context) error { return env.Remove(ctx, r.ID, c.Key, w) }), nil
		})
	})
}

// Look finds the trash folders of this site.
func (t emptyTrashTask) Look(ctx context.Context, env *Env) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		now, err := env.Store.Now(ctx)
		if err != nil {
			yield(Action{}, err)
			return
		}
		for dir, err := range env.leftovers(ctx, transfer.Trash) {
			a := Action{}
			if err == nil {
				var b *trash
				switch b, err = openTrash(ctx, env.remotes.local(), dir); {
				case err == nil:
					a = t.decide(env, b, now)
				case errors.Is(err, transfer.ErrCorrupt):
					a = Action{Decision: Decision{Task: t.Name(), Verb: Call, What: "unlink", Key: rundb.Key{Host: env.Site.Name}, Why: err.Error(),
						Next: "cax reconcile --repair removes it if there is nothing in it"}}
					err = nil
				}
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// decide says whether the time of a trash folder is over. One whose dataset is still
// on record as being deleted belongs to whoever finishes that.
func (emptyTrashTask) decide(env *Env, b *trash, now time.Time) Action {
	d := Decision{Task: "EmptyTrash", Verb: Do, What: "unlink", Name: b.Name, Key: b.key(), Why: "it was deleted: " + b.Why}
	d.Run, _ = bson.ObjectIDFromHex(b.Run) // emptyTrash says what is wrong with it
	if b.Host != env.Site.Name {
		d.Verb, d.Why = Skip, fmt.Sprintf("it was deleted by %s, which shares this directory", b.Host)
	} else if b.Until.After(now) {
		d.Verb, d.Until = Wait, b.Until
		d.Next = fmt.Sprintf("until then it can be brought back: move %s to %s", b.data(), b.Location)
	}
	return NewAction(d, "", func(ctx context.Context) error {
		r, err := env.Store.Get(ctx, d.Run)
		if err != nil {
			return err
		}
		if c, ok := r.Copy(d.Key); ok && c.Status == rundb.Purging {
			return ErrNotNeeded
		}
		return env.emptyTrash(ctx, b)
	})
}

// leftovers yields the paths of what we left beside the datasets of this site.
func (e *Env) leftovers(ctx context.Context, kind transfer.LeftoverKind) iter.Seq2[string, error] {
	if e.onGrid() {
		return e.gridLeftovers(ctx, kind)
	}
	return func(yield func(string, error) bool) {
		for dir, err := range e.folders() {
			if err != nil {
				if !yield("", err) {
					return
				}
				continue
			}
			es, err := os.ReadDir(dir)
			if err != nil {
				if !yield("", err) {
					return
				}
				continue
			}
			for _, d := range es {
				if l, ok := transfer.ParseLeftover(d.Name()); ok && l.Kind == kind && !yield(path.Join(dir, d.Name()), nil) {
					return
				}
			}
		}
	}
}

// folders yields the folders of this site that hold datasets: those of its types,
// and of their versions. One that is not there, as on a disk that is not mounted,
// is left out.
func (e *Env) folders() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, typ := range []rundb.Type{rundb.Raw, rundb.Processed} {
			dir := e.Site.Dir(typ)
			if dir == "" {
				continue
			}
			if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
				continue
			} else if !yield(dir, err) {
				return
			}
			versions, err := filepath.Glob(filepath.Join(escapeGlob(dir), "pax_*"))
			if err != nil {
				if !yield("", err) {
					return
				}
				continue
			}
			for _, v := range versions {
				if st, err := os.Lstat(v); err == nil && st.IsDir() && !yield(v, nil) {
					return
				}
			}
		}
	}
}

// emptyTrash unlinks what is in a trash folder if enough good copies of the dataset
// are left, and else puts it back: as a copy that has to be verified.
func (e *Env) emptyTrash(ctx context.Context, t *trash) error {
	id, err := bson.ObjectIDFromHex(t.Run)
	if err != nil {
		return &transfer.Error{Op: "read", Path: t.path, Kind: transfer.ErrCorrupt, Err: err}
	}
	r, err := e.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	k := t.key()
	k.Host = ""
	left := e.tally(r, k, e.minimum(e.Site, k.Type), now)
	ok, why := e.mayGo(r, k, left, now)
	if ok || t.Force {
		if err := t.empty(ctx); err != nil {
			return err
		}
		e.event(ctx, r, t.key(), "unlinked", t.Why, append(left.evidence(), bson.E{Key: "location", Value: t.Location}))
		return nil
	}
	if err := t.restore(ctx); err != nil {
		return fmt.Errorf("%s was deleted and now too little is left (%s); it cannot be put back: %w", t.Location, why, err)
	}
	c := rundb.Copy{Key: t.key(), Status: rundb.Verifying, Location: t.Location, Created: now}
	if err := e.Store.Register(ctx, id, c); err != nil {
		return fmt.Errorf("%s was put back, since too little is left (%s), and has no record: %w; cax reconcile --repair makes one", t.Location, why, err)
	}
	e.event(ctx, r, t.key(), "restored", why, left.evidence())
	e.Log.Error("put back what was deleted: too little is left", zap.String("run", r.String()), zap.String("location", t.Location), zap.String("why", why))
	return nil
}

// escapeGlob makes a path a pattern that matches it alone.
func escapeGlob(p string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(p)
}
