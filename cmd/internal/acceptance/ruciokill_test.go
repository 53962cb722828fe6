package acceptance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio/ruciotest"
)

// C37: 40 uploads are killed at random moments, and the cycle that follows finishes them:
// whole, verified, nothing left behind, nothing twice, and never without the record.
func testRucioKill(t *testing.T, s *ruciotest.Server) {
	l := newLab(t, s, ruciotest.RSEA)
	run := func(i int) string { return time.Date(2017, 4, 1, 0, i, 0, 0, time.UTC).Format("060102_1504") }
	const n = 41
	var runs []string
	for i := range n {
		runs = append(runs, run(i))
		l.add(6300+i, runs[i], files(6300+i, 14, 20_000))
	}
	l.must("ruciax", "--version") // it is built
	// How long it takes undisturbed.
	start := time.Now()
	l.must("ruciax", "--once", "--name", runs[0])
	whole := time.Since(start)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d; an upload takes %s", seed, whole.Round(time.Millisecond))
	random := rand.New(rand.NewPCG(seed, 0))
	killed, begun, some := 0, 0, 0
	for _, r := range runs[1:] {
		cmd := l.command(t.Context(), "ruciax", "--once", "--name", r)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-time.After(time.Duration(random.Int64N(int64(whole)))):
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil && err != os.ErrProcessDone {
				t.Fatal(err)
			}
			<-ended
			killed++
		case <-ended:
		}
		switch rs := l.records(r, catalogue); {
		case len(rs) > 1:
			t.Fatalf("%d records of %s", len(rs), r)
		case len(rs) == 1 && rs[0].text("status") == "transferring":
			begun++
			if len(l.stored(r, ruciotest.RSEA)) > 0 {
				some++
			}
		}
	}
	t.Logf("%d killed, %d of them with a claim, %d with files at the RSE", killed, begun, some)
	if begun == 0 || some == 0 {
		t.Error("none was killed amid its upload")
	}
	l.must("ruciax", "--once", "--parallel", "3")
	js := l.judgeAll(runs...)
	for _, r := range runs {
		j := js[r]
		l.is(r, "transferred", "")
		l.whole(r, ruciotest.RSEA, &j)
		j.onlyRule(t, ruciotest.RSEA)
		if len(j.Container) != 1 {
			t.Errorf("the container of %s has %q", r, j.Container)
		}
	}
}

// C27: what is at the RSE under the right names and is not the files is found, and no
// upload is called done on its strength.
func testC27(t *testing.T, s *ruciotest.Server) {
	for _, rse := range []string{ruciotest.RSEA, ruciotest.RSERoot} {
		l := newLab(t, s, rse)
		number := map[string]int{ruciotest.RSEA: 6401, ruciotest.RSERoot: 6402}[rse]
		run := fmt.Sprintf("170402_%04d", number-6400)
		l.add(number, run, files(number, 6, 4000))
		l.uploads(run)
		// Again from the start, with a file that was damaged there: same name, same size.
		damaged := l.s.File(rse, scope(run), "trigger_monitor_data.zip")
		flip(t, damaged)
		if rse == ruciotest.RSERoot {
			// XRootD keeps a checksum beside a file for as long as that has the same time.
			if err := os.Chtimes(damaged, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		l.again(run, "RSEreupload")
		l.fails([]string{"trigger_monitor_data.zip"}, "ruciax", "--once", "--name", run)
		l.is(run, "error", "corrupt")
		l.explains(run, "corrupt", "another file", "declare the replica bad")
		// Nobody counts on it any more: it is uploaded anew.
		if status, text := l.s.Call("POST", "/replicas/bad/dids", map[string]any{"rse": rse, "reason": "damaged",
			"dids": []map[string]string{{"scope": scope(run), "name": "trigger_monitor_data.zip"}}}); status != 201 {
			t.Fatalf("%d: %s", status, text)
		}
		l.uploads(run)
		l.published(run, rse)

		// What lies there unknown to the catalogue, of the same name and size, is no file
		// of the run.
		if rse == ruciotest.RSEA {
			stray := "170402_0201"
			l.add(6405, stray, files(6405, 4, 2000))
			at := l.s.File(rse, scope(stray), "trigger_monitor_data.zip")
			if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
				t.Fatal(err)
			}
			copyFile(t, l.raw(stray)+"/trigger_monitor_data.zip", at)
			flip(t, at)
			l.uploads(stray)
			l.published(stray, rse)
		}

		// The catalogue says that other bytes have this name: nothing is overwritten.
		other := fmt.Sprintf("170402_%04d", number-6300)
		l.add(number+1000, other, files(number+1000, 3, 100))
		l.s.AddScope(l.s.Admin.Account, scope(other))
		if status, text := l.s.Call("POST", "/replicas", map[string]any{"rse": rse, "ignore_availability": true, "files": []any{
			map[string]any{"scope": scope(other), "name": "trigger_monitor_data.zip", "bytes": 7, "adler32": "00000001"}}}); status != 201 {
			t.Fatalf("%d: %s", status, text)
		}
		l.fails([]string{"trigger_monitor_data.zip"}, "ruciax", "--once", "--name", other)
		l.is(other, "error", "conflict")
		l.explains(other, "conflict", "trigger_monitor_data.zip")
	}
}

// again makes the record of a run ask for another upload, as the original's operators do.
func (l *lab) again(run, status string) {
	l.t.Helper()
	doc := l.document(run)
	db := l.dir + "/again.db"
	os.Remove(db)
	for _, d := range doc["data"].([]any) {
		if c := d.(map[string]any); c["host"] == catalogue {
			c["status"] = status
		}
	}
	l.db = "sqlite:" + db
	l.load(run, doc)
}
