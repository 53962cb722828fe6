package tsm_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cax-go/cax/tsm"
	"github.com/google/go-cmp/cmp"
)

// TestObjectLines has the forms of which there is no sample, and the awkward ones.
func TestObjectLines(t *testing.T) {
	for _, tc := range []struct {
		line string
		want tsm.Transfer
	}{
		{"Directory-->               4,096 /path [Sent]", tsm.Transfer{Kind: "Directory", Size: 4096, Path: "/path", Outcome: tsm.Sent}},
		{"Expiring-->            1,234 /path [Sent]", tsm.Transfer{Kind: "Expiring", Size: 1234, Path: "/path", Outcome: tsm.Sent}},
		{"Updating--> /path [Sent]", tsm.Transfer{Kind: "Updating", Size: -1, Path: "/path", Outcome: tsm.Sent}},
		{"Symbolic Link-->                12 /a b [Sent]", tsm.Transfer{Kind: "Symbolic Link", Size: 12, Path: "/a b", Outcome: tsm.Sent}},
		{"Normal File-->                12 /a ** Unsuccessful **", tsm.Transfer{Kind: "Normal File", Size: 12, Path: "/a", Outcome: tsm.Unsuccessful}},
		{"Normal File-->                12 /a [Sent] [Sent]", tsm.Transfer{Kind: "Normal File", Size: 12, Path: "/a [Sent]", Outcome: tsm.Sent}},
		{"Normal File-->                12 /a  Changed  Changed", tsm.Transfer{Kind: "Normal File", Size: 12, Path: "/a  Changed", Outcome: tsm.Changed}},
		{"Normal File-->         1\u00a0234 /1 2/3 [Sent]", tsm.Transfer{Kind: "Normal File", Size: 1234, Path: "/1 2/3", Outcome: tsm.Sent}},
		{`Normal File-->         1,234 \\host\c$\dir\file [Sent]`, tsm.Transfer{Kind: "Normal File", Size: 1234, Path: `\\host\c$\dir\file`, Outcome: tsm.Sent}},
		{"Retry # 12  Normal File-->         1,234 /a [Sent]", tsm.Transfer{Kind: "Normal File", Retry: 12, Size: 1234, Path: "/a", Outcome: tsm.Sent}},
		{"Restoring             607 /a/b [Done]", tsm.Transfer{Kind: "Restoring", Size: 607, Path: "/a/b", Outcome: tsm.Done}},
		{"Restoring             607 /a/x --> y --> /b/x --> y [Done]", tsm.Transfer{Kind: "Restoring", Size: 607, Path: "/a/x --> y", Dest: "/b/x --> y", Outcome: tsm.Done}},
		{"Retrieving      4 096 /a/x\xff --> /b/x\xff [Done]", tsm.Transfer{Kind: "Retrieving", Size: 4096, Path: "/a/x\xff", Dest: "/b/x\xff", Outcome: tsm.Done}},
		{"50%\r100%\rRetrieving      607 /a/b --> /c/b [Done]", tsm.Transfer{Kind: "Retrieving", Size: 607, Path: "/a/b", Dest: "/c/b", Outcome: tsm.Done}},
	} {
		out, err := tsm.ParseRun(strings.NewReader(tc.line + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]tsm.Transfer{tc.want}, out.Transfers); d != "" {
			t.Errorf("%q: %s", tc.line, d)
		}
	}
}

// TestArchiveRows has the rows on which splitting at blanks breaks.
func TestArchiveRows(t *testing.T) {
	for _, tc := range []struct {
		name, description, rows string
		want                    []tsm.Object
	}{
		{"Never in the path", "d-1", "   607  B  2026-07-16 16:16:16    /a Never b/c Never d-1\n",
			[]tsm.Object{{Path: "/a Never b/c", Size: 607, Step: 1, Active: true, Expires: "Never", Description: "d-1"}}},
		{"a date in the path, no description known", "", "   607  B  2026-07-16 16:16:16    /a 2026-07-16 c Never Archive Date: 07/16/2026\n",
			[]tsm.Object{{Path: "/a 2026-07-16 c", Size: 607, Step: 1, Active: true, Expires: "Never", Description: "Archive Date: 07/16/2026"}}},
		{"expires", "", "   607  B  2026-07-16 16:16:16    /a b 2036-07-16 text\n",
			[]tsm.Object{{Path: "/a b", Size: 607, Step: 1, Active: true, Expires: "2036-07-16", Description: "text"}}},
		{"another language", "d", "   607  B  2026-07-16 16:16:16    /a b Jamais d\n",
			[]tsm.Object{{Path: "/a b", Size: 607, Step: 1, Active: true, Expires: "Jamais", Description: "d"}}},
		{"no description", "", "   607  B  2026-07-16 16:16:16    /a Never \n",
			[]tsm.Object{{Path: "/a", Size: 607, Step: 1, Active: true, Expires: "Never"}}},
		{"cut at a width", "long-description", "   607  B  2026-07-16 16:16:16    /a/very/lo\nng/name Never long-desc\nription\n   608  B  2026-07-16 16:16:16    /b Never long-description\n",
			[]tsm.Object{{Path: "/a/very/long/name", Size: 607, Step: 1, Active: true, Expires: "Never", Description: "long-description"},
				{Path: "/b", Size: 608, Step: 1, Active: true, Expires: "Never", Description: "long-description"}}},
		{"description of two lines", "", "   607  B  2026-07-16 16:16:16    /a Never one\n two\n",
			[]tsm.Object{{Path: "/a", Size: 607, Step: 1, Active: true, Expires: "Never", Description: "one\n two"}}},
		{"not UTF-8", "d", "   607  B  2026-07-16 16:16:16    /a\xff\xa0b Never d\n",
			[]tsm.Object{{Path: "/a\xff\xa0b", Size: 607, Step: 1, Active: true, Expires: "Never", Description: "d"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := tsm.ParseQueryArchive(strings.NewReader(tc.rows), tc.description)
			if err != nil {
				t.Fatal(err)
			}
			for i := range out.Objects {
				out.Objects[i].Date = tsm.Stamp{}
			}
			if d := cmp.Diff(tc.want, out.Objects); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestUnknownIsKept: labels and lines that nobody has seen yet.
func TestUnknownIsKept(t *testing.T) {
	const text = `Total number of objects inspected:            2
Total number of subfile objects:              1
LanFree data bytes:                        0  B
Something new:                        42 parsecs
What is this?
ANS9999W A new warning
and its second line
Elapsed processing time:               100:00:01
`
	out, err := tsm.ParseRun(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := out.Statistics.Get("LanFree data bytes"); !ok || st.Unit != tsm.Bytes || st.Number != 0 {
		t.Errorf("%+v", st)
	}
	if st, ok := out.Statistics.Get("Something new"); !ok || st.Unit != tsm.Words || st.Text != "42 parsecs" {
		t.Errorf("%+v", st)
	}
	if d, _ := out.Statistics.Duration(tsm.ElapsedTime); d.Hours() < 100 {
		t.Errorf("%v", d)
	}
	if d := cmp.Diff([]string{"What is this?"}, out.Other); d != "" {
		t.Error(d)
	}
	if len(out.Messages) != 1 || out.Messages[0].String() != "ANS9999W A new warning\nand its second line" {
		t.Errorf("%v", out.Messages)
	}
}

// TestReaders: the reader's errors pass through, and no line is too long.
func TestReaders(t *testing.T) {
	broken := errors.New("broken pipe")
	if _, err := tsm.ParseRun(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := tsm.ParseLog(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	long := "Normal File-->                12 /" + strings.Repeat("x", 3<<20) + " [Sent]\nNormal File-->                12 /b [Sent]\n"
	out, err := tsm.ParseRun(strings.NewReader(long))
	if err != nil || len(out.Transfers) != 1 || out.Transfers[0].Path != "/b" || len(out.Other) != 1 || len(out.Other[0]) != 1<<20 {
		t.Errorf("%v, %d transfers, %d others", err, len(out.Transfers), len(out.Other))
	}
}
