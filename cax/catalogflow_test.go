package cax

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/transfertest"
)

// TestCatalogUpload: what an upload writes into the run document, in the original's fields and
// in ours, and into the catalogue. A second cycle sends nothing and changes nothing.
func TestCatalogUpload(t *testing.T) {
	before := time.Now().Add(-time.Second)
	l := newCatalogLab(t, func(c *Config) { c.Sites[2].RucioTransfer = []string{ruciotest.RSEB} })
	l.add()
	if sum := l.well("A", ""); sum.Done == 0 {
		t.Errorf("nothing was done: %+v", sum)
	}
	l.inCatalogue()
	c := l.copy(atR)
	sums := map[string]string{}
	for m, err := range l.client().Contents(t.Context(), dataset) {
		if err != nil {
			t.Fatal(err)
		}
		sums[m.Name] = m.Adler32
	}
	var want strings.Builder
	for _, name := range []string{"XENON1T-0.zip", "XENON1T-1.zip", "also-empty", "empty", "pax_info.json"} {
		want.WriteString(":" + sums[name])
	}
	if c.Checksum != want.String() || c.ChecksumAlgorithm != "adler32" || c.Evidence != rundb.Stream || c.VerifiedAt.Before(before) || c.Files != 5 {
		t.Errorf("the record is %+v, want the checksum %s", c, want.String())
	}
	if got := slices.Collect(func(yield func(string) bool) {
		for _, p := range c.Replicas {
			if !yield(p.RSE + " " + p.State) {
				return
			}
		}
	}); !slices.Equal(got, []string{ruciotest.RSEA + " OK", ruciotest.RSEB + " REPLICATING"}) {
		t.Errorf("replicas %v: the rule that rucio_transfer asks for is there from the start", got)
	}

	over, box := rucio.DID{Scope: "x1t_SR000", Name: "x1t_SR000_data"}, rucio.DID{Scope: "x1t_SR000", Name: "x1t_SR000_" + runName + "_tpc"}
	for parent, child := range map[rucio.DID]rucio.DID{over: box, box: dataset} {
		var in []rucio.DID
		for m, err := range l.client().Contents(t.Context(), parent) {
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, m.DID)
		}
		if !slices.Equal(in, []rucio.DID{child}) {
			t.Errorf("%s holds %v, want %s", parent, in, child)
		}
	}
	for _, did := range []rucio.DID{dataset, box, {Scope: scope, Name: "empty"}} {
		meta, err := l.client().Metadata(t.Context(), did)
		if err != nil {
			t.Fatal(err)
		}
		// A column holds two letters of a provenance: "tpc" goes elsewhere.
		for k, v := range map[string]any{"run_number": 5200.0, "prod_step": "raw", "campaign": "SR000", "x1t_provenance": "tpc"} {
			if meta[k] != v {
				t.Errorf("%s of %s is %v, want %v", k, did, meta[k], v)
			}
		}
	}

	l.srv.Forget()
	if sum := l.well("A", ""); sum != (Summary{}) {
		t.Errorf("a second cycle did %+v", sum)
	}
	for _, r := range l.srv.Requests() {
		if r.Method != "GET" && r.Path != "/replicas/list" {
			t.Errorf("a second cycle asked %s %s", r.Method, r.Path)
		}
	}
	if now := l.copy(atR); !now.VerifiedAt.Equal(c.VerifiedAt) {
		t.Errorf("a second cycle changed the record")
	}
}

// TestCatalogDownload: another site fetches what was uploaded, compares it with the
// manifest, and has the same bytes.
func TestCatalogDownload(t *testing.T) {
	l := uploaded(t)
	l.well("B", "")
	l.good()
	if sum := l.well("B", ""); sum != (Summary{}) {
		t.Errorf("a second cycle did %+v", sum)
	}
}

// TestC27Download: damage at one RSE is found, and the bytes come from the next one;
// where there is none, nothing becomes a copy.
func TestC27Download(t *testing.T) {
	for name, other := range map[string]bool{"another RSE is good": true, "no other RSE": false} {
		t.Run(name, func(t *testing.T) {
			l := uploaded(t, func(c *Config) { c.Sites[2].RucioTransfer = []string{ruciotest.RSEB} })
			if other {
				l.replicate(ruciotest.RSEB)
			}
			flip(t, l.srv.File(ruciotest.RSEA, scope, "XENON1T-1.zip"))
			_, err := l.cycle("B", "")
			if other {
				if err != nil {
					t.Fatal(err)
				}
				l.good()
				return
			}
			b := l.raw("B")
			if err == nil || b.Status != rundb.Failed || b.Error == nil || b.Error.Class != ClassCorrupt {
				t.Errorf("error %v, the record is %+v, %+v", err, b, b.Error)
			}
			if _, err := os.Lstat(b.Location); err == nil {
				t.Error("damaged data stand under the final name")
			}
			flip(t, l.srv.File(ruciotest.RSEA, scope, "XENON1T-1.zip"))
			l.late(rundb.Key{Type: rundb.Raw, Host: "B"})
			l.well("B", "")
			l.good()
		})
	}
}

// TestCatalogDryRun: a dry run asks and changes nothing, in the run database, in the
// catalogue and at its storage.
func TestCatalogDryRun(t *testing.T) {
	rules := `[{"run_name": "all", "destination_rse": ["` + ruciotest.RSEB + `"], "destination_livetime": {"` + ruciotest.RSEB + `": "-1"}}]`
	for name, tc := range map[string]struct {
		site  string
		there bool // before
	}{"upload": {"A", false}, "rules": {"A", true}, "download": {"B", true}} {
		t.Run(name, func(t *testing.T) {
			l := newCatalogLab(t)
			if l.add(); tc.there {
				l.well("A", "")
			}
			before, tree := l.run(), l.tree(tc.site)
			l.srv.Forget()
			e := l.ruciax(tc.site, rules)
			e.DryRun = true
			sum, err := NewDaemon(e).Once(t.Context())
			if err != nil || sum.Done == 0 {
				t.Errorf("%+v, %v; want something that would be done", sum, err)
			}
			for _, r := range l.srv.Requests() {
				if r.Method != "GET" && r.Path != "/replicas/list" {
					t.Errorf("it asked %s %s", r.Method, r.Path)
				}
			}
			if now := l.run(); string(now.Raw()) != string(before.Raw()) {
				t.Errorf("the run was %s\nand is %s", before.Raw(), now.Raw())
			}
			if now := l.tree(tc.site); !slices.Equal(now, tree) {
				t.Errorf("on disk were %v, and are %v", tree, now)
			}
		})
	}
}

// TestCatalogForeign: what the original wrote before it had a place, or has uploaded
// without our fields, is taken over: uploaded, or looked at and compared.
func TestCatalogForeign(t *testing.T) {
	l := uploaded(t)
	l.change(atR, nilled("replicas", "content", "files", "verified_at", "evidence", "checksum_algorithm")...)
	if got := l.explained("A", "R"); !strings.Contains(got, "nobody has looked") {
		t.Errorf("explained before a look: %s", got)
	}
	l.well("A", "")
	l.inCatalogue()
	transfertest.SameTree(t, l.raw("A").Location, l.site("A").DirRaw+"/"+runName)
}
