package cax

import (
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
)

// TestSelection holds C8: a selection never means more than what was named.
func TestSelection(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	at := func(d int) time.Time { return time.Date(2017, 1, d, 0, 0, 0, 0, time.UTC) }
	runs := []*rundb.Run{{Number: 0, Name: "mv", Start: at(1)}, {Number: 1, Name: "one", Start: at(2)}, {Number: 2, Name: "two", Start: at(3)}}
	for _, tc := range []struct {
		name string
		s    Selection
		want string
	}{
		{"nothing named", Selection{}, "mv one two "},
		{"number", Selection{Number: number(1)}, "one "},
		{"number 0", Selection{Number: number(0)}, "mv "},
		{"negative number", Selection{Number: number(-1)}, ""},
		{"name", Selection{Name: "two"}, "two "},
		{"range", Selection{Numbers: []rundb.Range{{From: 1, To: 2}}}, "one two "},
		{"range with an open end", Selection{Numbers: []rundb.Range{{From: 2, To: -1}}}, "two "},
		{"range of one", Selection{Numbers: []rundb.Range{{From: 1, To: 1}}}, "one "},
		{"since", Selection{Since: at(2)}, "one two "},
		{"range since", Selection{Numbers: []rundb.Range{{From: 0, To: 1}}, Since: at(2)}, "one "},
		{"unknown name", Selection{Name: "three"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var q rundb.Query
			tc.s.Narrow(&q)
			got := ""
			for _, r := range runs {
				if q.Match(r) {
					got += r.Name + " "
				}
			}
			if got != tc.want {
				t.Errorf("selects %q, want %q", got, tc.want)
			}
		})
	}
}
