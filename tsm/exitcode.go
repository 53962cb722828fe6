package tsm

import "fmt"

// An ExitCode is how dsmc ended. It follows from the most severe message of the run
// (IBM, "Client return codes").
type ExitCode int

// Exit codes of dsmc.
const (
	ExitOK         ExitCode = 0   // everything was done
	ExitSkipped    ExitCode = 4   // some files were left out; no other error or warning
	ExitWarning    ExitCode = 8   // a warning; also a query that matches nothing
	ExitError      ExitCode = 12  // an error other than files left out
	ExitNotFound   ExitCode = 127 // a shell's: there is no such program
	ExitKilled     ExitCode = -1  // ended by a signal
	ExitNotStarted ExitCode = -2  // could not be started
)

// String says what the code means.
func (c ExitCode) String() string {
	switch c {
	case ExitOK:
		return "done"
	case ExitSkipped:
		return "some files were left out"
	case ExitWarning:
		return "done with warnings, or nothing matched"
	case ExitError:
		return "an error"
	case ExitNotFound:
		return "no such program"
	case ExitKilled:
		return "ended by a signal"
	case ExitNotStarted:
		return "could not be started"
	}
	return fmt.Sprintf("code %d", int(c))
}
