package cax

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
)

// A Standing says whether one copy counts as a good one, and why not. A copy in a
// Rucio catalogue has one standing for each RSE.
type Standing struct {
	Copy   rundb.Copy
	RSE    string // "" but in a catalogue
	Domain string // what it fails together with
	Counts bool
	Why    string // one sentence, for both outcomes

	storage string // the site whose disks these are; "" if it is none's
}

// Place names where the copy is: the host, in a catalogue with the RSE.
func (s Standing) Place() string {
	if s.RSE == "" {
		return s.Copy.Host
	}
	return s.Copy.Host + "/" + s.RSE
}

// sameStorage reports whether two copies have to be taken for one storage.
func (c *Config) sameStorage(a, b Standing) bool {
	switch {
	case a.RSE != "" && a.RSE == b.RSE:
		return true
	case a.storage == "" || b.storage == "":
		return false
	}
	return c.SameStorage(a.storage, b.storage)
}

// standings judges every copy of one (run, type, version). What is not known
// counts as zero: a copy that was not verified within [Policy.VerifiedWithin], a
// checksum that cannot be compared, a host that the configuration does not have.
// now is the database's time.
func (e *Env) standings(r *rundb.Run, typ rundb.Type, version string, now time.Time) []Standing {
	v := master(e.Config, r, typ, version)
	var out []Standing
	for c := range r.Copies(rundb.CopyMatch{Types: []rundb.Type{typ}, Versions: []string{version}}) {
		if catalogued(&c) {
			out = append(out, e.catalogStandings(&c, v, now)...)
			continue
		}
		s := Standing{Copy: c, Domain: e.Config.Domain(c.Host), storage: c.Host}
		s.Why = e.discounts(&c, v, now)
		if s.Counts = s.Why == ""; s.Counts {
			s.Why = fmt.Sprintf("good: verified %s ago, checksum agrees", ago(now, c.VerifiedAt).Round(time.Minute))
		}
		out = append(out, s)
	}
	return out
}

// discounts says why a copy does not count; "" if it does.
func (e *Env) discounts(c *rundb.Copy, v verdict, now time.Time) string {
	site, known := e.Config.Site(c.Host)
	sum, err := legacySum(c)
	switch {
	case c.Status != rundb.Transferred:
		return fmt.Sprintf("it is %s", c.Status)
	case !known:
		return "its host is no site of the configuration, so that nothing is known of its storage"
	case site.Daemon == "python" && site.Purge != nil:
		return "the old tool purges there without asking"
	case err != nil:
		return err.Error()
	case sum.IsZero():
		return "it has no checksum on record"
	case ofNothing(sum):
		return "its checksum is that of nothing"
	case v.sum.IsZero():
		return "no master says which checksum is right"
	case sum != v.sum:
		return fmt.Sprintf("its checksum is not that of the master (%s)", v.by)
	case site.tape() && c.Error != nil:
		return fmt.Sprintf("the last look at tape failed: %s", c.Error.Text)
	case site.tape() && c.VerifiedAt.IsZero():
		return "nobody has seen all of its files on tape"
	case c.VerifiedAt.IsZero():
		return "it was never verified"
	case c.VerifiedAt.After(now):
		return "it says that it was verified in the future"
	case now.Sub(c.VerifiedAt) > e.Policy.VerifiedWithin:
		return fmt.Sprintf("it was last verified %d days ago", int(now.Sub(c.VerifiedAt).Hours()/24))
	}
	return ""
}

// ofNothing reports whether a checksum in the original's form is that of a dataset
// without files, or of an empty file.
func ofNothing(s checksum.Sum) bool {
	d := checksum.NewDigest(s.Algorithm())
	return d.Sum(s.Algorithm()) == s
}

// A Minimum is how many good copies have to be left, beside one that is deleted.
type Minimum struct {
	Copies  int // distinct storages
	Domains int // distinct failure domains
}

// String gives it for people.
func (m Minimum) String() string { return fmt.Sprintf("%d copies in %d domains", m.Copies, m.Domains) }

// minimum is what a deletion at a site has to leave of a type.
func (e *Env) minimum(s *Site, typ rundb.Type) Minimum {
	n := e.Policy.MinCopies
	if typ == rundb.Processed {
		n = e.Policy.MinProcessed
	}
	if s.MinCopies > 0 {
		n = s.MinCopies
	}
	return Minimum{Copies: n, Domains: min(n, e.Policy.MinDomains)}
}

// A Tally is what would be left if one copy were gone.
type Tally struct {
	Minimum Minimum
	Others  []Standing // all other copies
	Good    []Standing // those that justify: good ones, one a storage
	Domains int        // of Good
}

// tally counts the copies beside the one at a host. Copies that share its storage
// are it.
func (e *Env) tally(r *rundb.Run, k rundb.Key, m Minimum, now time.Time) Tally {
	t := Tally{Minimum: m}
	domains := map[string]bool{}
	for _, s := range e.standings(r, k.Type, k.Version, now) {
		if s.Copy.Host == k.Host {
			continue
		}
		if s.Counts && e.Config.sameStorage(s, Standing{storage: k.Host}) {
			s.Counts, s.Why = false, fmt.Sprintf("it is the same storage as %s", k.Host)
		}
		if s.Counts && slices.ContainsFunc(t.Good, func(o Standing) bool { return e.Config.sameStorage(o, s) }) {
			s.Counts, s.Why = false, "another copy on the same storage is counted"
		}
		t.Others = append(t.Others, s)
		if s.Counts {
			t.Good = append(t.Good, s)
			domains[s.Domain] = true
		}
	}
	t.Domains = len(domains)
	return t
}

// Enough reports whether the minimum would be left.
func (t Tally) Enough() bool {
	return len(t.Good) >= t.Minimum.Copies && t.Domains >= t.Minimum.Domains
}

// String says what counts and what does not, on one line.
func (t Tally) String() string {
	var s []string
	for _, o := range t.Others {
		s = append(s, fmt.Sprintf("%s: %s", o.Place(), o.Why))
	}
	if len(s) == 0 {
		s = []string{"there is no other copy"}
	}
	return fmt.Sprintf("%d good copies in %d domains elsewhere, %s needed (%s)", len(t.Good), t.Domains, t.Minimum, strings.Join(s, "; "))
}
