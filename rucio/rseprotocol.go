package rucio

import (
	"cmp"
	"slices"
)

// An Operation is what a protocol is wanted for.
type Operation string

// The operations.
const (
	OpRead   Operation = "read"
	OpWrite  Operation = "write"
	OpDelete Operation = "delete"
)

// Best gives the protocols that can do an operation in a domain ("lan" or "wan"), the
// best first, all or those of some schemes. nil of a priority means that the protocol
// cannot do it. A priority of 0 means the same to servers before 39, and "the best" to
// newer ones, hence the version.
func (r RSE) Best(op Operation, domain string, v Version, schemes ...string) []Protocol {
	var all []Protocol
	for _, p := range r.Protocols {
		if n := p.priority(op, domain); n != nil && *n >= 0 && (*n > 0 || v.Major >= 39) && wanted(p.Scheme, schemes) {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b Protocol) int { return cmp.Compare(*a.priority(op, domain), *b.priority(op, domain)) })
	return all
}

func (p Protocol) priority(op Operation, domain string) *int {
	d := p.WAN
	if domain == "lan" {
		d = p.LAN
	}
	switch op {
	case OpRead:
		return d.Read
	case OpWrite:
		return d.Write
	case OpDelete:
		return d.Delete
	}
	return nil
}

// wanted reports whether a scheme is one of some, or another name of one; no
// schemes are all.
func wanted(scheme string, schemes []string) bool {
	return len(schemes) == 0 || slices.ContainsFunc(schemes, func(s string) bool { return SameScheme(s, scheme) })
}

// SameScheme reports whether two schemes are names of one protocol: addresses with
// https, davs, srm+https and cs3s are interchangeable.
func SameScheme(a, b string) bool {
	web := func(s string) bool { return slices.Contains([]string{"https", "davs", "srm+https", "cs3s"}, s) }
	return a == b || web(a) && web(b)
}
