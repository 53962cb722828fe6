package ruciotest

import "slices"

// A Request is what came to a [Fake].
type Request struct {
	Number int // from 1, of all requests
	Method string
	Path   string // decoded
	Query  string
	Body   string
}

// A Fault is what goes wrong with a request.
type Fault int

// The faults.
const (
	NoFault      Fault = iota
	Busy               // 503 from something in front of the server; nothing is done
	Unauthorized       // the token is not accepted; nothing is done
	CutBefore          // the connection ends, and nothing is done
	CutAfter           // it is done, and the connection ends before the answer
	CutInLine          // it is done, and the answer ends in the middle of a line
	StallInLine        // the same, and the connection stays open
	Hang               // nothing is done and nothing comes
	Trickle            // each line of a list comes in a packet of its own
)

// A planned fault meets the next n requests that match.
type planned struct {
	n     int
	fault Fault
	match func(Request) bool
}

// Fail makes the next n requests that match fail; n < 0 means all from now on. A nil
// match matches each. What was planned first is first; a fault of 0 only looks.
func (f *Fake) Fail(n int, fault Fault, match func(Request) bool) {
	f.faultMu.Lock()
	defer f.faultMu.Unlock()
	f.faults = append(f.faults, &planned{n, fault, match})
}

// Recover forgets all faults that are planned.
func (f *Fake) Recover() {
	f.faultMu.Lock()
	defer f.faultMu.Unlock()
	f.faults = nil
}

// Requests are all that came since the last Forget.
func (f *Fake) Requests() []Request {
	f.faultMu.Lock()
	defer f.faultMu.Unlock()
	return slices.Clone(f.requests)
}

// Forget begins counting requests anew.
func (f *Fake) Forget() {
	f.faultMu.Lock()
	defer f.faultMu.Unlock()
	f.requests = nil
}

// note keeps a request and tells what goes wrong with it.
func (f *Fake) note(r Request) Fault {
	f.faultMu.Lock()
	defer f.faultMu.Unlock()
	r.Number = len(f.requests) + 1
	f.requests = append(f.requests, r)
	for _, p := range f.faults {
		if p.n == 0 || p.match != nil && !p.match(r) {
			continue
		}
		if p.n > 0 {
			p.n--
		}
		return p.fault
	}
	return NoFault
}
