// Package gfal is the transfer backend for storage of the grid: whatever the programs
// of gfal2-util (gfal-copy, gfal-ls, gfal-mkdir, gfal-rename, gfal-rm, gfal-sum,
// gfal-cat; version 1.8 or newer) reach with the plugins that are installed: srm,
// gsiftp, root, davs and others. Methods gfal-copy and lcg-cp of the original are this.
//
// # Addresses
//
// A place is a prefix in front of absolute paths, such as
// "srm://se.example:8443/srm/managerv2?SFN=", "root://se.example/" or
// "davs://se.example/". Names are restricted to letters and digits of ASCII and
// "._-+=,:@~", at most 250 bytes: others mean different things to different plugins
// and are refused with [transfer.ErrInvalid].
//
// # How a file gets there
//
// Each file is moved by a gfal-copy of its own, a few at once, with -K: the tool
// compares Adler-32 sums of both ends, with that of the manifest where there is one.
// Servers that know no sums are copied to without, and then everything is read back
// where the job asks for it. A file is not sent again if one of its size and sum is
// there. A copy ends when it makes no progress for so long as the job says, and not
// after a fixed time: progress is what the tool reports, and otherwise what its
// process reads and writes, so that it also counts where a server shows nothing of a
// file that is not complete.
//
// [Backend.Hash] asks the server, by gfal-sum, for Adler-32 or MD5. Many servers answer
// with the sum that they computed when the file arrived; it proves that what arrived
// was right, and not that it still can be read.
//
// # What the protocols cannot do
//
//   - Rename replaces what is there on some servers: the name is looked at first, so a
//     name that is taken within a moment may still be replaced.
//   - Mkdir tells on some servers nothing about a directory that is there: it is looked
//     at first, too, and so is its parent, which some servers would make.
//   - Nothing can be made durable: results say so.
//   - Modification times are those of arrival. Links are not seen.
//   - A file is written from its start only; [Backend.Create] keeps it in a temporary
//     file of this machine until it is complete.
//   - A limit of bytes per second holds on average, from file to file.
//
// # Errors
//
// Kinds come from exit codes, which are those of errno(3).
package gfal
