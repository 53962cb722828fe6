// Package storage reaches the files behind the storage elements of a Rucio catalogue,
// by the protocols that these are registered with.
//
// # Protocols
//
//	schemes                       spoken by                      rename  offset  far hash
//	file                          this machine's disks           yes     yes     every algorithm
//	davs https dav http           HTTP with WebDAV               yes     yes     Adler-32, MD5
//	https with Options.Sign, s3   HTTP with signed URLs          no      yes     no
//	root roots xroot xroots       the xrootd protocol, or xrdcp  yes     yes     Adler-32, MD5
//	sftp scp                      SFTP                           yes     yes     MD5, SHA-2 (shell)
//	srm gsiftp                    the programs of gfal2-util     yes     yes     Adler-32, MD5
//
// A server knows the algorithms that it was set up for; those that it does not know give
// transfer.ErrUnsupported. With xrdcp, which is run where an xrootd server wants a
// login other than unix or host, files are only read whole.
//
// # PFNs
//
// Files are named by the PFN that the catalogue has for them. Host, port and prefix
// have to be those of the [Protocol], and there are no dots for directories in it:
// nothing outside is ever touched. A "file" protocol of host "localhost" is the disk of
// whatever machine we are on, as for Rucio's own client. A PFN with a query, as catalogues
// give out for object stores, is a signed URL and used as it is.
//
// # How a file gets there
//
// Put writes under the name that it is given. So that nobody sees a part of a file
// under its name, an upload goes to a temporary name, is verified by size and by
// [Hasher], and is renamed. Object stores do not rename, but show a file only when it is
// complete; [Renames] tells which it is. What a Put that failed leaves behind is removed,
// if the place can be reached; xrootd servers do so by themselves.
//
// Nothing is replaced. Disks and xrootd servers see to that themselves when a file is made;
// WebDAV servers are told, and asked before, since some do not listen; for renaming,
// everybody but a disk is asked before. So two uploads to one name at one moment
// have to be kept apart by whoever calls.
//
// # Logins
//
// Over HTTP, a certificate of Options.TLS and a token of Options.Token are shown to the
// door and, where it redirects, to hosts of the same domain (the token) or any host (the
// certificate, which gives nothing away). A redirect to plain HTTP, as dCache sends, is
// followed without either; what comes from there has to be verified by its checksum
// as always. Servers are verified always. Tokens and queries of URLs are in no error.
//
// # Errors
//
// Errors are *[transfer.Error] with the kinds of package transfer: ErrNotExist, ErrExist,
// ErrPermission, ErrAuth, ErrHostKey (a certificate of nobody we trust), ErrNoSpace,
// ErrUnsupported, ErrInvalid, ErrCorrupt, ErrSourceChanged, ErrTransient and ErrStalled; the
// last two are worth another try. Time limits are on progress. Errors of a reader that is
// put, and of contexts, pass through.
package storage
