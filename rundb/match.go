package rundb

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// String names the run for people: `run 1234 (160315_1432, tpc)`.
func (r *Run) String() string {
	var about []string
	for _, s := range []string{r.Name, r.Detector} {
		if s != "" {
			about = append(about, s)
		}
	}
	switch {
	case r.Number != 0 && len(about) > 0:
		return fmt.Sprintf("run %d (%s)", r.Number, strings.Join(about, ", "))
	case r.Number != 0:
		return fmt.Sprintf("run %d", r.Number)
	case len(about) > 0:
		return "run " + strings.Join(about, ", ")
	}
	return "run with id " + r.ID.Hex()
}

// String names the copy for people: `raw at midway`, `processed v6.8.0 at login`.
func (k Key) String() string {
	if k.Version != "" {
		return fmt.Sprintf("%s %s at %s", k.Type, k.Version, k.Host)
	}
	return fmt.Sprintf("%s at %s", k.Type, k.Host)
}

// Copy returns the copy with that key. If older software left several, it is the
// one that other readers would use: the first that is transferred, else the first.
func (r *Run) Copy(k Key) (Copy, bool) {
	found := -1
	for i := range r.Data {
		if r.Data[i].Key != k {
			continue
		}
		if r.Data[i].Status == Transferred {
			return r.Data[i], true
		}
		if found < 0 {
			found = i
		}
	}
	if found < 0 {
		return Copy{}, false
	}
	return r.Data[found], true
}

// Copies yields the copies that match, one per key, as [Run.Copy] chooses them.
func (r *Run) Copies(m CopyMatch) iter.Seq[Copy] {
	return func(yield func(Copy) bool) {
		seen := make(map[Key]bool, len(r.Data))
		for i := range r.Data {
			k := r.Data[i].Key
			if seen[k] {
				continue
			}
			seen[k] = true
			if c, _ := r.Copy(k); m.Match(&c) && !yield(c) {
				return
			}
		}
	}
}

// Duplicates returns the keys that more than one record has.
func (r *Run) Duplicates() []Key {
	n := map[Key]int{}
	var dup []Key
	for i := range r.Data {
		if n[r.Data[i].Key]++; n[r.Data[i].Key] == 2 {
			dup = append(dup, r.Data[i].Key)
		}
	}
	return dup
}

// Match reports whether a copy fulfils the condition.
func (m *CopyMatch) Match(c *Copy) bool {
	switch {
	case m.Types != nil && !slices.Contains(m.Types, c.Type),
		m.Hosts != nil && !slices.Contains(m.Hosts, c.Host),
		slices.Contains(m.NotHosts, c.Host),
		m.Statuses != nil && !slices.Contains(m.Statuses, c.Status),
		m.Versions != nil && !slices.Contains(m.Versions, c.Version),
		m.Location != "" && m.Location != c.Location,
		m.NoClaim && c.Claim != nil,
		m.ClaimID != "" && (c.Claim == nil || c.Claim.ID != m.ClaimID),
		m.Seq != nil && (c.Claim == nil || c.Claim.Seq != *m.Seq),
		m.Source != "" && (c.Claim == nil || c.Claim.Source != m.Source),
		m.Checksum != "" && m.Checksum != c.Checksum,
		m.NoChecksum && c.Checksum != "",
		m.AnyChecksum && c.Checksum == "",
		m.NotPermissions != "" && m.NotPermissions == c.Permissions,
		m.NoError && c.Error != nil,
		m.NoSize && c.Size != 0,
		m.NotInPlace && c.InPlace,
		!m.Created.IsZero() && !m.Created.Truncate(time.Millisecond).Equal(c.Created.Truncate(time.Millisecond)),
		!m.VerifiedAt.IsZero() && !m.VerifiedAt.Truncate(time.Millisecond).Equal(c.VerifiedAt.Truncate(time.Millisecond)),
		!m.DueBy.IsZero() && c.Error != nil && c.Error.NextTry.After(m.DueBy):
		return false
	}
	return true
}

// Match reports whether a run fulfils the query, apart from its order and limit.
func (q *Query) Match(r *Run) bool {
	in := func(rs []Range, n int64) bool {
		return slices.ContainsFunc(rs, func(x Range) bool { return n >= x.From && (x.To < 0 || n <= x.To) })
	}
	tagged := func(name string) bool {
		return slices.ContainsFunc(r.Tags, func(t Tag) bool { return t.Name == name })
	}
	switch {
	case q.IDs != nil && !slices.Contains(q.IDs, r.ID),
		q.Numbers != nil && !in(q.Numbers, r.Number),
		q.Names != nil && !slices.Contains(q.Names, r.Name),
		q.Detectors != nil && !slices.Contains(q.Detectors, r.Detector),
		!q.From.IsZero() && (r.Start.IsZero() || r.Start.Before(q.From)),
		!q.Until.IsZero() && (r.Start.IsZero() || !r.Start.Before(q.Until)),
		slices.ContainsFunc(q.Tags, func(n string) bool { return !tagged(n) }),
		slices.ContainsFunc(q.NotTags, tagged),
		q.NoRawSize && r.RawSize != 0,
		q.Uncorrected != nil && (r.End.IsZero() || r.Corrected[q.Uncorrected.Task] == q.Uncorrected.Version):
		return false
	}
	return q.MatchCopies(r.Data)
}

// MatchCopies reports whether the copies of a run fulfil the conditions that the
// query makes on copies.
func (q *Query) MatchCopies(data []Copy) bool {
	some := func(m *CopyMatch) bool {
		for i := range data {
			if m.Match(&data[i]) {
				return true
			}
		}
		return false
	}
	for i := range q.Copies {
		if !some(&q.Copies[i]) {
			return false
		}
	}
	for i := range q.NoCopies {
		if some(&q.NoCopies[i]) {
			return false
		}
	}
	return (q.Disagree == nil || disagree(q.Disagree, data)) && (q.Missing == nil || missing(q.Missing, data)) &&
		(q.Spare == nil || spare(q.Spare, data))
}

func disagree(m *CopyMatch, data []Copy) bool {
	for i := range data {
		a := &data[i]
		if a.Status != Transferred || !m.Match(a) {
			continue
		}
		for j := range data {
			b := &data[j]
			if b.Status == Transferred && b.Type == a.Type && b.Version == a.Version && comparable(a, b) && b.Checksum != a.Checksum {
				return true
			}
		}
	}
	return false
}

// comparable reports whether two copies have checksums of one kind: a catalogue's
// list of adler32 says nothing about a sha512.
func comparable(a, b *Copy) bool {
	return a.Checksum != "" && a.ChecksumAlgorithm == b.ChecksumAlgorithm && len(a.Checksum) == len(b.Checksum)
}

func spare(m *Spare, data []Copy) bool {
	for i := range data {
		a := &data[i]
		if !m.Have.Match(a) {
			continue
		}
		hosts := map[string]bool{}
		for j := range data {
			b := &data[j]
			if b.Host != a.Host && b.Status == Transferred && b.Type == a.Type && b.Version == a.Version && comparable(a, b) && a.Checksum == b.Checksum {
				hosts[b.Host] = true
			}
		}
		if len(hosts) >= m.Others {
			return true
		}
	}
	return false
}

func missing(m *Missing, data []Copy) bool {
	for i := range data {
		if !m.Have.Match(&data[i]) {
			continue
		}
		k := data[i].Key
		k.Host = m.At
		if !slices.ContainsFunc(data, func(c Copy) bool { return c.Key == k }) {
			return true
		}
	}
	return false
}

// Exactly returns the narrowest condition that this copy matches: key, status,
// location, creation time, and claim id or its absence. It is what guards name.
// A location or creation time that the record does not have is not named.
func (c *Copy) Exactly() CopyMatch {
	m := CopyMatch{
		Types:    []Type{c.Type},
		Hosts:    []string{c.Host},
		Versions: []string{c.Version},
		Statuses: []Status{c.Status},
		Location: c.Location,
		Created:  c.Created,
		NoClaim:  c.Claim == nil,
	}
	if c.Claim != nil {
		m.ClaimID = c.Claim.ID
	}
	return m
}
