package cax

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
)

// A verdict is what the copies of one (run, type, version) say together about
// the right checksum in the original's form.
type verdict struct {
	// sum is the right checksum; zero if it is unknown.
	sum checksum.Sum
	// by tells whose word it is, for people.
	by string
	// votes are the distinct checksums of transferred copies, with their hosts.
	votes []vote
}

type vote struct {
	sum   checksum.Sum
	hosts []string
}

// master finds the right checksum from the records alone: that of the first
// transferred copy on the list of masters; else the one that transferred copies
// in at least two failure domains share, if no other one has as many. A single
// copy, or a tie, leaves it unknown.
func master(cfg *Config, r *rundb.Run, typ rundb.Type, version string) verdict {
	var v verdict
	good := rundb.CopyMatch{Types: []rundb.Type{typ}, Versions: []string{version}, Statuses: []rundb.Status{rundb.Transferred}}
	sums := map[string]checksum.Sum{} // by host
	for c := range r.Copies(good) {
		s, err := legacySum(&c)
		if err != nil || s.IsZero() {
			continue
		}
		sums[c.Host] = s
		i := slices.IndexFunc(v.votes, func(o vote) bool { return o.sum == s })
		if i < 0 {
			i = len(v.votes)
			v.votes = append(v.votes, vote{sum: s})
		}
		v.votes[i].hosts = append(v.votes[i].hosts, c.Host)
	}
	for _, m := range cfg.Masters {
		if m.Type == string(typ) {
			if s, ok := sums[m.Host]; ok {
				v.sum, v.by = s, m.Host
				return v
			}
		}
	}
	best, tie := 0, false
	for _, o := range v.votes {
		domains := map[string]bool{}
		for _, h := range o.hosts {
			domains[cfg.Domain(h)] = true
		}
		switch n := len(domains); {
		case n > best:
			best, tie = n, false
			v.sum, v.by = o.sum, strings.Join(o.hosts, " and ")
		case n == best:
			tie = true
		}
	}
	if best < 2 || tie {
		v.sum, v.by = checksum.Sum{}, ""
	}
	return v
}

// acceptable reports whether a sum that was computed from data may stand for
// this dataset: it equals the master's, or, where there is none, every checksum
// that is on record, of which there must be one.
func acceptable(cfg *Config, r *rundb.Run, k rundb.ManifestKey, sum checksum.Sum) (bool, string) {
	v := master(cfg, r, k.Type, k.Version)
	switch {
	case v.sum == sum:
		return true, ""
	case !v.sum.IsZero():
		return false, fmt.Sprintf("the data give %s, but the master (%s) says %s", brief(sum), v.by, brief(v.sum))
	case len(v.votes) == 1 && v.votes[0].sum == sum:
		return true, ""
	case len(v.votes) == 0:
		return false, "no copy of this run has a checksum to compare with"
	}
	var said []string
	for _, o := range v.votes {
		said = append(said, fmt.Sprintf("%s says %s", strings.Join(o.hosts, " and "), brief(o.sum)))
	}
	return false, fmt.Sprintf("the data give %s, but %s", brief(sum), strings.Join(said, ", "))
}

// legacySum is a copy's checksum as a value; zero if the record has none. Of a copy in a
// catalogue it is that of the dataset whose files were found to be the catalogue's.
func legacySum(c *rundb.Copy) (checksum.Sum, error) {
	alg, bare := checksum.SHA512, c.Checksum
	if catalogued(c) {
		bare = c.Content
	}
	if bare == "" {
		return checksum.Sum{}, nil
	}
	if c.ChecksumAlgorithm != "" && !catalogued(c) {
		var err error
		if alg, err = checksum.ParseAlgorithm(c.ChecksumAlgorithm); err != nil {
			return checksum.Sum{}, fmt.Errorf("the record of %s: checksum_algorithm: %w", c.Host, err)
		}
	}
	s, err := checksum.ParseBare(alg, bare)
	if err != nil {
		return checksum.Sum{}, fmt.Errorf("the record of %s: checksum: %w", c.Host, err)
	}
	return s, nil
}

// brief is the beginning of a sum, enough for a person to tell two apart.
func brief(s checksum.Sum) string {
	t := s.String()
	if i := strings.IndexByte(t, ':'); i >= 0 && len(t) > i+13 {
		return t[:i+13] + "…"
	}
	return t
}
