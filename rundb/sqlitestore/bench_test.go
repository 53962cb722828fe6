package sqlitestore

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
)

// BenchmarkFind measures queries over 100 000 runs of which each has verified
// copies at two sites: those of an idle cycle, and some that find runs.
func BenchmarkFind(b *testing.B) {
	const n = 100_000
	d, err := Open(b.Context(), filepath.Join(b.TempDir(), "runs.db"), &Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	// Only the making is fast and careless.
	if _, err := d.write.Exec(`PRAGMA synchronous = OFF`); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		data := []rundb.Copy{}
		for _, host := range []string{"a", "b"} {
			data = append(data, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: host}, Status: rundb.Transferred,
				Location: fmt.Sprintf("/%s/%d", host, i), Checksum: fmt.Sprintf("%0128d", i), Created: time.Unix(int64(i), 0)})
		}
		if i%10_000 == 0 {
			data = data[:1]
		}
		r, err := rundb.NewRun(rundb.Run{Number: int64(i), Name: fmt.Sprint(i), Detector: "tpc", Start: time.Unix(int64(i)*60, 0), Data: data})
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Insert(b.Context(), r.Raw()); err != nil {
			b.Fatal(err)
		}
	}
	have := rundb.CopyMatch{Types: []rundb.Type{rundb.Raw}, Hosts: []string{"a"}, Statuses: []rundb.Status{rundb.Transferred}, Versions: []string{""}}
	for _, c := range []struct {
		name string
		q    rundb.Query
	}{
		{"idle/push", rundb.Query{Missing: &rundb.Missing{Have: have, At: "a"}}},
		{"idle/unfinished", rundb.Query{Copies: []rundb.CopyMatch{have, {Hosts: []string{"b"}, Statuses: []rundb.Status{rundb.Failed, rundb.Transferring}}}}},
		{"idle/compare", rundb.Query{Disagree: &rundb.CopyMatch{Hosts: []string{"a"}}}},
		{"idle/location", rundb.Query{Copies: []rundb.CopyMatch{{Hosts: []string{"b"}, Location: "/b/none"}}, Limit: 2}},
		{"ten to push", rundb.Query{Missing: &rundb.Missing{Have: have, At: "b"}}},
		{"one by number", rundb.Query{Numbers: []rundb.Range{{From: 777, To: 777}}}},
		{"one by name", rundb.Query{Names: []string{"777"}}},
		{"newest 20", rundb.Query{Limit: 20}},
		{"newest 20 at a host", rundb.Query{Copies: []rundb.CopyMatch{have}, Limit: 20}},
		{"newest 20 of a detector", rundb.Query{Detectors: []string{"tpc"}, NotTags: []string{"bad"}, Limit: 20}},
		{"everything", rundb.Query{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range d.Find(context.Background(), &c.q) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-total")
		})
	}
}
