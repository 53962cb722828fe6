package cax

import "github.com/cax-go/cax/transfer"

// A Monitor is told of transfers and verifications as they begin and end, so
// that a person can be shown where they are. It is called from several
// goroutines.
type Monitor interface {
	// Begin is called when work on a copy begins. The returned Progress is told
	// how it goes on, and end is called once, with the outcome.
	Begin(d Decision) (p transfer.Progress, end func(err error))
}

// begin calls the monitor if there is one.
func (e *Env) begin(d Decision) (transfer.Progress, func(error)) {
	if e.Monitor == nil {
		return nil, func(error) {}
	}
	return e.Monitor.Begin(d)
}
