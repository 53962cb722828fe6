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
// Failed, Sized, InPlace, RawSized, Running and Corrected were added later: a signature
// without them may be of a copy that has them, so that only their presence tells something.
type sigCopy struct {
	Type      string `json:"t"`
	Version   string `json:"v,omitempty"`
	Host      string `json:"h"`
	Status    string `json:"s"`
	Algorithm string `json:"a,omitempty"`
	Checksum  string `json:"c,omitempty"`
	Claimed   bool   `json:"k,omitempty"`

	Permissions string `json:"p,omitempty"`
	Failed      bool   `json:"e,omitempty"` // it has an error
	Sized       bool   `json:"z,omitempty"` // its size is known
	InPlace     bool   `json:"i,omitempty"`
	RawSized    bool   `json:"r,omitempty"` // the raw size of its run is known

	// Of the run, on its first copy.
	Running   bool              `json:"u,omitempty"` // it has no end
	Corrected map[string]string `json:"g,omitempty"` // versions of its corrections
}

// signature reduces the copies of a run to their signature. Equal sets of copies
// have equal signatures, whatever their order in the document.
func signature(r *rundb.Run) string {
	data := r.Data
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
			strings.Compare(flags(a), flags(b)),
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
			Algorithm: c.ChecksumAlgorithm, Claimed: c.Claim != nil,
			Permissions: c.Permissions, Failed: c.Error != nil, Sized: c.Size != 0, InPlace: c.InPlace, RawSized: r.RawSize != 0}
		if c.Checksum == "" {
			continue
		}
		if _, ok := class[c.Checksum]; !ok {
			class[c.Checksum] = len(class)
		}
		sig[n].Checksum = fmt.Sprintf("%0*d", len(c.Checksum), class[c.Checksum])
	}
	if len(sig) > 0 {
		sig[0].Running, sig[0].Corrected = r.End.IsZero(), r.Corrected
	}
	b, err := json.Marshal(sig)
	if err != nil {
		panic(err) // strings and booleans always marshal
	}
	return string(b)
}

// flags are what a signature says of a copy beside its names, for comparison.
func flags(c *rundb.Copy) string {
	return fmt.Sprint(c.Claim != nil, c.Error != nil, c.Size != 0, c.InPlace, c.Permissions)
}

// runOf reads a signature back, as a run that rundb can match.
func runOf(sig string) (*rundb.Run, error) {
	var s []sigCopy
	if err := json.Unmarshal([]byte(sig), &s); err != nil {
		return nil, fmt.Errorf("signature %q: %w", sig, err)
	}
	// It has ended, unless the signature says that it has not.
	r := &rundb.Run{Data: make([]rundb.Copy, len(s)), End: time.UnixMilli(1)}
	data := r.Data
	for i, c := range s {
		data[i] = rundb.Copy{
			Key:               rundb.Key{Type: rundb.Type(c.Type), Version: c.Version, Host: c.Host},
			Status:            rundb.Status(c.Status),
			Checksum:          c.Checksum,
			ChecksumAlgorithm: c.Algorithm,
			Permissions:       c.Permissions,
			InPlace:           c.InPlace,
		}
		if c.Claimed {
			data[i].Claim = &rundb.Claim{}
		}
		if c.Failed {
			data[i].Error = &rundb.CopyError{}
		}
		if c.Sized {
			data[i].Size = 1
		}
		if c.RawSized {
			r.RawSize = 1
		}
		if c.Running {
			r.End = time.Time{}
		}
		if c.Corrected != nil {
			r.Corrected = c.Corrected
		}
	}
	return r, nil
}

// onSignatures weakens a query to what signatures can answer: every run that the
// query selects has a signature that fulfils the result.
func onSignatures(q *rundb.Query) *rundb.Query {
	weak := &rundb.Query{NoRawSize: q.NoRawSize, Uncorrected: q.Uncorrected}
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
	m.Location, m.ClaimID, m.Seq, m.Created, m.VerifiedAt, m.DueBy, m.Source, m.Checksum = "", "", nil, time.Time{}, time.Time{}, time.Time{}, "", ""
	return m
}

func answerable(m rundb.CopyMatch) bool {
	return m.Location == "" && m.ClaimID == "" && m.Seq == nil && m.Created.IsZero() && m.VerifiedAt.IsZero() && m.DueBy.IsZero() &&
		m.Source == "" && m.Checksum == "" && m.NotPermissions == "" && !m.NoError && !m.NoSize && !m.NotInPlace
}

// aboutCopies reports whether a query says anything that signatures hold.
func aboutCopies(q *rundb.Query) bool {
	return len(q.Copies)+len(q.NoCopies) > 0 || q.NoRawSize || q.Uncorrected != nil || q.Disagree != nil || q.Missing != nil || q.Spare != nil
}
