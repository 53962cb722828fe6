package rundb

import "errors"

// Kinds of errors. They are matched with errors.Is.
var (
	ErrNotExist  = errors.New("does not exist")
	ErrExist     = errors.New("exists already")
	ErrConflict  = errors.New("was changed by somebody else")
	ErrAmbiguous = errors.New("matches more than one record")
	ErrInvalid   = errors.New("is invalid")
	ErrTransient = errors.New("is temporarily not available")

	// ErrUnknownOutcome is what a driver returns when a write was sent and no
	// answer came: it may or may not have been applied.
	ErrUnknownOutcome = errors.New("may or may not have been applied")
)

// An Error tells which operation failed on what.
type Error struct {
	Op   string // the operation, as "claim" or "find"
	What string // what it was about, as `run 1234 raw at "midway"`
	Kind error  // one of the Err… values of this package, or nil
	Err  error  // the cause, or nil
}

// Error gives operation, thing, kind and cause on one line.
func (e *Error) Error() string {
	s := e.Op
	if e.What != "" {
		s += " " + e.What
	}
	if e.Kind != nil {
		s += ": " + e.Kind.Error()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
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
