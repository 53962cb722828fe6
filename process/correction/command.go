package correction

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// A Command is slow control behind a program, which prints what [ReadValues] reads.
// No shell takes its arguments apart.
type Command struct {
	// Argv is the program with its arguments, in which {variable}, {from} and {to}
	// (seconds since 1970), {from_iso} and {to_iso} are replaced.
	Argv []string

	// Path is where in the answer the values are, as [ReadValues] takes it.
	Path string

	// Timeout is how long one answer may take; 0: [DefaultTimeout].
	Timeout time.Duration
}

// Values implements [SlowControl].
func (c Command) Values(ctx context.Context, variable string, from, to time.Time) ([]float64, error) {
	fail := func(kind, err error, hint string) ([]float64, error) {
		what := "slow control"
		if len(c.Argv) > 0 {
			what += " (" + c.Argv[0] + ")"
		}
		return nil, &Error{Op: "ask", What: what + " for " + variable, Kind: kind, Err: err, Hint: hint}
	}
	if len(c.Argv) == 0 {
		return fail(ErrInvalid, errors.New("there is no program to ask"), "set command")
	}
	argv := make([]string, len(c.Argv))
	for i, a := range c.Argv {
		argv[i] = fill(a, variable, from, to, "", func(s string) string { return s })
	}
	timeout := cmp.Or(c.Timeout, DefaultTimeout)
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(limited, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second // a child of it may hold the pipe
	out, said := bound{max: maxAnswer + 1}, bound{max: 2 << 10}
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return fail(ErrUnavailable, fmt.Errorf("no answer within %v", timeout), "raise timeout, or see why it takes so long")
	case errors.As(err, &exit):
		return fail(ErrUnavailable, fmt.Errorf("%w: %s", err, oneLine(said.String())), "run it by hand to see what it says")
	case err != nil:
		return fail(ErrInvalid, err, "correct command")
	}
	vs, err := ReadValues(&out.Buffer, c.Path)
	if err != nil {
		return fail(nil, err, "")
	}
	return vs, nil
}

// bound keeps the beginning of what is written to it.
type bound struct {
	bytes.Buffer
	max int
}

func (b *bound) Write(p []byte) (int, error) {
	if n := b.max - b.Len(); n > 0 {
		b.Buffer.Write(p[:min(n, len(p))])
	}
	return len(p), nil
}

// oneLine is what a program said, for a log.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " | ")
	if s == "" {
		return "it says nothing"
	}
	return strings.ToValidUTF8(s, "?")
}
