package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb/mongostore/mongotest"
	"github.com/cax-go/cax/transfer/transfertest"
)

// oldRun is a run document as the original's programs left them, in Extended JSON,
// each with one of their oddities.
func oldRun(w *world, n int, name, sum string) map[string]any {
	date := func(ms int64) map[string]any { return map[string]any{"$date": ms} }
	began := time.Date(2016, 3, 15, 14, n, 0, 0, time.UTC).UnixMilli()
	raw := map[string]any{"type": "raw", "host": "a", "status": "transferred", "location": w.at("a", name),
		"checksum": sum, "creation_time": date(began)}
	data := []any{raw}
	switch n % 5 {
	case 1:
		raw["pax_version"] = nil
		raw["creation_time"] = []any{date(began)}
	case 2: // what two daemons left that raced
		twin := map[string]any{}
		for k, v := range raw {
			twin[k] = v
		}
		data = append(data, twin)
	case 3: // a processed copy without a version, at the destination
		data = append(data, map[string]any{"type": "processed", "host": "b", "status": "transferred",
			"location": "/elsewhere/" + name + ".root", "checksum": nil, "creation_time": date(began)})
	case 4:
		raw["pax_version"] = ""
		data = append([]any{map[string]any{"type": "untriggered", "host": "reader", "status": "transferred", "location": "untriggered"}}, data...)
	}
	return map[string]any{"_id": map[string]any{"$oid": fmt.Sprintf("%024x", n+1)}, "number": float64(n + 1), "name": name,
		"detector": "tpc", "start": date(began), "data": data}
}

// TestCrowd: of many processes at once each run is copied exactly once and none is
// lost, whatever older software left in its record.
func TestCrowd(t *testing.T) {
	processes, runs := 5, 15
	if long() {
		processes, runs = 20, 200
	}
	for _, store := range []string{"embedded", "mongodb"} {
		t.Run(store, func(t *testing.T) {
			o := options{method: "local"}
			if store == "mongodb" {
				o.db = mongotest.Start(t)
			}
			testCrowd(t, newWorld(t, o), processes, runs)
		})
	}
}

func testCrowd(t *testing.T, w *world, processes, runs int) {
	var dump bytes.Buffer
	var names []string
	for n := range runs {
		name := fmt.Sprintf("160315_%04d", n)
		names = append(names, name)
		transfertest.MakeTree(t, w.at("a", name), map[string]string{"a.zip": transfertest.Random(byte(n), 3000), "b.zip": name})
		sum, err := checksum.DirSum(t.Context(), w.at("a", name), checksum.SHA512)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(&dump).Encode(oldRun(w, n, name, sum.Bare())); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(w.dir+"/runs_new.json", dump.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	w.must("db", "import", w.dir+"/runs_new.json")

	var wg sync.WaitGroup
	for i := range processes {
		cmd := w.command(t.Context(), "--once", "--host", "a", "--log", "warning", "--log-file", fmt.Sprintf("%s/%d.log", w.dir, i))
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, out)
			}
		})
	}
	wg.Wait()
	copied := map[string]int{}
	for _, r := range w.all() {
		n := 0
		for _, c := range r.Data {
			if c.Host == "b" && c.Type == "raw" {
				n++
				if c.Status != "verifying" || c.Claim != nil {
					t.Errorf("%s: %+v", r.Name, c)
				}
			}
		}
		copied[r.Name] = n
	}
	if len(copied) != runs {
		t.Errorf("%d runs, want %d", len(copied), runs)
	}
	for _, name := range names {
		if copied[name] != 1 {
			t.Errorf("%s has %d records at b", name, copied[name])
		}
		transfertest.SameTree(t, w.at("a", name), w.at("b", name))
	}
	if got := w.names("b"); len(got) != runs {
		t.Errorf("b holds %d names, want %d: %q", len(got), runs, got)
	}
	w.countCopied(runs)
	w.must("--once", "--host", "b", "--log", "warning")
	for _, r := range w.all() {
		for _, c := range r.Data {
			if c.Host == "b" && c.Type == "raw" && c.Status != "transferred" {
				t.Errorf("%s: after verification %+v", r.Name, c)
			}
		}
	}
}

// countCopied counts the events of all runs, as an export has them.
func (w *world) countCopied(want int) {
	w.t.Helper()
	w.must("db", "export", w.dir+"/export")
	text, err := os.ReadFile(w.dir + "/export/events.json")
	if err != nil {
		w.t.Fatal(err)
	}
	n := map[string]int{}
	for line := range bytes.Lines(text) {
		var e struct{ Name, What string }
		if err := json.Unmarshal(line, &e); err != nil {
			w.t.Fatalf("%v in %q", err, line)
		}
		if e.What == "copied" {
			n[e.Name]++
		}
	}
	for name, times := range n {
		if times != 1 {
			w.t.Errorf("%s was copied %d times", name, times)
		}
	}
	if len(n) != want {
		w.t.Errorf("%d runs were copied, want %d", len(n), want)
	}
}
