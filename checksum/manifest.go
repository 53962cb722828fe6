package checksum

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

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

// DefaultAlgorithms are the digests of a manifest: the original's, the one that
// copies are compared by, and the one that Rucio and gfal know.
func DefaultAlgorithms() []Algorithm { return []Algorithm{SHA512, Adler32, XXH3_128} }

// NewManifest makes a manifest of entries in any order, which it sorts. ErrFormat
// if they cannot stand together; see [Manifest.Check].
func NewManifest(entries []Entry, single bool) (*Manifest, error) {
	m := &Manifest{Single: single, Entries: entries}
	slices.SortFunc(m.Entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	if err := m.Check(); err != nil {
		return nil, err
	}
	return m, nil
}

// Size is the total of the files' sizes in bytes.
func (m *Manifest) Size() int64 {
	var n int64
	for i := range m.Entries {
		n += m.Entries[i].Size
	}
	return n
}

// Files is the number of regular files.
func (m *Manifest) Files() int {
	n := 0
	for i := range m.Entries {
		if !m.Entries[i].Dir {
			n++
		}
	}
	return n
}

// Find returns the entry with that path.
func (m *Manifest) Find(path string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(m.Entries, path, func(e Entry, p string) int { return strings.Compare(e.Path, p) })
	if !ok {
		return Entry{}, false
	}
	return m.Entries[i], true
}

// Sum returns the sum of one algorithm; zero if the entry has none.
func (e *Entry) Sum(a Algorithm) Sum {
	for _, s := range e.Sums {
		if s.alg == a {
			return s
		}
	}
	return Sum{}
}

// LegacySum gives the checksum that the original records for the dataset: the
// file's own for a single file, else what [DirSum] gives for the directory.
// ErrFormat if a file has no sum of that algorithm.
func (m *Manifest) LegacySum(a Algorithm) (Sum, error) {
	digests := make([]string, 0, len(m.Entries))
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Dir {
			continue
		}
		s := e.Sum(a)
		if s.IsZero() {
			return Sum{}, fmt.Errorf("%w: %q has no %s", ErrFormat, e.Path, a)
		}
		if m.Single {
			return s, nil
		}
		digests = append(digests, s.Bare())
	}
	if !legacy(a) {
		return Sum{}, fmt.Errorf("%w: directory sums are made with sha512, sha256 or md5, not %s", ErrFormat, a)
	}
	return sumOfDigests(a, digests), nil
}

// Root is the SHA-256 over a canonical form of the manifest: manifests with the
// same files and sums, and only they, have the same root. Modification times and
// blocks do not count.
//
// The form is, with all numbers unsigned 64-bit big-endian and every string
// preceded by its length: "cax manifest 1"; 1 if Single, else 0; the number of
// entries; and for each the path (empty if Single), 1 if Dir, else 0, the size,
// the number of sums, and each sum in text form.
func (m *Manifest) Root() Sum {
	d := NewDigest(SHA256)
	number := func(n uint64) { d.Write(binary.BigEndian.AppendUint64(nil, n)) }
	text := func(s string) { number(uint64(len(s))); d.Write([]byte(s)) }
	flag := func(b bool) {
		if b {
			number(1)
		} else {
			number(0)
		}
	}
	text("cax manifest 1")
	flag(m.Single)
	number(uint64(len(m.Entries)))
	for i := range m.Entries {
		e := &m.Entries[i]
		if m.Single {
			text("")
		} else {
			text(e.Path)
		}
		flag(e.Dir)
		number(uint64(e.Size))
		number(uint64(len(e.Sums)))
		for _, s := range e.Sums {
			text(s.String())
		}
	}
	return d.Sum(SHA256)
}

// Check reports what is wrong with a manifest that came from outside: entries
// that are not sorted or not unique, paths that are absolute, empty, hold "." or
// ".." components or NUL, a file that is also a directory, sizes that are negative
// or overflow in total, sums of one algorithm twice, another number of blocks than
// the size gives. The error wraps ErrFormat.
func (m *Manifest) Check() error {
	if m.Single && (len(m.Entries) != 1 || m.Entries[0].Dir) {
		return fmt.Errorf("%w: the manifest of a single file must have one file", ErrFormat)
	}
	var total int64
	parents := map[string]bool{} // directories that hold something
	for i := range m.Entries {
		e := &m.Entries[i]
		if err := e.check(); err != nil {
			return err
		}
		if total += e.Size; total < 0 {
			return fmt.Errorf("%w: the files are larger in total than 2^63 bytes", ErrFormat)
		}
		if i > 0 && m.Entries[i-1].Path >= e.Path {
			return fmt.Errorf("%w: %q and %q are not in order, or the same", ErrFormat, m.Entries[i-1].Path, e.Path)
		}
		for p := e.Path; ; {
			j := strings.LastIndexByte(p, '/')
			if j < 0 || parents[p[:j]] {
				break
			}
			p = p[:j]
			parents[p] = true
		}
	}
	for i := range m.Entries {
		if parents[m.Entries[i].Path] {
			return fmt.Errorf("%w: %q is listed, and something below it too", ErrFormat, m.Entries[i].Path)
		}
	}
	return nil
}

func (e *Entry) check() error {
	for c := range strings.SplitSeq(e.Path, "/") {
		if c == "" || c == "." || c == ".." {
			return fmt.Errorf("%w: %q is not a clean relative path", ErrFormat, e.Path)
		}
	}
	switch {
	case strings.IndexByte(e.Path, 0) >= 0:
		return fmt.Errorf("%w: %q holds a NUL byte", ErrFormat, e.Path)
	case e.Size < 0:
		return fmt.Errorf("%w: %q has a negative size", ErrFormat, e.Path)
	case e.Dir && (e.Size != 0 || len(e.Sums) > 0 || len(e.Blocks) > 0):
		return fmt.Errorf("%w: %q is a directory with a size or sums", ErrFormat, e.Path)
	case len(e.Blocks) > 0 && (e.Size <= BlockSize || int64(len(e.Blocks)) != (e.Size-1)/BlockSize+1):
		return fmt.Errorf("%w: %q has %d blocks, which its size does not give", ErrFormat, e.Path, len(e.Blocks))
	}
	for i := range e.Sums {
		if e.Sums[i].IsZero() || i > 0 && e.Sums[i-1].alg >= e.Sums[i].alg {
			return fmt.Errorf("%w: the sums of %q are not one per algorithm, in order", ErrFormat, e.Path)
		}
	}
	return nil
}
