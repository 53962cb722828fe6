package command

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printable returns text with everything that is not printable (control
// characters, bytes that are no UTF-8, characters that turn the direction of
// writing) escaped as in a Go string. Blanks and quotes stay.
func Printable(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; {
		r, n := utf8.DecodeRuneInString(s[i:])
		clean = strconv.IsPrint(r) && (r != utf8.RuneError || n > 1)
		i += n
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b.WriteString(s[i : i+n])
		default:
			q := strconv.Quote(s[i : i+n])
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}
