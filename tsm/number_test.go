package tsm_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/tsm"
)

func TestParseCount(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "607": 607, "4,719,746": 4719746, "202.784.104": 202784104, "4 096": 4096, "4\u00a0096": 4096, "4\u202f096": 4096, "4\xa0096": 4096,
		"1'024": 1024, "1,23,456": 123456, "12345": 12345, "1’024": 1024, " 12 ": 12, "9,223,372,036,854,775,807": math.MaxInt64,
	} {
		if n, ok := tsm.ParseCount(s); !ok || n != want {
			t.Errorf("%q: %d, %v", s, n, ok)
		}
	}
	for _, s := range []string{"", " ", "-1", "1,", ",1", "1,,2", "1a", "2.5", "1,2345", "1.234,567", "1234,567", "0 0,0 0", "9,223,372,036,854,775,808", "１"} {
		if n, ok := tsm.ParseCount(s); ok {
			t.Errorf("%q: %d", s, n)
		}
	}
}

func TestParseNumber(t *testing.T) {
	for s, want := range map[string]float64{
		"25,740.56": 25740.56, "146.968,08": 146968.08, "1.544,64": 1544.64, "1 544,64": 1544.64, "1 544.64": 1544.64, "67,87": 67.87, "0.00": 0, "37": 37,
		"1,234": 1234, "1.234": 1234, "1,234,567": 1234567, "1.234.567": 1234567, "1'234,56": 1234.56, "2.5": 2.5, "1.234,567": 1234.567, "4 096": 4096,
	} {
		if x, ok := tsm.ParseNumber(s); !ok || x != want {
			t.Errorf("%q: %v, %v", s, x, ok)
		}
	}
	for _, s := range []string{"", ".", ",5", "5,", "1.2.3,x", "-2.5", "1,2,3.4.5,6", "1.2.3", "0 0,0 0", "NaN"} {
		if x, ok := tsm.ParseNumber(s); ok {
			t.Errorf("%q: %v", s, x)
		}
	}
}

// TestNumbersOfAllLocales: a number is read as itself in each form that dsmc has.
func TestNumbersOfAllLocales(t *testing.T) {
	for _, form := range [][2]string{{",", "."}, {",", ","}, {" ", ","}, {" ", "."}, {".", ","}, {"'", ","}, {"\u00a0", ","}} {
		thousands, point := form[0], form[1]
		for n := int64(1); n < 1<<50; n = n*7 + 3 {
			s := strconv.FormatInt(n, 10)
			for i := len(s) - 3; i > 0; i -= 3 {
				s = s[:i] + thousands + s[i:]
			}
			if got, ok := tsm.ParseCount(s); !ok || got != n {
				t.Errorf("%q: %d", s, got)
			}
			if thousands == point {
				continue // 1,000,00: see below
			}
			if got, ok := tsm.ParseNumber(s + point + "25"); !ok || got != float64(n)+0.25 {
				t.Errorf("%q: %v", s+point+"25", got)
			}
		}
	}
	if x, ok := tsm.ParseNumber("1,000,00"); !ok || x != 1000 {
		t.Errorf("the form with commas for both: %v", x)
	}
}

func TestStamps(t *testing.T) {
	for s, want := range map[string]string{
		"07/16/2026 16:16:16": "2026-07-16 16:16:16", "2024-09-13 08:00:00": "2024-09-13 08:00:00", "13-03-2014 15:01:20": "2014-03-13 15:01:20",
		"2017-09-21 12.42.07": "2017-09-21 12:42:07", "01/24/25   01:00:46": "2025-01-24 01:00:46", "06.03.2019 08:56:33": "2019-03-06 08:56:33",
		"25/12/2019 08:56:33": "2019-12-25 08:56:33", "07/16/2026 04:16:16 PM": "2026-07-16 16:16:16", "07/16/2026 12:16:16 AM": "2026-07-16 00:16:16",
		"2026/07/16 16:16:16": "2026-07-16 16:16:16", "2024-02-30 08:00:00": "", "99-99-2014 15:01:20": "", "2024-09-13 25:00:00": "",
	} {
		out, err := tsm.ParseRun(strings.NewReader("  Client date/time: " + s + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		got := out.Session.ClientTime
		text := ""
		if !got.Time.IsZero() {
			text = got.Time.Format(time.DateTime)
		}
		if text != want || got.Text != s {
			t.Errorf("%q: %+v", s, got)
		}
	}
}
