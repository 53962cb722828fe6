package tsm_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cax-go/cax/tsm"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples are the real outputs, with the way to read each.
func samples(t testing.TB) map[string]func([]byte) (*tsm.Output, error) {
	names, err := filepath.Glob("testdata/samples/*.txt")
	if err != nil || len(names) != 42 {
		t.Fatalf("%d samples, %v", len(names), err)
	}
	out := map[string]func([]byte) (*tsm.Output, error){}
	for _, n := range names {
		if !strings.HasSuffix(n, ".expected.txt") { // no output: see TestSampleListing
			out[n] = readerFor(filepath.Base(n))
		}
	}
	return out
}

func readerFor(name string) func([]byte) (*tsm.Output, error) {
	return func(b []byte) (*tsm.Output, error) {
		r := bytes.NewReader(b)
		switch {
		case strings.Contains(name, "query-archive"):
			return tsm.ParseQueryArchive(r, "")
		case strings.Contains(name, "query-backup"):
			return tsm.ParseQueryBackup(r)
		case strings.Contains(name, "query-filespace"):
			return tsm.ParseQueryFilespace(r)
		case strings.Contains(name, "query-session"):
			return tsm.ParseQuerySession(r)
		}
		return tsm.ParseRun(r)
	}
}

// TestSamples compares each sample with what a person has agreed to.
func TestSamples(t *testing.T) {
	for name, read := range samples(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out, err := read(b)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			enc := json.NewEncoder(&got)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "\t")
			if err := enc.Encode(out); err != nil {
				t.Fatal(err)
			}
			golden := "testdata/golden/" + strings.TrimSuffix(filepath.Base(name), ".txt") + ".json"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Error(d)
			}
			// The same in pieces, and with the line ends of another world.
			crlf, err := read(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(out, crlf); d != "" {
				t.Error("with carriage returns:", d)
			}
			piecewise, err := tsm.ParseRun(iotest.OneByteReader(bytes.NewReader(b)))
			if err != nil {
				t.Fatal(err)
			}
			whole, err := tsm.ParseRun(bytes.NewReader(b))
			if d := cmp.Diff(whole, piecewise); d != "" || err != nil {
				t.Error("in pieces:", err, d)
			}
		})
	}
}

// TestSampleListing holds the Swedish listing against the list that its authors made
// of it.
func TestSampleListing(t *testing.T) {
	const dir = "testdata/samples/molmed-snpseq-archive-upload_query-archive_filelist"
	b, err := os.ReadFile(dir + "_7.1.2_sv-locale.txt")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(dir + ".expected.txt")
	if err != nil {
		t.Fatal(err)
	}
	out, err := tsm.ParseQueryArchive(bytes.NewReader(b), "e374bd6b-ab36-4f41-94d3-f4eaea9f30d4")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, o := range out.Objects {
		fmt.Fprintf(&got, "%d %s\n", o.Size, o.Path)
		if o.Description != "e374bd6b-ab36-4f41-94d3-f4eaea9f30d4" || o.Expires != "Never" {
			t.Errorf("%+v", o)
		}
	}
	if d := cmp.Diff(strings.TrimSpace(string(want)), strings.TrimSpace(got.String())); d != "" {
		t.Error(d)
	}
}

// TestSampleFacts says of samples what their documentation says, independent of the
// golden files.
func TestSampleFacts(t *testing.T) {
	parse := func(t *testing.T, name string) *tsm.Output {
		t.Helper()
		b, err := os.ReadFile("testdata/samples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		out, err := readerFor(name)(b)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Run("deduplicated", func(t *testing.T) {
		s := parse(t, "safespring-docs_incr-stats_dedup-full.txt").Statistics
		if len(s) != 23 || s.Count(tsm.ObjectsInspected) != 27843085 || s.Count(tsm.ObjectsFailed) != 4999 || s.Count(tsm.ObjectsDeduplicated) != 13731609 {
			t.Errorf("%+v", s)
		}
		if d, ok := s.Duration(tsm.ElapsedTime); !ok || d != 24*time.Hour+56*time.Minute+18*time.Second {
			t.Errorf("elapsed %v", d)
		}
		gib := float64(1 << 30)
		if s.Bytes(tsm.BytesTransferred) != int64(171.40*gib) || s.Percent(tsm.DataReduction) != 60.89 || s.Rate(tsm.NetworkRate) != 25740.56*1024 {
			t.Errorf("%+v", s)
		}
		if s.Count(tsm.ObjectsRestored) != -1 || s.Bytes(tsm.ObjectsFailed) != -1 {
			t.Error("what was not printed is not -1")
		}
	})
	t.Run("German", func(t *testing.T) {
		s := parse(t, "german-report-tool-id36095234788_ANE-stats_de-numbers.txt").Statistics
		tib := float64(1 << 40)
		if s.Bytes(tsm.BytesInspected) != int64(67.87*tib) || s.Count(tsm.Retries) != 10 || s.Percent(tsm.DataReduction) != 99.69 {
			t.Errorf("%+v", s)
		}
		if d, _ := s.Duration(tsm.TransferTime); d.Round(time.Millisecond) != 1544640*time.Millisecond {
			t.Errorf("%v", d)
		}
		o := parse(t, "jumeg-id35046223153_query-archive_de-locale_lines.txt").Objects
		if len(o) != 1 || o[0].Size != 202784104 || o[0].Expires != "Nie" || o[0].Date.Time.Month() != time.March {
			t.Errorf("%+v", o)
		}
	})
	t.Run("retries", func(t *testing.T) {
		out := parse(t, "safespring-docs_incr_changed-retries-failed.txt")
		failed := 0
		for _, o := range out.Last() {
			if o.Outcome == tsm.Changed {
				failed++
				if o.Path != "/var/log/audit/audit.log" || o.Retry != 4 || o.Size != 1788872 {
					t.Errorf("%+v", o)
				}
			}
		}
		if len(out.Transfers) != 17 || failed != 1 || len(out.Messages) != 3 || out.Messages[1].Text != "Object '/var/log/audit/audit.log' changed during processing.\nObject skipped." {
			t.Errorf("%d lines, %d failed, %+v", len(out.Transfers), failed, out.Messages)
		}
	})
	t.Run("kilobytes", func(t *testing.T) {
		o := parse(t, "clinicalgenomics-cg_query-archive_8.1.11.txt").Objects
		last := o[len(o)-1]
		if last.Size != 647336368<<10 || last.Step != 1024 || !last.SizeIs(last.Size-1023) || last.SizeIs(last.Size+1024) || o[1].SizeIs(o[1].Size+1) {
			t.Errorf("%+v", last)
		}
	})
	t.Run("wrapped", func(t *testing.T) {
		o := parse(t, "linux-notes-id25607386115_query-backup_wrapped-spaces_8.1.10.txt").Objects
		if len(o) != 1 || o[0].Path != "/backup/BackupPERF/PERF2019/10. Oct 2019/PERF20191030_EndOfMonth" || o[0].Class != "STANDARD" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("inactive", func(t *testing.T) {
		o := parse(t, "oxford-hfs-id25978597356_query-backup_old-no-unit-inactive.txt").Objects
		if len(o) != 6 || !o[2].Active || o[3].Active || o[3].Size != 8448 || o[3].Date.Time.Format(time.DateOnly) != "2011-12-03" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("detail", func(t *testing.T) {
		o := parse(t, "neicnordic-endit_query-archive-detail_8.1.4.txt").Objects
		if len(o) != 1 || o[0].Volume != "724216" || o[0].Description != "endit" || o[0].Path != "/grid/pool/out/0000004C9A19B5FA480398AED8A6CD61107D" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("prompts", func(t *testing.T) {
		for _, name := range []string{"silab-bonn-id20109723115_restore_exists-prompt.txt", "safespring-docs_restore_encryption-prompt_8.1.25.txt", "safespring-docs_login-prompt_8.1.15.2.txt"} {
			if out := parse(t, name); out.Prompt == "" {
				t.Errorf("%s: %+v", name, out)
			}
		}
	})
	t.Run("pending", func(t *testing.T) {
		m := parse(t, "safespring-docs_restore_pending-restartable-ANS1330S.txt").Messages
		if len(m) != 2 || m[1].Code() != "ANS1330S" || strings.Count(m[1].Text, "\n") != 2 {
			t.Errorf("%+v", m)
		}
	})
	t.Run("retrieve", func(t *testing.T) {
		out := parse(t, "clinicalgenomics-cg-pr2506_retrieve_7.1.4_partial.txt")
		if len(out.Transfers) != 1 || out.Transfers[0].Size != 607 || !strings.HasPrefix(out.Transfers[0].Dest, "/home/proj/stage/") || out.Session.AsNode != "SLLCLINICAL" || out.Session.Server != "BLACKHOLE" {
			t.Errorf("%+v", out)
		}
	})
	t.Run("session", func(t *testing.T) {
		out := parse(t, "github-id36959882861_query-session_8.1.6.txt")
		if len(out.Fields) != 11 || out.Fields[0] != (tsm.Field{Name: "Home Server Name", Value: "SERVER_A"}) || out.Session.Client.String() != "8.1.6.0" {
			t.Errorf("%+v", out)
		}
	})
	t.Run("all banners", func(t *testing.T) {
		n := 0
		for name := range samples(t) {
			out := parse(t, filepath.Base(name))
			if out.Session.Product == "" {
				continue
			}
			n++
			if out.Session.Client.Version == 0 || out.Session.Node == "" || out.Session.Server == "" || out.Session.ServerTime.Time.IsZero() {
				// The OCR has one that cannot be read, by which nothing may fail.
				if !strings.Contains(name, ".ocr.") {
					t.Errorf("%s: %+v", name, out.Session)
				}
			}
		}
		if n != 18 {
			t.Errorf("%d samples begin with the product", n)
		}
	})
}
