// Package mongostore keeps the run database in MongoDB, where all sites meet. It
// works on the original's database as it stands: documents of older software are
// read and changed in place, and everything unknown in them is kept.
//
// # Reads and writes
//
// Reads go to the primary, whatever the URI says, and writes are acknowledged by
// a majority of the replica set with their journals. [Driver.Get] is linearizable
// on a replica set: a primary that was deposed without noticing cannot answer it.
// Searches read what a majority has; an update decides on the primary's newest
// state, and MongoDB itself checks that this state still holds when it applies
// the update.
//
// # Guarded updates
//
// Each [rundb.Update] ends in one update of one document, which MongoDB applies
// atomically. Adding a record, as a claim does, needs nothing but its filter: no
// element of data matches what is forbidden ($not, $elemMatch), some element
// matches each thing required.
//
// What a filter cannot say exactly (that one copy matches and not two, or all
// that [rundb.CopyMatch.Match] knows about odd old documents) is decided in Go, on
// the document as it was read. The update is then sent with the whole list data
// in its filter: it is applied if data is still equal to what was decided on, and
// else read and decided again. So a list element can be named by its index, and
// the positional operator, which picks the wrong element once a filter speaks of
// the list twice, is not used. Whoever loses such a race tries again, up to 64
// times; each time, somebody else has got through.
//
// The server's time of a heartbeat is asked for just before it is written, so it is
// early rather than late.
//
// # Searches
//
// Conditions are sent to the server. Where its language differs from the meaning
// of [rundb.Query] (numbers written as text, the pairs of copies of Disagree and
// Missing, lists where a date should be) the filter is a little wider, never
// narrower, and [rundb.Query.Match] has the last word. A search first reads the
// ids, then documents in batches, so that a caller that works for hours between
// two runs meets no expired cursor.
//
// The exceptions, which no known program writes: a list or a boolean in the place
// of a name, host, type or status, and a start that is a BSON timestamp, may be
// matched otherwise than by the embedded store.
//
// # Indexes
//
// Missing indexes are made when the database is opened for writing. Without the
// permission, [Options.Warn] is told and everything works, slower.
//
//	collection  keys                                    for
//	runs        start, _id                              order and time window
//	            number                                  --run
//	            name, detector                          --name; identity
//	            data.host, data.status, data.type, start  tasks
//	            data.location                           who holds a location
//	            tags.name                               tags
//	events      run, time, _id                          history of a run
//	            time, _id                               recent events
//	manifests   run, time, _id; time, _id               the same
//
// The index on name and detector is unique only in a collection that this package
// made: in an older one it could refuse the data acquisition's own inserts.
// Therefore [Driver.Insert] looks for a run of that name and detector before and
// after, and of two that are added at the same moment at most one stays.
//
// # Errors
//
// A write that was sent and not answered, or not confirmed by a majority, is
// [rundb.ErrUnknownOutcome], also when the caller's context ended the wait; the
// context's error is in the chain. MongoDB's retryable writes are left on: a
// repeated write carries a transaction number and is applied once; servers that
// do not know these get no repetition. A server that cannot be reached is
// [rundb.ErrTransient]; missing or wrong passwords and missing rights are
// [rundb.ErrInvalid]. The password is in no error and in no text of this package.
package mongostore
