package tsm_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/cax-go/cax/tsm"
	"github.com/google/go-cmp/cmp"
)

// seed gives a fuzz target all samples.
func seed(f *testing.F) {
	for name := range samples(f) {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("Restoring  1 /a --> b --> /c [Done]\nRetry # 99999999999999999999  Normal File-->  1 /a [Sent]\n"))
	f.Add([]byte("9,223,372,036,854,775,807 TB  2026-07-16 16:16:16    /a Never x\nmore\n\nANS9999S\nx\n\ny"))
	f.Add([]byte("9223372036854775807:59:59\nElapsed processing time: 9223372036854775807:59:59\nTotal x: 99999999999999999999 PB\n"))
}

// sane holds what is true of any output, whatever was printed.
func sane(t *testing.T, text []byte, out *tsm.Output) {
	for _, s := range out.Statistics {
		if s.Number < 0 || s.Label == "" || s.Unit == tsm.Words && s.Number != 0 {
			t.Errorf("%+v", s)
		}
		if out.Statistics.Bytes(s.Label) < -1 || out.Statistics.Count(s.Label) < -1 {
			t.Errorf("overflow: %+v", s)
		}
	}
	for _, x := range out.Transfers {
		if x.Size < -1 || x.Path == "" || x.Outcome == "" || !bytes.Contains(text, []byte(x.Path)) || !bytes.Contains(text, []byte(x.Dest)) {
			t.Errorf("%+v", x)
		}
	}
	for _, o := range out.Objects {
		if o.Size < 0 || o.Step < 1 || o.Path == "" || !o.SizeIs(o.Size) {
			t.Errorf("%+v", o)
		}
	}
	for _, m := range out.Messages {
		if m.Number < 0 || m.Number > 9999 || !strings.HasPrefix(m.String(), m.Code()) || !strings.Contains("IWES", m.Severity) {
			t.Errorf("%+v", m)
		}
	}
	if n := len(out.Last()); n > len(out.Transfers) {
		t.Errorf("%d objects of %d lines", n, len(out.Transfers))
	}
}

func fuzz(f *testing.F, read func([]byte) (*tsm.Output, error)) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := read(b)
		if err != nil {
			t.Fatal(err)
		}
		sane(t, b, out)
		again, _ := read(b)
		if d := cmp.Diff(out, again); d != "" {
			t.Error(d)
		}
	})
}

func FuzzRun(f *testing.F) {
	fuzz(f, func(b []byte) (*tsm.Output, error) { return tsm.ParseRun(bytes.NewReader(b)) })
}

func FuzzQueryArchive(f *testing.F) {
	fuzz(f, func(b []byte) (*tsm.Output, error) { return tsm.ParseQueryArchive(bytes.NewReader(b), "") })
}

func FuzzQueryBackup(f *testing.F) {
	fuzz(f, func(b []byte) (*tsm.Output, error) { return tsm.ParseQueryBackup(bytes.NewReader(b)) })
}

func FuzzQueryFilespace(f *testing.F) {
	fuzz(f, func(b []byte) (*tsm.Output, error) { return tsm.ParseQueryFilespace(bytes.NewReader(b)) })
}

func FuzzQuerySession(f *testing.F) {
	fuzz(f, func(b []byte) (*tsm.Output, error) { return tsm.ParseQuerySession(bytes.NewReader(b)) })
}

// FuzzArchiveRow: a row is read as what was written, whatever bytes the name has, as
// long as the description is known.
func FuzzArchiveRow(f *testing.F) {
	for _, n := range []string{"XENON1T-0.zip", "a Never b", "Archive Date: 07/16/2026", " lead", "trail ", "\xff\xfe", "x  RetInit:y", "1  B  2026-07-16 16:16:16    /b"} {
		f.Add(n, int64(607))
	}
	f.Fuzz(func(t *testing.T, name string, size int64) {
		if strings.ContainsAny(name, "\r\n/") || name == "" || size < 0 {
			t.Skip("dsmc cannot take it")
		}
		path := "/data/raw/160315_1432/" + name
		var b strings.Builder
		b.WriteString("             Size  Archive Date - Time    File - Expires on - Description\n")
		digits := []byte(strings.TrimSpace(bigint(size)))
		b.WriteString(string(digits) + "  B  2026-07-16 16:16:16    " + path + " Never cax:0f3a\n")
		out, err := tsm.ParseQueryArchive(strings.NewReader(b.String()), "cax:0f3a")
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Objects) != 1 || out.Objects[0].Path != path || out.Objects[0].Size != size || out.Objects[0].Description != "cax:0f3a" {
			t.Errorf("%q: %+v", path, out)
		}
	})
}

// bigint groups digits as in English.
func bigint(n int64) string {
	var s string
	for ; n >= 1000; n /= 1000 {
		s = "," + string([]byte{byte('0' + n/100%10), byte('0' + n/10%10), byte('0' + n%10)}) + s
	}
	head := ""
	for ; n > 0 || head == ""; n /= 10 {
		head = string([]byte{byte('0' + n%10)}) + head
	}
	return head + s
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1,234.56", "1.234,56", "1 234,56", "1'234.56", "4\xa0096", "1.2.3", "9,223,372,036,854,775,808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, isCount := tsm.ParseCount(s)
		x, isNumber := tsm.ParseNumber(s)
		if isCount && n < 0 || isNumber && x < 0 {
			t.Errorf("%q: %d, %v", s, n, x)
		}
		if isCount && !isNumber {
			t.Errorf("%q is a count and no number", s)
		}
	})
}

func FuzzLog(f *testing.F) {
	seed(f)
	f.Add([]byte(original))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := tsm.ParseLog(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []tsm.LogPart{s.Up, s.Down} {
			if p.Files < -1 || p.Bytes < -1 || p.Seconds < -1 || p.Rate < -1 {
				t.Errorf("%+v", p)
			}
		}
		if s.Last.Before(s.First) && s.First.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

func FuzzLogName(f *testing.F) {
	f.Add("tsm_log_5230_161115_161400.txt")
	f.Add("tsm_log_161111_1434_MV_20161115_161400.txt")
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := tsm.ParseLogName(s)
		if !ok {
			return
		}
		if again, ok := tsm.ParseLogName(n.String()); n.Start.Year() >= 2000 && n.Start.Year() < 2069 && (!ok || again != n) {
			t.Errorf("%q: %+v, written as %q, read as %+v", s, n, n, again)
		}
	})
}
