package sqlitestore

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cax-go/cax/rundb"
)

// A sigCopy is one copy in a signature. Checksum is not the copy's own: it has
// its length, and is equal within one signature where the checksums are equal.
type sigCopy struct {
	Type      string `json:"t"`
	Version   string `json:"v,omitempty"`
	Host      string `json:"h"`
	Status    string `json:"s"`
	Algorithm string `json:"a,omitempty"`
	Checksum  string `json:"c,omitempty"`
	Claimed   bool   `json:"k,omitempty"`
}

// signature reduces the copies of a run to their signature. Equal sets of copies
// have equal signatures, whatever their order in the document.
func signature(data []rundb.Copy) string {
	order := make([]int, len(data))
	for i := range order {
		order[i] = i
	}
	// The checksum is the last criterion, so that the numbering of checksums does
	// not depend on the order in the document.
	slices.SortFunc(order, func(i, j int) int {
		a, b := &data[i], &data[j]
		for _, c := range []int{
			strings.Compare(string(a.Type), string(b.Type)),
			strings.Compare(a.Version, b.Version),
			strings.Compare(a.Host, b.Host),
			strings.Compare(string(a.Status), string(b.Status)),
			strings.Compare(a.ChecksumAlgorithm, b.ChecksumAlgorithm),
			strings.Compare(a.Checksum, b.Checksum),
		} {
			if c != 0 {
				return c
			}
		}
		return 0
	})
	class := map[string]int{}
	sig := make([]sigCopy, len(data))
	for n, i := range order {
		c := &data[i]
		sig[n] = sigCopy{Type: string(c.Type), Version: c.Version, Host: c.Host, Status: string(c.Status),
			Algorithm: c.ChecksumAlgorithm, Claimed: c.Claim != nil}
		if c.Checksum == "" {
			continue
		}
		if _, ok := class[c.Checksum]; !ok {
			class[c.Checksum] = len(class)
		}
		sig[n].Checksum = fmt.Sprintf("%0*d", len(c.Checksum), class[c.Checksum])
	}
	b, err := json.Marshal(sig)
	if err != nil {
		panic(err) // strings and booleans always marshal
	}
	return string(b)
}

// copiesOf reads a signature back, as copies that rundb can match.
func copiesOf(sig string) ([]rundb.Copy, error) {
	var s []sigCopy
	if err := json.Unmarshal([]byte(sig), &s); err != nil {
		return nil, fmt.Errorf("signature %q: %w", sig, err)
	}
	data := make([]rundb.Copy, len(s))
	for i, c := range s {
		data[i] = rundb.Copy{
			Key:               rundb.Key{Type: rundb.Type(c.Type), Version: c.Version, Host: c.Host},
			Status:            rundb.Status(c.Status),
			Checksum:          c.Checksum,
			ChecksumAlgorithm: c.Algorithm,
		}
		if c.Claimed {
			data[i].Claim = &rundb.Claim{}
		}
	}
	return data, nil
}

// onSignatures weakens a query to what signatures can answer: every run that the
// query selects has a signature that fulfils the result.
func onSignatures(q *rundb.Query) *rundb.Query {
	weak := &rundb.Query{}
	for _, m := range q.Copies {
		weak.Copies = append(weak.Copies, weaken(m))
	}
	for _, m := range q.NoCopies {
		// The absence of a copy with that location says nothing of others.
		if answerable(m) {
			weak.NoCopies = append(weak.NoCopies, m)
		}
	}
	if q.Disagree != nil {
		m := weaken(*q.Disagree)
		weak.Disagree = &m
	}
	if q.Spare != nil {
		weak.Spare = &rundb.Spare{Have: weaken(q.Spare.Have), Others: q.Spare.Others}
	}
	if q.Missing != nil {
		weak.Missing = &rundb.Missing{Have: weaken(q.Missing.Have), At: q.Missing.At}
	}
	return weak
}

// weaken drops what a signature does not hold.
func weaken(m rundb.CopyMatch) rundb.CopyMatch {
	m.Location, m.ClaimID, m.Seq, m.Created, m.DueBy, m.Source, m.Checksum = "", "", nil, time.Time{}, time.Time{}, "", ""
	return m
}

func answerable(m rundb.CopyMatch) bool {
	return m.Location == "" && m.ClaimID == "" && m.Seq == nil && m.Created.IsZero() && m.DueBy.IsZero() &&
		m.Source == "" && m.Checksum == ""
}

// aboutCopies reports whether a query says anything about copies.
func aboutCopies(q *rundb.Query) bool {
	return len(q.Copies)+len(q.NoCopies) > 0 || q.Disagree != nil || q.Missing != nil || q.Spare != nil
}
