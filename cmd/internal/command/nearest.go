package command

import (
	"fmt"
	"strings"
)

// DidYouMean gives "did you mean X?" for the known name that is nearest to a
// wrong one, and "" if none is near enough to be meant.
func DidYouMean(wrong string, known []string) string {
	if n := nearest(wrong, known); n != "" {
		return fmt.Sprintf("did you mean %s?", n)
	}
	return ""
}

// nearest is the known name with the smallest edit distance, at most a third of
// the longer name, or else the only one that begins with what was typed.
func nearest(wrong string, known []string) string {
	best, found := "", 0
	for _, k := range known {
		bare, typed := strings.ToLower(strings.TrimLeft(k, "-")), strings.ToLower(strings.TrimLeft(wrong, "-"))
		d := distance(typed, bare)
		if limit := max(len(bare), len(typed)) / 3; d <= max(limit, 1) && d < len(bare) && (best == "" || d < found) {
			best, found = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		if len(wrong) > 1 && strings.HasPrefix(strings.TrimLeft(k, "-"), strings.TrimLeft(wrong, "-")) {
			if best != "" {
				return ""
			}
			best = k
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	var before []int
	last := make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}
