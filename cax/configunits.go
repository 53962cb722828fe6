package cax

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// parseDuration reads a duration as time.ParseDuration does, with days in front:
// "90s", "1h30m", "7d", "1d12h".
func parseDuration(s string) (time.Duration, error) {
	var total time.Duration
	rest := strings.TrimSpace(s)
	if n, after, ok := strings.Cut(rest, "d"); ok {
		days, err := strconv.ParseFloat(n, 64)
		if err != nil || math.Abs(days) > 36500 || days != days {
			return 0, errors.New("no duration")
		}
		total = time.Duration(days * float64(day))
		if rest = after; rest == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, err
	}
	return total + d, nil
}

// sizeUnit is a power of 1000, or of 1024 with an i; letters in either case.
func sizeUnit(s string) (float64, bool) {
	switch strings.ToLower(s) {
	case "", "b":
		return 1, true
	case "kb":
		return 1e3, true
	case "mb":
		return 1e6, true
	case "gb":
		return 1e9, true
	case "tb":
		return 1e12, true
	case "pb":
		return 1e15, true
	case "kib":
		return 1 << 10, true
	case "mib":
		return 1 << 20, true
	case "gib":
		return 1 << 30, true
	case "tib":
		return 1 << 40, true
	case "pib":
		return 1 << 50, true
	}
	return 0, false
}

// parseSize reads a number of bytes: "1073741824", "100MiB", "1.5 GB".
func parseSize(s string) (int64, error) {
	s = strings.TrimSpace(s)
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	unit, ok := sizeUnit(strings.TrimSpace(s[i:]))
	if !ok {
		return 0, errors.New("unknown unit")
	}
	n, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		return 0, err
	}
	if n *= unit; n >= math.MaxInt64 {
		return 0, errors.New("too large")
	}
	return int64(n), nil
}

// parseRate reads bytes per second: "50MB/s", "50MB".
func parseRate(s string) (int64, error) {
	s = strings.TrimSpace(s)
	return parseSize(strings.TrimSuffix(s, "/s"))
}

// parseTimeOfDay reads "08:00" as minutes since midnight; "24:00" is the end of
// the day.
func parseTimeOfDay(s string) (int, error) {
	if s == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, err
	}
	return t.Hour()*60 + t.Minute(), nil
}

// At gives the bytes per second that hold at a time; 0 does not bound. A time in
// none of the windows has the rate that holds always.
func (b Bandwidth) At(t time.Time) int64 {
	t = t.UTC()
	m := t.Hour()*60 + t.Minute()
	for _, w := range b.Table {
		if w.From <= m && m < w.To || w.To < w.From && (m >= w.From || m < w.To) {
			return w.BytesPerSecond
		}
	}
	return b.BytesPerSecond
}

// WithDefaults fills in what is zero.
func (p Policy) WithDefaults() Policy {
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&p.Heartbeat, 30 * time.Second},
		{&p.LeaseLost, 2 * time.Minute},
		{&p.LeaseExpired, 5 * time.Minute},
		{&p.OnceExpired, 15 * time.Minute},
		{&p.OthersTakeOver, day},
		{&p.BackoffMin, time.Minute},
		{&p.BackoffMax, time.Hour},
		{&p.Interval, time.Minute},
		{&p.Stall, 5 * time.Minute},
		{&p.VerifiedWithin, 30 * day},
		{&p.ShutdownGrace, 4 * time.Second},
		{&p.Trash, 7 * day},
		{&p.StalledAlert, 2 * time.Hour},
		{&p.StalledAfter, day},
		{&p.Settled, day},
	} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if p.ScrubAfter == 0 {
		p.ScrubAfter = p.VerifiedWithin / 2
	}
	if p.Reserve == 0 {
		p.Reserve = 1 << 30
	}
	if p.MinCopies == 0 {
		p.MinCopies = 2
	}
	if p.MinProcessed == 0 {
		p.MinProcessed = 2
	}
	if p.MinDomains == 0 {
		p.MinDomains = 2
	}
	if p.KeepTags == nil {
		p.KeepTags = []string{"keep"}
	}
	if p.PurgeCopies == 0 {
		p.PurgeCopies = 100
	}
	if p.PurgeBytes == 0 {
		p.PurgeBytes = 10 << 40
	}
	return p
}

// ParseRate reads bytes per second as the configuration has them: "50MB/s", "1GiB".
func ParseRate(s string) (int64, error) { return parseRate(s) }

// ParseSize reads a number of bytes as the configuration writes it: "4GiB".
func ParseSize(s string) (int64, error) { return parseSize(s) }
