package cax

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// ReconcileCatalogue compares the catalogues that this site copies to or from with the run
// database, in both directions, and, for RSEs that the configuration says are this site's
// own disks (rucio.rses, same_storage_as), with what lies there. It changes nothing.
func (e *Env) ReconcileCatalogue(ctx context.Context) ([]Discrepancy, error) {
	var all []Discrepancy
	for _, host := range e.Config.catalogues() {
		if !e.copiesWith(host) {
			continue
		}
		s, _ := e.Config.Site(host)
		found, err := (&catalogSurvey{env: e, site: s}).survey(ctx)
		all = append(all, found...)
		switch {
		case ctx.Err() != nil:
			return all, ctx.Err()
		case err != nil:
			all = append(all, Discrepancy{Kind: Unreadable, Verb: Call, Key: rundb.Key{Host: host},
				Why: fmt.Sprintf("the catalogue cannot be read: %v", err), Next: "see cax check"})
		}
	}
	return all, nil
}

func (e *Env) copiesWith(host string) bool {
	for _, names := range [][]string{e.Site.UploadOptions, e.Site.DownloadOptions} {
		for _, n := range names {
			if n == host {
				return true
			}
		}
	}
	return false
}

// A catalogSurvey is one look at a catalogue and at the records about it.
type catalogSurvey struct {
	env    *Env
	site   *Site // that stands for the catalogue
	client *rucio.Client
	known  map[rucio.DID]bool // containers of runs with a record
	over   map[rucio.DID]bool // containers of these
}

func (s *catalogSurvey) survey(ctx context.Context) ([]Discrepancy, error) {
	var err error
	if s.client, err = s.env.catalogs.client(s.env, s.site); err != nil {
		return nil, err
	}
	s.known, s.over = map[rucio.DID]bool{}, map[rucio.DID]bool{}
	for _, did := range s.env.Config.Naming.overContainers() {
		s.over[did] = true
	}
	found, err := s.records(ctx)
	if err != nil {
		return found, err
	}
	for over := range s.over {
		more, err := s.unrecorded(ctx, over)
		if found = append(found, more...); err != nil {
			return found, err
		}
	}
	return found, nil
}

// records holds each record against the catalogue.
func (s *catalogSurvey) records(ctx context.Context) ([]Discrepancy, error) {
	var all []Discrepancy
	for r, err := range s.env.Store.Find(ctx, &rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{s.site.Name}}}}) {
		if err != nil {
			return all, err
		}
		for c := range r.Copies(rundb.CopyMatch{Hosts: []string{s.site.Name}}) {
			names, err := s.env.Config.Naming.Names(r, c.Type, c.Version)
			if err == nil {
				s.known[names.Container], s.over[names.OverContainer] = true, true
			}
			found, err := s.record(ctx, r, &c)
			if err != nil {
				return all, fmt.Errorf("%s: %w", r, err)
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

func (s *catalogSurvey) record(ctx context.Context, r *rundb.Run, c *rundb.Copy) ([]Discrepancy, error) {
	d := Discrepancy{Run: r.ID, Number: r.Number, Name: r.Name, Key: c.Key, Path: c.Location, record: c}
	did, err := rucio.ParseDID(c.Location)
	if err != nil {
		d.Kind, d.Verb, d.Why, d.Next = Outside, Call, "the record's location is no DID", "correct it in the run database, or drop the record with ruciax rm"
		return []Discrepancy{d}, nil
	}
	f, err := lookUp(ctx, s.client, did)
	if err != nil {
		return nil, err
	}
	d.Files, d.Bytes = f.files, f.bytes
	status, wrong := f.verdict(c)
	switch {
	case c.Status == rundb.Transferred && wrong != nil:
		d.Kind, d.Verb, d.Remedy, d.Why = Lost, Do, LookAgain, wrong.Error()
		d.Next = "the upload is repeated from a site that has it"
		return []Discrepancy{d}, nil
	case c.Status != rundb.Transferred && c.Claim == nil && status == rundb.Transferred && len(f.keeps) > 0:
		d.Kind, d.Verb, d.Why = Uncatalogued, Wait, fmt.Sprintf("the record is %s, and the catalogue has all %d files", c.Status, f.files)
		d.Next = "ruciax of a site that has the run finds them there, and sends nothing"
		return []Discrepancy{d}, nil
	case c.Status != rundb.Transferred:
		return nil, nil
	}
	var all []Discrepancy
	now, err := s.env.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	if news := (&ruleLook{found: f, replicas: f.replicas(now, nil)}).news(c, now); news != "" && c.Replicas != nil {
		n := d
		n.Kind, n.Verb, n.Remedy, n.Why = Drifted, Do, LookAgain, "the catalogue has it otherwise than the record says: "+news
		n.Next = "RucioRule writes it down"
		all = append(all, n)
	}
	gone, err := s.onDisk(ctx, f)
	for _, why := range gone {
		n := d
		n.Kind, n.Verb, n.Why, n.Next = Lost, Call, why, "somebody who may has to declare the replica bad in the catalogue, so that it is made again"
		all = append(all, n)
	}
	return all, err
}

// onDisk looks whether what is available at RSEs on this site's own disks lies there.
func (s *catalogSurvey) onDisk(ctx context.Context, f *cataloged) ([]string, error) {
	var gone []string
	for _, rse := range s.site.Rucio.RSEs {
		if rse.SameStorageAs != s.env.Site.Name || f.available[rse.Name] == 0 {
			continue
		}
		o, err := rucio.OpenDataset(ctx, &rucio.Downloader{Client: s.client, Storage: s.env.storageOptions()}, f.did, rse.Name)
		if err != nil {
			return gone, err
		}
		missing, example := 0, ""
		for _, file := range o.Files() {
			err := o.Check(ctx, file.Name)
			switch {
			case errors.Is(err, rucio.ErrNotExist), errors.Is(err, rucio.ErrCorrupt), errors.Is(err, transfer.ErrNotExist):
				missing++
				example = err.Error()
			case errors.Is(err, rucio.ErrUnavailable): // nor does the catalogue have it there
			case err != nil:
				return gone, errors.Join(err, o.Close())
			}
		}
		if err := o.Close(); err != nil {
			return gone, err
		}
		if missing > 0 {
			gone = append(gone, fmt.Sprintf("%d of %d files that the catalogue has at %s are not on its disks, or of another size; one of them: %s", missing, f.files, rse.Name, example))
		}
	}
	return gone, nil
}

var nameOfRun = regexp.MustCompile(`\d{6}_\d{4}`)

// unrecorded finds what the catalogue has of runs that have no record.
func (s *catalogSurvey) unrecorded(ctx context.Context, over rucio.DID) ([]Discrepancy, error) {
	var all []Discrepancy
	for m, err := range s.client.Contents(ctx, over) {
		if errors.Is(err, rucio.ErrNotExist) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if s.known[m.DID] {
			continue
		}
		d := Discrepancy{Kind: Uncatalogued, Verb: Call, Key: rundb.Key{Host: s.site.Name}, Path: m.DID.String(),
			Why: "the catalogue has it, and no run has a record of it", Next: "find out what it is; it is left alone"}
		r, typ, err := s.runOf(ctx, m.DID)
		if err != nil {
			return all, err
		}
		if r != nil {
			d.Run, d.Number, d.Name, d.Key.Type = r.ID, r.Number, r.Name, typ
			d.Why = "the catalogue has it, and the run has no record of it"
			d.Next = "run ruciax at a site that has the run: it finds the files there and makes the record; or make the record with --adopt"
			d.Remedy = Adopt
		}
		all = append(all, d)
	}
	return all, nil
}

// runOf finds the run of a container by the name in its name. typ is that of the first
// dataset in it that the naming knows.
func (s *catalogSurvey) runOf(ctx context.Context, container rucio.DID) (*rundb.Run, rundb.Type, error) {
	name := nameOfRun.FindString(container.Name)
	if name == "" {
		return nil, "", nil
	}
	for r, err := range s.env.Store.Find(ctx, &rundb.Query{Names: []string{name}}) {
		if err != nil {
			return nil, "", err
		}
		names, err := s.env.Config.Naming.Names(r, rundb.Raw, "")
		if err == nil && names.Container == container {
			return r, rundb.Raw, nil
		}
	}
	return nil, "", nil
}

// lookAgain has RucioRule write down what the catalogue has of a copy.
func (e *Env) lookAgain(ctx context.Context, f *Discrepancy) error {
	if _, _, err := e.again(ctx, f); err != nil {
		return err
	}
	return ruleTask{requests: LookRules()}.run(ctx, e, f.Run, f.Key)
}

// adoptCatalogued makes a record of what a catalogue has of a run: of raw data that are
// whole at some RSE.
func (e *Env) adoptCatalogued(ctx context.Context, f *Discrepancy) error {
	r, err := e.Store.Get(ctx, f.Run)
	if err != nil {
		return err
	}
	k := rundb.Key{Type: f.Key.Type, Host: f.Key.Host}
	if _, ok := r.Copy(k); ok {
		return ErrNotNeeded
	}
	site, ok := e.Config.Site(k.Host)
	if !ok {
		return ErrNotNeeded
	}
	client, err := e.catalogs.client(e, site)
	if err != nil {
		return err
	}
	names, err := e.Config.Naming.Names(r, k.Type, k.Version)
	if err != nil {
		return err
	}
	found, err := lookUp(ctx, client, names.Dataset)
	if err != nil {
		return err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return err
	}
	replicas := found.replicas(now, nil)
	rse, info := found.original(replicas, now)
	if len(rse) == 0 {
		return fmt.Errorf("%s is whole at no RSE: %s", names.Dataset, strings.Join(describeAll(replicas, found.files), "; "))
	}
	c := rundb.Copy{Key: k, Status: rundb.Transferred, Location: names.Dataset.String(), Checksum: found.checksum(), ChecksumAlgorithm: "adler32", Created: now,
		RSE: rse, RuleInfo: info, Replicas: replicas, Files: found.files, Size: found.bytes, VerifiedAt: now}
	m, err := e.Store.Manifest(ctx, rundb.ManifestKey{Run: r.ID, Type: k.Type, Version: k.Version})
	switch {
	case err == nil:
		if c.Content, err = found.content(m); err != nil {
			return err
		}
		if c.Content == "" {
			return fmt.Errorf("the files of %s are not those of the run's manifest", names.Dataset)
		}
	case !errors.Is(err, rundb.ErrNotExist):
		return err
	}
	if err := e.changed(e.Store.Register(ctx, r.ID, c)); err != nil {
		return err
	}
	e.event(ctx, r, k, "adopted", f.Why, bson.D{{Key: "location", Value: c.Location}, {Key: "files", Value: c.Files}, {Key: "rse", Value: rse}})
	return nil
}

func describeAll(replicas []rundb.Replica, files int64) []string {
	var all []string
	for _, p := range replicas {
		all = append(all, describe(p, files))
	}
	return all
}
