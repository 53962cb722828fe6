package cax

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
)

// A Located is a dataset in a Rucio catalogue: as its record has it, or as the catalogue
// itself says.
type Located struct {
	Run      *rundb.Run
	Copy     rundb.Copy
	Live     bool            // the catalogue was asked
	Files    int64           // of the dataset; 0: unknown
	Replicas []rundb.Replica // by RSE
	Lost     int64           // files that are nowhere; only if Live
	Missing  bool            // the catalogue does not know it; only if Live
}

// Whole are the RSEs that have all of it, kept by a rule that is OK.
func (l *Located) Whole() []string {
	var rses []string
	for _, p := range l.Replicas {
		if p.State == string(rucio.RuleOK) && (l.Files == 0 || p.Files == l.Files) {
			rses = append(rses, p.RSE)
		}
	}
	return rses
}

// MarshalJSON gives it as one object, as the commands of ruciax print it.
func (l *Located) MarshalJSON() ([]byte, error) {
	type replica struct {
		RSE       string     `json:"rse"`
		Rule      string     `json:"rule,omitempty"`
		State     string     `json:"state"`
		Files     int64      `json:"files"`
		ExpiresAt *time.Time `json:"expires_at"`
		CheckedAt *time.Time `json:"checked_at"`
		Text      string     `json:"text,omitempty"`
	}
	date := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	rs := []replica{}
	for _, p := range l.Replicas {
		rs = append(rs, replica{p.RSE, p.Rule, p.State, p.Files, date(p.ExpiresAt), date(p.CheckedAt), p.Text})
	}
	return json.Marshal(struct {
		Number   int64        `json:"number"`
		Name     string       `json:"name"`
		Detector string       `json:"detector"`
		Type     rundb.Type   `json:"type"`
		Version  string       `json:"pax_version,omitempty"`
		Host     string       `json:"host"`
		Status   rundb.Status `json:"status"`
		Location string       `json:"location"`
		Live     bool         `json:"live"`
		Files    int64        `json:"files"`
		Lost     int64        `json:"lost"`
		Missing  bool         `json:"missing"`
		Replicas []replica    `json:"replicas"`
	}{l.Run.Number, l.Run.Name, l.Run.Detector, l.Copy.Type, l.Copy.Version, l.Copy.Host, l.Copy.Status, l.Copy.Location, l.Live, l.Files, l.Lost, l.Missing, rs})
}

// Locate yields the copies in catalogues of the runs that a query selects. With live the
// catalogue is asked about each; else the record is what it was at the last look. It only
// reads.
func (e *Env) Locate(ctx context.Context, q rundb.Query, live bool) iter.Seq2[*Located, error] {
	hosts := e.Config.catalogues()
	return func(yield func(*Located, error) bool) {
		if len(hosts) == 0 {
			yield(nil, fmt.Errorf(`no site of %s has the method "rucio"`, e.Config.File))
			return
		}
		m := rundb.CopyMatch{Hosts: hosts}
		q.Copies = append(slices.Clone(q.Copies), m)
		for r, err := range e.Store.Find(ctx, &q) {
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			for c := range r.Copies(m) {
				l, err := e.locate(ctx, r, c, live)
				if err != nil {
					err = fmt.Errorf("%s at %s: %w", r, c.Host, err)
				}
				if !yield(l, err) {
					return
				}
			}
		}
	}
}

func (e *Env) locate(ctx context.Context, r *rundb.Run, c rundb.Copy, live bool) (*Located, error) {
	l := &Located{Run: r, Copy: c, Files: c.Files, Replicas: c.Replicas}
	if l.Replicas == nil {
		l.Replicas = ofRuleInfo(&c)
	}
	if !live {
		return l, nil
	}
	did, err := rucio.ParseDID(c.Location)
	if err != nil {
		return nil, err
	}
	site, _ := e.Config.Site(c.Host)
	client, err := e.catalogs.client(e, site)
	if err != nil {
		return nil, err
	}
	f, err := lookUp(ctx, client, did)
	if err != nil {
		return nil, err
	}
	now, err := e.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	l.Live, l.Missing, l.Files, l.Lost, l.Replicas = true, f.missing, f.files, f.lost, f.replicas(now, nil)
	return l, nil
}

// ofRuleInfo reads what the original wrote of the RSEs.
func ofRuleInfo(c *rundb.Copy) []rundb.Replica {
	var out []rundb.Replica
	for _, rse := range c.RSE {
		p := rundb.Replica{RSE: rse, State: string(rucio.RuleOK), Files: c.Files, Text: "by the original's record"}
		for _, info := range c.RuleInfo {
			if until, ok := strings.CutPrefix(info, rse+":"); ok {
				if t, err := time.Parse(time.DateTime, until); err == nil {
					p.ExpiresAt = t
				}
			}
		}
		out = append(out, p)
	}
	return out
}

// DoubleEntries yields the runs with more than one record of one dataset in a catalogue,
// and of each the records.
func (e *Env) DoubleEntries(ctx context.Context, q rundb.Query) iter.Seq2[[]*Located, error] {
	hosts := e.Config.catalogues()
	return func(yield func([]*Located, error) bool) {
		q.Copies = append(slices.Clone(q.Copies), rundb.CopyMatch{Hosts: hosts})
		for r, err := range e.Store.Find(ctx, &q) {
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			byKind := map[rundb.Key][]*Located{}
			var order []rundb.Key
			for i := range r.Data {
				c := r.Data[i]
				if !slices.Contains(hosts, c.Host) {
					continue
				}
				k := rundb.Key{Type: c.Type, Version: c.Version}
				if byKind[k] == nil {
					order = append(order, k)
				}
				l, _ := e.locate(ctx, r, c, false)
				byKind[k] = append(byKind[k], l)
			}
			for _, k := range order {
				if len(byKind[k]) > 1 && !yield(byKind[k], nil) {
					return
				}
			}
		}
	}
}

// Catalogue gives the client of the only catalogue of the configuration, or of the one
// that a site stands for, and the site.
func (e *Env) Catalogue(host string) (*rucio.Client, *Site, error) {
	hosts := e.Config.catalogues()
	if e.Site != nil {
		// Of several, those that this site copies to and from.
		if near := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool {
			return !slices.Contains(e.Site.UploadOptions, h) && !slices.Contains(e.Site.DownloadOptions, h)
		}); len(near) > 0 {
			hosts = near
		}
	}
	if host == "" && len(hosts) == 1 {
		host = hosts[0]
	}
	s, ok := e.Config.Site(host)
	switch {
	case len(hosts) == 0:
		return nil, nil, fmt.Errorf(`no site of %s has the method "rucio"`, e.Config.File)
	case host == "":
		return nil, nil, fmt.Errorf("there are several catalogues: %s", strings.Join(hosts, ", "))
	case !ok || s.Method != MethodRucio:
		return nil, nil, fmt.Errorf("%s is no catalogue; these are: %s", host, strings.Join(hosts, ", "))
	}
	c, err := e.catalogs.client(e, s)
	return c, s, err
}
