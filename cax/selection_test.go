package cax

import (
	"testing"

	"github.com/cax-go/cax/rundb"
)

// TestSelection holds C8: a selection never means more than what was named.
func TestSelection(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	runs := []*rundb.Run{{Number: 0, Name: "mv"}, {Number: 1, Name: "one"}, {Number: 2, Name: "two"}}
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
