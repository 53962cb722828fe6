package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/cmd/internal/logging"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

// stamp is the time at the beginning of a line.
var stamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ `)

func TestText(t *testing.T) {
	for _, tc := range []struct {
		name string
		log  func(*zap.Logger)
		want string
	}{
		{"order of fields", func(l *zap.Logger) {
			l.Info("copy begins", zap.String("task", "CopyPush"), zap.Int64("run", 1234), zap.String("name", "160315_1432"),
				zap.String("site", "midway"), zap.Duration("took", 1500*time.Millisecond))
		}, `INFO  CopyPush run=1234 site=midway event="copy begins" name=160315_1432 took=1.5s`},
		{"no task", func(l *zap.Logger) { l.Warn("x") }, `WARN  cax event=x`},
		{"error", func(l *zap.Logger) { l.Error("x", zap.Error(errors.New("a: b\nc"))) }, `ERROR cax event=x error="a: b\nc"`},
		{"time in UTC", func(l *zap.Logger) {
			l.Info("x", zap.Time("until", time.Date(2016, 3, 15, 14, 32, 0, 0, time.FixedZone("", 3600))))
		}, `INFO  cax event=x until=2016-03-15T13:32:00Z`},
		{"unset time", func(l *zap.Logger) { l.Info("x", zap.Time("until", time.Time{})) }, `INFO  cax event=x`},
		{"with", func(l *zap.Logger) { l.With(zap.String("a", "b")).Info("x", zap.Int("n", 1)) }, `INFO  cax event=x a=b n=1`},
		{"hostile name", func(l *zap.Logger) {
			l.Info("x", zap.String("name", "a\n2026-01-01T00:00:00Z ERROR fake"), zap.String("e", "\x1b[2J"), zap.String("raw", "\xff"))
		}, `INFO  cax event=x name="a\n2026-01-01T00:00:00Z ERROR fake" e="\x1b[2J" raw="\xff"`},
		{"no second pair from a value", func(l *zap.Logger) { l.Info("x", zap.String("a", "b c=d")) }, `INFO  cax event=x a="b c=d"`},
		{"empty", func(l *zap.Logger) { l.Info("x", zap.String("a", "")) }, `INFO  cax event=x a=""`},
		{"below the level", func(l *zap.Logger) { l.Debug("x") }, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			log, _, err := logging.Open(logging.Options{Program: "cax", Stderr: &b})
			if err != nil {
				t.Fatal(err)
			}
			tc.log(log)
			got := b.String()
			if tc.want != "" {
				if !stamp.MatchString(got) {
					t.Errorf("no UTC time in front: %q", got)
				}
				got = stamp.ReplaceAllString(got, "")
				tc.want += "\n"
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	log, _, err := logging.Open(logging.Options{Program: "cax", Stderr: &b, Format: "json", Level: "DEBUG"})
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("copy begins", zap.String("task", "CopyPush"), zap.Int64("run", 1))
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, b.String())
	}
	at, err := time.Parse(time.RFC3339, got["time"].(string))
	if err != nil || at.Location() != time.UTC {
		t.Errorf("time %v is not RFC 3339 in UTC", got["time"])
	}
	delete(got, "time")
	want := map[string]any{"level": "debug", "event": "copy begins", "task": "CopyPush", "run": 1.0}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := strings.Count(b.String(), "\n"); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestFileAppends(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cax.log")
	if err := os.WriteFile(file, []byte("before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	log, done, err := logging.Open(logging.Options{Program: "cax", Stderr: &b, File: file})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("x")
	if err := done(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + b.String(); string(got) != want || b.Len() == 0 {
		t.Errorf("file holds %q, want %q", got, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, o := range map[string]logging.Options{
		"level":  {Level: "loud"},
		"format": {Format: "xml"},
		"file":   {File: filepath.Join(t.TempDir(), "none", "cax.log")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := logging.Open(o); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestRunFiles: lines about a run go to its file too, also when there are more runs
// than files are kept open.
func TestRunFiles(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	asked := 0
	log, done, err := logging.Open(logging.Options{Program: "cax", Stderr: &b, RunFile: func(number int64, name string) string {
		asked++
		return filepath.Join(dir, "logs", name+".txt")
	}})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("starts")
	const runs = 100
	for range 2 {
		for i := range runs {
			log.With(zap.Int64("run", int64(i))).Info("copy begins", zap.String("name", strings.Repeat("x", i+1)))
		}
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != 1+2*runs {
		t.Errorf("%d lines to standard error", n)
	}
	if asked != runs {
		t.Errorf("asked for %d names of files, want %d", asked, runs)
	}
	for i := range runs {
		got, err := os.ReadFile(filepath.Join(dir, "logs", strings.Repeat("x", i+1)+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(got), "copy begins") != 2 || strings.Contains(string(got), "starts") {
			t.Errorf("log of run %d: %q", i, got)
		}
	}
}
