package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kinds of errors, for errors.Is. Of these only ErrTransient and ErrStalled are
// worth an immediate new try.
var (
	ErrNotExist      = errors.New("does not exist")
	ErrExist         = errors.New("exists already")
	ErrPermission    = errors.New("permission denied")
	ErrTransient     = errors.New("is temporarily not available")
	ErrCorrupt       = errors.New("is not what the manifest says")
	ErrUnsupported   = errors.New("is not supported")
	ErrInvalid       = errors.New("is invalid")
	ErrNoSpace       = errors.New("has not enough space")
	ErrHostKey       = errors.New("host key is not trusted")
	ErrAuth          = errors.New("login was refused")
	ErrStalled       = errors.New("made no progress")
	ErrSourceChanged = errors.New("changed while it was copied")

	// ErrLingering comes with the end of a context or a stall when a call of a
	// backend had still not returned a second later. It may yet write to the
	// staging folder of this claim, which must be adopted ([Job.Adopt]) and not
	// continued.
	ErrLingering = errors.New("an operation that does not end was left behind")
)

// An Error tells which operation failed on what, where.
type Error struct {
	Op    string // "open", "write", "rename", …
	Place string // of the backend, as "sftp://midway" or "local"; may be ""
	Path  string // bytes; printed quoted where it is not plain
	Kind  error  // one of the Err… values of this package, or nil
	Err   error  // the cause, or nil
	Hint  string // the next step for a person; may be ""
}

// Error gives place, operation, path, kind, cause and next step on one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Place != "" {
		b.WriteString(e.Place + ": ")
	}
	b.WriteString(e.Op)
	if e.Path != "" {
		b.WriteString(" " + Quote(e.Path))
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

// Quote gives a path as it is if it is plain text, else as a Go string, so that
// no file name can pass for something else in a log.
func Quote(path string) string {
	if q := fmt.Sprintf("%+q", path); q != `"`+path+`"` || strings.ContainsAny(path, " \t") {
		return q
	}
	return path
}

// ended is the error of a context that has ended: its cause where that is one of
// this package, else the context's own error.
func ended(ctx context.Context) error {
	var e *Error
	if c := context.Cause(ctx); errors.As(c, &e) {
		return c
	}
	return ctx.Err()
}

// orEnded prefers the end of the context to the error that it led to.
func orEnded(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ended(ctx)
	}
	return err
}
