package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/cax-go/cax/tsm/tsmtest"
)

// A tapeWorld is a world whose a uploads to a tape server, "tape", and whose b downloads
// from there.
type tapeWorld struct {
	*world
	tape *tsmtest.Tape
}

func newTapeWorld(t *testing.T) *tapeWorld {
	t.Helper()
	w := &tapeWorld{newWorld(t, options{method: "local"}), tsmtest.New(t)}
	var script strings.Builder
	for _, kv := range w.tape.Variables() {
		name, value, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&script, "export %s='%s'\n", name, value)
	}
	if err := os.WriteFile(w.dir+"/env.sh", []byte(script.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for n, s := range w.sites {
		s["method"], s["upload_options"], s["download_options"] = "tsm", nil, nil
		s["dir_tsm"] = w.dir + "/" + n + "/tsm"
		s["tsm"] = map[string]any{"program": w.tape.Program(), "environment": w.dir + "/env.sh"}
		if err := os.MkdirAll(w.dir+"/"+n+"/tsm", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.sites["a"]["upload_options"], w.sites["b"]["download_options"] = []string{"tape"}, []string{"tape"}
	b, err := json.Marshal([]any{w.sites["a"], w.sites["b"], map[string]any{"name": "tape", "method": "tsm", "dir_raw": nil}})
	if err == nil {
		err = os.WriteFile(w.config, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func flat() map[string]string {
	return map[string]string{"XENON1T-0.zip": transfertest.Random(1, 200_000), "XENON1T-1.zip": "beta", "XENON1T-2.zip": "gamma", "pax_info.json": "{}", "empty": ""}
}

const tapeRun = "160315_1432"

// left lists what lies in the folders in which data are prepared, or are assembled.
func (w *tapeWorld) left() []string {
	w.t.Helper()
	var all []string
	for _, dir := range []string{"/a/tsm", "/b/tsm", "/b/raw", "/a/raw"} {
		es, err := os.ReadDir(w.dir + dir)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range es {
			if e.Name() != tapeRun {
				all = append(all, dir+"/"+e.Name())
			} else if strings.HasSuffix(dir, "tsm") {
				all = append(all, dir+"/"+e.Name())
			}
		}
	}
	return all
}

// whole fails the test if the record says that tape has the run and tape has not.
func (w *tapeWorld) whole() {
	w.t.Helper()
	cs := w.copies("tape", tapeRun)
	if len(cs) != 1 || cs[0].Status != "transferred" {
		return
	}
	there := map[string]bool{}
	for _, v := range w.tape.Versions(w.t) {
		there[v.Path] = true
	}
	for name := range flat() {
		if p := cs[0].Location + "/" + tapeRun + "_" + name; !there[p] {
			w.t.Errorf("the record says transferred, and %s is not on tape", p)
		}
	}
}

// TestC39TapeKills: cax that is killed while dsmc works, at any file of any step, leaves no
// record that says more than tape has; the next cycle finishes, and nothing is left over.
func TestC39TapeKills(t *testing.T) {
	type kill struct {
		op    string
		after int
	}
	kills := []kill{{"archive", 3}, {"query archive", 2}, {"retrieve", 3}}
	if long() {
		kills = nil
		for _, op := range []string{"archive", "query archive", "retrieve"} {
			for after := range 6 {
				kills = append(kills, kill{op, after})
			}
		}
	}
	for _, k := range kills {
		fault := tsmtest.Fault{Op: k.op, Kind: tsmtest.KillsCaller, After: k.after, Times: 1}
		t.Run(fmt.Sprintf("%s %d", k.op, k.after), func(t *testing.T) {
			t.Parallel()
			w := newTapeWorld(t)
			w.register(tapeRun, flat())
			w.tape.Fail(t, fault)
			o := w.run("--once", "--host", "a")
			w.whole()
			w.tape.Fail(t)
			w.must("--once", "--host", "a")
			w.whole()
			if c := w.copy("tape", tapeRun); c.Status != "transferred" {
				t.Fatalf("%+v after an end with %d:\n%s", c, o.code, o.stderr)
			}
			if l := w.left(); len(l) > 0 {
				t.Errorf("after the upload there is left: %q", l)
			}
			w.tape.Fail(t, fault)
			w.run("--once", "--host", "b")
			w.tape.Fail(t)
			w.must("--once", "--host", "b")
			w.good(tapeRun)
			if l := w.left(); len(l) > 0 {
				t.Errorf("after the download there is left: %q", l)
			}
		})
	}
}

// TestC39TapeKillAnywhere kills cax after times that are spread over an upload and a
// download.
func TestC39TapeKillAnywhere(t *testing.T) {
	rounds := 2
	if long() {
		rounds = 40
	}
	w := newTapeWorld(t)
	w.tape.Set(t, func(s *tsmtest.Settings) { s.FileDelay = 5 * time.Millisecond })
	w.register(tapeRun, flat())
	for _, site := range []string{"a", "b"} {
		host := map[string]string{"a": "tape", "b": "b"}[site]
		for range rounds {
			ctx := t.Context()
			cmd := w.command(ctx, "--once", "--host", site)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Duration(rand.Int64N(int64(600*time.Millisecond))), func() { _ = cmd.Process.Kill() })
			var exit *exec.ExitError
			if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			w.whole()
		}
		w.must("--once", "--host", site)
		w.whole()
		if c := w.copy(host, tapeRun); c.Status != "transferred" {
			t.Fatalf("%+v", c)
		}
	}
	w.good(tapeRun)
	if l := w.left(); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
}
