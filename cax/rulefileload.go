package cax

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
)

// A ruleText is an object of a rule file as it stands there.
type ruleText struct {
	request      RuleRequest
	destinations []string
	lifetimes    map[string]time.Duration
}

// LoadRules reads a rule file: the original's JSON array of one or more objects, or one
// object alone. The error is a [*ConfigError] that names everything that is wrong;
// notes are findings that are no errors. Texts mean what they say: ranges include both
// ends, and an empty selection is an error where it could delete.
func LoadRules(file string) (rules []RuleRequest, notes []Problem, err error) {
	data, err := readConfigFile(file)
	if err != nil {
		return nil, nil, &ConfigError{Problems: []Problem{{File: file, Text: fmt.Sprintf("the rule file cannot be read: %v", plain(err)),
			Remedy: "name another one with --rucio-rule"}}, cause: err}
	}
	d := &decoder{src: &source{file: file, data: data}, said: map[string]bool{}}
	root, ok := d.parse()
	if ok {
		rules = d.rules(root)
	}
	if len(d.problems) > 0 {
		return nil, nil, &ConfigError{Problems: d.problems}
	}
	return rules, d.notes, nil
}

// LookRules is what RucioRule does without a rule file: it looks at every run, wherever
// the catalogue has it.
func LookRules() []RuleRequest { return []RuleRequest{{VerificationOnly: true}} }

func (d *decoder) rules(root *node) []RuleRequest {
	items := []*node{root}
	if root.kind == isArray {
		items = root.items
	}
	if len(items) == 0 {
		d.fail(root.off, "", "there is no rule", `write one, as [{"run_nb": "5200", "destination_rse": ["LNGS_USERDISK"], "destination_livetime": {"LNGS_USERDISK": "-1"}}]`)
	}
	s := ruleSection()
	var rules []RuleRequest
	for i, n := range items {
		at := ""
		if root.kind == isArray {
			at = index("rules", i)
		}
		if n.kind == isObject && !looksLikeRule(n) {
			d.fail(n.off, at, "this is no Rucio rule: it has neither run_nb, destination_rse nor verification_only", "give a configuration to --config, and a rule file to --rucio-rule")
			continue
		}
		var t ruleText
		if vals := s.decode(d, n, at, &t); vals != nil {
			rules = append(rules, d.ruleRequest(n, at, vals, &t))
		}
	}
	return rules
}

// ruleRequest checks one object as a whole.
func (d *decoder) ruleRequest(n *node, at string, vals map[string]*node, t *ruleText) RuleRequest {
	q := t.request
	where := func(key string) (int, string) {
		if v := vals[key]; v != nil {
			return v.off, join(at, key)
		}
		return n.off, join(at, key)
	}
	for i, text := range t.destinations {
		off, key := where("destination_rse")
		key = index(key, i)
		var dest RuleDestination
		dest.RSEs = []string{text}
		if list, ok := strings.CutPrefix(text, "random:"); ok {
			dest.RSEs = splitList(list)
		}
		if len(dest.RSEs) == 0 {
			d.fail(off, key, `"random:" without an RSE`, `write for example "random: A_DISK, B_DISK"`)
			continue
		}
		for _, rse := range dest.RSEs {
			life, ok := t.lifetimes[rse]
			if !ok && !q.VerificationOnly {
				loff, lkey := where("destination_livetime")
				d.fail(loff, lkey, fmt.Sprintf("it does not say how long the rule for %s lives", rse), fmt.Sprintf(`add it, for example %q: "-1" (for ever), or seconds`, rse))
			}
			if q.VerificationOnly {
				life = LookOnly
			}
			dest.Lifetimes = append(dest.Lifetimes, life)
		}
		q.Destinations = append(q.Destinations, dest)
	}
	named := func(rse string) bool {
		return slices.ContainsFunc(q.Destinations, func(x RuleDestination) bool { return slices.Contains(x.RSEs, rse) })
	}
	for rse := range t.lifetimes {
		if !named(rse) {
			off, key := where("destination_livetime")
			d.fail(off, join(key, rse), fmt.Sprintf("%s is not in destination_rse", rse), "add it there, or remove it here")
		}
	}
	if len(q.Remove) > 0 {
		off, key := where("remove_rse")
		switch {
		case q.VerificationOnly:
			d.fail(off, key, "verification_only removes nothing", "set one of the two")
		case q.Everything():
			d.fail(off, key, "no run is named, and so it would be removed of all", `name the runs in run_nb or run_name; write "all" if all are meant`)
		case len(q.Destinations) == 0:
			d.fail(off, key, "destination_rse does not say where the runs have to be before they are removed", "name there the RSEs that keep them")
		}
		for _, rse := range q.Remove {
			if named(rse) {
				d.fail(off, key, fmt.Sprintf("%s is in destination_rse too", rse), "remove it from one of the two")
			}
		}
	}
	return q
}

func splitList(s string) []string {
	var out []string
	for _, w := range strings.Split(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// ruleSection is an object of a rule file.
func ruleSection() *section[ruleText] {
	rse, types := nameKind(), wordsKind()
	return &section[ruleText]{"a rule", []key[ruleText]{
		field(anyKind(), func(*ruleText) *struct{} { return new(struct{}) }, KeyInfo{Name: "version", Example: `"1.0"`, null: true, Doc: "Version of the format."}),
		field(boolKind(), func(t *ruleText) *bool { return &t.request.VerificationOnly }, KeyInfo{Name: "verification_only", Example: `true`, null: true, Doc: "Only look."}),
		numbersKey("run_nb", func(t *ruleText) (*[]rundb.Range, *bool) { return &t.request.Numbers, &t.request.AllNumbers }),
		numbersKey("run_nb_exclude", func(t *ruleText) (*[]rundb.Range, *bool) { return &t.request.NotNumbers, nil }),
		namesKey("run_name", func(t *ruleText) (*[]NameRange, *bool) { return &t.request.Names, &t.request.AllNames }),
		namesKey("run_name_exclude", func(t *ruleText) (*[]NameRange, *bool) { return &t.request.NotNames, nil }),
		field(types, func(t *ruleText) *[]string { return &t.request.Detectors }, KeyInfo{Name: "detector_type", Example: `"tpc"`, null: true, Doc: "Only runs of these detectors."}),
		field(types, func(t *ruleText) *[]string { return &t.request.Sources }, KeyInfo{Name: "source_type", Example: `"AmBe, Rn220"`, null: true, Doc: "Only runs with these sources."}),
		field(listOf("RSEs", textKind()), func(t *ruleText) *[]string { return &t.destinations }, KeyInfo{Name: "destination_rse", Example: `["LNGS_USERDISK", "random: A_DISK, B_DISK"]`, null: true, Doc: "Where the runs have to be."}),
		field(lifetimesKind(), func(t *ruleText) *map[string]time.Duration { return &t.lifetimes }, KeyInfo{Name: "destination_livetime", Example: `{"LNGS_USERDISK": "-1"}`, null: true, Doc: "Seconds; -1: for ever, -2: only look."}),
		ignored[ruleText]("destination_condition", "destination_rse and destination_livetime say all that is done"),
		field(listOf("RSEs", rse), func(t *ruleText) *[]string { return &t.request.Remove }, KeyInfo{Name: "remove_rse", Example: `["A_DISK"]`, null: true, Doc: "Whose rules are deleted."}),
	}}
}

// boolKind is true or false.
func boolKind() valueKind[bool] {
	return valueKind[bool]{"true or false", map[string]any{"type": "boolean"}, func(d *decoder, n *node, k *slot) (bool, bool) {
		if !d.want(n, k, isBool) {
			return false, false
		}
		return n.truth, true
	}}
}

// wordsKind is a list of words, or a text with commas between them. One that is empty
// would select nothing, and is an error.
func wordsKind() valueKind[[]string] {
	list := listOf("words", textKind())
	return valueKind[[]string]{"words", map[string]any{}, func(d *decoder, n *node, k *slot) ([]string, bool) {
		ws, ok := []string(nil), true
		switch n.kind {
		case isString:
			ws = splitList(n.text)
		default:
			ws, ok = list.read(d, n, k)
		}
		if ok && len(ws) == 0 {
			d.wrong(n, k, "a word, or null for any")
			return nil, false
		}
		return ws, ok
	}}
}

// selectionKey makes a key whose text is a list of ranges, or "all" where that is known.
func selectionKey[R any](name, example string, to func(*ruleText) (*[]R, *bool), parse func(string) (R, error)) key[ruleText] {
	info := KeyInfo{Name: name, Type: "ranges", Example: example, null: true, Doc: "Which runs.", schema: map[string]any{}}
	return key[ruleText]{info, func(d *decoder, n *node, k *slot, t *ruleText) {
		ranges, all := to(t)
		text := n.text
		if n.kind != isString && n.kind != isNumber {
			d.want(n, k, isString)
			return
		}
		if strings.TrimSpace(text) == "all" && all != nil {
			*all = true
			return
		}
		for _, w := range splitList(text) {
			r, err := parse(w)
			if err != nil {
				d.fail(n.off, k.at, fmt.Sprintf("%q: %v", w, err), "write for example "+example)
				continue
			}
			*ranges = append(*ranges, r)
		}
		if len(splitList(text)) == 0 {
			d.fail(n.off, k.at, "the selection is empty", `write for example `+example+`, "all", or null if it does not matter`)
		}
	}}
}

func numbersKey(name string, to func(*ruleText) (*[]rundb.Range, *bool)) key[ruleText] {
	return selectionKey(name, `"5200, 5205-5210"`, to, func(w string) (rundb.Range, error) {
		from, to, isRange := strings.Cut(w, "-")
		a, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
		if err != nil || a < 0 {
			return rundb.Range{}, fmt.Errorf("not the number of a run")
		}
		if !isRange {
			return rundb.Range{From: a, To: a}, nil
		}
		b, err := strconv.ParseInt(strings.TrimSpace(to), 10, 64)
		switch {
		case err != nil || b < 0:
			return rundb.Range{}, fmt.Errorf("not a range of numbers")
		case b < a:
			return rundb.Range{}, fmt.Errorf("the range ends before it begins")
		}
		return rundb.Range{From: a, To: b}, nil
	})
}

// isRunName reports whether a name has the form of a time, by which runs are ordered.
func isRunName(s string) bool {
	_, err := time.Parse("060102_1504", s)
	return err == nil
}

func namesKey(name string, to func(*ruleText) (*[]NameRange, *bool)) key[ruleText] {
	return selectionKey(name, `"170101_0000-170201_0000"`, to, func(w string) (NameRange, error) {
		from, to, isRange := strings.Cut(w, "-")
		from, to = strings.TrimSpace(from), strings.TrimSpace(to)
		switch {
		case !isRange:
			return NameRange{w, w}, nil
		case !isRunName(from) || !isRunName(to):
			return NameRange{}, fmt.Errorf("not a range of names of runs, yymmdd_HHMM")
		case to < from:
			return NameRange{}, fmt.Errorf("the range ends before it begins")
		}
		return NameRange{from, to}, nil
	})
}

// lifetimesKind is an object of seconds by RSE.
func lifetimesKind() valueKind[map[string]time.Duration] {
	return valueKind[map[string]time.Duration]{"object", map[string]any{"type": "object"}, func(d *decoder, n *node, k *slot) (map[string]time.Duration, bool) {
		if !d.want(n, k, isObject) {
			return nil, false
		}
		out, good := map[string]time.Duration{}, true
		for _, m := range n.members {
			v := m.value
			secs, err := strconv.ParseInt(strings.TrimSpace(v.text), 10, 64)
			if v.kind != isString && v.kind != isNumber || err != nil || secs < -2 || secs == 0 || secs > 1e10 {
				d.fail(v.off, join(k.at, m.key), fmt.Sprintf("%s is no lifetime", v), `write seconds, as "3600"; "-1" for ever, "-2" to look only`)
				good = false
				continue
			}
			life := time.Duration(secs) * time.Second
			if secs < 0 {
				life = time.Duration(secs)
			}
			if was, ok := out[m.key]; ok && was != life {
				d.fail(v.off, join(k.at, m.key), "the RSE stands twice with different lifetimes", "remove the wrong one")
				good = false
			}
			out[m.key] = life
		}
		return out, good
	}}
}
