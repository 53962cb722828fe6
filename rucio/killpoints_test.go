package rucio_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/transfer/transfertest"
)

// dead makes a process end at one point: what it does afterwards has no effect.
type dead struct {
	cancel context.CancelFunc
	is     bool
}

// Uploads that are killed at each point, before and after each request and each operation
// of storage, are finished by the next one.
func TestKilledUpload(t *testing.T) {
	sizes, step := []int{3000, 0}, 7 // a part of the points, unless there is time
	if transfertest.Long() {
		sizes, step = []int{3000, 0, 1}, 1
	}
	counted := newWorld(t, sizes...)
	st := &stage{}
	if _, err := (&rucio.Uploader{Client: counted.client(t), Open: st.open, Parallel: 1}).Upload(t.Context(), counted.job); err != nil {
		t.Fatal(err)
	}
	counted.complete(t, ruciotest.RSEA)
	requests, operations := len(counted.srv.Requests()), st.n

	run := func(t *testing.T, w *world, st *stage, d *dead) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d.cancel = cancel
		_, err := (&rucio.Uploader{Client: w.client(t), Open: st.open, Parallel: 1}).Upload(ctx, w.job)
		if d.is != (err != nil) {
			t.Fatalf("killed: %v, %v", d.is, err)
		}
		w.srv.Recover()
		w.upload(t, ruciotest.RSEA)
		w.complete(t, ruciotest.RSEA)
	}
	for k := 1; k <= requests; k += step {
		for _, fault := range []ruciotest.Fault{ruciotest.CutBefore, ruciotest.CutAfter} {
			t.Run(fmt.Sprintf("request %d, done %v", k, fault == ruciotest.CutAfter), func(t *testing.T) {
				w, d := newWorld(t, sizes...), &dead{}
				w.srv.Fail(1, fault, func(r ruciotest.Request) bool {
					if r.Number == k {
						d.is = true
						d.cancel()
					}
					return r.Number == k
				})
				w.srv.Fail(-1, ruciotest.CutBefore, func(r ruciotest.Request) bool { return r.Number > k })
				run(t, w, &stage{}, d)
			})
		}
	}
	for _, half := range []bool{false, true} {
		for k := 1; k <= operations; k += step {
			for _, after := range []bool{false, true} {
				if half && after {
					continue
				}
				for _, noRename := range []bool{false, true} {
					t.Run(fmt.Sprintf("operation %d, done %v, half %v, renames %v", k, after, half, !noRename), func(t *testing.T) {
						w, d := newWorld(t, sizes...), &dead{}
						kill := func(n int, _, _ string) error {
							if n < k {
								return nil
							}
							d.is = true
							d.cancel()
							return errKilled
						}
						if noRename {
							w.srv.ChangeRSE(ruciotest.RSEA, func(r *ruciotest.FakeRSE) { r.Protocols[0].Impl += "NoRename" })
						}
						st := &stage{before: kill, half: half}
						if after {
							st.after = kill
							st.before = func(n int, op, pfn string) error { return kill(n-1, op, pfn) }
						}
						run(t, w, st, d)
					})
				}
			}
		}
	}
}
