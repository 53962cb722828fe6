package cax

import (
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
)

// Naming says what datasets are called in a Rucio catalogue. Its texts are
// templates of package text/template that are given a [NamingData]. Empty ones
// stand for the defaults, which are XENON1T's. Key naming.
type Naming struct {
	// ScienceRuns are the periods of data taking, the earliest first; the first whose
	// end a run started before is its own.
	ScienceRuns []ScienceRun

	Scope         string // of containers; "x1t_{{.ScienceRun}}"
	UploadScope   string // of a run's files and datasets; "x1t_{{.ScienceRun}}_{{.Name}}_{{.Short}}"
	Dataset       string // in the upload scope; "{{.Type}}{{with .Version}}_{{.}}{{end}}"
	Container     string // of a run's datasets; "x1t_{{.ScienceRun}}_{{.Name}}_{{.Short}}"
	OverContainer string // of all containers of a science run; "x1t_{{.ScienceRun}}_data"
	JSONPrefix    string // before the key of metadata that do not fit their column; "x1t_"
}

// A ScienceRun is a period of data taking.
type ScienceRun struct {
	Name  string
	Until time.Time // its end, not included; zero: still going on
}

// NamingData is what a template of [Naming] can use.
type NamingData struct {
	ScienceRun string // "SR001"
	Name       string // of the run: "170315_1432"
	Number     int64
	Detector   string // "tpc", "muon_veto"
	Short      string // the same in short: "mv" for the muon veto
	Type       string // "raw", "processed"
	Version    string // of processed data, else ""
	Source     string // type of the source
	User       string // who took the run
}

// CatalogNames are the names of one dataset in a catalogue.
type CatalogNames struct {
	ScienceRun    string
	Dataset       rucio.DID // its scope is that of the files too
	Container     rucio.DID
	OverContainer rucio.DID
}

// Scopes are the scopes that the names need, each once.
func (n CatalogNames) Scopes() []string {
	if n.Dataset.Scope == n.Container.Scope {
		return []string{n.Container.Scope}
	}
	return []string{n.Container.Scope, n.Dataset.Scope}
}

// WithDefaults fills in what is not set.
func (n Naming) WithDefaults() Naming {
	if n.ScienceRuns == nil {
		n.ScienceRuns = []ScienceRun{{"SR000", time.Date(2017, 2, 2, 17, 40, 0, 0, time.UTC)}, {Name: "SR001"}}
	}
	for _, f := range []struct {
		to  *string
		def string
	}{
		{&n.Scope, "x1t_{{.ScienceRun}}"},
		{&n.UploadScope, "x1t_{{.ScienceRun}}_{{.Name}}_{{.Short}}"},
		{&n.Dataset, "{{.Type}}{{with .Version}}_{{.}}{{end}}"},
		{&n.Container, "x1t_{{.ScienceRun}}_{{.Name}}_{{.Short}}"},
		{&n.OverContainer, "x1t_{{.ScienceRun}}_data"},
		{&n.JSONPrefix, "x1t_"},
	} {
		if *f.to == "" {
			*f.to = f.def
		}
	}
	return n
}

// Names gives the names of a run's data of a type and version.
func (n Naming) Names(r *rundb.Run, typ rundb.Type, version string) (CatalogNames, error) {
	n = n.WithDefaults()
	var names CatalogNames
	for _, s := range n.ScienceRuns {
		if s.Until.IsZero() || r.Start.Before(s.Until) {
			names.ScienceRun = s.Name
			break
		}
	}
	if names.ScienceRun == "" {
		return names, fmt.Errorf("%s started after the end of the last science run of naming.science_runs; add the next one", r)
	}
	data := NamingData{ScienceRun: names.ScienceRun, Name: r.Name, Number: r.Number, Detector: r.Detector, Short: r.Detector,
		Type: string(typ), Version: version, Source: r.Source, User: r.User}
	if r.Detector == "muon_veto" {
		data.Short = "mv"
	}
	for _, f := range []struct {
		key, text string
		to        []*string
	}{
		{"scope", n.Scope, []*string{&names.Container.Scope, &names.OverContainer.Scope}},
		{"upload_scope", n.UploadScope, []*string{&names.Dataset.Scope}},
		{"dataset", n.Dataset, []*string{&names.Dataset.Name}},
		{"container", n.Container, []*string{&names.Container.Name}},
		{"over_container", n.OverContainer, []*string{&names.OverContainer.Name}},
	} {
		name, err := executeName(f.text, data)
		if err != nil {
			return names, fmt.Errorf("naming.%s of %s: %w", f.key, r, err)
		}
		for _, to := range f.to {
			*to = name
		}
	}
	return names, nil
}

// overContainers are the containers of all runs of each science run, as far as their names
// do not depend on anything else.
func (n Naming) overContainers() []rucio.DID {
	n = n.WithDefaults()
	var all []rucio.DID
	for _, s := range n.ScienceRuns {
		data := NamingData{ScienceRun: s.Name}
		scope, err1 := executeName(n.Scope, data)
		name, err2 := executeName(n.OverContainer, data)
		if err1 == nil && err2 == nil {
			all = append(all, rucio.DID{Scope: scope, Name: name})
		}
	}
	return all
}

// executeName makes one name, which has to be a word.
func executeName(text string, data NamingData) (string, error) {
	t, err := template.New("name").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	name := b.String()
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ':' || r >= 0x7f }) {
		return "", fmt.Errorf("%q makes %q, which is no name in a catalogue", text, name)
	}
	return name, nil
}
