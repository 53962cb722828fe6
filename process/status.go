package process

import (
	"fmt"
	"syscall"
	"time"
)

// A Status is what is known about a job.
type Status struct {
	Key       Key       `json:"key"`
	Name      string    `json:"name,omitempty"`
	ID        string    `json:"id,omitempty"` // in the batch system; "": not known
	State     State     `json:"state"`
	ExitCode  int       `json:"exit_code"`          // of a job that has ended; -1: not known
	Reason    string    `json:"reason,omitempty"`   // one sentence for people
	Node      string    `json:"node,omitempty"`     // where it runs or ran
	Submitted time.Time `json:"submitted,omitzero"` // zero: not known; so too below
	Started   time.Time `json:"started,omitzero"`   // by the clock of the folder's file system
	Ended     time.Time `json:"ended,omitzero"`     // when it ended, or when that was noticed
	Resources Resources `json:"resources"`          //
	Dir       string    `json:"dir"`                // its folder
	Log       string    `json:"log"`                // what it printed; may not be there
}

// Active counts the jobs that wait or run, or may do so.
func Active(all []Status) int {
	n := 0
	for _, s := range all {
		if !s.State.Final() {
			n++
		}
	}
	return n
}

// A view is what the batch system says about one job.
type view struct {
	listed bool   // it answered
	entry  *Entry // nil: it does not know the job
}

// decide says what has become of a job, from what its folder and the batch system
// tell. settled says that a submission without an answer is old enough to be
// given up; revoke is then asked for, and the state is for the case that it succeeds.
//
// What the job itself left goes before what the batch system says: exit code 0 is
// success, whatever else. Of another exit code the batch system may know the cause.
func decide(t traces, v view, settled bool) (s Status, revoke bool) {
	s = Status{State: StateUnknown, ExitCode: -1, ID: t.id}
	if t.spec != nil {
		s.Key, s.Name, s.Submitted, s.Resources = t.spec.Key, t.spec.Name, t.spec.Submitted, t.spec.Resources
	}
	started := t.started != nil && !t.started.revoked
	if started {
		s.Started, s.Node = t.started.at, t.started.node
	}
	if e := v.entry; e != nil {
		s.ID, s.Reason = e.ID, e.Reason
		if e.Node != "" {
			s.Node = e.Node
		}
	}
	switch {
	case t.result != nil:
		decideResult(&s, *t.result, v, t.cancelled)
	case t.started != nil && t.started.revoked:
		decideRevoked(&s, t.cancelled)
	case v.entry != nil:
		decideEntry(&s, *v.entry, started)
	case !v.listed:
		s.Reason = "the batch system does not answer"
	case started:
		s.State, s.Reason = StateLost, "it started, and is gone without having left a result: it was killed, or its node died"
		if t.cancelled {
			s.State, s.Reason = StateCancelled, "it was cancelled"
		}
	case t.id != "":
		s.State, s.Reason = StateNotStarted, "it left the queue without having started"
		if t.cancelled {
			s.State, s.Reason = StateCancelled, "it was cancelled"
		}
	case settled:
		s.State, s.Reason = StateNotStarted, "the batch system has not taken it"
		revoke = true
	default:
		s.State, s.Reason = StateSubmitting, "whether the batch system took it is not known yet"
	}
	return s, revoke
}

func decideResult(s *Status, r ended, v view, cancelled bool) {
	s.ExitCode, s.Ended = r.code, r.at
	if r.code == 0 {
		s.State, s.Reason = StateSucceeded, ""
		return
	}
	s.State, s.Reason = StateFailed, exitReason(r.code)
	e := v.entry
	switch {
	case e != nil && !e.State.Final():
		// The batch system is about to say why.
		s.State, s.Reason = StateRunning, "it is ending"
	case e == nil && !v.listed:
		s.State, s.Reason = StateUnknown, s.Reason+", and the batch system does not answer why"
	case e != nil && e.State != StateSucceeded && e.State != StateNotStarted && e.State != StateLost && e.State != StateFailed:
		s.State, s.Reason = e.State, withWords(e.State, e.Reason)
	case cancelled:
		s.State, s.Reason = StateCancelled, "it was cancelled"
	}
}

func decideRevoked(s *Status, cancelled bool) {
	s.State, s.Reason = StateNotStarted, "the batch system has not taken it"
	if cancelled {
		s.State, s.Reason = StateCancelled, "it was cancelled before it started"
	}
}

func decideEntry(s *Status, e Entry, started bool) {
	s.State, s.ExitCode = e.State, e.ExitCode
	switch {
	case !e.State.Final():
		s.ExitCode = -1
	case e.State == StateSucceeded:
		s.ExitCode = 0 // the launcher says 0 only after it has written the result
	case e.State == StateFailed && !started:
		s.State = StateNotStarted
		s.Reason = "it could not be started, its log cannot be written, or its node cannot see its folder" + inBrackets(e.Reason)
	case e.State == StateFailed && e.ExitCode > 0:
		s.Reason = exitReason(e.ExitCode)
	default:
		s.Reason = withWords(e.State, e.Reason)
	}
}

// withWords makes a sentence of a state, with the batch system's own words.
func withWords(s State, words string) string {
	text := map[State]string{
		StateFailed:     "it ended without having left a result",
		StateCancelled:  "it was cancelled",
		StateTimeout:    "its walltime was over",
		StateMemory:     "it used more memory than it may",
		StateNodeLost:   "its node was lost",
		StateNotStarted: "it could not be started",
	}[s]
	return text + inBrackets(words)
}

func inBrackets(words string) string {
	if words == "" || words == "None" {
		return ""
	}
	return " (" + words + ")"
}

func exitReason(code int) string {
	if code > 128 && code < 128+65 {
		return fmt.Sprintf("it ended with exit code %d (%s)", code, syscall.Signal(code-128))
	}
	return fmt.Sprintf("it ended with exit code %d", code)
}
