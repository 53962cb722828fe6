package process

import (
	"errors"
	"strings"
)

// Kinds of errors, for errors.Is.
var (
	// ErrInvalid: a job, a template or a configuration is wrong. Nothing was done.
	ErrInvalid = errors.New("is invalid")
	// ErrExist: there is a job with this key.
	ErrExist = errors.New("exists already")
	// ErrNotExist: there is no such job, program or file.
	ErrNotExist = errors.New("does not exist")
	// ErrUnavailable: the batch system does not answer, so nothing is known about
	// what it holds. Worth another try later; never the same as an empty queue.
	ErrUnavailable = errors.New("does not answer")
	// ErrRefused: the batch system answered, and did not take the job.
	ErrRefused = errors.New("was refused")
	// ErrUncertain: it is not known whether the batch system took the job. It
	// stays on record, and [Queue.Jobs] finds out.
	ErrUncertain = errors.New("may or may not have been taken")
	// ErrFailed: a program ended with another exit code than 0, or by a signal.
	ErrFailed = errors.New("failed")
	// ErrOutput: a program ended well, and its product is missing, empty or was
	// rejected by the check.
	ErrOutput = errors.New("has no good product")
)

// An Error tells which operation failed on what.
type Error struct {
	Op   string // "submit", "list", "cancel", "run", "template", …
	What string // a key, a program, a template, a path; may be ""
	Kind error  // one of the Err… values of this package, or nil
	Err  error  // the cause, or nil
	Hint string // the next step for a person; may be ""
}

// Error gives operation, thing, kind, cause and next step on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.What != "" {
		b.WriteString(" " + e.What)
	}
	if e.Kind != nil {
		b.WriteString(": " + e.Kind.Error())
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
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
