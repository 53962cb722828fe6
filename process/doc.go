// Package process runs programs over runs: on this machine, or as jobs of a batch
// system, and says truly what became of each.
//
// # Queue and batch systems
//
// [Queue] is the portable type: it makes the jobs' folders and scripts, submits,
// and tells the state, exit code and reason of each job. A [Batch] only speaks to
// its system. Package slurm is a Slurm cluster, package local a bounded pool on
// this machine, package processtest the suite that both pass.
//
// # Jobs and keys
//
// A job is known by a [Key] that its submitter owns, such as a claim id. Names in the
// queue are for people and are never read. The folder of a queue must be the same on
// this machine and where the jobs run:
//
//	<folder>/queue                        the random name of the queue
//	<folder>/jobs/<key>                   link to the job's folder: whoever makes it owns the key
//	<folder>/submissions/<id>/launch      what the batch system runs
//	<folder>/submissions/<id>/ids         how the batch system calls the tasks
//	<folder>/submissions/<id>/<n>/        the folder of a job
//	    job.json                          key, name, resources
//	    script                            what runs, in this folder
//	    log                               what it prints
//	    started                           link made by the first who may run it, or by who forbids it
//	    result                            "exit 3", written in one step at the end
//	    cancelled                         somebody cancelled it
//	    final.json                        the last word about it
//
// # At most once
//
// A job runs at most once, whatever is lost on the way. The launcher and whoever
// forbids a job both make the link "started", and only one can. So a submission
// without an answer has three ends: it is found in the list of the batch system by the
// random name of the submission; it is not there, and is kept from ever running; or
// the list does not come either, and it stays uncertain until it does. A job that
// has to be done again is a new job with a new key.
//
// # What a state rests on
//
// Exit code 0 in the job's own result is success, whatever the batch system says.
// Of another exit code, and without a result, the batch system's word is the reason:
// cancelled, over time, node lost. What the batch system does not know any more is looked
// up in its accounting, if it has one. A batch system that does not answer is an
// error, [ErrUnavailable], and never an empty queue.
//
//	result     batch system           state
//	exit 0     anything               succeeded
//	exit 3     failed, or forgotten   failed
//	exit 143   cancelled, timeout     cancelled, over time
//	none       not ended              pending, running
//	none       failed, not started    not started
//	none       node failure           node lost
//	none       forgotten, started     lost
//
// # Scripts
//
// A [Template] makes scripts in which every value is quoted for the shell.
// [DefaultTemplate] is for a job that calls cax for one run; [JobData] are its
// fields.
//
// # Processors
//
// A [Processor] says how a program makes a product from a run: a command, or a
// shell script, for a detector, a mode and a version. [Run] executes one in a work
// folder, keeps its output, and looks at the product before it says that there is one.
//
// # Errors
//
// Errors are [*Error] with a kind: [ErrInvalid], [ErrExist], [ErrNotExist],
// [ErrUnavailable], [ErrRefused], [ErrUncertain], [ErrFailed], [ErrOutput]. Context
// errors pass through.
package process
