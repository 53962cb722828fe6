package cax

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
)

var ruleNow = time.Date(2017, 3, 15, 12, 0, 0, 0, time.UTC)

// atRSE is a rule of ours at an RSE.
func atRSE(rse string, state rucio.RuleState, expires time.Time) rucio.Rule {
	return rucio.Rule{ID: "id-" + rse, Account: "us", RSEExpression: rse, State: state, ExpiresAt: expires}
}

// catalogWith is a dataset of two files that is whole at the RSEs of the rules that are OK.
func catalogWith(rules ...rucio.Rule) *cataloged {
	f := &cataloged{did: rucio.DID{Scope: "s", Name: "raw"}, files: 2, bytes: 3, rules: rules,
		adler32: map[string]string{"a": "00000001", "b": "00620062"}, available: map[string]int64{}, keeps: map[string][]int{}, why: map[string]string{}}
	for i, r := range rules {
		f.keeps[r.RSEExpression] = append(f.keeps[r.RSEExpression], i)
		if r.State == rucio.RuleOK {
			f.available[r.RSEExpression] = 2
		}
	}
	return f
}

// TestRuleSteps: what is changed, and what has to wait. C35 and A4 are the cases about
// deletion.
func TestRuleSteps(t *testing.T) {
	never, hour := time.Time{}, time.Hour
	in := func(d time.Duration) time.Time { return ruleNow.Add(d) }
	ask := func(rse string, life time.Duration, remove ...string) ruleAsk {
		return ruleAsk{at: []string{rse}, life: []time.Duration{life}, remove: remove}
	}
	enough := func(string) (string, bool) { return "", true }
	for name, tc := range map[string]struct {
		ask    ruleAsk
		found  *cataloged
		enough func(string) (string, bool)
		want   []ruleStep
		waits  int
	}{
		"none there":                {ask: ask("A", Forever), found: catalogWith(), want: []ruleStep{{"add", "A", "", Forever}}},
		"there":                     {ask: ask("A", Forever), found: catalogWith(atRSE("A", rucio.RuleOK, never))},
		"only look":                 {ask: ask("A", LookOnly), found: catalogWith()},
		"there until later":         {ask: ask("A", Forever), found: catalogWith(atRSE("A", rucio.RuleOK, in(hour))), want: []ruleStep{{"prolong", "A", "id-A", Forever}}},
		"for ever, wanted for less": {ask: ask("A", hour), found: catalogWith(atRSE("A", rucio.RuleOK, never)), want: []ruleStep{{"shorten", "A", "id-A", hour}}},
		"longer than wanted":        {ask: ask("A", hour), found: catalogWith(atRSE("A", rucio.RuleOK, in(2*hour))), want: []ruleStep{{"shorten", "A", "id-A", hour}}},
		"shorter than wanted":       {ask: ask("A", 10*hour), found: catalogWith(atRSE("A", rucio.RuleOK, in(hour))), want: []ruleStep{{"prolong", "A", "id-A", 10 * hour}}},
		"asked a moment ago":        {ask: ask("A", 10*hour), found: catalogWith(atRSE("A", rucio.RuleOK, in(10*hour-5*time.Minute)))},
		"somebody else's rule":      {ask: ask("A", Forever), found: catalogWith(rucio.Rule{ID: "x", Account: "them", RSEExpression: "A", State: rucio.RuleOK}), want: []ruleStep{{"add", "A", "", Forever}}},

		"removed": {ask: ask("A", Forever, "B"), found: catalogWith(atRSE("A", rucio.RuleOK, never), atRSE("B", rucio.RuleOK, never)), want: []ruleStep{{"delete", "B", "id-B", 0}}},
		"the other is stuck": {ask: ask("A", Forever, "B"),
			found: catalogWith(atRSE("A", rucio.RuleStuck, never), atRSE("B", rucio.RuleOK, never)), waits: 1},
		"A4: the other rule is lost": {ask: ask("A", LookOnly, "B"), found: catalogWith(atRSE("B", rucio.RuleOK, never)), waits: 1},
		"the other is only being made": {ask: ask("A", Forever, "B"), found: catalogWith(atRSE("B", rucio.RuleOK, never)),
			want: []ruleStep{{"add", "A", "", Forever}}, waits: 1},
		"the rule is OK and a file is not there": {ask: ask("A", Forever, "B"), found: func() *cataloged {
			f := catalogWith(atRSE("A", rucio.RuleOK, never), atRSE("B", rucio.RuleOK, never))
			f.available["A"] = 1
			return f
		}(), waits: 1},
		"the other ends soon":  {ask: ask("A", LookOnly, "B"), found: catalogWith(atRSE("A", rucio.RuleOK, in(hour)), atRSE("B", rucio.RuleOK, never)), waits: 1},
		"too few copies left":  {ask: ask("A", Forever, "B"), found: catalogWith(atRSE("A", rucio.RuleOK, never), atRSE("B", rucio.RuleOK, never)), enough: func(string) (string, bool) { return "one good copy", false }, waits: 1},
		"ending already":       {ask: ask("A", Forever, "B"), found: catalogWith(atRSE("A", rucio.RuleOK, never), atRSE("B", rucio.RuleOK, in(hour)))},
		"nothing to remove":    {ask: ask("A", Forever, "B"), found: catalogWith(atRSE("A", rucio.RuleOK, never))},
		"one of two not there": {ask: ruleAsk{at: []string{"A", "C"}, life: []time.Duration{Forever, Forever}, remove: []string{"B"}}, found: catalogWith(atRSE("A", rucio.RuleOK, never), atRSE("C", rucio.RuleReplicating, never), atRSE("B", rucio.RuleOK, never)), waits: 1},
		"not ours":             {ask: ask("A", Forever, "B"), found: catalogWith(atRSE("A", rucio.RuleOK, never), rucio.Rule{ID: "x", Account: "them", RSEExpression: "B", State: rucio.RuleOK})},
		"locked": {ask: ask("A", Forever, "B"), found: func() *cataloged {
			l := atRSE("B", rucio.RuleOK, never)
			l.Locked = true
			return catalogWith(atRSE("A", rucio.RuleOK, never), l)
		}(), waits: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.enough == nil {
				tc.enough = enough
			}
			got, waits := tc.ask.steps(tc.found, "us", ruleNow, tc.enough)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(ruleStep{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(waits) != tc.waits {
				t.Errorf("waits %q, want %d", waits, tc.waits)
			}
		})
	}
}

// TestCatalogReplicas: what the record gets to say, in the original's fields and in ours.
func TestCatalogReplicas(t *testing.T) {
	until := ruleNow.Add(48 * time.Hour)
	f := catalogWith(atRSE("A", rucio.RuleOK, time.Time{}), atRSE("B", rucio.RuleOK, until), atRSE("C", rucio.RuleStuck, time.Time{}))
	f.why["id-C"] = "no quota"
	f.available["D"] = 2
	ps := f.replicas(ruleNow, []string{"E"})
	want := []rundb.Replica{
		{RSE: "A", Rule: "id-A", State: "OK", Files: 2, CheckedAt: ruleNow},
		{RSE: "B", Rule: "id-B", State: "OK", Files: 2, ExpiresAt: until, CheckedAt: ruleNow},
		{RSE: "C", Rule: "id-C", State: "STUCK", CheckedAt: ruleNow, Text: "no quota"},
		{RSE: "D", Files: 2, CheckedAt: ruleNow, Text: "no rule asks for it there"},
		{RSE: "E", CheckedAt: ruleNow, Text: "no rule asks for it there"},
	}
	if diff := cmp.Diff(want, ps); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	rse, info := f.original(ps, ruleNow)
	if strings.Join(rse, " ") != "A B" || strings.Join(info, " ") != "A:valid B:2017-03-17 12:00:00" {
		t.Errorf("rse %v, rule_info %v", rse, info)
	}
	if got := f.checksum(); got != ":00000001:00620062" {
		t.Errorf("checksum %s", got)
	}
}

func TestCatalogVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*cataloged, *rundb.Copy)
		want   rundb.Status
		kind   error
	}{
		"in order":                  {want: rundb.Transferred},
		"the original's order":      {change: func(_ *cataloged, c *rundb.Copy) { c.Checksum = ":620062:1" }, want: rundb.Transferred},
		"no checksum":               {change: func(_ *cataloged, c *rundb.Copy) { c.Checksum = "" }, want: rundb.Transferred},
		"not there":                 {change: func(f *cataloged, _ *rundb.Copy) { f.missing = true }, want: rundb.RSEReupload, kind: rucio.ErrNotExist},
		"empty":                     {change: func(f *cataloged, _ *rundb.Copy) { f.files = 0 }, want: rundb.RSEReupload, kind: rucio.ErrCorrupt},
		"a file is nowhere":         {change: func(f *cataloged, _ *rundb.Copy) { f.lost = 1 }, want: rundb.RSEReupload, kind: rucio.ErrCorrupt},
		"C27: other checksums":      {change: func(_ *cataloged, c *rundb.Copy) { c.Checksum = ":00000001:00630063" }, want: rundb.Failed, kind: rucio.ErrCorrupt},
		"C27: same names, one less": {change: func(_ *cataloged, c *rundb.Copy) { c.Checksum = ":00000001" }, want: rundb.Failed, kind: rucio.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			f := catalogWith(atRSE("A", rucio.RuleOK, time.Time{}))
			c := &rundb.Copy{Checksum: ":00000001:00620062"}
			if tc.change != nil {
				tc.change(f, c)
			}
			status, err := f.verdict(c)
			if status != tc.want || tc.kind == nil && err != nil || tc.kind != nil && !errors.Is(err, tc.kind) {
				t.Errorf("%s, %v; want %s, %v", status, err, tc.want, tc.kind)
			}
		})
	}
}
