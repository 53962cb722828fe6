package correction

import (
	"errors"
	"strings"
)

// Kinds of errors, for errors.Is.
var (
	// ErrInvalid: a formula, a document, an answer or a setting is wrong.
	ErrInvalid = errors.New("is invalid")
	// ErrNotExist: there is no such document, or no value for this run.
	ErrNotExist = errors.New("does not exist")
	// ErrUnavailable: slow control does not answer. Worth another try later.
	ErrUnavailable = errors.New("does not answer")
	// ErrRefused: slow control answered, and gave no values.
	ErrRefused = errors.New("was refused")
)

// An Error tells which operation failed on what.
type Error struct {
	Op    string // "read", "compute", "ask", …
	What  string // a document, a run, a variable; may be ""
	Field string // the field of the document; "" if it is about none
	Kind  error  // one of the Err… values of this package, or nil
	Err   error  // the cause, or nil
	Hint  string // the next step for a person; may be ""
}

// Error gives operation, thing, field, kind, cause and next step on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.What != "" {
		b.WriteString(" " + e.What)
	}
	if e.Field != "" {
		b.WriteString(": field " + e.Field)
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
