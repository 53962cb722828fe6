package cax

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/cax-go/cax/rundb"
)

// ProcessOptions say how one run is processed now.
type ProcessOptions struct {
	Version string // one of the site's pax_versions, or any other for which there is a processor; "": the only one
	CPUs    int    // that there are; 0: 1

	// Minitrees makes the minitrees of the processed run, in place of processing it.
	Minitrees bool

	In   string // the data; "": those of this site's copy
	Hash string // of the processor, for the record
	Out  string // folder of the product, inside this site's directories; "": where the site keeps it
}

// A Processed is what became of one product.
type Processed struct {
	Key      rundb.Key
	Location string // where it is; "" if it is not
	Size     int64  // bytes
	Skipped  string // why nothing was done; "" if something was
	Err      error
}

// Process makes a product of a run on this machine, and waits for it: processed data, or
// the minitrees that it lacks. What another process works on, or a job is to work on, is
// not touched, and is skipped. What failed before is tried at once. With Env.DryRun
// nothing is done, and products that would be made have neither location nor reason.
func (e *Env) Process(ctx context.Context, r *rundb.Run, o ProcessOptions) ([]Processed, error) {
	if err := e.onDisk("process"); err != nil {
		return nil, err
	}
	site := *e.Site
	switch {
	case o.Version != "":
		site.PaxVersions = []string{o.Version}
	case len(site.PaxVersions) != 1:
		return nil, fmt.Errorf("say which version: %s has %d of them in pax_versions", site.Name, len(site.PaxVersions))
	}
	if o.Out != "" && !site.Contains(path.Join(o.Out, "x")) {
		return nil, fmt.Errorf("%s is outside the directories of %s", o.Out, site.Name)
	}
	t := processTask{minitrees: o.Minitrees}
	jobs := jobView{}
	if site.Batch.System != "" {
		jobs = e.viewJobs(ctx)
	}
	var out []Processed
	for _, p := range site.products(o.Minitrees) {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		done := Processed{Key: p.key(&site)}
		done.Skipped, done.Err = t.now(ctx, e, r.ID, p, o, jobs)
		if after, err := e.Store.Get(ctx, r.ID); err == nil {
			if c, ok := after.Copy(done.Key); ok && c.Status == rundb.Transferred {
				done.Location, done.Size = c.Location, c.Size
			}
		}
		out = append(out, done)
	}
	return out, nil
}

// now makes one product. It settles first what a maker left that has ended.
func (t processTask) now(ctx context.Context, e *Env, id rundb.ID, p product, o ProcessOptions, jobs jobView) (skipped string, err error) {
	for range 2 {
		r, err := e.Store.Get(ctx, id)
		if err != nil {
			return "", err
		}
		now, err := e.Store.Now(ctx)
		if err != nil {
			return "", err
		}
		d := t.decideNow(e, r, p, now, jobs)
		switch {
		case d.Verb != Do:
			return d.Why, nil
		case e.DryRun:
			return "", nil
		case d.What == doSettle:
			if err := t.settle(ctx, e, r, p, d, now, jobs); err != nil && !errors.Is(err, ErrNotNeeded) {
				return "", err
			}
			continue
		}
		d.What = doProcess
		err = e.make(ctx, r, p, d, making{cpus: o.CPUs, hash: o.Hash, in: o.In, out: o.Out})
		if errors.Is(err, ErrNotNeeded) {
			return "somebody was faster", nil
		}
		return "", err
	}
	return "what its last maker left changes all the time", nil
}

// decideNow is decide for a person, who does not wait and needs no batch system.
func (t processTask) decideNow(e *Env, r *rundb.Run, p product, now time.Time, jobs jobView) Decision {
	as := e.as(e.Site)
	as.Only.Name = r.Name // what is named does not wait for its next try
	return t.decideBy(as, r, p, now, jobs, true)
}
