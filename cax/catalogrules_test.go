package cax

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/rundb"
)

// ruleFile is a rule file about the lab's run: for how many seconds it is to be at some RSEs,
// and what else it says.
func ruleFile(life map[string]string, more string) string {
	var rses, lives []string
	for rse, seconds := range life {
		rses, lives = append(rses, fmt.Sprintf("%q", rse)), append(lives, fmt.Sprintf("%q: %q", rse, seconds))
	}
	return fmt.Sprintf(`[{"run_nb": "5200", "destination_rse": [%s], "destination_livetime": {%s}%s}]`, strings.Join(rses, ", "), strings.Join(lives, ", "), more)
}

// TestCatalogRules: a rule file makes a rule, prolongs it, shortens it, and deletes it when
// the dataset is good elsewhere; the record follows, and asking again changes nothing.
func TestCatalogRules(t *testing.T) {
	l := uploaded(t)
	b := ruciotest.RSEB
	day := ruleFile(map[string]string{b: "86400"}, "")

	// Made, and not there yet.
	l.well("A", day)
	rules := l.rulesAt(b)
	if len(rules) != 1 || time.Until(rules[0].ExpiresAt).Round(time.Hour) != 24*time.Hour {
		t.Fatalf("rules at B: %+v", rules)
	}
	if c := l.copy(atR); !slices.Equal(c.RSE, []string{ruciotest.RSEA}) || len(c.Replicas) != 2 || c.Replicas[1].State != "REPLICATING" {
		t.Errorf("the record is %v, %+v", c.RSE, c.Replicas)
	}
	// There.
	l.replicate(b)
	l.well("A", day)
	c := l.copy(atR)
	until := b + ":" + rules[0].ExpiresAt.UTC().Format(time.DateTime)
	if !slices.Equal(c.RSE, []string{ruciotest.RSEA, b}) || !slices.Equal(c.RuleInfo, []string{ruciotest.RSEA + ":valid", until}) {
		t.Errorf("the record is %v, %v; want %s", c.RSE, c.RuleInfo, until)
	}
	l.srv.Forget()
	if sum := l.well("A", day); sum != (Summary{}) {
		t.Errorf("asking again did %+v", sum)
	}
	for _, r := range l.srv.Requests() {
		if r.Method != "GET" && r.Path != "/replicas/list" {
			t.Errorf("asking again asked %s %s", r.Method, r.Path)
		}
	}
	// Prolonged, for ever, shortened.
	for _, step := range []struct {
		life string
		want time.Duration
	}{{"864000", 240 * time.Hour}, {"-1", Forever}, {"7200", 2 * time.Hour}} {
		l.well("A", ruleFile(map[string]string{b: step.life}, ""))
		r := l.rulesAt(b)
		if len(r) != 1 || r[0].ID != rules[0].ID {
			t.Fatalf("%s: rules %+v", step.life, r)
		}
		if end := r[0].ExpiresAt; step.want == Forever != end.IsZero() || !end.IsZero() && time.Until(end).Round(time.Hour) != step.want {
			t.Errorf("%s: it ends at %v", step.life, end)
		}
	}
	// Only looked at.
	l.well("A", ruleFile(map[string]string{b: "-2"}, ""))
	if r := l.rulesAt(b); len(r) != 1 || time.Until(r[0].ExpiresAt).Round(time.Hour) != 2*time.Hour {
		t.Errorf("a look changed the rule: %+v", r)
	}
	var what []string
	for _, s := range []string{"add", "prolong", "shorten"} {
		for e, err := range l.store.Events(t.Context(), l.run().ID) {
			if err != nil {
				t.Fatal(err)
			}
			if e.What == "rule" && strings.HasPrefix(e.Why, s+" ") {
				what = append(what, s)
			}
		}
	}
	if !slices.Equal(what, []string{"add", "prolong", "prolong", "shorten"}) {
		t.Errorf("events about rules: %v", what)
	}
}

// TestC35RemoveRule: a rule is deleted only when all RSEs that are named have the dataset
// and the minimum of copies is left; a selection of another run deletes nothing.
func TestC35RemoveRule(t *testing.T) {
	b := ruciotest.RSEB
	remove := `, "remove_rse": ["` + ruciotest.RSEA + `"]`
	wanted := ruleFile(map[string]string{b: "-1"}, remove)
	one := func(c *Config) { c.Policy.MinCopies = 1 }
	for name, tc := range map[string]struct {
		change func(*Config)
		spoil  func(*catalogLab)
		rules  string
		goes   bool
		says   string
	}{
		"good at the other":                {change: one, rules: wanted, goes: true},
		"A4: no rule at the other":         {change: one, rules: ruleFile(map[string]string{b: "-2"}, remove), spoil: func(l *catalogLab) { l.deleteRules(b) }, says: "stays until the dataset is OK at " + b},
		"the other is stuck":               {change: one, rules: wanted, spoil: func(l *catalogLab) { l.srv.Stick(l.rulesAt(b)[0].ID, scope, "empty", b, "no space") }, says: "stays until the dataset is OK at " + b},
		"a file is missing at the other":   {change: one, rules: wanted, spoil: func(l *catalogLab) { l.srv.SetReplica(b, scope, "empty", "BAD") }, says: "stays until the dataset is OK at " + b},
		"a minimum that is not left":       {change: func(c *Config) { c.Policy.MinCopies = 5 }, rules: wanted, says: "stays: "},
		"of another run":                   {change: one, rules: strings.Replace(wanted, "5200", "5201", 1)},
		"the run is excluded":              {change: one, rules: strings.Replace(wanted, "[{", `[{"run_nb_exclude": "5199-5200", `, 1)},
		"C35: a run that does not exist":   {change: one, rules: strings.Replace(wanted, `"run_nb": "5200"`, `"run_nb": null, "run_name": "170101_0000"`, 1)},
		"of another detector, or of none":  {change: one, rules: strings.Replace(wanted, "[{", `[{"detector_type": "muon_veto", `, 1)},
		"somebody else deletes the source": {change: one, rules: wanted, spoil: func(l *catalogLab) { l.deleteRules(ruciotest.RSEA) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := uploaded(t, func(c *Config) { c.Sites[2].RucioTransfer = []string{b} }, tc.change)
			l.replicate(b)
			l.well("A", "")
			if tc.spoil != nil {
				tc.spoil(l)
			}
			had := l.rulesAt(ruciotest.RSEA)
			for range 2 {
				l.well("A", tc.rules)
			}
			rules := l.rulesAt(ruciotest.RSEA)
			gone := len(had) == 1 && had[0].ExpiresAt.IsZero() && (len(rules) == 0 || !rules[0].ExpiresAt.IsZero())
			if gone != tc.goes {
				t.Errorf("the rule goes: %v, want %v: %+v", gone, tc.goes, rules)
			}
			if tc.says != "" {
				var waits string
				for d, err := range l.ruciax("A", tc.rules).Plan(t.Context(), true) {
					if err != nil {
						t.Fatal(err)
					}
					if d.Task == "RucioRule" {
						waits += d.Why
					}
				}
				if !strings.Contains(waits, tc.says) {
					t.Errorf("the plan says %q, want %q", waits, tc.says)
				}
			}
			for _, p := range l.copy(atR).Replicas {
				if tc.goes && p.RSE == ruciotest.RSEA && p.ExpiresAt.IsZero() {
					t.Errorf("the record counts on what goes: %+v", p)
				}
			}
		})
	}
}

// deleteRules is somebody who deletes the rules at an RSE, and the catalogue's daemons.
func (l *catalogLab) deleteRules(rse string) {
	l.t.Helper()
	gone := -time.Minute
	for _, r := range l.rulesAt(rse) {
		if err := l.client().SetRuleLifetime(l.t.Context(), r.ID, &gone); err != nil {
			l.t.Fatal(err)
		}
	}
	l.srv.Clean()
}

// TestA4LostRule: a rule that is not there any more takes its RSE out of the record: it does
// not count, and no copy is deleted on its account.
func TestA4LostRule(t *testing.T) {
	for name, lost := range map[string]bool{"both rules are there": false, "one is lost": true} {
		t.Run(name, func(t *testing.T) {
			two := 2
			l := uploaded(t, func(c *Config) {
				c.Sites[0].Purge = &two
				c.Sites[2].RucioTransfer = []string{ruciotest.RSEB}
				c.Masters = []Master{{"raw", "R"}}
			})
			l.replicate(ruciotest.RSEB)
			l.well("A", "")
			if lost {
				l.deleteRules(ruciotest.RSEB)
				l.well("A", "")
			}
			c := l.copy(atR)
			if at := slices.Contains(c.RSE, ruciotest.RSEB); at == lost {
				t.Errorf("the record names %v, %v", c.RSE, c.RuleInfo)
			}
			if got := l.explained("A", "R"); strings.Contains(got, "R/"+ruciotest.RSEB+" does not count as a copy: no rule keeps it there") != lost {
				t.Errorf("explained as %s", got)
			}
			k := rundb.Key{Type: rundb.Raw, Host: "A"}
			err := l.env("A").Remove(t.Context(), l.run().ID, k, Removal{Task: "test", Why: "test"})
			if c, there := l.run().Copy(k); there != lost || lost && err == nil {
				t.Errorf("deleted: %v (%v; it is %s, %+v); want %v", !there, err, c.Status, c.Claim, !lost)
			}
		})
	}
}

// TestCatalogAlone: where nobody but the catalogue would be left to say which checksum is
// right, a copy is not deleted, rather than deleted and put back.
func TestCatalogAlone(t *testing.T) {
	l := uploaded(t, func(c *Config) {
		c.Sites[2].RucioTransfer = []string{ruciotest.RSEB}
		c.Masters = []Master{{"raw", "A"}}
	})
	l.replicate(ruciotest.RSEB)
	l.well("A", "")
	err := l.env("A").Remove(t.Context(), l.run().ID, rundb.Key{Type: rundb.Raw, Host: "A"}, Removal{Task: "test", Why: "test"})
	if a := l.raw("A"); !errors.Is(err, ErrNotNeeded) || a.Status != rundb.Transferred {
		t.Errorf("%v; the copy is %s", err, a.Status)
	}
	if got := l.explained("A", "A"); !strings.Contains(got, "no master says which checksum is right") {
		t.Errorf("explained as %s", got)
	}
}

// TestCatalogRandom: of RSEs of which one is to be chosen, the same is chosen in each
// cycle.
func TestCatalogRandom(t *testing.T) {
	l := uploaded(t)
	l.srv.AddRSE(ruciotest.FakeRSE{Name: "TEST-C_SCRATCHDISK"})
	either := "random: " + ruciotest.RSEB + ", TEST-C_SCRATCHDISK"
	text := ruleFile(map[string]string{either: "-1"}, "")
	text = strings.Replace(text, fmt.Sprintf("%q: ", either), fmt.Sprintf(`%q: "-1", "TEST-C_SCRATCHDISK": `, ruciotest.RSEB), 1)
	for range 3 {
		l.well("A", text)
	}
	if n := len(l.rulesAt(ruciotest.RSEB)) + len(l.rulesAt("TEST-C_SCRATCHDISK")); n != 1 {
		t.Errorf("%d rules, want one", n)
	}
}
