package tsm

import (
	"regexp"
	"strconv"
	"time"
)

// A Stamp is a date and time as dsmc printed it: the wall clock of the client or the
// server, in the format of a locale.
type Stamp struct {
	// Text is what was printed.
	Text string `json:"text"`

	// Time is the wall clock, in UTC for want of a zone; zero if Text was not
	// understood. Dates with slashes are read as month/day unless the first number is
	// above 12; -dateformat=3, which a Client gives, leaves no doubt.
	Time time.Time `json:"time,omitzero"`
}

const (
	datePattern = `\d{1,4}[-./]\d{1,2}[-./]\d{2,4}`
	timePattern = `\d{1,2}[:.]\d\d[:.]\d\d(?: ?[AP]M)?`
)

// stampParts finds the numbers of a stamp: its three groups of date, then of time.
func stampParts() *regexp.Regexp {
	return regexp.MustCompile(`^(\d{1,4})([-./])(\d{1,2})[-./](\d{2,4})\s+(\d{1,2})[:.](\d\d)[:.](\d\d)(?: ?([AP]M))?$`)
}

func (g *grammar) stamp(s string) Stamp {
	st := Stamp{Text: s}
	m := g.stampParts.FindStringSubmatch(s)
	if m == nil {
		return st
	}
	n := func(i int) int { v, _ := strconv.Atoi(m[i]); return v }
	var year, month, day int
	switch {
	case len(m[1]) == 4:
		year, month, day = n(1), n(3), n(4)
	case m[2] == "/" && n(1) <= 12:
		month, day, year = n(1), n(3), n(4)
	default: // DD-MM-YYYY, DD.MM.YYYY, DD/MM/YYYY
		day, month, year = n(1), n(3), n(4)
	}
	if year < 100 {
		year += 2000
	}
	hour := n(5)
	switch {
	case m[8] == "PM" && hour < 12:
		hour += 12
	case m[8] == "AM" && hour == 12:
		hour = 0
	}
	t := time.Date(year, time.Month(month), day, hour, n(6), n(7), 0, time.UTC)
	if t.Day() == day && int(t.Month()) == month && t.Hour() == hour && t.Minute() == n(6) && t.Second() == n(7) {
		st.Time = t
	}
	return st
}
