package transfer

import "errors"

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
