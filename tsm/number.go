package tsm

import (
	"math"
	"strconv"
	"strings"
)

// plain replaces everything that a locale may put between thousands by a blank, and
// leaves commas and points.
func plain(s string) string {
	s = strings.TrimSpace(s)
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\'' || r == '’' || r == '\u00a0' || r == '\u202f' || r == '\u2009' || r == '\t':
			b.WriteByte(' ')
		case r == '\ufffd' && s[i] == 0xa0: // a no-break space of a single-byte locale
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// ParseCount reads a whole number of any locale: 4,719,746 · 202.784.104 · 4 096 ·
// 1'024 · 1,23,456. Only one sort of sign parts its digits, and the last three stand
// together, so that decimals are never taken for more digits. ok is false if s is no
// such number or does not fit.
func ParseCount(s string) (n int64, ok bool) {
	s = plain(s)
	digits := make([]byte, 0, len(s))
	sign, group := byte(0), 0 // since the last sign
	for i := range len(s) {
		c := s[i]
		if c >= '0' && c <= '9' {
			digits = append(digits, c)
			group++
			continue
		}
		first, good := sign == 0, group == 2 || group == 3
		if c != ' ' && c != ',' && c != '.' || first && (group < 1 || group > 3) || !first && (c != sign || !good) {
			return 0, false
		}
		sign, group = c, 0
	}
	if sign != 0 && group != 3 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	return n, err == nil
}

// ParseNumber reads a number of any locale that may have decimals: 25,740.56 ·
// 146.968,08 · 1 544,64 · 37. The last comma or point starts the decimals if one or
// two digits follow it, as dsmc prints them, or if the other sign stands before
// it; else it parts thousands. ok is false if s is no such number.
func ParseNumber(s string) (x float64, ok bool) {
	s = plain(s)
	i := strings.LastIndexAny(s, ".,")
	if i < 0 {
		n, ok := ParseCount(s)
		return float64(n), ok
	}
	other := ","
	if s[i] == ',' {
		other = "."
	}
	after := len(s) - i - 1
	decimals := after == 1 || after == 2 ||
		strings.IndexByte(s[:i], s[i]) < 0 && (strings.Contains(s[:i], other) || strings.Contains(s[:i], " "))
	if !decimals {
		n, ok := ParseCount(s)
		return float64(n), ok
	}
	whole, ok := ParseCount(s[:i])
	if !ok {
		return 0, false
	}
	for _, c := range []byte(s[i+1:]) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	x, err := strconv.ParseFloat(strconv.FormatInt(whole, 10)+"."+s[i+1:], 64)
	return x, err == nil
}

// factor gives the bytes of a unit as dsmc prints it, base 1024.
func factor(unit string) (int64, bool) {
	switch unit {
	case "", "B":
		return 1, true
	case "KB":
		return 1 << 10, true
	case "MB":
		return 1 << 20, true
	case "GB":
		return 1 << 30, true
	case "TB":
		return 1 << 40, true
	case "PB":
		return 1 << 50, true
	}
	return 0, false
}

// parseSize reads a whole number and a unit as bytes. step is how exactly the size
// is known: the bytes of one unit.
func parseSize(number, unit string) (bytes, step int64, ok bool) {
	n, ok := ParseCount(number)
	f, known := factor(unit)
	if !ok || !known || n > math.MaxInt64/f {
		return 0, 0, false
	}
	return n * f, f, true
}
