package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// sizeTask is AddSize: it adds the size of raw data to runs that lack it, and that
// of processed copies of this site. The size of raw data is that of its manifest, or
// of a copy that was verified; without either it is the sum of the files here, if
// their number is that of the events of the run.
type sizeTask struct{}

func (sizeTask) Name() string { return "AddSize" }

func (t sizeTask) Select(env *Env) []Candidates {
	ask := func(typ rundb.Type) rundb.Query {
		return rundb.Query{Names: env.Site.DatasetList, Copies: []rundb.CopyMatch{{Types: []rundb.Type{typ}, Hosts: []string{env.Site.Name},
			Statuses: []rundb.Status{rundb.Transferred}, NoClaim: true}}}
	}
	var cs []Candidates
	if env.Site.Dir(rundb.Raw) != "" {
		raw := ask(rundb.Raw)
		raw.NoRawSize = true
		cs = append(cs, Candidates{Query: raw})
	}
	if env.Site.Dir(rundb.Processed) != "" {
		processed := ask(rundb.Processed)
		processed.Copies[0].NoSize = true
		cs = append(cs, Candidates{Query: processed})
	}
	return cs
}

func (t sizeTask) Plan(ctx context.Context, env *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	m := env.here()
	m.Types = []rundb.Type{rundb.Raw, rundb.Processed}
	return eachCopy(runs, m, func(r *rundb.Run, c rundb.Copy) (Action, error) {
		return NewAction(t.decide(env, r, &c), "", func(ctx context.Context) error { return t.run(ctx, env, r.ID, c.Key) }), nil
	})
}

// decide says whether a size is missing.
func (t sizeTask) decide(env *Env, r *rundb.Run, c *rundb.Copy) Decision {
	d := Decision{Task: t.Name(), Verb: Skip, What: "add size", Key: c.Key}
	d.about(r)
	switch {
	case c.Type == rundb.Raw && r.RawSize != 0, c.Type != rundb.Raw && c.Size != 0:
		d.Why = "the size is known"
	case !env.Site.Accepts(r.Name):
		d.Why = fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, env.Site.Name)
	case c.Status != rundb.Transferred:
		d.Why = fmt.Sprintf("the copy is %s", c.Status)
	case c.Claim != nil:
		d.Verb, d.Why = Wait, fmt.Sprintf("pid %d on %s works on the copy", c.Claim.Owner.PID, c.Claim.Owner.Host)
	case !c.InPlace && !env.Site.Contains(c.Location):
		d.Verb, d.Why = Call, fmt.Sprintf("the record says %q, which is outside the directories of this site", c.Location)
		d.Next = "correct the location in the run database, or the site's dir_* keys"
	default:
		if why := env.misfits.why(copyOf{r.ID, c.Key}, env.Clock.elapsed()); why != "" && !env.Only.Named() {
			d.Verb, d.Why = Wait, why
			d.Next = "it is looked at again in a day; Scrub, which makes a manifest, settles it"
			return d
		}
		d.Verb, d.Why = Do, "the size of the copy is not known"
		if c.Type == rundb.Raw {
			d.Why = "the raw size of the run is not known"
		}
	}
	return d
}

// run adds one size.
func (t sizeTask) run(ctx context.Context, env *Env, id rundb.ID, k rundb.Key) error {
	r, err := env.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	c, ok := r.Copy(k)
	if !ok {
		return ErrNotNeeded
	}
	d := t.decide(env, r, &c)
	if d.Verb != Do {
		return ErrNotNeeded
	}
	n, from, why, err := t.size(ctx, env, r, &c)
	if err != nil {
		return fmt.Errorf("size of %s: %w", d.subject(), err)
	}
	if why != "" {
		env.misfits.note(copyOf{id, k}, why, env.Clock.elapsed())
		env.Log.Warn("size is not added", append(fields(d), zap.String("why", why))...)
		return ErrNotNeeded
	}
	if k.Type == rundb.Raw {
		err = env.Store.SetRun(ctx, id, bson.D{{Key: "raw_size_byte", Value: n}})
	} else {
		err = env.Store.CompareAndSet(ctx, id, c, bson.D{{Key: "size", Value: n}})
	}
	if errors.Is(err, rundb.ErrConflict) {
		return ErrNotNeeded
	}
	if err == nil {
		env.Log.Info("size added", append(fields(d), zap.Int64("bytes", n), zap.String("from", from))...)
	}
	return err
}

// size finds the size of a dataset and says where from, or why it cannot be told.
func (t sizeTask) size(ctx context.Context, env *Env, r *rundb.Run, c *rundb.Copy) (n int64, from, why string, err error) {
	if c.Size > 0 && c.Files > 0 && !c.VerifiedAt.IsZero() {
		return c.Size, "verified copy", "", nil
	}
	m, err := env.Store.Manifest(ctx, rundb.ManifestKey{Run: r.ID, Type: c.Type, Version: c.Version})
	switch {
	case err == nil && m.Size() > 0:
		return m.Size(), "manifest", "", nil
	case err != nil && !errors.Is(err, rundb.ErrNotExist):
		return 0, "", "", err
	}
	s, zips, err := countFiles(ctx, env.remotes.local(), c.Location)
	switch {
	case err != nil:
		return 0, "", "", err
	case s.bytes == 0:
		return 0, "", "there is not a byte in it", nil
	case c.Type != rundb.Raw:
		return s.bytes, "files", "", nil
	}
	if why := fits(r, s.files, zips); why != "" {
		return 0, "", why, nil
	}
	return s.bytes, "files", "", nil
}

// countFiles measures a dataset, and counts its files of events.
func countFiles(ctx context.Context, place transfer.Backend, location string) (s size, zips int, err error) {
	top, err := place.Lstat(ctx, location)
	if err != nil {
		return s, 0, err
	}
	if !top.Mode.IsDir() {
		return size{files: 1, bytes: top.Size, newest: top.ModTime}, 0, nil
	}
	for i, err := range place.List(ctx, location) {
		if err != nil {
			return s, 0, err
		}
		if !i.Mode.IsRegular() {
			continue
		}
		s.files++
		s.bytes += i.Size
		if path.Ext(i.Path) == ".zip" {
			zips++
		}
	}
	return s, zips, nil
}

// The original's raw data: so many events in a file, unless the run says otherwise,
// and so many files beside those of events.
const (
	eventsPerFile = 1000
	extraFiles    = 4
)

// fits says why the number of files is not that of the events of a run; "" if it is.
// Files of events are told by their names; where none has such a name, all but the
// four that the original adds are.
func fits(r *rundb.Run, files, zips int) string {
	number := func(path ...string) int64 {
		v, err := r.Raw().LookupErr(path...)
		if err != nil {
			return 0
		}
		n, _ := v.AsInt64OK()
		return n
	}
	events, per := number("trigger", "events_built"), number("reader", "ini", "trigger_config_override", "Zip", "events_per_file")
	if per <= 0 {
		per = eventsPerFile
	}
	if events <= 0 {
		return "there is no manifest, and the run does not say how many events it has"
	}
	want := (events + per - 1) / per
	have := int64(zips)
	if zips == 0 {
		have = int64(files - extraFiles)
	}
	if have != want {
		return fmt.Sprintf("there is no manifest, and %d events in files of %d are %d files, not %d (of %d in all)", events, per, want, have, files)
	}
	return ""
}

// misfits remembers copies whose size could not be told, so that they are not
// measured in every cycle. It is safe for concurrent use.
type misfits struct {
	mu   sync.Mutex
	seen map[copyOf]misfit
}

type misfit struct {
	why string
	at  time.Duration // on Clock.Elapsed
}

func (m *misfits) note(k copyOf, why string, now time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = map[copyOf]misfit{}
	}
	m.seen[k] = misfit{why, now}
}

func (m *misfits) why(k copyOf, now time.Duration) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.seen[k]
	if !ok || now-f.at >= day {
		delete(m.seen, k)
		return ""
	}
	return f.why
}
