package cax

import (
	"time"
)

// nameTemplateKind is a template of Naming that works for an ordinary run.
func nameTemplateKind() valueKind[string] {
	return valueKind[string]{"template", map[string]any{"type": "string", "minLength": 1}, func(d *decoder, n *node, k *slot) (string, bool) {
		s, ok := readText(d, n, k)
		if !ok {
			return "", false
		}
		_, err := executeName(s, NamingData{ScienceRun: "SR001", Name: "170315_1432", Number: 1, Detector: "tpc", Short: "tpc", Type: "raw", Version: "v1", Source: "none", User: "user"})
		if err != nil {
			d.fail(n.off, k.at, "this template makes no name: "+err.Error(), "write for example "+k.info.Example)
			return "", false
		}
		return s, true
	}}
}

// dateKind is a point in time, UTC.
func dateKind() valueKind[time.Time] {
	return valueKind[time.Time]{"date", map[string]any{"type": "string", "pattern": `^\d{4}-\d\d-\d\d \d\d:\d\d$`}, func(d *decoder, n *node, k *slot) (time.Time, bool) {
		if !d.want(n, k, isString) {
			return time.Time{}, false
		}
		t, err := time.Parse("2006-01-02 15:04", n.text)
		if err != nil {
			d.wrong(n, k, "a date and time, UTC, to the minute")
			return time.Time{}, false
		}
		return t, true
	}}
}

func scienceRunSection() *section[ScienceRun] {
	return &section[ScienceRun]{"a science run", []key[ScienceRun]{
		field(nameKind(), func(s *ScienceRun) *string { return &s.Name }, KeyInfo{Name: "name", Default: "–", Example: `"SR000"`, required: true,
			Doc: "What it is called in names."}),
		field(dateKind(), func(s *ScienceRun) *time.Time { return &s.Until }, KeyInfo{Name: "until", Unit: "UTC", Default: "still going on", Example: `"2017-02-02 17:40"`,
			Doc: "Runs that started before belong to it, if to no earlier one."}),
	}}
}

// namingSection is the value of the key naming.
func namingSection() *section[Naming] {
	text := nameTemplateKind()
	return &section[Naming]{"naming", []key[Naming]{
		field(listOf("science runs", sectionKind("science run", scienceRunSection())), func(n *Naming) *[]ScienceRun { return &n.ScienceRuns }, KeyInfo{Name: "science_runs", Type: "list of objects", Default: "SR000 until 2017-02-02 17:40, then SR001", Example: `[{"name": "SR000", "until": "2017-02-02 17:40"}, {"name": "SR001"}]`,
			Doc: "Periods of data taking, the earliest first."}),
		field(text, func(n *Naming) *string { return &n.Scope }, KeyInfo{Name: "scope", Default: "`x1t_{{.ScienceRun}}`", Example: `"exp_{{.ScienceRun}}"`,
			Doc: "Scope of containers. All these templates know ScienceRun, Name, Number, Detector, Short (mv for muon_veto), Type, Version, Source, User."}),
		field(text, func(n *Naming) *string { return &n.UploadScope }, KeyInfo{Name: "upload_scope", Default: "`x1t_{{.ScienceRun}}_{{.Name}}_{{.Short}}`", Example: `"exp_{{.ScienceRun}}"`,
			Doc: "Scope of a run's files and datasets."}),
		field(text, func(n *Naming) *string { return &n.Dataset }, KeyInfo{Name: "dataset", Default: "`{{.Type}}{{with .Version}}_{{.}}{{end}}`", Example: `"{{.Name}}_{{.Type}}"`,
			Doc: "Name of a dataset, in the upload scope."}),
		field(text, func(n *Naming) *string { return &n.Container }, KeyInfo{Name: "container", Default: "`x1t_{{.ScienceRun}}_{{.Name}}_{{.Short}}`", Example: `"run_{{.Name}}"`,
			Doc: "Name of the container of a run's datasets."}),
		field(text, func(n *Naming) *string { return &n.OverContainer }, KeyInfo{Name: "over_container", Default: "`x1t_{{.ScienceRun}}_data`", Example: `"all_{{.ScienceRun}}"`,
			Doc: "Name of the container of these containers."}),
		field(wordKind(), func(n *Naming) *string { return &n.JSONPrefix }, KeyInfo{Name: "json_prefix", Default: `"x1t_"`, Example: `"exp_"`,
			Doc: "Stands before the key of metadata that are too long for their column in the catalogue and are kept as JSON."}),
	}}
}
