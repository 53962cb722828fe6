package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The exit codes of all binaries.
const (
	OK          = 0
	Failed      = 1
	Usage       = 2
	Interrupted = 130
)

// A UsageError is a mistake in the command line, the environment or the
// configuration: nothing was done, and exit code 2.
type UsageError struct {
	Text string
	Next string // what to do; may be ""
}

// Error gives text and next step on one line.
func (e *UsageError) Error() string {
	if e.Next == "" {
		return e.Text
	}
	return e.Text + ": " + e.Next
}

// Usagef makes a usage error. next says what to do and may be "".
func Usagef(next, format string, args ...any) error {
	return &UsageError{Text: fmt.Sprintf(format, args...), Next: next}
}

// Errors that say how a program ends and are not printed.
var (
	// ErrFailed: what failed was reported already. Exit code 1.
	ErrFailed = errors.New("failed")

	// ErrConfig: what is wrong with the configuration was reported already. Exit
	// code 2.
	ErrConfig = errors.New("configuration")

	// ErrDone: the program has done what it was asked for in passing, such as
	// printing its version. Exit code 0.
	ErrDone = errors.New("done")
)

// Code gives the exit code for the outcome of a program that runs under ctx.
func Code(ctx context.Context, err error) int {
	var usage *UsageError
	switch {
	case err == nil, errors.Is(err, ErrDone):
		return OK
	case errors.As(err, &usage), errors.Is(err, ErrConfig):
		return Usage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return Interrupted
	}
	return Failed
}

// Report prints an error, one line for each of the errors that it joins. Errors
// that were reported already print nothing.
func Report(w io.Writer, program string, err error) {
	switch {
	case err == nil, err == ErrFailed, err == ErrConfig, err == ErrDone:
		return
	case err == context.Canceled:
		fmt.Fprintf(w, "%s: interrupted\n", program)
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok && strings.ContainsRune(err.Error(), '\n') {
		for _, e := range many.Unwrap() {
			Report(w, program, e)
		}
		return
	}
	fmt.Fprintf(w, "%s: %s\n", program, OneLine(err.Error()))
}

// OneLine makes text fit for one line of a terminal or log: line ends become
// "; ", and other bytes that could steer a terminal are escaped.
func OneLine(s string) string {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimRight(s, "\n"), "\n") {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(Printable(line))
	}
	return b.String()
}
