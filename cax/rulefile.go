package cax

import (
	"fmt"
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/zeebo/xxh3"
)

// A RuleRequest is one object of a rule file (--rucio-rule): which runs, where they have to
// be in the catalogue and for how long, and from where they may go.
type RuleRequest struct {
	// VerificationOnly: nothing is changed in the catalogue, it is only looked.
	VerificationOnly bool

	// Runs are selected by number, by name, or both: a run that either names is
	// selected. Without any of them, all are. Numbers name TPC runs only.
	Numbers, NotNumbers []rundb.Range // both ends included
	Names, NotNames     []NameRange
	AllNumbers          bool // "all" stood there
	AllNames            bool

	Detectors []string // nil: any
	Sources   []string // types of source; nil: any

	Destinations []RuleDestination
	Remove       []string // RSEs whose rules are deleted once all destinations are OK
}

// A NameRange is a range of names of runs, which are times: both ends are included.
type NameRange struct{ From, To string }

// A RuleDestination is where a run has to be: at an RSE, or at one of several, which is
// chosen once for each run.
type RuleDestination struct {
	RSEs      []string        // one, or those to choose from
	Lifetimes []time.Duration // from now on, for each of them; or Forever, LookOnly
}

// Lifetimes that are none.
const (
	Forever  time.Duration = -1 // the rule never ends
	LookOnly time.Duration = -2 // no rule is made or changed: it is only looked
)

// Everything reports whether the request names no run, and so means all of them.
func (q *RuleRequest) Everything() bool {
	return q.Numbers == nil && q.Names == nil && !q.AllNumbers && !q.AllNames
}

// Selects reports whether a run is meant, and if not, why.
func (q *RuleRequest) Selects(r *rundb.Run) (why string, ok bool) {
	tpc := r.Detector == "tpc"
	in := func(rs []rundb.Range) bool {
		return tpc && slices.ContainsFunc(rs, func(g rundb.Range) bool { return r.Number >= g.From && (g.To < 0 || r.Number <= g.To) })
	}
	named := func(rs []NameRange) bool {
		return slices.ContainsFunc(rs, func(g NameRange) bool { return r.Name >= g.From && r.Name <= g.To })
	}
	switch {
	case !q.Everything() && !q.AllNumbers && !q.AllNames && !in(q.Numbers) && !named(q.Names):
		return "neither run_nb nor run_name names it", false
	case in(q.NotNumbers):
		return "run_nb_exclude names it", false
	case named(q.NotNames):
		return "run_name_exclude names it", false
	case q.Detectors != nil && !slices.Contains(q.Detectors, r.Detector):
		return fmt.Sprintf("its detector is %q", r.Detector), false
	case q.Sources != nil && !slices.Contains(q.Sources, r.Source):
		return fmt.Sprintf("the type of its source is %q", r.Source), false
	}
	return "", true
}

// Choose gives the RSE of a destination for a run, and the lifetime. Of several, one
// that has the run already stays; otherwise each run draws its own, always the same.
func (d RuleDestination) Choose(r *rundb.Run, has func(rse string) bool) (rse string, lifetime time.Duration) {
	i := slices.IndexFunc(d.RSEs, has)
	if i < 0 {
		// The highest of the RSEs' own draws: adding one to the list moves no run
		// between the others.
		best := uint64(0)
		for n, name := range d.RSEs {
			if v := xxh3.HashString(r.Name + "\x00" + r.Detector + "\x00" + name); i < 0 || v > best {
				i, best = n, v
			}
		}
	}
	return d.RSEs[i], d.Lifetimes[i]
}
