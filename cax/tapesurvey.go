package cax

import (
	"context"
	"iter"

	"github.com/cax-go/cax/rundb"
)

// A TapedCopy is a copy on record at a tape server, and what was seen of it there.
type TapedCopy struct {
	Run  *rundb.Run
	Copy rundb.Copy
	*OnTape
}

// SeeTapes asks a tape server about all copies on record there of the runs that a query
// selects, many by one query of dsmc. The error ends it.
func (e *Env) SeeTapes(ctx context.Context, tape *Site, q rundb.Query) iter.Seq2[TapedCopy, error] {
	return func(yield func(TapedCopy, error) bool) {
		drive, err := e.drive(ctx, tape)
		if err != nil {
			yield(TapedCopy{}, err)
			return
		}
		at := rundb.CopyMatch{Hosts: []string{tape.Name}, Statuses: []rundb.Status{rundb.Transferred}}
		q.Copies = append(q.Copies[:len(q.Copies):len(q.Copies)], at)
		var wants []wantedCopy
		show := func() bool {
			found, err := drive.lookAll(ctx, e, wants)
			if err != nil {
				yield(TapedCopy{}, err)
				return false
			}
			for i := range wants {
				w := &wants[i]
				seen, err := e.compareTape(ctx, tape, w.run, &w.copy, found[i])
				if !yield(TapedCopy{w.run, w.copy, seen}, err) || err != nil {
					return false
				}
			}
			wants = nil
			return true
		}
		for r, err := range e.Store.Find(ctx, &q) {
			if err != nil {
				if !yield(TapedCopy{}, err) {
					return
				}
				continue
			}
			for c := range r.Copies(at) {
				wants = append(wants, wantedCopy{copyOf{r.ID, c.Key}, r, c})
			}
			if len(wants) >= tapeLookMost && !show() {
				return
			}
		}
		if len(wants) > 0 {
			show()
		}
	}
}
