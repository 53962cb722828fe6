package cax

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/cax-go/cax/process/correction"
	"github.com/cax-go/cax/rundb"
)

// A CorrectionsConfig says where corrections come from. Key corrections. The zero value
// means the collections of the run database, and XENON1T's detectors.
type CorrectionsConfig struct {
	Gains                     string // files in place of collections of the run database; "": the collection
	DriftVelocity             string
	NeuralNetwork             string
	FieldDistortion           string
	LightCollectionEfficiency string
	S2XYMap                   string
	PMTs                      PMTsConfig
	SlowControl               SlowControlConfig
}

// A PMTsConfig says how many photomultipliers the detectors have. Key pmts.
type PMTsConfig struct {
	TPC      int // 0: 260, those of pax for XENON1T, spare channels included
	MuonVeto int // 0: 84
}

// A SlowControlConfig says how slow control is asked. Key slow_control.
type SlowControlConfig struct {
	Command    []string // argv; see [correction.Command]
	URL        string   // see [correction.HTTP]
	Path       string   // where in an answer the values are; see [correction.ReadValues]
	SecretFile string
	Timeout    time.Duration // 0: a minute
	Cathode    string        // variable with the voltage of the cathode, in kV; "": that of XENON1T
	PMTVoltage string        // variable with the voltage of a photomultiplier, with %d or %03d; "": none
}

// defaultCathode is the variable that the original asks for.
const defaultCathode = "XE1T.GEN_HEINZVMON.PI"

// file is where the documents of a collection are; "" for the run database.
func (c *CorrectionsConfig) file(coll rundb.Collection) string {
	return map[rundb.Collection]string{
		rundb.Gains: c.Gains, rundb.DriftVelocity: c.DriftVelocity, rundb.NeuralNetwork: c.NeuralNetwork,
		rundb.FieldDistortion: c.FieldDistortion, rundb.LightCollectionEfficiency: c.LightCollectionEfficiency, rundb.S2XYMap: c.S2XYMap,
	}[coll]
}

// inputs are what values are made from. The secret is read anew each time.
func (c *CorrectionsConfig) inputs() (*correction.Inputs, error) {
	in := &correction.Inputs{PMTs: map[string]int{correction.TPC: 260, correction.MuonVeto: 84}, Cathode: defaultCathode, Voltage: c.SlowControl.PMTVoltage}
	if c.PMTs.TPC > 0 {
		in.PMTs[correction.TPC] = c.PMTs.TPC
	}
	if c.PMTs.MuonVeto > 0 {
		in.PMTs[correction.MuonVeto] = c.PMTs.MuonVeto
	}
	s := c.SlowControl
	if s.Cathode != "" {
		in.Cathode = s.Cathode
	}
	switch {
	case len(s.Command) > 0:
		in.SlowControl = correction.Command{Argv: s.Command, Path: s.Path, Timeout: s.Timeout}
	case s.URL != "":
		h := correction.HTTP{URL: s.URL, Path: s.Path, Timeout: s.Timeout}
		if s.SecretFile != "" {
			f, err := os.Open(expandHome(s.SecretFile))
			if err != nil {
				return nil, fmt.Errorf("secret_file of slow_control: %w", err)
			}
			defer f.Close()
			if h.Secret, err = firstLine(f); err != nil {
				return nil, fmt.Errorf("secret_file of slow_control, %s: %w", filepath.Base(s.SecretFile), err)
			}
		}
		in.SlowControl = h
	}
	return in, nil
}

// correctionsSection is the value of the key corrections.
func correctionsSection() *section[CorrectionsConfig] {
	from := func(coll rundb.Collection, to func(*CorrectionsConfig) *string, task string) key[CorrectionsConfig] {
		name := string(coll)
		return field(fileKind(), to, KeyInfo{Name: name, Default: "the collection of the run database", Example: `"/data/corrections/` + name + `.json"`,
			Doc: "File with the documents of " + task + ", as mongoexport writes them; the newest counts. All sites need the same."})
	}
	return &section[CorrectionsConfig]{"corrections", []key[CorrectionsConfig]{
		from(rundb.Gains, func(c *CorrectionsConfig) *string { return &c.Gains }, "AddGains"),
		from(rundb.DriftVelocity, func(c *CorrectionsConfig) *string { return &c.DriftVelocity }, "AddDriftVelocity"),
		from(rundb.NeuralNetwork, func(c *CorrectionsConfig) *string { return &c.NeuralNetwork }, "SetNeuralNetwork"),
		from(rundb.FieldDistortion, func(c *CorrectionsConfig) *string { return &c.FieldDistortion }, "SetFieldDistortion"),
		from(rundb.LightCollectionEfficiency, func(c *CorrectionsConfig) *string { return &c.LightCollectionEfficiency }, "SetLightCollectionEfficiency"),
		from(rundb.S2XYMap, func(c *CorrectionsConfig) *string { return &c.S2XYMap }, "SetS2xyMap"),
		field(sectionKind("pmts", pmtsSection()), func(c *CorrectionsConfig) *PMTsConfig { return &c.PMTs }, KeyInfo{Name: "pmts", Type: "object", Default: "those of XENON1T", Example: `{"tpc": 260, "muon_veto": 84}`,
			Doc: "How many photomultipliers get gains."}),
		field(sectionKind("slow_control", slowControlSection()), func(c *CorrectionsConfig) *SlowControlConfig { return &c.SlowControl }, KeyInfo{Name: "slow_control", Type: "object", Default: "none", Example: `{"command": ["sc-query", "{variable}", "{from}", "{to}"]}`,
			Doc: "Who knows the voltages during a run, for formulas in v and V."}),
	}}
}

func pmtsSection() *section[PMTsConfig] {
	return &section[PMTsConfig]{"pmts", []key[PMTsConfig]{
		field(wholeKind(1, 100_000), func(p *PMTsConfig) *int { return &p.TPC }, KeyInfo{Name: "tpc", Unit: "photomultipliers", Default: "260", Example: `260`,
			Doc: "Those of the TPC; spare channels, which are in the processor's list, included."}),
		field(wholeKind(1, 100_000), func(p *PMTsConfig) *int { return &p.MuonVeto }, KeyInfo{Name: "muon_veto", Unit: "photomultipliers", Default: "84", Example: `84`,
			Doc: "Those of the muon veto."}),
	}}
}

func slowControlSection() *section[SlowControlConfig] {
	return &section[SlowControlConfig]{"slow_control", []key[SlowControlConfig]{
		field(argvKind(), func(s *SlowControlConfig) *[]string { return &s.Command }, KeyInfo{Name: "command", Default: "url is asked", Example: `["sc-query", "{variable}", "{from}", "{to}"]`,
			Doc: "Program, with arguments, that prints the values of a variable as JSON, as [11.9, 12.1]; no shell takes it apart. {from} and {to} are seconds since 1970; there are {from_iso} and {to_iso} too."}),
		field(urlKind(), func(s *SlowControlConfig) *string { return &s.URL }, KeyInfo{Name: "url", Default: "none", Example: `"https://sc.example/values?name={variable}&from={from}&to={to}&key={secret}"`,
			Doc: "Web service that answers with the same JSON, with lists of [time, value], or of objects with a value."}),
		field(stepsKind(), func(s *SlowControlConfig) *string { return &s.Path }, KeyInfo{Name: "path", Default: "the whole answer", Example: `"data.result.0.values"`,
			Doc: "Where in the answer the values are: fields, and numbers of entries from 0, with dots between them."}),
		field(fileKind(), func(s *SlowControlConfig) *string { return &s.SecretFile }, KeyInfo{Name: "secret_file", Default: "no secret is sent", Example: `"/etc/cax/slow-control.key"`,
			Doc: "File whose first line is put for {secret}, or sent as a bearer token if url has no place for it."}),
		field(durationKind(), func(s *SlowControlConfig) *time.Duration { return &s.Timeout }, KeyInfo{Name: "timeout", Unit: "time", Default: `"1m"`, Example: `"1m"`,
			Doc: "How long one answer may take."}),
		field(textKind(), func(s *SlowControlConfig) *string { return &s.Cathode }, KeyInfo{Name: "cathode", Type: "variable", Default: `"` + defaultCathode + `"`, Example: `"` + defaultCathode + `"`,
			Doc: "The voltage of the cathode, in kV."}),
		field(patternKind(), func(s *SlowControlConfig) *string { return &s.PMTVoltage }, KeyInfo{Name: "pmt_voltage", Type: "variable", Default: "none", Example: `"pmt_%03d_bias_V"`,
			Doc: "The voltage of a photomultiplier, in V, with %d or %03d in the place of its number."}),
	}}
}

// urlKind is the address of a web service.
func urlKind() valueKind[string] {
	return valueKind[string]{"URL", map[string]any{"type": "string", "pattern": "^https?://"}, func(d *decoder, n *node, k *slot) (string, bool) {
		s, ok := readText(d, n, k)
		if ok && !regexp.MustCompile(`^https?://[^/?#\s]+`).MatchString(s) {
			d.wrong(n, k, "the address of a web service")
			return "", false
		}
		return s, ok
	}}
}

// stepsKind is a way into a JSON document.
func stepsKind() valueKind[string] {
	const pattern = `^[^.]+(\.[^.]+)*$`
	return valueKind[string]{"path", map[string]any{"type": "string", "pattern": pattern}, func(d *decoder, n *node, k *slot) (string, bool) {
		s, ok := readText(d, n, k)
		if ok && !regexp.MustCompile(pattern).MatchString(s) {
			d.wrong(n, k, "fields and numbers of entries with dots between them")
			return "", false
		}
		return s, ok
	}}
}

// patternKind is a name with one place for a number.
func patternKind() valueKind[string] {
	return valueKind[string]{"pattern", map[string]any{"type": "string", "pattern": `^[^%]*%(0[1-9])?d[^%]*$`}, func(d *decoder, n *node, k *slot) (string, bool) {
		s, ok := readText(d, n, k)
		if ok && !regexp.MustCompile(`^[^%]*%(0[1-9])?d[^%]*$`).MatchString(s) {
			d.wrong(n, k, "a name with one %d or %03d in it")
			return "", false
		}
		return s, ok
	}}
}
