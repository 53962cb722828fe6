package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"
)

// Error codes of MongoDB servers (their error_codes.yml).
const (
	codeBadValue              = 2
	codeUnauthorized          = 13
	codeAuthenticationFailed  = 18
	codeNamespaceNotFound     = 26
	codeNamespaceExists       = 48
	codeCommandNotFound       = 59
	codeTypeMismatch          = 14
	codePathNotViable         = 28
	codeIndexOptionsConflict  = 85
	codeIndexKeySpecsConflict = 86
	codeAtlasError            = 8000
)

var (
	// invalidCodes are of documents and values that no retry makes acceptable.
	invalidCodes = []int{codeBadValue, 9, codeTypeMismatch, codePathNotViable, 57, 121, 10334, 17419, 17420}

	// transientCodes are of a server that did nothing and may do it later.
	transientCodes = []int{24, 43, 46, 112, 133, 134, 237, 238, 384, 402, 462, 10058, 10107, 13435, 13436, 14031}

	// interruptedCodes are of a server that stopped in the middle: lost hosts,
	// time-outs, write concerns not reached, shutdown, step-down.
	interruptedCodes = []int{6, 7, 50, 64, 79, 89, 91, 100, 189, 202, 262, 317, 358, 9001, 11600, 11601, 11602}
)

// hasCode reports whether a server answered with one of these codes.
func hasCode(err error, codes ...int) bool {
	var se mongo.ServerError
	return errors.As(err, &se) && slices.ContainsFunc(codes, se.HasErrorCode)
}

// answered reports whether err is what a server said, and not the lack of it.
func answered(err error) bool {
	var se mongo.ServerError
	return errors.As(err, &se) && !se.HasErrorLabel("NetworkError")
}

// A sent counts how often a write was handed to a connection. The driver hands
// its context to the command monitor, which is the one place that knows: errors
// of connecting and of waiting for an answer look alike.
type sent struct{ times atomic.Int32 }

type sentKey struct{}

func counting(ctx context.Context) (context.Context, *sent) {
	s := &sent{}
	return context.WithValue(ctx, sentKey{}, s), s
}

// started is told of every command before its first byte is written.
func (d *Driver) started(ctx context.Context, e *event.CommandStartedEvent) {
	switch e.CommandName {
	case "insert", "update", "delete":
		if s, ok := ctx.Value(sentKey{}).(*sent); ok {
			s.times.Add(1)
		}
	}
	if d.trace != nil {
		d.trace(slices.Clone(e.Command))
	}
}

// unknown reports whether a write that failed with err may have been applied.
func (s *sent) unknown(err error) bool {
	var we mongo.WriteException
	var be mongo.BulkWriteException
	switch n := s.times.Load(); {
	case n == 0:
		return false
	case errors.As(err, &we) && we.WriteConcernError != nil, errors.As(err, &be) && be.WriteConcernError != nil:
		return true // applied, and perhaps rolled back
	case !answered(err), hasCode(err, interruptedCodes...):
		return true
	default:
		// A repetition was refused; nobody knows of the first try.
		return n > 1 && !mongo.IsDuplicateKeyError(err)
	}
}

// wrote wraps the error of a write.
func (d *Driver) wrote(ctx context.Context, op, what string, s *sent, err error) error {
	if err == nil {
		return nil
	}
	if s.unknown(err) {
		return &rundb.Error{Op: op, What: what, Kind: rundb.ErrUnknownOutcome, Err: withContext(ctx, err)}
	}
	if mongo.IsDuplicateKeyError(err) {
		return &rundb.Error{Op: op, What: what, Kind: rundb.ErrExist}
	}
	return d.failed(ctx, op, err)
}

// withContext puts the context's error into the chain, if it ended.
func withContext(ctx context.Context, err error) error {
	if c := ctx.Err(); c != nil && !errors.Is(err, c) {
		return errors.Join(c, err)
	}
	return err
}

// failed wraps the error of something that changed nothing. Context errors pass
// through.
func (d *Driver) failed(ctx context.Context, op string, err error) error {
	var own *rundb.Error
	switch {
	case errors.As(err, &own):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	e := &rundb.Error{Op: op, What: d.what(), Err: err}
	var none topology.ServerSelectionError
	switch {
	case hasCode(err, codeAuthenticationFailed, codeAtlasError):
		e.Kind = rundb.ErrInvalid
		e.Err = fmt.Errorf("user or password is wrong, or the user is of another database than %s (authSource in the address): %w", d.addr.authSource(), err)
	case hasCode(err, codeUnauthorized):
		e.Kind = rundb.ErrInvalid
		e.Err = fmt.Errorf("the user lacks the right (it needs the role readWrite on %s): %w", d.addr.database(), err)
	case errors.As(err, &none):
		e.Kind = rundb.ErrTransient
		e.Err = fmt.Errorf("none of %s answers as primary; check address, network and replicaSet: %w", d.addr.hosts, err)
	case hasCode(err, invalidCodes...):
		e.Kind = rundb.ErrInvalid
	case !answered(err), hasCode(err, transientCodes...), hasCode(err, interruptedCodes...):
		e.Kind = rundb.ErrTransient
	}
	// Another refusal by the server has no kind: nothing is known to mend it.
	return e
}

// authSource is the database that knows the user, as MongoDB's URIs have it.
func (a *address) authSource() string {
	if s := a.option("authSource"); s != "" {
		return s
	}
	if a.path != "" {
		return a.path
	}
	return "admin"
}
