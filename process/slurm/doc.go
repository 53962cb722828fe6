// Package slurm speaks to a Slurm cluster through its own programs: sbatch,
// squeue, scancel and, where there is accounting, sacct.
//
// # What is relied on
//
// A submission is found again by its comment, "cax:<queue>:<submission>", which
// is random and ours; job names are for people and are never read. squeue is asked
// once for all jobs of this user, in a fixed format with the comment first and the
// free text last. Exit codes and these fields decide; no message is ever read.
//
//	program   options                                      since
//	sbatch    --parsable --comment --kill-on-invalid-dep   Slurm 14
//	squeue    --me --states=all --array --format           Slurm 20.11
//	sacct     --parsable2 --allocations --format           Slurm 14
//
// squeue --json is not used: up to Slurm 22.05 it ignores all filters, and its
// fields change their form between versions.
//
// # The environment of a job
//
// A job gets the environment that sbatch has: [Options.Env], or that of this process,
// without the variables of a job that this process may itself be in and those
// that change the programs' defaults (SLURM_…, SBATCH_…, SQUEUE_…, SCANCEL_…,
// SACCT_…), except SLURM_CONF.
//
// # Jobs and nodes
//
// A job whose node is lost is not put into the queue again (--no-requeue): it ends, and
// whoever wants it submits it anew. Output goes to the file "log" in the job's
// folder; if that cannot be written, Slurm does not start the job.
package slurm
