package cax

import (
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
)

// TestC23CatalogCounts: a catalogue counts RSE by RSE, and only what was found there. One
// site wants to purge a run that the catalogue has at two RSEs; each case spoils it.
func TestC23CatalogCounts(t *testing.T) {
	content := strings.Repeat("ca", 64)
	now := time.Now()
	for name, tc := range map[string]struct {
		change func(*rundb.Copy)
		config func(*Config)
		goes   bool
	}{
		"two RSEs":              {goes: true},
		"no RSE":                {change: func(c *rundb.Copy) { c.Replicas, c.RSE = nil, []string{} }},
		"the original's record": {change: func(c *rundb.Copy) { c.Replicas = nil }},
		"one RSE":               {change: func(c *rundb.Copy) { c.Replicas = c.Replicas[:1] }},
		"the same RSE twice":    {change: func(c *rundb.Copy) { c.Replicas[1].RSE = "R" }},
		"no rule":               {change: func(c *rundb.Copy) { c.Replicas[1].Rule = "" }},
		"stuck":                 {change: func(c *rundb.Copy) { c.Replicas[1].State = "STUCK" }},
		"a file is missing":     {change: func(c *rundb.Copy) { c.Replicas[1].Files-- }},
		"no files known":        {change: func(c *rundb.Copy) { c.Files = 0 }},
		"never compared":        {change: func(c *rundb.Copy) { c.Content = "" }},
		"other files":           {change: func(c *rundb.Copy) { c.Content = strings.Repeat("be", 64) }},
		"looked at long ago":    {change: func(c *rundb.Copy) { c.Replicas[0].CheckedAt = now.Add(-40 * day) }},
		"never looked at":       {change: func(c *rundb.Copy) { c.Replicas[0].CheckedAt = time.Time{} }},
		"in the future":         {change: func(c *rundb.Copy) { c.Replicas[0].CheckedAt = now.Add(time.Hour) }},
		"the rule ends":         {change: func(c *rundb.Copy) { c.Replicas[0].ExpiresAt = now.Add(29 * day) }},
		"the rule ends late":    {change: func(c *rundb.Copy) { c.Replicas[0].ExpiresAt = now.Add(31 * day) }, goes: true},
		"upload to be repeated": {change: func(c *rundb.Copy) { c.Status = rundb.RSEReupload }},
		"the purging site's own disks": {config: func(c *Config) {
			c.Sites[1].Rucio.RSEs = []RSEConfig{{Name: "R", SameStorageAs: "A"}}
		}},
		"one domain": {config: func(c *Config) {
			c.Sites[1].Rucio.RSEs = []RSEConfig{{Name: "R", Domain: "d"}, {Name: "S", Domain: "d"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			two := 2
			cfg := &Config{Sites: []*Site{{Name: "A", DirRaw: "/a", Purge: &two}, {Name: "catalogue", Method: MethodRucio, DirRaw: "/a"}}}
			if tc.config != nil {
				tc.config(cfg)
			}
			old := now.Add(-100 * day)
			mine := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "A"}, Status: rundb.Transferred, Location: "/a/x", Checksum: content, VerifiedAt: now, Created: old}
			c := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "catalogue"}, Status: rundb.Transferred, Location: "s:raw", Checksum: ":1:2", Content: content, Files: 2, VerifiedAt: now,
				RSE: []string{"R", "S"}, Replicas: []rundb.Replica{{RSE: "R", Rule: "1", State: "OK", Files: 2, CheckedAt: now}, {RSE: "S", Rule: "2", State: "OK", Files: 2, CheckedAt: now}}}
			if tc.change != nil {
				tc.change(&c)
			}
			cfg.Masters = []Master{{"raw", "A"}}
			env := NewEnv(cfg, cfg.Sites[0], nil, rundb.Owner{})
			r := &rundb.Run{Name: runName, Detector: "tpc", Start: old, Data: []rundb.Copy{mine, c}}
			got := env.tally(r, mine.Key, env.minimum(env.Site, rundb.Raw), now)
			if got.Enough() != tc.goes {
				t.Errorf("enough: %v, want %v: %s", got.Enough(), tc.goes, got)
			}
			if tc.goes && !strings.Contains(got.String(), "catalogue/R: good") {
				t.Errorf("the tally names no RSE: %s", got)
			}
		})
	}
}
