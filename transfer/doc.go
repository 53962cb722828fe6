// Package transfer copies datasets between two places and proves that the copy
// is what the source was.
//
// # Copier and backends
//
// [Copier] is the portable type: it lists, compares with what is there already,
// reserves space, copies in parallel, hashes what passes, verifies, makes
// durable and commits. A [Backend] only speaks its protocol to one place.
// Package local serves the disks of this machine, package sftp a server's SFTP
// subsystem, package scp the protocol of scp -t and scp -f with a POSIX shell at
// the far side, package rsync the system's rsync. What only some backends can do
// is an optional interface that the Copier discovers ([WriterAt], [SizedOpener],
// [Syncer], [NameSyncer], [Spacer], [Hasher], [Cloner], [TreeCopier],
// [RoundTripper], [Disk]).
//
// # The life of a copy
//
// Nothing is ever written under the final name. A copy to "/data/raw/160315_1432"
// is assembled in the staging folder
//
//	/data/raw/.160315_1432.cax-part-<claim id>/
//	    data       the dataset: a directory, or a file for a single-file dataset
//	    journal    which files are finished, and how far partial ones are durable
//	    old        staging of a silent holder, while its files are taken over
//
// beside the final name, on the same file system. When every file is there and
// its size and digest are those of the manifest, the data are made durable, the
// caller is asked whether the claim still stands ([Job.BeforeCommit]), and
// "data" is renamed to the final name by a rename that replaces nothing.
//
// A copy that was interrupted goes on where it was: finished files are not sent
// again, and with backends that write at offsets a partial file goes on from its
// last journalled offset, cut off beyond it. A source file that is not what it
// was when its part was copied starts anew. What was found in staging is hashed
// there before it is committed, where the place is this machine or has a [Hasher].
//
// Staging of another claim ([Job.Adopt]) is first renamed, which fences off
// a writer that wakes up later, and its finished files are cloned to fresh
// inodes and hashed before they count.
//
// # What verified means
//
// Every file has been compared by size and XXH3-128 with the manifest. The
// digest is computed from the bytes that were read at the source and from those
// that were written, so damage at the source is found. [Result.ReadBack]
// tells whether the copy was also read back: damage behind the far side's server
// is seen only then, or by whoever verifies the copy there. A far side that cannot
// hash by XXH3 is asked for another digest that the manifest has, down to Adler-32
// where that is all it knows; [Result.ReadBackBy] tells which it was. Without any
// the files are read back through the backend. [Copier.Verify] does the same to a copy
// that was made before.
//
// # Errors
//
// Errors are [*Error] with a kind: [ErrNotExist], [ErrExist], [ErrPermission],
// [ErrTransient], [ErrCorrupt], [ErrUnsupported], [ErrInvalid], [ErrNoSpace],
// [ErrHostKey], [ErrStalled], [ErrSourceChanged]. Context errors pass through.
package transfer
