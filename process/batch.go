package process

import "context"

// A Batch is a batch system. A [Queue] keeps the jobs' folders and says what has
// become of them; a Batch only speaks to its system. Slurm is package slurm, a
// bounded pool on this machine is package local.
//
// All methods are safe for concurrent use, and other processes may use the same
// system at the same time.
type Batch interface {
	// Submit hands over all tasks of a submission at once, and returns how the
	// system calls each of them, the later Entry.ID. An error that wraps ErrInvalid means that it
	// was certainly not taken; after any other error it may have been: ErrRefused
	// if the system seems to have said no, ErrUnavailable if it said nothing.
	Submit(ctx context.Context, s Submission) (ids []string, err error)

	// Entries lists the tasks of all submissions of a queue that the system still
	// knows: those that wait and run, and some that have ended. Whoever cannot
	// know returns an error that wraps ErrUnavailable, never a short list.
	Entries(ctx context.Context, queue string) ([]Entry, error)

	// Cancel ends tasks, given by their Entry.ID, whether they wait or run. That
	// one has ended before is no error. It does not wait for them to end.
	Cancel(ctx context.Context, ids []string) error
}

// An Accounter is a Batch that can look up tasks which have left its list.
type Accounter interface {
	// Account returns what is known about tasks, given by their Entry.ID. Of the
	// entries only ID, State, ExitCode, Reason and Node are set. Tasks of which
	// nothing is known are left out. Without accounting it returns nothing and no
	// error.
	Account(ctx context.Context, ids []string) ([]Entry, error)
}

// A Submission is one or more tasks that differ in nothing but their number.
type Submission struct {
	ID        string // ours: 32 hexadecimal digits, random
	Queue     string // of the queue: 16 hexadecimal digits
	Dir       string // absolute path of its folder; that of task i is Dir/i, with the file "log" for its output
	Launcher  string // path of a script for /bin/sh; its argument is the number of the task
	Tasks     int    // how many, numbered from 0
	Name      string // for people
	Resources Resources
	After     []string // Entry.ID of tasks that must have succeeded before any of these starts
	AtOnce    int      // how many may run at a time; 0: any number
}

// An Entry is what a batch system says about one task.
type Entry struct {
	Submission string // Submission.ID
	Task       int
	ID         string // how the system calls the task, as "1234_7"
	State      State
	ExitCode   int    // -1: not known
	Reason     string // the system's own words; may be ""
	Node       string // where it runs or ran; may be ""
}

// A State says where a job is. The text is for people and for JSON.
type State string

// The states of a job. Those from StateSucceeded on are final.
const (
	// StateSubmitting: it is not known yet whether the batch system took it.
	StateSubmitting State = "submitting"
	// StatePending: it waits in the queue.
	StatePending State = "pending"
	// StateRunning: it runs, or is about to end.
	StateRunning State = "running"
	// StateUnknown: the batch system does not answer.
	StateUnknown State = "unknown"

	// StateSucceeded: it ended with exit code 0.
	StateSucceeded State = "succeeded"
	// StateFailed: it ended with another exit code.
	StateFailed State = "failed"
	// StateCancelled: somebody cancelled it, or a job that it depended on did not succeed.
	StateCancelled State = "cancelled"
	// StateTimeout: it was ended because its walltime was over.
	StateTimeout State = "over time"
	// StateMemory: it was ended because it used too much memory.
	StateMemory State = "out of memory"
	// StateNodeLost: its node went away, or was given to somebody else.
	StateNodeLost State = "node lost"
	// StateNotStarted: it ended without having started, for example because its log
	// cannot be written, or was never taken.
	StateNotStarted State = "not started"
	// StateLost: the batch system does not know it any more, and it left no result.
	StateLost State = "lost"
)

// Final reports whether nothing more will happen to a job.
func (s State) Final() bool {
	switch s {
	case StateSubmitting, StatePending, StateRunning, StateUnknown:
		return false
	}
	return true
}
