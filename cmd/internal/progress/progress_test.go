package progress

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// hand is a clock that is turned by hand.
type hand struct{ now time.Duration }

func (h *hand) elapsed() time.Duration { return h.now }

func TestMeter(t *testing.T) {
	h := &hand{}
	m := newMeter(h.elapsed)
	m.Start(3, 1000)
	m.Skipped(500)
	for range 10 {
		h.now += time.Second
		m.Moved(20)
	}
	m.File("a")
	s := m.now()
	if d := cmp.Diff(state{Bytes: 700, Total: 1000, Files: 1, Of: 3, Rate: 20}, s); d != "" {
		t.Error(d)
	}
	if eta, ok := s.eta(); !ok || eta != 15*time.Second {
		t.Errorf("eta %v, %v; want 15s", eta, ok)
	}
	// What was long ago does not count.
	h.now += time.Hour
	if s := m.now(); s.Rate > 1 {
		t.Errorf("rate %v an hour after the last byte", s.Rate)
	}
}

func TestNoETA(t *testing.T) {
	for name, s := range map[string]state{
		"no total":  {Bytes: 1, Rate: 1},
		"no rate":   {Bytes: 1, Total: 2},
		"too much":  {Bytes: 3, Total: 2, Rate: 1},
		"for years": {Bytes: 1, Total: 1 << 40, Rate: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if eta, ok := s.eta(); ok {
				t.Errorf("eta %v", eta)
			}
		})
	}
}

func TestLine(t *testing.T) {
	s := state{Bytes: 512 << 20, Total: 1 << 30, Files: 3, Of: 10, Rate: 64 << 20}
	for _, tc := range []struct {
		name  string
		width int
		want  string
	}{
		{"wide", 120, "copy 160315_1432 raw A→B [===============>              ]  50%  512.0 MiB of 1.0 GiB  64.0 MiB/s  ETA 8s  3/10 files"},
		{"narrow", 80, "copy 160315_1432 raw…  50%  512.0 MiB of 1.0 GiB  64.0 MiB/s  ETA 8s  3/10 files"},
		{"very narrow", 20, " 50%  512.0 MiB of …"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, line("copy 160315_1432 raw A→B", s, tc.width)); d != "" {
				t.Error(d)
			}
		})
	}
	for width := range 200 {
		if got := line("copy 160315_1432 raw A→B", s, width); utf8.RuneCountInString(got) > width {
			t.Errorf("width %d: %q", width, got)
		}
	}
}

func decision(name string) cax.Decision {
	return cax.Decision{Task: "CopyPush", What: "copy", Number: 7, Name: name, From: "A", Key: rundb.Key{Type: rundb.Raw, Host: "B"}}
}

// TestLines: without a terminal there is a line every ten seconds, and nothing
// when nothing is under way.
func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		m := New(nil, false)
		m.Log = zap.New(core)
		p, end := m.Begin(decision("one"))
		p.Start(2, 1000)
		p.Moved(100)
		p.File("a")
		time.Sleep(10*time.Second + time.Millisecond) // past the tick
		if n := logs.FilterMessage("progress").Len(); n != 1 {
			t.Errorf("%d lines after 10 s", n)
		}
		got := logs.All()[0].ContextMap()
		want := map[string]any{"task": "CopyPush", "run": int64(7), "site": "B", "name": "one", "type": "raw", "from": "A",
			"done": "10%", "bytes": int64(100), "of": int64(1000), "rate": "10 B/s", "eta": 90 * time.Second, "files": "1/2"}
		got["eta"] = got["eta"].(time.Duration).Round(10 * time.Second)
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		_, end2 := m.Begin(decision("two"))
		time.Sleep(10 * time.Second)
		if n := logs.FilterMessage("progress").Len(); n != 3 {
			t.Errorf("%d lines after 20 s, of two transfers", n)
		}
		if n := logs.FilterMessage("progress in total").Len(); n != 1 {
			t.Errorf("%d lines in total", n)
		}
		end(nil)
		end2(nil)
		time.Sleep(time.Minute)
		if n := logs.Len(); n != 4 {
			t.Errorf("%d lines in the end", n)
		}
	})
}

// TestBars: what is logged while bars are drawn comes out whole, and nothing of a
// bar stays.
func TestBars(t *testing.T) {
	var out bytes.Buffer
	m := New(&out, true)
	log := m.Writer(&out)
	say := func(s string) {
		if _, err := log.Write([]byte(s + "\n")); err != nil {
			t.Error(err)
		}
	}
	say("before")
	var wg sync.WaitGroup
	for _, name := range []string{"one", "two\x1b[2J", "three"} {
		wg.Go(func() {
			for range 5 {
				p, end := m.Begin(decision(name))
				p.Start(1, 100)
				p.Moved(100)
				p.File("a")
				say("during " + name[:3])
				end(nil)
			}
		})
	}
	wg.Wait()
	say("after")
	got := out.String()
	for _, want := range []string{"before\n", "during one\n", "during two\n", "during thr\n", "after\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the output", want)
		}
	}
	if n := strings.Count(got, "during"); n != 15 {
		t.Errorf("%d lines of the log, want 15", n)
	}
	if strings.Contains(got, "\x1b[2J") {
		t.Error("a name steers the terminal")
	}
	if m.bars.p != nil || len(m.active) != 0 {
		t.Error("bars are left")
	}
}
