package cax

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
)

// catalogued reports whether a record is of a copy in a Rucio catalogue: its location is
// a DID and no path.
func catalogued(c *rundb.Copy) bool {
	return c.Replicas != nil || !strings.HasPrefix(c.Location, "/") && strings.Contains(c.Location, ":")
}

// catalogues are the sites that stand for a catalogue: those with method rucio that some
// site copies to or from. In the original's configurations the sites that upload have
// the method too.
func (c *Config) catalogues() []string {
	names := []string{} // which matches nothing, where nil would match everything
	for _, s := range c.Sites {
		if s.Method == MethodRucio && slices.ContainsFunc(c.Sites, func(o *Site) bool {
			return slices.Contains(o.UploadOptions, s.Name) || slices.Contains(o.DownloadOptions, s.Name)
		}) {
			names = append(names, s.Name)
		}
	}
	return names
}

// catalogStandings judges what a catalogue has of a dataset, RSE by RSE. It counts
// what was looked at within [Policy.VerifiedWithin] with every file available there,
// and a rule that keeps them for at least as long.
func (e *Env) catalogStandings(c *rundb.Copy, v verdict, now time.Time) []Standing {
	whole := func() string {
		switch {
		case c.Status != rundb.Transferred:
			return fmt.Sprintf("it is %s", c.Status)
		case len(c.Replicas) == 0:
			return "nobody has looked at which RSEs it is"
		case c.Files == 0:
			return "its record does not say how many files it has"
		case c.Content == "":
			return "its files were never compared with a dataset whose checksum is known"
		case v.sum.IsZero():
			return "no master says which checksum is right"
		case c.Content != v.sum.Bare():
			return fmt.Sprintf("its files are not those of the master (%s)", v.by)
		}
		return ""
	}()
	if len(c.Replicas) == 0 {
		return []Standing{{Copy: *c, Domain: c.Host, Why: whole}}
	}
	site, known := e.Config.Site(c.Host)
	var out []Standing
	for _, p := range c.Replicas {
		s := Standing{Copy: *c, RSE: p.RSE, Domain: p.RSE, Why: whole}
		if known {
			rse := site.Rucio.RSE(p.RSE)
			if s.storage = rse.SameStorageAs; s.storage != "" {
				s.Domain = e.Config.Domain(s.storage)
			}
			if rse.Domain != "" {
				s.Domain = rse.Domain
			}
		} else if s.Why == "" {
			s.Why = "its host is no site of the configuration, so that nothing is known of its storage"
		}
		if s.Why == "" {
			s.Why = e.discountsReplica(c, &p, now)
		}
		if s.Counts = s.Why == ""; s.Counts {
			s.Why = fmt.Sprintf("good: all %d files found there %s ago", c.Files, ago(now, p.CheckedAt).Round(time.Minute))
		}
		out = append(out, s)
	}
	return out
}

// discountsReplica says why what is at one RSE does not count; "" if it does.
func (e *Env) discountsReplica(c *rundb.Copy, p *rundb.Replica, now time.Time) string {
	within := e.Policy.VerifiedWithin
	switch {
	case p.Rule == "":
		return "no rule keeps it there"
	case p.State != "OK":
		return strings.TrimSuffix(fmt.Sprintf("the rule is %s: %s", p.State, p.Text), ": ")
	case p.Files != c.Files:
		return fmt.Sprintf("%d of its %d files are there", p.Files, c.Files)
	case p.CheckedAt.IsZero():
		return "nobody has looked there"
	case p.CheckedAt.After(now):
		return "it says that it was looked at in the future"
	case now.Sub(p.CheckedAt) > within:
		return fmt.Sprintf("it was last looked at %d days ago", int(now.Sub(p.CheckedAt).Hours()/24))
	case !p.ExpiresAt.IsZero() && p.ExpiresAt.Before(now.Add(within)):
		return fmt.Sprintf("its rule ends at %s UTC", p.ExpiresAt.UTC().Format(time.DateTime))
	}
	return ""
}
