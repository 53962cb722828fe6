package tsm

import (
	"path"
	"slices"
	"strings"
)

// A Want is a dataset to be brought from tape.
type Want struct {
	// Location is its directory or file on the server.
	Location string

	// Description is that of its archive run, "" if that is not known: then the copy
	// with the latest date is taken.
	Description string
}

// A RecallPlan says which runs bring which datasets.
type RecallPlan struct {
	Recalls []Recall
	Missing []Want // nothing of them is there
}

// PlanRecall puts what is wanted into as few retrieve or restore runs as there are,
// given the rows of one query or of several. The server brings the files of one run
// in the order of its tapes, each mounted once.
//
// Several are needed only where a path has more than one archive copy, which only
// the description tells apart, and for datasets of one name, which could come to the
// same place. limit bounds the bytes of a run, so that less has to be repeated after
// a failure; 0: no bound. No dataset is divided by it.
func PlanRecall(wants []Want, rows []Object, limit int64) RecallPlan {
	var plan RecallPlan
	type key struct {
		description string
		turn        int // datasets of one name come in turns
	}
	groups := map[key][]Recall{}
	var order []key
	turns := map[string]int{}
	archive := newShelf(rows)
	for _, w := range wants {
		picked := archive.pick(w)
		if len(picked) == 0 {
			plan.Missing = append(plan.Missing, w)
			continue
		}
		turn := turns[path.Base(w.Location)]
		turns[path.Base(w.Location)]++
		mine := map[key]*Recall{}
		for _, o := range picked {
			k := key{turn: turn}
			if archive.copies[o.Path] > 1 && o.Description != "" {
				k.description = o.Description
			}
			if mine[k] == nil {
				mine[k] = &Recall{Description: k.description}
			}
			mine[k].Paths = append(mine[k].Paths, o.Path)
			mine[k].Bytes += o.Size
		}
		for k, r := range mine {
			g := groups[k]
			if g == nil {
				order = append(order, k)
			}
			if n := len(g); n > 0 && (limit == 0 || g[n-1].Bytes+r.Bytes <= limit) {
				g[n-1].Paths = append(g[n-1].Paths, r.Paths...)
				g[n-1].Bytes += r.Bytes
			} else {
				g = append(g, *r)
			}
			groups[k] = g
		}
	}
	slices.SortFunc(order, func(a, b key) int {
		if a.turn != b.turn {
			return a.turn - b.turn
		}
		return strings.Compare(a.description, b.description)
	})
	for _, k := range order {
		plan.Recalls = append(plan.Recalls, groups[k]...)
	}
	return plan
}

// A shelf is what is on tape, sorted.
type shelf struct {
	rows   []Object       // by path, the latest version first
	copies map[string]int // archive copies of each path
}

func newShelf(rows []Object) *shelf {
	s := &shelf{rows: slices.Clone(rows), copies: map[string]int{}}
	slices.SortStableFunc(s.rows, func(a, b Object) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return b.Date.Time.Compare(a.Date.Time)
	})
	for _, o := range s.rows {
		s.copies[o.Path]++
	}
	return s
}

// pick gives one version of each file of a dataset.
func (s *shelf) pick(w Want) []Object {
	location := path.Clean(w.Location)
	i, _ := slices.BinarySearchFunc(s.rows, location, func(o Object, l string) int { return strings.Compare(o.Path, l) })
	var out []Object
	for _, o := range s.rows[i:] {
		if !strings.HasPrefix(o.Path, location) {
			break
		}
		inside := o.Path == location || strings.HasPrefix(o.Path, location+"/")
		again := len(out) > 0 && out[len(out)-1].Path == o.Path
		if inside && !again && (w.Description == "" || o.Description == w.Description) {
			out = append(out, o)
		}
	}
	return out
}
