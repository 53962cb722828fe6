package rucio

import (
	"errors"
	"strings"
)

// Kinds of errors, for errors.Is. Only ErrTransient is worth an immediate new try.
var (
	ErrNotExist    = errors.New("does not exist")
	ErrExist       = errors.New("exists already")
	ErrPermission  = errors.New("permission denied")
	ErrAuth        = errors.New("login was refused")
	ErrQuota       = errors.New("quota is exhausted")
	ErrUnavailable = errors.New("is not available for this") // an RSE that takes no writes, or not enough RSEs
	ErrTransient   = errors.New("is temporarily not available")
	ErrCorrupt     = errors.New("is not what the catalogue says")
	ErrConflict    = errors.New("differs from what is there already")
	ErrUnsupported = errors.New("is not supported")
	ErrInvalid     = errors.New("is invalid")
)

// An Error tells which operation failed on what.
type Error struct {
	Op      string // "add rule", "upload", …
	Thing   string // what it was done to: a DID, an RSE, a PFN; may be ""
	Kind    error  // one of the Err… values of this package, or nil
	Class   string // ExceptionClass of the server; "" if it is not the server's
	Message string // ExceptionMessage of the server
	Status  int    // of HTTP; 0 if there was no answer
	Err     error  // the cause, or nil
	Hint    string // the next step for a person; may be ""
}

// Error gives operation, thing, kind, class, cause and next step on one line.
func (e *Error) Error() string {
	var s []string
	head := "rucio: " + e.Op
	if e.Thing != "" {
		head += " " + e.Thing
	}
	s = append(s, head)
	if e.Kind != nil {
		s = append(s, e.Kind.Error())
	}
	switch {
	case e.Class != "" && e.Message != "":
		s = append(s, e.Class+": "+strings.Join(strings.Fields(e.Message), " "))
	case e.Class != "":
		s = append(s, e.Class)
	}
	if e.Err != nil {
		s = append(s, e.Err.Error())
	}
	text := strings.Join(s, ": ")
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
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
