package cax

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/tsm"
	"go.uber.org/zap"
)

// recallName is the folder, beside datasets, to which many of them are brought at once.
const recallName = ".cax-recall"

// recalls bring datasets from tape for many runs at once, so that a tape is mounted once
// and not once a run: when the first of them is fetched, all are asked for that this
// process is going to fetch. Each is then taken from the folder under its own claim. It is
// safe for concurrent use.
type recalls struct {
	mu    sync.Mutex
	of    map[copyOf]*recalled    // what was asked for and not taken yet, by the copy to be made
	areas map[string]func() error // folders that this process has locked, with what unlocks them
}

// A recalled dataset is a member of a batch.
type recalled struct {
	*taped
	description string
	batch       *recallBatch
}

// A recallBatch is what is brought together.
type recallBatch struct {
	area    string // "": there is none; each is brought by itself
	members []*recalled

	turn chan struct{} // holds one token while somebody works on it, or looks
	done bool
	err  error // of the runs of dsmc; some files may be there nevertheless
	part tsm.LogPart
}

// enter waits for the turn.
func (b *recallBatch) enter(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *recallBatch) leave() { <-b.turn }

// spent reports whether the batch was brought without all files of a member.
func (b *recallBatch) spent(m *recalled) bool {
	select {
	case b.turn <- struct{}{}:
		defer b.leave()
	default:
		return false // it is being brought
	}
	return b.done && !m.at(b.area)
}

// at reports whether all files are in a folder.
func (m *recalled) at(area string) bool {
	for _, f := range m.files {
		p, ok := tsm.Placed(area, f.Path)
		if !ok {
			return false
		}
		if st, err := os.Stat(p); err != nil || m.known && st.Size() != f.Size {
			return false
		}
	}
	return true
}

// most datasets of a batch, so that queries and command lists stay of a size.
const recallMost = 5000

// of gives what tape has of a dataset that is fetched. With the first of many, all
// others are asked for as well.
func (c *recalls) find(ctx context.Context, h *haul, drive *tapeDrive) (*recalled, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	me := copyOf{h.w.run.ID, h.w.d.Key}
	if m, ok := c.of[me]; ok {
		if m.location == path.Clean(h.src.Location) && m.description == h.src.Archive && !m.batch.spent(m) {
			return m, nil
		}
		for k, o := range c.of { // they have what has come, or are asked for anew
			if o.batch == m.batch && (k == me || o.batch.spent(o)) {
				delete(c.of, k)
			}
		}
	}
	if err := drive.meet(ctx, h.w.env.Clock); err != nil {
		return nil, err
	}
	b := &recallBatch{area: c.lock(h), turn: make(chan struct{}, 1), part: notTold()}
	wants := []wantedCopy{{me, h.w.run, *h.src}}
	if b.area != "" && !h.task.heal {
		others, err := h.company(ctx, me)
		if err != nil {
			return nil, err
		}
		wants = append(wants, others...)
	}
	found, err := drive.lookAll(ctx, h.w.env, wants)
	if err != nil {
		return nil, err
	}
	room, err := h.w.env.roomFor(ctx, path.Dir(h.w.held.Copy.Location))
	if err != nil {
		return nil, err
	}
	if c.of == nil {
		c.of = map[copyOf]*recalled{}
	}
	bytes, names := int64(0), map[string]bool{}
	for i, w := range wants {
		t, base := found[i], path.Base(w.copy.Location)
		// Half of the room: the other half is what the last step of a copy asks for.
		bytes += bytesOf(t.files)
		if i > 0 && (t.restorable() != nil || names[base] || bytes > room/2) {
			bytes -= bytesOf(t.files)
			continue
		}
		names[base] = true
		m := &recalled{taped: t, description: w.copy.Archive, batch: b}
		b.members = append(b.members, m)
		c.of[w.copyOf] = m
	}
	if len(b.members) > 1 {
		h.w.env.Log.Info("many runs are brought from tape at once", zap.String("site", h.from.Name), zap.Int("runs", len(b.members)))
	}
	return c.of[me], nil
}

// done forgets a dataset that was taken, or could not be.
func (c *recalls) forget(h *haul) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.of, copyOf{h.w.run.ID, h.w.d.Key})
}

// lock makes the folder for a haul ours; "" if another process has it, or it cannot be
// made.
func (c *recalls) lock(h *haul) string {
	area := path.Join(h.to.Dir(h.src.Type), recallName)
	if _, ok := c.areas[area]; ok {
		return area
	}
	if err := os.Mkdir(area, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return ""
	}
	was, err := os.Stat(area)
	if err != nil {
		return ""
	}
	unlock, ok := tryLock(area)
	if !ok {
		return ""
	}
	// Who had it may have removed it a moment ago.
	if now, err := os.Stat(area); err != nil || !os.SameFile(was, now) {
		_ = unlock() // of a folder that is gone
		return ""
	}
	if c.areas == nil {
		c.areas = map[string]func() error{}
	}
	c.areas[area] = unlock
	return area
}

// close gives the folders back. What was brought and not taken stays for the next time;
// where there is nothing, the folder goes.
func (c *recalls) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for area, unlock := range c.areas {
		removeHollow(area)
		errs = append(errs, unlock())
	}
	c.areas, c.of = nil, nil
	return errors.Join(errs...)
}

// removeHollow removes a folder if there is no file in it.
func removeHollow(dir string) {
	var folders []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = fs.ErrExist
		}
		folders = append(folders, p)
		return err
	})
	if err != nil {
		return
	}
	for i := len(folders) - 1; i >= 0; i-- {
		if os.Remove(folders[i]) != nil {
			return // somebody put something there
		}
	}
}

// A wantedCopy is a dataset that is to be brought from tape.
type wantedCopy struct {
	copyOf
	run  *rundb.Run
	copy rundb.Copy // on tape
}

// company are the other datasets that this process will fetch from the same tape to the
// same folder.
func (h *haul) company(ctx context.Context, me copyOf) ([]wantedCopy, error) {
	env := h.w.env
	now, err := env.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	task := copyTask{methods: h.task.methods, now: h.task.now}
	var out []wantedCopy
	seen := map[copyOf]bool{me: true}
	for _, c := range task.Select(env) {
		if c.Remote != h.from.Name {
			continue
		}
		q := c.Query
		env.Only.Narrow(&q)
		for r, err := range env.Store.Find(ctx, &q) {
			if err != nil {
				if ctx.Err() != nil || errors.Is(err, rundb.ErrTransient) {
					return nil, err
				}
				continue // the task tells about it
			}
			for _, k := range task.fetches(env, r, h.from, now) {
				w := wantedCopy{copyOf{r.ID, k}, r, rundb.Copy{}}
				w.copy, _ = r.Copy(rundb.Key{Type: k.Type, Version: k.Version, Host: h.from.Name})
				if k.Type == h.src.Type && !seen[w.copyOf] {
					seen[w.copyOf] = true
					out = append(out, w)
				}
			}
			if len(out) >= recallMost {
				return out, nil
			}
		}
	}
	return out, nil
}

// fetches are the copies of a run that this process is going to make, or is making, from
// a remote.
func (t copyTask) fetches(env *Env, r *rundb.Run, remote *Site, now time.Time) []rundb.Key {
	var ks []rundb.Key
	for _, a := range t.planRun(env, r, now) {
		if a.Verb == Do && a.remote == remote.Name && a.What != "verify" {
			ks = append(ks, a.Key)
		}
	}
	for i := range r.Data {
		c := &r.Data[i]
		if c.Host == env.Site.Name && c.Claim != nil && c.Claim.Owner == env.Owner && c.Claim.Kind == rundb.ClaimPull && c.Claim.Source == remote.Name {
			ks = append(ks, c.Key)
		}
	}
	return ks
}

// bring has the whole batch brought, if that was not done yet.
func (b *recallBatch) bring(ctx context.Context, h *haul, drive *tapeDrive, own *recalled, dest string) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.leave()
	if b.done {
		return b.err
	}
	members := b.members
	if b.area == "" {
		members = []*recalled{own}
	} else if err := tidy(dest, members); err != nil {
		return err
	}
	err := b.run(ctx, h, drive, members, dest)
	if ctx.Err() != nil {
		return ctx.Err() // the next one goes on
	}
	if b.done = b.area != ""; b.done {
		b.err = err
	}
	return err
}

// alone brings one member whose files did not come with the others: one tape that cannot
// be read must not keep the rest.
func (b *recallBatch) alone(ctx context.Context, h *haul, drive *tapeDrive, own *recalled, dest string) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.leave()
	return b.run(ctx, h, drive, []*recalled{own}, dest)
}

// run asks dsmc for what some members lack.
func (b *recallBatch) run(ctx context.Context, h *haul, drive *tapeDrive, members []*recalled, dest string) error {
	var errs []error
	for _, backup := range []bool{false, true} {
		for _, job := range planBatch(members, backup, dest) {
			r, err := drive.bring(ctx, backup, job, dest, tapeProgress{h.w.progress}, h.w.env.Log)
			if r != nil {
				addPart(&b.part, r.Statistics)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// planBatch is what dsmc is asked for: what is not there yet.
func planBatch(members []*recalled, backup bool, dest string) []tsm.Recall {
	var wants []tsm.Want
	var rows []tsm.Object
	there := map[string]bool{}
	for _, m := range members {
		if m.backup != backup {
			continue
		}
		wants = append(wants, tsm.Want{Location: m.location, Description: m.description})
		known := map[string]bool{}
		for _, f := range m.files {
			known[f.Path] = true
			if p, ok := tsm.Placed(dest, f.Path); ok {
				if st, err := os.Stat(p); err == nil && st.Size() == f.Size {
					there[f.Path] = true
				}
			}
		}
		for _, o := range m.all {
			if known[o.Path] {
				rows = append(rows, o)
			}
		}
	}
	var out []tsm.Recall
	for _, job := range tsm.PlanRecall(wants, rows, 0).Recalls {
		var rest []string
		for _, p := range job.Paths {
			if !there[p] {
				rest = append(rest, p)
			}
		}
		if job.Paths = rest; len(rest) > 0 {
			out = append(out, job)
		}
	}
	return out
}

// tidy removes from the folder what an earlier process has brought and nobody waits for.
func tidy(area string, members []*recalled) error {
	keep := map[string]bool{}
	for _, m := range members {
		for _, f := range m.files {
			if p, ok := tsm.Placed(area, f.Path); ok {
				keep[p] = true
			}
		}
	}
	err := filepath.WalkDir(area, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || keep[p] {
			return err
		}
		return os.Remove(p)
	})
	if err != nil {
		return &transfer.Error{Op: "recall", Path: area, Kind: transfer.ErrPermission, Err: err}
	}
	return nil
}
