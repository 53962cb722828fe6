package cax

import (
	"context"
	"iter"

	"github.com/cax-go/cax/rundb"
)

// oldestEvery: of each so many runs one is the oldest that waits, so that old
// work does not starve while new runs come in.
const oldestEvery = 4

// bothEnds yields the runs of a query that are not in seen, each once, and adds
// them to it: newest first, with every fourth place for the oldest.
func bothEnds(ctx context.Context, store *rundb.Store, q rundb.Query, seen map[rundb.ID]bool) iter.Seq2[*rundb.Run, error] {
	return func(yield func(*rundb.Run, error) bool) {
		fresh := func(r *rundb.Run) bool {
			if seen[r.ID] {
				return false
			}
			seen[r.ID] = true
			return true
		}
		var oldest func() (*rundb.Run, error, bool)
		n := 0
		for r, err := range store.Find(ctx, &q) {
			if err == nil && !fresh(r) {
				continue
			}
			if !yield(r, err) {
				return
			}
			if n++; n%(oldestEvery-1) != 0 {
				continue
			}
			if oldest == nil {
				back := q
				back.OldestFirst = true
				next, stop := iter.Pull2(store.Find(ctx, &back))
				defer stop()
				oldest = next
			}
			for {
				r, err, ok := oldest()
				if !ok || err != nil {
					break // the other end meets the same error
				}
				if fresh(r) {
					if !yield(r, nil) {
						return
					}
					break
				}
			}
		}
	}
}

// newestFirst yields the runs of a query that are not in seen, each once, and adds them
// to it.
func newestFirst(ctx context.Context, store *rundb.Store, q rundb.Query, seen map[rundb.ID]bool) iter.Seq2[*rundb.Run, error] {
	return func(yield func(*rundb.Run, error) bool) {
		for r, err := range store.Find(ctx, &q) {
			if err == nil {
				if seen[r.ID] {
					continue
				}
				seen[r.ID] = true
			}
			if !yield(r, err) {
				return
			}
		}
	}
}
