package cax

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/rundb"
)

// A product is what a processor makes of a run: processed data of raw data, or one
// minitree of processed data.
type product struct {
	typ     rundb.Type
	version string
	part    string // the treemaker; "" of processed data
}

// minitreePrefix begins the types of minitrees: each is a copy of its own.
const minitreePrefix = "minitrees_"

// treemakerOf gives the treemaker of a type of data.
func treemakerOf(t rundb.Type) (string, bool) {
	return strings.CutPrefix(string(t), minitreePrefix)
}

// madeFrom is the type of data that one is made from; "" if it is not made.
func madeFrom(t rundb.Type) rundb.Type {
	if _, ok := treemakerOf(t); ok {
		return rundb.Processed
	}
	if t == rundb.Processed {
		return rundb.Raw
	}
	return ""
}

func (p product) key(s *Site) rundb.Key {
	return rundb.Key{Type: p.typ, Version: p.version, Host: s.Name}
}

// source is the key of what it is made from, at a site.
func (p product) source(s *Site) rundb.Key {
	k := rundb.Key{Type: madeFrom(p.typ), Host: s.Name}
	if k.Type == rundb.Processed {
		k.Version = p.version
	}
	return k
}

// products are all that a site makes of each run.
func (s *Site) products(minitrees bool) []product {
	var ps []product
	for _, v := range s.PaxVersions {
		if !minitrees {
			ps = append(ps, product{typ: rundb.Processed, version: v})
			continue
		}
		for _, m := range s.Processing.WithDefaults().Treemakers {
			ps = append(ps, product{typ: rundb.Type(minitreePrefix + m), version: v, part: m})
		}
	}
	return ps
}

// makes reports whether a task of the site makes a type and version of data.
func (s *Site) makes(k rundb.Key) bool {
	_, mini := treemakerOf(k.Type)
	return madeFrom(k.Type) != "" && s.Wants(processTask{minitrees: mini}.Name()) && s.Dir(k.Type) != "" && s.Batch.System != "" &&
		slices.ContainsFunc(s.products(mini), func(p product) bool { return p.typ == k.Type && p.version == k.Version })
}

// couldMake are type and version of the processed data that a host, or with "" any site,
// makes of each run, and that a run has nowhere.
func (e *Env) couldMake(r *rundb.Run, host string) []rundb.Key {
	var ks []rundb.Key
	for _, s := range e.Config.Sites {
		if host != "" && s.Name != host {
			continue
		}
		for _, p := range s.products(false) {
			k := rundb.Key{Type: p.typ, Version: p.version}
			if s.makes(k) && !slices.Contains(ks, k) && !slices.Contains(keysOf(r), k) {
				ks = append(ks, k)
			}
		}
	}
	return ks
}

// processors are those of a site, and behind them those of XENON1T.
func (s *Site) processors() []ProcessorConfig {
	all := slices.Clone(s.Processing.Processors)
	for i := range all {
		if all[i].Type == "" {
			all[i].Type = "processed"
		}
	}
	for _, p := range process.XENON1T() {
		c := ProcessorConfig{Processor: p}
		switch {
		case p.Type != "processed":
		case p.Detector == "tpc":
			c.Needs = []string{"gains", "drift_velocity_liquid", "electron_lifetime_liquid"}
		default:
			c.Needs = []string{"gains"}
		}
		all = append(all, c)
	}
	return all
}

// A recipe is how a product is made of a run.
type recipe struct {
	processor ProcessorConfig
	input     process.Input
	base      string // name of the product
}

// recipe finds the processor of a product, and what it is told.
func (s *Site) recipe(r *rundb.Run, p product) (recipe, error) {
	self, _ := r.Raw().LookupErr("reader", "self_trigger")
	triggered, known := self.BooleanOK()
	in := process.Input{Number: int(r.Number), Name: r.Name, Detector: r.Detector, Mode: process.Mode(r.Detector, triggered || !known),
		Events: runNumber(r, "trigger", "events_built"), Version: p.version, Part: p.part, Dir: "/", CPUs: 1}
	typ := "processed"
	if p.part != "" {
		typ = "minitree"
	}
	all := s.processors()
	plain := make([]process.Processor, len(all))
	for i := range all {
		plain[i] = all[i].Processor
	}
	found, err := process.Find(plain, typ, in)
	if err != nil {
		return recipe{}, err
	}
	rec := recipe{input: in}
	for _, c := range all {
		if c.Name == found.Name && c.Type == found.Type && c.Version == found.Version && c.Detector == found.Detector && c.Mode == found.Mode {
			rec.processor = c
			break
		}
	}
	plan, err := found.Plan(in)
	if err != nil {
		return recipe{}, err
	}
	rec.base = path.Base(plan.Output)
	return rec, nil
}

// runNumber is a number of a run document; 0 if it has none there.
func runNumber(r *rundb.Run, path ...string) int64 {
	v, err := r.Raw().LookupErr(path...)
	if err != nil {
		return 0
	}
	n, _ := v.AsInt64OK()
	return n
}

// unfit says why a product cannot be made of a run here, and what would help; "" if it
// can.
func (e *Env) unfit(r *rundb.Run, p product) (why, next string) {
	s := e.Site
	conf := s.Processing.WithDefaults()
	if !s.Accepts(r.Name) {
		return fmt.Sprintf("%s is not in the dataset_list of %s", r.Name, s.Name), ""
	}
	if s.Dir(p.typ) == "" {
		if p.part != "" {
			return fmt.Sprintf("%s has no directory for minitrees", s.Name), fmt.Sprintf("set dir_minitrees of %s if it should make them", s.Name)
		}
		return fmt.Sprintf("%s has no directory for processed data", s.Name), fmt.Sprintf("set dir_processed of %s if it should process", s.Name)
	}
	for _, t := range r.Tags {
		if slices.Contains(conf.SkipTags, t.Name) {
			return fmt.Sprintf("the run has the tag %s", t.Name), ""
		}
	}
	src, ok := r.Copy(p.source(s))
	switch {
	case !ok:
		return fmt.Sprintf("%s has no %s copy to make it from", s.Name, madeFrom(p.typ)), ""
	case src.Status != rundb.Transferred:
		return fmt.Sprintf("the %s copy at %s is %s, not transferred", madeFrom(p.typ), s.Name, src.Status), ""
	case !src.InPlace && !s.Contains(src.Location):
		return fmt.Sprintf("the record of the %s copy says %q, which is outside the directories of %s", src.Type, src.Location, s.Name),
			"correct the location in the run database, or the site's dir_* keys"
	}
	rec, err := s.recipe(r, p)
	if err != nil {
		if errors.Is(err, process.ErrNotExist) {
			return fmt.Sprintf("no processor of %s is for detector %q and version %q", s.Name, r.Detector, p.version), "configure one in processing.processors"
		}
		return err.Error(), "correct processing.processors"
	}
	if p.typ == rundb.Processed {
		if mode := runNumber(r, "reader", "ini", "write_mode"); mode != 0 && mode != 2 {
			return fmt.Sprintf("the run was written in mode %d, not 2", mode), ""
		}
		if v, err := r.Raw().LookupErr("trigger", "events_built"); err == nil {
			if n, ok := v.AsInt64OK(); ok && n == 0 {
				return "the run has no events", ""
			}
		}
		for _, f := range rec.processor.Needs {
			if v, err := r.Raw().LookupErr("processor", "DEFAULT", f); err != nil || v.IsZero() || len(v.Value) == 0 {
				return fmt.Sprintf("the run has no %s yet", strings.ReplaceAll(f, "_", " ")), "the task that makes corrections adds it; see AddGains and AddDriftVelocity"
			}
		}
		for c := range r.Copies(rundb.CopyMatch{Types: []rundb.Type{p.typ}, Versions: []string{p.version}, NotHosts: []string{s.Name}, Statuses: []rundb.Status{rundb.Transferred}}) {
			return fmt.Sprintf("%s has a good copy already, and a second one made here would be another dataset of the same name", c.Host),
				fmt.Sprintf("CopyPull brings it, with %s in download_options", c.Host)
		}
	}
	if s.Location(p.typ, p.version, rec.base) == "" {
		return fmt.Sprintf("%q cannot be the name of a dataset at %s", rec.base, s.Name), "correct the output of the processor"
	}
	return "", ""
}
