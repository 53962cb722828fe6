package cax

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
)

// A SiteShare counts the transferred copies of one type at one site, and those of
// them that were verified within [Policy.VerifiedWithin].
type SiteShare struct {
	Site           string     `json:"site"`
	Type           rundb.Type `json:"type"`
	Copies         int        `json:"copies"`
	Bytes          int64      `json:"bytes"` // of the copies whose size is on record
	VerifiedCopies int        `json:"verified_copies"`
	VerifiedBytes  int64      `json:"verified_bytes"`
}

// Share is the part of the bytes that was verified, or of the copies where no size
// is on record: 0 to 1. It is 1 if there is nothing to verify.
func (s SiteShare) Share() float64 {
	switch {
	case s.Bytes > 0:
		return float64(s.VerifiedBytes) / float64(s.Bytes)
	case s.Copies > 0:
		return float64(s.VerifiedCopies) / float64(s.Copies)
	}
	return 1
}

// VerifiedShare counts, for every host and type of data with a transferred copy,
// how much of it was verified lately: the runs of [Env.Only], in the order of the
// sites in the configuration, and behind them hosts that it does not have. It needs
// no [Env.Site].
func (e *Env) VerifiedShare(ctx context.Context) ([]SiteShare, error) {
	now, err := e.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	good := rundb.CopyMatch{Statuses: []rundb.Status{rundb.Transferred}}
	q := rundb.Query{Copies: []rundb.CopyMatch{good}}
	e.Only.Narrow(&q)
	type at struct {
		host string
		typ  rundb.Type
	}
	shares := map[at]*SiteShare{}
	for r, err := range e.Store.Find(ctx, &q) {
		if err != nil {
			return nil, err
		}
		for c := range r.Copies(good) {
			s := shares[at{c.Host, c.Type}]
			if s == nil {
				s = &SiteShare{Site: c.Host, Type: c.Type}
				shares[at{c.Host, c.Type}] = s
			}
			s.Copies++
			s.Bytes += c.Size
			if e.Policy.verifiedLately(&c, now) {
				s.VerifiedCopies++
				s.VerifiedBytes += c.Size
			}
		}
	}
	place := func(host string) int {
		i := slices.IndexFunc(e.Config.Sites, func(s *Site) bool { return s.Name == host })
		if i < 0 {
			return math.MaxInt
		}
		return i
	}
	out := make([]SiteShare, 0, len(shares))
	for _, s := range shares {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b SiteShare) int {
		return cmp.Or(cmp.Compare(place(a.Site), place(b.Site)), cmp.Compare(a.Site, b.Site), cmp.Compare(a.Type, b.Type))
	})
	return out, nil
}

// verifiedLately reports whether a copy's last verification is recent enough to
// count; one in the future does not.
func (p Policy) verifiedLately(c *rundb.Copy, now time.Time) bool {
	return !c.VerifiedAt.IsZero() && !c.VerifiedAt.After(now) && now.Sub(c.VerifiedAt) <= p.VerifiedWithin
}
