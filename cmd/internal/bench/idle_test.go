package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestIdleCycle measures one cycle of a site that has nothing to do, over a database
// of many runs: time, and memory of the whole process.
func TestIdleCycle(t *testing.T) {
	n := 1000
	if *compare {
		n = *runs
	}
	w := newWorld(t, nil)
	db := "sqlite:" + filepath.Join(w.dir, "idle.db")
	load := exec.CommandContext(t.Context(), w.cax, "db", "import", "--config", w.config, "--rundb", db, "--log", "warning", "-")
	in, err := load.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	load.Stdout, load.Stderr = &said, &said
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	if err := writeRuns(in, w, n); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := load.Wait(); err != nil {
		t.Fatalf("import: %v\n%s", err, said.String())
	}

	r := result{title: fmt.Sprintf("idle cycle over %d runs, embedded store", n)}
	for _, host := range []string{"a", "b"} {
		c := row{name: "cax --once at " + host}
		var peak int64
		for range max(1, *rounds) {
			cmd := exec.CommandContext(t.Context(), w.cax, "--once", "--config", w.config, "--rundb", db, "--host", host, "--log", "warning")
			cmd.Dir = w.dir
			began := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			c.times = append(c.times, time.Since(began))
			peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
		}
		c.name += fmt.Sprintf(", %d MiB", peak>>10)
		r.rows = append(r.rows, c)
	}
	st, err := os.Stat(filepath.Join(w.dir, "idle.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("database of %d MiB", st.Size()>>20)
	r.report(t)
}

// writeRuns writes runs that both sites have, in Extended JSON.
func writeRuns(to io.Writer, w *world, n int) error {
	start := time.Date(2016, 3, 15, 0, 0, 0, 0, time.UTC)
	for i := range n {
		at := start.Add(time.Duration(i) * time.Hour)
		name, sum := at.Format("060102_1504"), strings.Repeat(fmt.Sprintf("%016x", i), 8)
		copyAt := func(host string) string {
			return fmt.Sprintf(`{"type":"raw","host":%q,"status":"transferred","location":"%s/%s/%s","checksum":%q,"creation_time":{"$date":%d}}`,
				host, w.dir, host, name, sum, at.UnixMilli())
		}
		_, err := fmt.Fprintf(to, `{"_id":{"$oid":"%024x"},"number":%d,"name":%q,"detector":"tpc","start":{"$date":%d},"raw_size_byte":1048576,"data":[%s,%s]}`+"\n",
			i+1, i+1, name, at.UnixMilli(), copyAt("a"), copyAt("b"))
		if err != nil {
			return err
		}
	}
	return nil
}
