package cax

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// adoptable finds what a stray can be adopted from, by names and sizes: the manifest
// beside it, or that of the run that is called like it and has no record here. nil
// if there is nothing.
func (e *Env) adoptable(ctx context.Context, i *item, typ rundb.Type) (*manifestBeside, error) {
	file := path.Join(path.Dir(i.path), transfer.ManifestName(path.Base(i.path)))
	b, err := readBeside(file, e.Site.Name)
	if err == nil {
		r, err := e.Store.One(ctx, &rundb.Query{Names: []string{b.run.Name}, Detectors: []string{b.run.Detector}})
		if err != nil && !errors.Is(err, rundb.ErrNotExist) {
			return nil, err
		}
		if r != nil {
			if _, ok := r.Copy(b.key); ok {
				return nil, nil // the run has its copy here: this is another one
			}
		}
		// One that cannot be compared is a stray like any other.
		if same, _ := sameNames(ctx, i.path, b.manifest); same || ctx.Err() != nil {
			return b, ctx.Err()
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		e.Log.Warn("manifest beside a dataset cannot be used", zap.String("file", file), zap.Error(err))
	}
	q := &rundb.Query{Names: runNames(path.Base(i.path))}
	for r, err := range e.Store.Find(ctx, q) {
		if errors.Is(err, rundb.ErrInvalid) {
			continue // it is told about where the survey meets it
		}
		if err != nil {
			return nil, err
		}
		for _, t := range []rundb.Type{typ, rundb.Untriggered} {
			k := rundb.Key{Type: t, Version: i.version, Host: e.Site.Name}
			if _, ok := r.Copy(k); ok || t == rundb.Untriggered && typ != rundb.Raw {
				continue
			}
			m, err := e.Store.Manifest(ctx, rundb.ManifestKey{Run: r.ID, Type: t, Version: i.version})
			if err != nil {
				if errors.Is(err, rundb.ErrNotExist) || errors.Is(err, rundb.ErrInvalid) {
					continue
				}
				return nil, err
			}
			if same, err := sameNames(ctx, i.path, m); same && err == nil {
				return &manifestBeside{run: rundb.Run{ID: r.ID, Number: r.Number, Name: r.Name, Detector: r.Detector, Start: r.Start}, key: k, manifest: m,
					origin: "the manifest in the run database"}, nil
			}
		}
	}
	return nil, ctx.Err()
}

// runNames are the names that the run of a dataset may have: its own, without an
// extension, and without what tells muon-veto directories apart.
func runNames(base string) []string {
	names := []string{base}
	stem, _, _ := strings.Cut(base, ".")
	for _, n := range []string{stem, strings.TrimSuffix(stem, "_MV")} {
		if n != "" && n != names[len(names)-1] {
			names = append(names, n)
		}
	}
	return names
}

// adopt makes a record of a stray from a manifest. The record is verifying: only
// AddChecksum, which reads the data, calls it transferred.
func (e *Env) adopt(ctx context.Context, f *Discrepancy) error {
	b := f.source
	if b == nil {
		return ErrNotNeeded
	}
	if same, err := sameNames(ctx, f.Path, b.manifest); err != nil {
		return err
	} else if !same {
		return ErrNotNeeded
	}
	r, err := e.runOf(ctx, b)
	if err != nil {
		return err
	}
	if c, ok := r.Copy(b.key); ok {
		return fmt.Errorf("%s has a record of a copy here: %s, %s", r, c.Status, c.Location)
	}
	sum, err := b.manifest.LegacySum(checksum.SHA512)
	if err != nil {
		return err
	}
	mk := rundb.ManifestKey{Run: r.ID, Type: b.key.Type, Version: b.key.Version}
	v := &verification{manifest: b.manifest, sum: sum}
	if err := e.agrees(ctx, r, mk, v); err != nil {
		return err
	}
	if err := e.Store.PutManifest(ctx, mk, b.manifest); err != nil {
		return err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	c := rundb.Copy{Key: b.key, Status: rundb.Verifying, Location: f.Path, Created: now, PaxHash: b.paxHash,
		Size: b.manifest.Size(), Files: int64(b.manifest.Files())}
	if err := e.Store.Register(ctx, r.ID, c); err != nil {
		return err
	}
	e.event(ctx, r, b.key, "adopted", "no record named it; names and sizes are those of "+b.origin,
		bson.D{{Key: "location", Value: f.Path}, {Key: "files", Value: c.Files}, {Key: "bytes", Value: c.Size}, {Key: "root", Value: b.manifest.Root().String()}})
	return nil
}

// runOf finds the run of a manifest, or makes it again.
func (e *Env) runOf(ctx context.Context, b *manifestBeside) (*rundb.Run, error) {
	r, err := e.Store.One(ctx, &rundb.Query{Names: []string{b.run.Name}, Detectors: []string{b.run.Detector}})
	if err == nil {
		if r.Number != b.run.Number {
			return nil, fmt.Errorf("%s has number %d, and %s says %d: correct one of them", r, r.Number, b.origin, b.run.Number)
		}
		return r, nil
	}
	if !errors.Is(err, rundb.ErrNotExist) {
		return nil, err
	}
	if n := b.run.Number; n != 0 && b.run.Detector == "tpc" {
		other, err := e.Store.One(ctx, &rundb.Query{Numbers: []rundb.Range{{From: n, To: n}}, Detectors: []string{b.run.Detector}})
		if err == nil {
			return nil, fmt.Errorf("%s says that the number of run %s is %d, which is that of %s: correct one of them", b.origin, b.run.Name, n, other)
		}
		if !errors.Is(err, rundb.ErrNotExist) {
			return nil, err
		}
	}
	if r, err = rundb.NewRun(b.run); err != nil {
		return nil, err
	}
	if err := e.Store.Insert(ctx, r); err != nil {
		if !errors.Is(err, rundb.ErrExist) {
			return nil, err
		}
		// Another site has just made it from its own manifest.
		return e.Store.One(ctx, &rundb.Query{Names: []string{b.run.Name}, Detectors: []string{b.run.Detector}})
	}
	e.event(ctx, r, rundb.Key{Type: b.key.Type, Version: b.key.Version, Host: e.Site.Name}, "run made", "from "+b.origin, nil)
	return r, nil
}
