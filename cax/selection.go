package cax

import "github.com/cax-go/cax/rundb"

// A Selection is what an operator named with --run or --name. The zero value
// names nothing and means every run. Runs that are named are tried at once,
// whatever their next try says.
type Selection struct {
	Number *int64
	Name   string
}

// Named reports whether runs were named.
func (s Selection) Named() bool { return s.Number != nil || s.Name != "" }

// Narrow adds the selection to a query.
func (s Selection) Narrow(q *rundb.Query) {
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
