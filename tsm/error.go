package tsm

import (
	"errors"
	"fmt"
	"strings"
)

// Kinds of errors, for errors.Is.
var (
	ErrNotInstalled = errors.New("is not installed")
	ErrConfig       = errors.New("is not configured")
	ErrAuth         = errors.New("login was refused")
	ErrTransient    = errors.New("is temporarily not available")
	ErrNotExist     = errors.New("does not exist")
	ErrExist        = errors.New("exists already")
	ErrPermission   = errors.New("permission denied")
	ErrNoSpace      = errors.New("has not enough space")
	ErrInvalid      = errors.New("is invalid")
	ErrUnsupported  = errors.New("is not supported")
	ErrStalled      = errors.New("made no progress")

	// ErrIncomplete: some objects were left out, the others are done.
	ErrIncomplete = errors.New("was done in part")

	// ErrPending: an interrupted restore of this node has to be resumed or
	// cancelled before another one is possible. See [Client.CancelRestore].
	ErrPending = errors.New("waits for an interrupted restore")

	// ErrPrompt: the program asked a question, which nobody can answer.
	ErrPrompt = errors.New("asked a question")

	// ErrFailed: the program says so, for a reason that this package does not
	// know. The messages are in the error.
	ErrFailed = errors.New("failed")
)

// An Error tells which operation failed on what.
type Error struct {
	Op       string    // "archive", "query archive", "stage", …
	Path     string    // bytes; printed quoted; may be ""
	Exit     ExitCode  // of dsmc; 0 if it was not run
	Messages []Message // of severity W, E and S, and those that explain the error
	Kind     error     // one of the Err… values of this package
	Err      error     // the cause, or nil
	Hint     string    // the next step for a person; may be ""
}

// Error gives operation, path, kind, cause, what dsmc said and the next step on one
// line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("dsmc " + e.Op)
	if e.Path != "" {
		fmt.Fprintf(&b, " %q", e.Path)
	}
	if e.Kind != nil {
		b.WriteString(" " + e.Kind.Error())
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Exit != 0 {
		fmt.Fprintf(&b, " (exit code %d: %v)", int(e.Exit), e.Exit)
	}
	const most = 3
	for i, m := range e.Messages {
		if i == most {
			fmt.Fprintf(&b, "; %d more messages", len(e.Messages)-most)
			break
		}
		b.WriteString("; " + strings.ReplaceAll(m.String(), "\n", " "))
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap gives kind and cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.Kind != nil {
		errs = append(errs, e.Kind)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}
