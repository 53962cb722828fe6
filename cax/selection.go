package cax

import (
	"slices"
	"time"

	"github.com/cax-go/cax/rundb"
)

// A Selection is which runs an operator wants worked on. The zero value means every
// run. Runs that are named, by number or name, are tried at once, whatever their next
// try says; a range of them names none.
type Selection struct {
	Number *int64
	Name   string

	Numbers []rundb.Range // only runs with these numbers; nil: any
	Since   time.Time     // only runs that started then or later; zero: any
	Tags    []string      // only runs with all of these tags
}

// Named reports whether runs were named.
func (s Selection) Named() bool { return s.Number != nil || s.Name != "" }

// Narrow adds the selection to a query.
func (s Selection) Narrow(q *rundb.Query) {
	if s.Numbers != nil {
		q.Numbers = s.Numbers
	}
	if s.Since.After(q.From) {
		q.From = s.Since
	}
	q.Tags = append(slices.Clone(q.Tags), s.Tags...)
	if s.Number != nil {
		q.Numbers = []rundb.Range{{From: *s.Number, To: *s.Number}}
		if *s.Number < 0 {
			// No run has such a number, and To < 0 would mean no upper end.
			q.Numbers = []rundb.Range{{From: 1, To: 0}}
		}
	}
	if s.Name != "" {
		q.Names = []string{s.Name}
	}
}
