package cax

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// A making says how a product is made that is not as usual.
type making struct {
	job  string // the batch job that makes it; "": none
	cpus int    // 0: one
	hash string // of the processor, for the record
	in   string // the data; "": where the record says
	out  string // folder of the product; "": where the site keeps it
}

// claimProduct gets the right to make a product: on a new record, on that of a failure,
// or on that which was claimed for this job.
func (e *Env) claimProduct(ctx context.Context, r *rundb.Run, p product, rec recipe, m making) (held *rundb.Held, before *rundb.CopyError, fresh bool, err error) {
	k, src := p.key(e.Site), p.source(e.Site)
	claim := rundb.Claim{Kind: rundb.ClaimProcess, Source: e.Site.Name, Job: m.job, Owner: e.Owner}
	must := rundb.CopyMatch{Types: []rundb.Type{src.Type}, Versions: []string{src.Version}, Hosts: []string{src.Host}, Statuses: []rundb.Status{rundb.Transferred}}
	g := rundb.Guards{Require: []rundb.CopyMatch{must}}
	if p.typ == rundb.Processed {
		g.Forbid = []rundb.CopyMatch{{Types: []rundb.Type{k.Type}, Versions: []string{k.Version}, NotHosts: []string{k.Host},
			Statuses: []rundb.Status{rundb.Transferred}}}
	}
	c, exists := r.Copy(k)
	if exists {
		claim.Left = leftovers(&c, e.Owner)
		held, err = e.Store.ReclaimIf(ctx, r.ID, c, rundb.Transferring, claim, g)
		return held, c.Error, false, err
	}
	to := e.Site.Location(p.typ, p.version, rec.base)
	if m.out != "" {
		to = path.Join(m.out, rec.base)
	}
	held, err = e.Store.ClaimIf(ctx, r.ID, rundb.Copy{Key: k, Location: to, PaxHash: m.hash, CreationPlace: e.Site.Name, Claim: &claim}, g)
	return held, nil, true, err
}

// make makes a product on this machine: it claims it, runs the processor in a folder of
// its own, copies what that made to its place, verified, and records it.
func (e *Env) make(ctx context.Context, r *rundb.Run, p product, d Decision, m making) error {
	rec, err := e.Site.recipe(r, p)
	if err != nil {
		return err
	}
	held, before, _, err := e.claimProduct(ctx, r, p, rec, m)
	if errors.Is(err, rundb.ErrConflict) {
		e.Log.Debug("somebody was faster", append(fields(d), zap.Error(err))...)
		return ErrNotNeeded
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", d.What, d.subject(), err)
	}
	w := &work{env: e, run: r, d: d, held: held, before: before}
	if c, ok := r.Copy(d.Key); ok {
		w.left = leftovers(&c, e.Owner)
	}
	if m.job != "" {
		// The batch system knows better why a job was ended: whoever looks next asks it.
		w.leave = func(error) bool { return ctx.Err() != nil }
	}
	return w.under(ctx, func(leased context.Context, confirm func(context.Context) error) (rundb.Status, bson.D, error) {
		return e.makeUnder(leased, w, p, rec, m, confirm)
	})
}

// makeUnder is make once the claim is held.
func (e *Env) makeUnder(ctx context.Context, w *work, p product, rec recipe, m making, confirm func(context.Context) error) (_ rundb.Status, _ bson.D, err error) {
	base := expandHome(e.Site.Processing.Work)
	if base == "" {
		base = os.TempDir()
	}
	dir, err := os.MkdirTemp(base, "cax-process-")
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	src, _ := w.run.Copy(p.source(e.Site))
	in := rec.input
	in.Dir, in.Path, in.CPUs = dir, src.Location, process.Cores(in.Events, max(1, m.cpus))
	if m.in != "" {
		in.Path = m.in
	}
	x := process.Execution{Processor: rec.processor.Processor, Input: in, Tail: logTail}
	if m.job != "" {
		// Beside the log of the job, which is its working directory.
		cwd, err := os.Getwd()
		if err != nil {
			return "", nil, err
		}
		x.Log = filepath.Join(cwd, fmt.Sprintf("%s_%s.log", p.typ, p.version))
	}
	made, err := process.Run(ctx, x)
	if err != nil && e.Job != "" && made.ExitCode > 128 {
		// A batch system that ends a job tells all its processes, and the processor may hear
		// it first.
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(toldToo):
		}
	}
	if err != nil {
		return "", nil, err
	}
	return e.keep(ctx, w, &src, made, m, confirm)
}

// toldToo is how long after a signal that ended the processor of a batch job we wait for
// ours.
const toldToo = 3 * time.Second

// keep copies a product to its place and makes it known.
func (e *Env) keep(ctx context.Context, w *work, src *rundb.Copy, made process.Result, m making, confirm func(context.Context) error) (_ rundb.Status, _ bson.D, err error) {
	disk := e.remotes.local()
	job := transfer.Job{
		Source: transfer.Location{Backend: disk, Path: made.Path}, Target: transfer.Location{Backend: disk, Path: w.held.Copy.Location},
		Claim: w.held.ID, Continue: w.left.Continue, Adopt: w.left.Adopt, BeforeCommit: confirm, Progress: w.progress, ReadBack: true,
		Staged: func() { w.staged(ctx) },
		Aside: func(was, now string) {
			w.event(ctx, "aside", fmt.Sprintf("%q was not this product and was moved to %q", was, now), nil)
		},
	}
	key := rundb.ManifestKey{Run: w.run.ID, Type: w.d.Key.Type, Version: w.d.Key.Version}
	if job.Manifest, err = e.knownProduct(ctx, key, made.Path); err != nil {
		return "", nil, err
	}
	if err := makeParents(ctx, job.Target, e.Site, &rundb.Copy{Key: w.d.Key}); err != nil {
		return "", nil, err
	}
	copier := &transfer.Copier{Stall: e.Policy.Stall, Reserve: e.Policy.Reserve}
	res, err := copier.Copy(ctx, job)
	if err != nil {
		return "", nil, err
	}
	sum, err := res.Manifest.LegacySum(checksum.SHA512)
	if err != nil {
		return "", nil, err
	}
	w.evidence = bson.D{{Key: "source", Value: string(src.Type)}, {Key: "bytes", Value: res.Bytes}, {Key: "files", Value: int64(res.Files)},
		{Key: "processor_took", Value: made.Took.String()}, {Key: "durable", Value: res.Durable}, {Key: "read_back", Value: res.ReadBack}, {Key: "checksum", Value: sum.String()}}
	// Afterwards: a manifest of a product that did not get on record would stand against
	// the next try, whose bytes are others. Scrub makes one that is missing.
	w.done = func(ctx context.Context) error { return e.Store.PutManifest(ctx, key, res.Manifest) }
	now, err := e.Store.Now(ctx)
	if err != nil {
		return "", nil, err
	}
	set := bson.D{{Key: "files", Value: int64(res.Files)}, {Key: "size", Value: res.Bytes}, {Key: "checksum", Value: sum.Bare()},
		{Key: "verified_at", Value: now}, {Key: "evidence", Value: string(rundb.Cached)}, {Key: "creation_place", Value: e.Site.Name}}
	if m.hash != "" {
		set = append(set, bson.E{Key: "pax_hash", Value: m.hash})
	}
	return rundb.Transferred, set, nil
}

// knownProduct gives the manifest of a dataset that was known before, nil if none was. It
// is an error if a product is not that dataset.
func (e *Env) knownProduct(ctx context.Context, k rundb.ManifestKey, made string) (*checksum.Manifest, error) {
	m, err := e.Store.Manifest(ctx, k)
	if errors.Is(err, rundb.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	diffs, err := m.CompareTree(ctx, made, nil)
	if err != nil {
		return nil, err
	}
	if len(diffs) > 0 {
		return nil, fmt.Errorf("%w: a dataset of this type and version was known before, and this product is not the same bytes: fetch that one, or process under another version", errConflict)
	}
	return m, nil
}
