// Package cax moves datasets between sites and keeps the run database true. It
// composes the packages checksum, rundb and transfer into tasks and a daemon.
//
// # Sites
//
// A [Site] is a place that holds copies. One process acts for one site,
// [Env.Site], which is a value that is passed down: nothing in this package
// looks at the machine's name. One daemon runs at each site, and all meet in
// one run database.
//
// # Tasks: plan, then apply
//
// A [Task] first decides and then acts. [Task.Plan] only reads; it yields one
// [Action] for each thing that should happen, with the reason, and, where it is
// asked to, also for each thing that should not. Printing the plan is the dry
// run. [Action.Apply] reads the run again, decides again, and only then claims
// the copy and works: between plan and apply another site may have been faster.
//
//	CopyPush          a copy here is good and a remote of upload_options has none
//	CopyPull          a copy at a remote of download_options is good and none is here
//	AddChecksum       a copy here is complete but not yet verified
//	CompareChecksums  a copy here and another one disagree
//	ProcessBatchQueue a raw copy here is good and a current version of processed data is not here
//
// # The life of a copy
//
//	          claim                bytes + manifest agree           re-read agrees
//	(none) ─────────► transferring ─────────────────────► verifying ──────────────► transferred
//	            ▲        │  ▲                                │
//	 next_try,  │        │  └─ take over, resume             └─► error (class, backoff)
//	 new claim  └─ error ◄┘
//
// A push leaves "verifying", and the destination's daemon re-reads the copy; a
// pull has hashed every byte that it wrote and goes straight to "transferred".
//
// # Leases
//
// Whoever works on a copy holds a claim and raises its sequence number every
// [Policy.Heartbeat]. A holder whose last acknowledged heartbeat is older than
// [Policy.LeaseLost] stops all its I/O by itself. Others take over when they
// have seen no heartbeat for [Policy.LeaseExpired] on their own monotonic clock,
// and at once if the holder was a process of this machine that is gone. Clocks
// of two machines are never compared.
//
// # Processing
//
// A product is a copy of this site that is claimed before anything else: processed data
// of raw data, or one minitree (type "minitrees_NAME") of processed data. A daemon
// chooses a key, claims the copy for a job of that key, and submits the job; the job is
// cax --once too, takes the claim over by the key ([Env.Job]), works under a lease, and
// records the outcome. A job whose claim is not there any more does nothing, so that
// however many submit, nothing is processed twice. While there is a job the claim stands,
// whatever its heartbeat: the batch system tells when the job has ended, and what it did
// not record itself is then recorded, with the reason. [Env.Process] does the same on
// this machine, without a batch system.
//
// # Errors
//
// An error in one action marks that copy with class, text and next try
// ([rundb.CopyError]), is written to the events, and never stops the daemon.
package cax
