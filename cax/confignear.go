package cax

import (
	"fmt"
	"strings"
)

// suggest says what to write instead of a word that is not valid: the nearest
// valid one, or else which there are.
func suggest(word string, valid []string) string {
	best, least := "", 1+max(2, len([]rune(word))/3)
	if len([]rune(word)) < 2 {
		least = 1 // only another case is near to one letter
	}
	for _, v := range valid {
		if d := distance(strings.ToLower(word), strings.ToLower(v)); d < least {
			best, least = v, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(valid) == 0 {
		return "remove it: none is valid here"
	}
	return "valid are: " + strings.Join(valid, ", ")
}

// distance counts the letters to insert, delete, change or swap with their
// neighbour to make one word from the other (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	if len(s) > 100 {
		s = s[:100]
	}
	d := make([][]int, len(s)+1)
	for i := range d {
		d[i] = make([]int, len(t)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			change := 1
			if s[i-1] == t[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(s)][len(t)]
}
