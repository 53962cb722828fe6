package command

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// A SignalError is the cause of a context that a signal ended.
type SignalError struct{ Signal os.Signal }

// Error names the signal.
func (e *SignalError) Error() string { return "received " + e.Signal.String() }

// Signals returns a context that ends with the first SIGINT or SIGTERM; its cause
// is a [SignalError]. From then on signals do what they do by default, so that a
// second one ends the process at once. stop ends the watching.
func Signals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		defer signal.Stop(c)
		select {
		case s := <-c:
			cancel(&SignalError{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// Told reports whether the context was ended by this signal.
func Told(ctx context.Context, s os.Signal) bool {
	var e *SignalError
	return errors.As(context.Cause(ctx), &e) && e.Signal == s
}
