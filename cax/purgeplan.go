package cax

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cax-go/cax/rundb"
)

// A PurgePlan lists what a site would delete at one moment, for a person to look at
// and have applied later, exactly so or not at all.
type PurgePlan struct {
	Site    string       `json:"site"`
	Made    time.Time    `json:"made"` // by the database's clock
	Bytes   int64        `json:"bytes"`
	Entries []PurgeEntry `json:"entries"`
}

// A PurgeEntry is one copy to be deleted, as it was when the plan was made.
type PurgeEntry struct {
	Run      rundb.ID  `json:"run"`
	Number   int64     `json:"number"`
	Name     string    `json:"name"`
	Type     string    `json:"type"`
	Version  string    `json:"pax_version,omitempty"`
	Location string    `json:"location"`
	Checksum string    `json:"checksum"`
	Created  time.Time `json:"creation_time"`
	Size     int64     `json:"size"`
	Task     string    `json:"task"`
	Why      string    `json:"why"`
	// Good are the hosts whose copies justify it.
	Good []string `json:"good"`
}

// planAge is how old a plan may be when it is applied.
const planAge = 24 * time.Hour

// ErrStale is the error of a plan that no longer fits what the run database says.
var ErrStale = errors.New("the plan is stale")

// PlanPurge makes the plan of what BufferPurger and PurgeProcessed would delete at
// this site now. It reads only.
func (e *Env) PlanPurge(ctx context.Context) (*PurgePlan, error) {
	now, err := e.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	p := &PurgePlan{Site: e.Site.Name, Made: now}
	for _, t := range []purgeTask{{processed: true}, {}} {
		for _, o := range e.origins(ctx, t, e.considered(t, false)) {
			for a, err := range o.actions {
				if err != nil {
					return nil, err
				}
				if a.Verb != Do {
					continue
				}
				r, err := e.Store.Get(ctx, a.Run)
				if err != nil {
					return nil, err
				}
				if x, ok := e.purgeEntry(t, r, a.Key, now); ok {
					p.Entries, p.Bytes = append(p.Entries, x), p.Bytes+x.Size
				}
			}
		}
	}
	return p, nil
}

// purgeEntry describes a copy that a task would delete; false if it would not.
func (e *Env) purgeEntry(t purgeTask, r *rundb.Run, k rundb.Key, now time.Time) (PurgeEntry, bool) {
	c, ok := r.Copy(k)
	if !ok {
		return PurgeEntry{}, false
	}
	w, d := t.decide(e, r, &c, now)
	x := PurgeEntry{Run: r.ID, Number: r.Number, Name: r.Name, Type: string(c.Type), Version: c.Version, Location: c.Location,
		Checksum: c.Checksum, Created: c.Created, Size: c.Size, Task: t.Name(), Why: w.Why, Good: []string{}}
	for _, g := range e.tally(r, k, e.minimum(e.Site, k.Type), now).Good {
		x.Good = append(x.Good, g.Place())
	}
	return x, d.Verb == Do
}

// ApplyPurge deletes what a plan lists, and nothing else. Before it touches anything
// it compares the whole plan with what is there now: ErrStale, naming each entry that
// does not fit, if a copy is not as it was, may not go any more, or would go on other
// copies' strength, or if the plan is older than a day or another site's. done is
// called after each deletion; it may be nil. The error joins those of single
// deletions.
func (e *Env) ApplyPurge(ctx context.Context, p *PurgePlan, done func(PurgeEntry, error)) error {
	if p.Site != e.Site.Name {
		return fmt.Errorf("%w: it was made for %s, and this is %s", ErrStale, p.Site, e.Site.Name)
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	if age := now.Sub(p.Made); age > planAge || age < 0 {
		return fmt.Errorf("%w: it was made at %s UTC; make a new one", ErrStale, p.Made.UTC().Format(time.DateTime))
	}
	var stale []error
	for i := range p.Entries {
		if err := e.fits(ctx, &p.Entries[i], now); err != nil {
			stale = append(stale, err)
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("%w, nothing was deleted; make a new one: %w", ErrStale, errors.Join(stale...))
	}
	if e.DryRun {
		return nil
	}
	var errs []error
	for _, x := range p.Entries {
		err := e.Remove(ctx, x.Run, x.key(e.Site.Name), Removal{Task: x.Task, Why: x.Why})
		if errors.Is(err, ErrNotNeeded) {
			err = fmt.Errorf("run %d (%s): %w", x.Number, x.Name, err)
		}
		if done != nil {
			done(x, err)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (x *PurgeEntry) key(host string) rundb.Key {
	return rundb.Key{Type: rundb.Type(x.Type), Version: x.Version, Host: host}
}

// fits reports why an entry is not what would be planned now.
func (e *Env) fits(ctx context.Context, x *PurgeEntry, now time.Time) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("run %d (%s), %s: %s", x.Number, x.Name, x.Type, fmt.Sprintf(format, args...))
	}
	r, err := e.Store.Get(ctx, x.Run)
	if err != nil {
		return bad("%v", err)
	}
	t := purgeTask{processed: x.Task == purgeTask{processed: true}.Name()}
	is, ok := e.purgeEntry(t, r, x.key(e.Site.Name), now)
	switch {
	case is.Name == "":
		return bad("there is no such copy here any more")
	case is.Location != x.Location || is.Checksum != x.Checksum || !is.Created.Equal(x.Created) || is.Size != x.Size:
		return bad("the copy is not the one that it was")
	case !ok:
		return bad("it may not be deleted any more")
	case fmt.Sprint(is.Good) != fmt.Sprint(x.Good):
		return bad("it was to go on the strength of %v, and now of %v", x.Good, is.Good)
	}
	return nil
}
