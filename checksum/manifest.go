package checksum

import "time"

// BlockSize is the length in bytes of the blocks whose XXH3-64 sums a manifest
// records, so that a partly transferred file can be verified up to the last
// whole block.
const BlockSize = 64 << 20

// A Manifest lists the files of one dataset. Its entries are sorted by path,
// bytewise, and no path occurs twice. A Manifest is not changed after it was
// made and is safe for concurrent reading.
type Manifest struct {
	// Single is true for a dataset that is one regular file instead of a
	// directory. It then has one entry, whose path is the file's base name at
	// the time the manifest was made; comparisons ignore that name.
	Single bool

	// Entries are the regular files and the empty directories.
	Entries []Entry
}

// An Entry is one regular file, or one empty directory, of a manifest.
type Entry struct {
	// Path is relative to the dataset's root and slash-separated. It is a
	// sequence of bytes: it need not be UTF-8.
	Path string

	// Dir marks an empty directory. It has no size and no sums.
	Dir bool

	Size    int64     // in bytes
	ModTime time.Time // UTC; informational: comparisons ignore it

	// Sums holds one sum per algorithm, in the order of the algorithms.
	Sums []Sum

	// Blocks holds the XXH3-64 of each BlockSize bytes of a file longer than
	// one block; nil otherwise.
	Blocks []uint64
}
