package cax

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// Registration describes a dataset on this site's disk that becomes a copy of a
// run.
type Registration struct {
	Path     string     // of the directory or file; made absolute
	Type     rundb.Type // "" means raw
	Version  string     // pax_version of processed data
	Name     string     // of the run; "": the base name of Path
	Number   int64      // of the run; 0: none, or that of the run that exists
	Detector string     // "" means tpc
	Start    time.Time  // zero: from the name, which is then %y%m%d_%H%M in UTC
	Tags     []string   // given to a run that is new
	User     string     // of a run or tag that is new

	// InPlace allows a path outside the site's directories. The copy is then
	// read where it is, and never moved or deleted.
	InPlace bool
}

// nameLayout is how the original names runs: their start in UTC.
const nameLayout = "060102_1504"

// Register hashes a dataset and makes it known: it makes the run if it is new,
// stores the manifest, and adds a transferred copy at this site. It refuses a
// copy that is on record already, an empty directory, and a path outside the
// site's directories. With Env.DryRun it checks what can be checked without
// hashing and writes nothing. It returns the run as it is then.
func (e *Env) Register(ctx context.Context, g Registration) (*rundb.Run, error) {
	if err := e.onDisk("register"); err != nil {
		return nil, err
	}
	if err := g.complete(e.Site); err != nil {
		return nil, err
	}
	r, isNew, err := e.findOrMake(ctx, &g)
	if err != nil {
		return nil, err
	}
	key := rundb.Key{Type: g.Type, Version: g.Version, Host: e.Site.Name}
	if c, ok := r.Copy(key); ok {
		return nil, fmt.Errorf("%s has a %s copy at %s on record already: %s, %s", r, g.Type, e.Site.Name, c.Status, c.Location)
	}
	files, size, err := measure(g.Path)
	if err != nil {
		return nil, err
	}
	if e.DryRun {
		return r, nil
	}

	d := Decision{Task: "register", What: "register", Key: key}
	d.about(r)
	progress, end := e.begin(d)
	if progress != nil {
		progress.Start(files, size)
	}
	m, err := e.hash(ctx, g.Path, progress)
	end(err)
	if err != nil {
		return nil, err
	}
	sum, err := m.LegacySum(checksum.SHA512)
	if err != nil {
		return nil, err
	}
	v := &verification{manifest: m, sum: sum}
	mk := rundb.ManifestKey{Run: r.ID, Type: g.Type, Version: g.Version}
	if isNew {
		if err := e.Store.Insert(ctx, r); err != nil {
			return nil, err
		}
	} else if err := e.agrees(ctx, r, mk, v); err != nil {
		return nil, err
	}
	if err := e.Store.PutManifest(ctx, mk, m); err != nil {
		return nil, err
	}
	if g.Type == rundb.Raw && r.RawSize == 0 {
		if err := e.Store.SetRun(ctx, r.ID, bson.D{{Key: "raw_size_byte", Value: m.Size()}}); err != nil {
			return nil, err
		}
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	c := rundb.Copy{Key: key, Status: rundb.Transferred, Location: g.Path, Created: now, InPlace: g.InPlace,
		Checksum: sum.Bare(), Size: m.Size(), Files: int64(m.Files()), VerifiedAt: now, Evidence: rundb.Disk}
	if err := e.Store.Register(ctx, r.ID, c); err != nil {
		return nil, err
	}
	e.event(ctx, r, key, "registered", "named by "+e.Store.By, v.evidence())
	return e.Store.Get(ctx, r.ID)
}

// complete fills in what follows from the rest and refuses what cannot be.
func (g *Registration) complete(s *Site) error {
	p, err := filepath.Abs(g.Path)
	if err != nil {
		return err
	}
	g.Path = p
	if g.Type == "" {
		g.Type = rundb.Raw
	}
	if g.Detector == "" {
		g.Detector = "tpc"
	}
	if g.Name == "" {
		g.Name = filepath.Base(p)
	}
	if _, err := os.Lstat(p); err != nil {
		return err
	}
	if !g.InPlace && slices.Contains([]string{s.DirRaw, s.DirProcessed, s.DirMinitrees, s.DirTSM}, p) {
		return fmt.Errorf("%s is a directory of %s that holds datasets, not a dataset: name one inside it", p, s.Name)
	}
	if !g.InPlace && !s.Contains(p) {
		dir := s.Dir(g.Type)
		if dir == "" {
			return fmt.Errorf("%s has no directory for %s data: set dir_%s, or use --in-place", s.Name, g.Type, g.Type)
		}
		return fmt.Errorf("%s is outside the directories of %s: move it below %s, or use --in-place to leave it where it is", p, s.Name, dir)
	}
	return nil
}

// findOrMake returns the run that is meant, or a new one that is not stored yet.
func (e *Env) findOrMake(ctx context.Context, g *Registration) (r *rundb.Run, isNew bool, err error) {
	r, err = e.Store.One(ctx, &rundb.Query{Names: []string{g.Name}, Detectors: []string{g.Detector}})
	if err == nil {
		if g.Number != 0 && g.Number != r.Number {
			return nil, false, fmt.Errorf("%s is known with number %d, not %d: leave --number out, or correct it", r, r.Number, g.Number)
		}
		return r, false, nil
	}
	if !errors.Is(err, rundb.ErrNotExist) {
		return nil, false, err
	}
	if g.Number != 0 && g.Detector == "tpc" {
		other, err := e.Store.One(ctx, &rundb.Query{Numbers: []rundb.Range{{From: g.Number, To: g.Number}}, Detectors: []string{g.Detector}})
		if err == nil {
			return nil, false, fmt.Errorf("number %d is taken by %s: choose another --number, or name that run with --name", g.Number, other)
		}
		if !errors.Is(err, rundb.ErrNotExist) {
			return nil, false, err
		}
	}
	if g.Start.IsZero() {
		if len(g.Name) >= len(nameLayout) {
			g.Start, _ = time.Parse(nameLayout, g.Name[:len(nameLayout)])
		}
		if g.Start.IsZero() {
			return nil, false, fmt.Errorf("run %q is new and its name does not begin with its start (yymmdd_HHMM, UTC): give --start", g.Name)
		}
	}
	n := rundb.Run{Number: g.Number, Name: g.Name, Detector: g.Detector, Start: g.Start, User: g.User}
	for _, t := range g.Tags {
		n.Tags = append(n.Tags, rundb.Tag{Name: t, User: g.User, Date: e.Clock.now()})
	}
	r, err = rundb.NewRun(n)
	return r, true, err
}

// measure counts the files of a dataset and their bytes, for the progress that
// people see. It refuses one without a file: its checksum would be that of
// nothing and would agree with every other empty one.
func measure(dataset string) (files int, size int64, err error) {
	err = filepath.WalkDir(dataset, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		st, err := d.Info()
		if err == nil && st.Mode().IsRegular() {
			size += st.Size()
		}
		return err
	})
	if err == nil && files == 0 {
		err = fmt.Errorf("%s holds no file: there is nothing to register", dataset)
	}
	return files, size, err
}

// hash makes the manifest of a dataset on this site's disk, read from the medium.
func (e *Env) hash(ctx context.Context, dataset string, p transfer.Progress) (*checksum.Manifest, error) {
	o := &checksum.ManifestOptions{DropCache: true}
	if p != nil {
		o.Progress = func(_ string, n int64) { p.Moved(n) }
	}
	return checksum.MakeManifest(ctx, dataset, o)
}

// agrees refuses data that are not what the run's other copies, or its stored
// manifest, say.
func (e *Env) agrees(ctx context.Context, r *rundb.Run, k rundb.ManifestKey, v *verification) error {
	stored, err := e.Store.Manifest(ctx, k)
	if err == nil {
		return checksum.Differ("the dataset", stored.CompareManifest(v.manifest))
	}
	if !errors.Is(err, rundb.ErrNotExist) {
		return err
	}
	if ok, why := acceptable(e.Config, r, k, v.sum); !ok {
		others := false
		for range r.Copies(rundb.CopyMatch{Types: []rundb.Type{k.Type}, Versions: []string{k.Version}}) {
			others = true
		}
		if others {
			e.event(ctx, r, rundb.Key{Type: k.Type, Version: k.Version, Host: e.Site.Name}, "conflict", why, v.evidence())
			return fmt.Errorf("%s: %w: %s", r, errConflict, why)
		}
	}
	return nil
}
