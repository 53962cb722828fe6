// Package sqlitestore keeps the run database in one embedded SQLite file, for a
// group whose sites are folders, servers or a detector seen from one machine.
//
// Several processes of one machine may use the file at once; it is safe against
// their being killed at any moment, and every acknowledged write is durable
// (write-ahead log, synchronous=FULL). Files on network file systems are refused:
// their locks cannot be trusted.
//
// # Writers
//
// A write is one immediate transaction under an flock(2) on a file beside the
// database, "<file>.lock". SQLite alone would let waiting writers poll, and
// starve some of them for seconds; the lock makes them queue.
//
// # Signatures
//
// Queries about copies must cost the same for a thousand runs and for a million.
// The copies of a run, reduced to type, version, host, status, claimed or not, and
// which of their checksums are equal, are its signature. A database holds few
// distinct ones. They are stored once; a query evaluates its conditions on them,
// and an index leads from the signatures that fulfil them to the runs. What a
// signature cannot answer (locations, times) is decided on the documents.
package sqlitestore
