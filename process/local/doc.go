// Package local is a batch system on this machine: a bounded pool of jobs, kept in
// a folder.
//
// # Who runs the jobs
//
// [Batch.Submit] only writes the submission into the folder. [Batch.Serve] starts
// jobs in the order of their submission, as many as there are slots, and returns when nothing
// waits or runs. Of all processes that call Serve for one folder, one serves at a
// time, so the number of slots holds for all of them together.
//
// With [Options.Server] the pool looks after itself: whenever there is work and
// nobody serves, Submit and Entries start that command, detached, and it is to call
// Serve. So jobs go on, and the next ones start, when the program that submitted
// them has ended.
//
// # What survives what
//
// Jobs have sessions of their own and write their output and exit code straight
// into their folders. When the process that serves is killed they run on, and
// the next one finds them by process id, start time and boot id, looks after
// their walltime and counts them as running. When the machine is started
// again, jobs that ran are StateNodeLost and those that waited are started. (A
// service manager that kills all processes of a service on stop, as systemd does
// by default, kills the jobs too: set KillMode=process.)
//
// # What there is not
//
// Of the resources of a job, cores and walltime count. A job that asks for more
// cores than there are slots gets all of them. Memory, partitions and the like are
// ignored. The folder must be on a local disk: locks are those of flock(2).
//
//	<folder>/lock                    held by whoever serves
//	<folder>/server.log              what Options.Server prints
//	<folder>/active/<n>-<id>.json    a submission with tasks that have not ended
//	<folder>/ended/<n>-<id>.json     one whose tasks have all ended, for Options.Keep
//	<folder>/tasks/<id>.<task>.run   process id, start time and boot id of a task
//	<folder>/tasks/<id>.<task>.end   how it ended
//	<folder>/tasks/<id>.<task>.stop  it is to be cancelled
package local
