// Package rucio is a client of the Rucio data management system: its catalogue,
// by the REST interface of servers 34 to 41, and the storage behind it.
//
// # Identifiers
//
// Everything in the catalogue is named by a [DID], a scope and a name: a file, a
// dataset of files, or a container of datasets or containers. A file has replicas
// at storage elements ([RSE]); a replica's address is its physical file name
// ([PFN]). A [Rule] asks that a DID be at some RSEs for some time, and keeps it there by
// a [Lock] on each of its replicas.
//
// # The client
//
// A [Client] speaks to one server as one account. [Load] makes its [Config] as the
// Python client does, from rucio.cfg and the environment; a program may as well
// fill in a Config itself. Tokens are fetched, kept and renewed by the client.
// What the server streams is returned as an iterator: elements come as they are
// read, and an error, a stream cut in the middle too, ends it as its last pair.
//
// # What is tried again
//
// A request that the server surely did not carry out (no connection, 503, a refused
// token) is sent again, with growing pauses, as the context and [Config].Retries allow.
// A request whose outcome is unknown (a connection that broke, 502 or 504 of a server in
// between) is sent again only if doing it twice is doing it once: all that read,
// [Client.Attach], [Client.AddReplicas], and those that set a state. [Client.AddDID],
// [Client.AddDIDs], [Client.AddRule], [Client.AddScope] and [Client.Detach] return
// [ErrTransient] then, and the caller looks what became of them before it does them
// again; who does not look may get [ErrExist] or [ErrNotExist] for what it did itself. A
// stream that was cut is never continued: its end is an error, and what was read of it
// is a part.
//
// # Time limits
//
// Time limits are on progress, [Config].Stall, never on totals: a stream may take hours
// as long as something comes. The time that the program takes for an element does not
// count.
//
// # Uploads and downloads
//
// An [Uploader] brings files to an RSE, proves that they arrived, and makes them members
// of a dataset; killed in the middle, the next call finishes what was begun. A
// [Downloader] fetches a DID's files from the nearest RSE that has them and verifies
// each. Package [github.com/cax-go/cax/rucio/storage] speaks the protocols of the
// storage.
//
// # Errors
//
// Errors are *[Error] with a kind for errors.Is ([ErrNotExist], [ErrExist], …) and,
// where the server said so, the name of its exception class. Nothing looks at the text
// of a message. Context errors pass through.
package rucio
