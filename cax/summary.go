package cax

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/cax-go/cax/rundb"
)

// A SiteSummary counts the copies of one type and status at one host.
type SiteSummary struct {
	Site   string       `json:"site"`
	Type   rundb.Type   `json:"type"`
	Status rundb.Status `json:"status"`
	Copies int          `json:"copies"`
	Bytes  int64        `json:"bytes"` // of the copies whose size is known

	// UnknownSize are the copies whose size is on no record.
	UnknownSize int `json:"unknown_size"`

	// Verified are transferred copies that were verified within
	// [Policy.VerifiedWithin]; 0 for other statuses.
	VerifiedCopies int   `json:"verified_copies"`
	VerifiedBytes  int64 `json:"verified_bytes"`
}

// Summarize counts the copies that match, of the runs that a query selects, by host,
// type and status, in this order. The size of a raw copy without one is that of its
// run. It needs no configuration: hosts are those of the records. A run that cannot
// be decoded is left out, and its error is returned with the counts of the others.
func Summarize(ctx context.Context, store *rundb.Store, q *rundb.Query, m rundb.CopyMatch, p Policy) ([]SiteSummary, error) {
	p = p.WithDefaults()
	now, err := store.Now(ctx)
	if err != nil {
		return nil, err
	}
	type group struct {
		site   string
		typ    rundb.Type
		status rundb.Status
	}
	sums := map[group]*SiteSummary{}
	var bad []error
	for r, err := range store.Find(ctx, q) {
		if err != nil {
			bad = append(bad, err)
			continue
		}
		for c := range r.Copies(m) {
			g := group{c.Host, c.Type, c.Status}
			s := sums[g]
			if s == nil {
				s = &SiteSummary{Site: g.site, Type: g.typ, Status: g.status}
				sums[g] = s
			}
			n := c.Size
			if n == 0 && c.Type == rundb.Raw {
				n = r.RawSize
			}
			if s.Copies, s.Bytes = s.Copies+1, s.Bytes+n; n == 0 {
				s.UnknownSize++
			}
			if c.Status == rundb.Transferred && p.verifiedLately(&c, now) {
				s.VerifiedCopies, s.VerifiedBytes = s.VerifiedCopies+1, s.VerifiedBytes+n
			}
		}
	}
	out := make([]SiteSummary, 0, len(sums))
	for _, s := range sums {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b SiteSummary) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Status, b.Status))
	})
	return out, errors.Join(bad...)
}
