// Package rundb holds the run document, the queries over it and the [Store]
// through which all sites share it.
//
// # Runs and copies
//
// A [Run] is one dataset taken by a detector, identified by its document id,
// by name and detector, and, for TPC runs, by number. Its data field is a list
// of copies. A [Copy] is the record of one copy at one host; its key is
// (type, version, host) within the run, and there is at most one record per
// key. Duplicates left by older software are decoded and reported
// ([Run.Duplicates]), and count once.
//
// The documents are those of the original cax. Everything this package does
// not know is kept byte for byte: a [Run] keeps the document it was decoded
// from, and every change is a change of single fields.
//
//	field of a copy     type                          who writes it
//	type                string                        all
//	host                string                        all
//	status              string                        all
//	location            string                        all
//	checksum            string or null                all
//	creation_time       date, or a list of one date   all
//	pax_version         string, null or missing       all, for processed data
//	pax_hash            string                        processing
//	creation_place      string                        processing
//	size                int, in bytes                 AddSize and this module
//	rse, rule_info      lists of strings              Rucio tasks
//	replicas            list of documents             Rucio tasks
//	content             string                        Rucio tasks
//	archive             string                        copies to tape
//	claim               document, see [Claim]         this module
//	verified_at         date                          this module
//	evidence            "stream" "cached" "disk" "listed"  this module
//	checksum_algorithm  string, missing = sha512      this module
//	files               int                           this module
//	in_place            bool                          this module
//	permissions         string, digest                SetPermission
//	error               document, see [CopyError]     this module
//
// # Corrections
//
// Beside the runs there are collections with the settings of corrections
// ([Corrections]), which people write. A run keeps the version of each that it has, by
// the name of the task that applies it ([Run.Corrected], [Query.Uncorrected]).
//
// # Claims
//
// Whoever wants to make or change a copy first claims it. A claim is one
// guarded update of the run document, applied atomically by the store: it adds
// the new record only if there is none with that key, so that exactly one of
// any number of processes succeeds ([Store.Claim]). The claim carries a random
// id, and all later writes of its holder name that id. A holder that was
// presumed dead and wakes up again is therefore refused ([ErrConflict]): the
// claim id is the fencing token.
//
// A claim is kept alive by raising its sequence number ([Held.Heartbeat]).
// Another process takes it over by naming the claim id and the sequence number
// it last saw ([Store.Reclaim]); a heartbeat in between makes that fail.
//
// A write of which nobody knows whether it was applied is read back. If that does
// not tell either, the error is [ErrUnknownOutcome]: the caller must not act as if
// the write had happened, nor as if it had not.
//
// # Drivers
//
// [Store] is the portable type. It builds the guarded updates, checks their
// results, and reads back writes whose outcome is unknown. A [Driver] speaks to
// one database: package mongostore to MongoDB, package sqlitestore to an
// embedded file. Package rundbtest is the conformance suite for both.
//
// # Errors
//
// Errors are [*Error] with a kind; use errors.Is with [ErrNotExist],
// [ErrExist], [ErrConflict], [ErrAmbiguous], [ErrInvalid], [ErrTransient] and
// [ErrUnknownOutcome]. Context errors pass through.
package rundb
