// Package checksum computes, names and compares the digests by which cax
// decides whether a copy of a dataset is good.
//
// # Sums
//
// A [Sum] is an algorithm together with a digest. It is a comparable value:
// two sums are equal exactly when == says so. Its text form is
// "sha512:cf83e1…"; catalogues that store the digest alone use [Sum.Bare].
//
// # One pass, many sums
//
// A [Digest] is an [io.Writer] that computes several sums of the same bytes in
// one pass, so that no byte is read twice because two parties want different
// algorithms.
//
// # Directory sums
//
// The original cax identifies a run directory by the value of the Python
// function checksumdir.dirhash: the hash over the sorted hexadecimal digests of
// all files. [DirSum] gives the same value. It ignores names, so a directory in
// which two files were swapped has the same directory sum. It is kept for
// compatibility and never used alone as evidence.
//
// # Manifests
//
// A [Manifest] lists every file of a dataset with its size, its modification
// time and its digests. It is the unit of evidence: a copy is good when the
// tree at its location equals the manifest, names included. From a manifest
// the directory sum of the original follows without reading the data again
// ([Manifest.LegacySum]).
//
// # Errors
//
// Data that were read in full and differ from what they should be give an
// error that wraps [ErrCorrupt]. Text that is not a sum or not a manifest gives
// one that wraps [ErrFormat]. Data that do not stand still give [ErrChanged],
// links, pipes and devices that a dataset cannot hold [ErrUnfit]. Errors of the
// file system, of readers and of contexts pass through; those of the file system
// name the path.
package checksum
