package tsm

import (
	"errors"
	"fmt"
)

// A meaning is the kind of error that a message stands for, and the next step.
type meaning struct {
	kind error
	hint string
}

// meaningOf tells what a message stands for, whatever its severity. Its kind is nil if
// it stands for no error, or only for one of one object.
func meaningOf(number int) meaning {
	switch number {
	case 990, 1035, 1107, 1217:
		return meaning{ErrConfig, "see dsm.opt and dsm.sys, and the name of the server stanza"}
	case 1051, 1352:
		return meaning{ErrAuth, "run dsmc by hand once, to give the password"}
	case 1017, 1029, 8010:
		return meaning{ErrTransient, "see whether the server can be reached; it is tried again"}
	case 1301, 1312, 1314:
		return meaning{ErrTransient, "the server cannot mount the tape or read it now; it is tried again"}
	case 1311, 1329:
		return meaning{ErrNoSpace, "ask the server's operators for storage"}
	case 1330:
		return meaning{ErrPending, "see dsmc query restore, and if nobody needs it, dsmc cancel restore"}
	case 1092, 1302, 1345, 1076, 1063:
		return meaning{ErrNotExist, ""}
	case 1071, 1081, 1102, 2039:
		return meaning{ErrInvalid, ""}
	}
	return meaning{}
}

// leavesOut tells the messages that say why one object was left out.
func leavesOut(m Message) bool {
	return m.Number >= 4000 && m.Number < 5000 && m.Severity == Failure
}

// grave picks warnings and errors.
func grave(ms []Message) []Message {
	var out []Message
	for _, m := range ms {
		if m.Severity != Info || meaningOf(m.Number).kind != nil {
			out = append(out, m)
		}
	}
	return out
}

// judge decides whether a run went well: exit code first, then the codes of messages,
// then numbers. Warnings of a run that did all of its work are no error.
func (r *Result) judge(op string) error {
	e := &Error{Op: op, Exit: r.Exit, Messages: grave(r.Messages)}
	if r.Prompt != "" && r.Exit != ExitOK {
		e.Kind, e.Err, e.Hint = ErrPrompt, fmt.Errorf("%q", r.Prompt), "answer it by hand once, or set what it asks for in dsm.opt"
		for _, m := range r.Messages {
			if is := meaningOf(m.Number); is.kind != nil {
				e.Kind, e.Hint = is.kind, is.hint
			}
		}
		return e
	}
	switch r.Exit {
	case ExitOK, ExitSkipped:
		if n := r.leftOut(); n > 0 || r.Exit == ExitSkipped {
			e.Kind = ErrIncomplete
			if n > 0 {
				e.Err = fmt.Errorf("%d objects were left out", n)
			}
			return e
		}
		r.Warnings = e.Messages
		return nil
	case ExitNotFound:
		e.Kind, e.Hint = ErrNotInstalled, "install the client, or set its PATH"
		return e
	case ExitKilled:
		e.Kind, e.Hint = ErrTransient, "see who ended it; it is tried again"
		return e
	}
	for _, m := range r.Messages {
		is := meaningOf(m.Number)
		if is.kind == nil || r.Exit == ExitError && e.Kind != nil && (m.Severity == Info || m.Severity == Warning) {
			continue
		}
		e.Kind, e.Hint = is.kind, is.hint
	}
	if e.Kind != nil {
		return e
	}
	if r.Exit == ExitWarning {
		n := r.leftOut()
		if n == 0 && r.ended() {
			r.Warnings = e.Messages
			return nil
		}
		if n > 0 {
			e.Kind, e.Err = ErrIncomplete, fmt.Errorf("%d objects were left out", n)
			return e
		}
	}
	e.Kind, e.Hint = ErrFailed, "see the messages, and dsmerror.log"
	if len(e.Messages) == 0 {
		e.Err = errors.New("it does not say why")
	}
	return e
}

// ended: the run came to its statistics, or to the rows that were asked for.
func (r *Result) ended() bool {
	return len(r.Statistics) > 0 || len(r.Objects) > 0 || len(r.Filespaces) > 0 || len(r.Fields) > 0
}

// leftOut counts the objects that did not make it.
func (r *Result) leftOut() int64 {
	n := int64(0)
	for _, t := range r.Last() {
		if t.Outcome == Changed || t.Outcome == Unsuccessful {
			n++
		}
	}
	single := int64(0)
	for _, m := range r.Messages {
		if leavesOut(m) {
			single++
		}
	}
	return max(n, single, r.Statistics.Count(ObjectsFailed))
}
