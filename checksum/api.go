package checksum

import (
	"context"
	"hash"
	"io"
	"time"
)

// (signatures to be filled in and spread over files of one idea each)

func Algorithms() []Algorithm                        { panic("unfinished") } // all, in order
func ParseAlgorithm(s string) (Algorithm, error)     { panic("unfinished") } // "sha512", "xxh3-128", "xxh128", "adler32", …
func (a Algorithm) String() string                   { panic("unfinished") } // "sha512" "sha256" "md5" "adler32" "crc32" "crc32c" "xxh3-64" "xxh3-128"
func (a Algorithm) Size() int                        { panic("unfinished") }
func (a Algorithm) New() hash.Hash                   { panic("unfinished") }
func NewSum(a Algorithm, digest []byte) (Sum, error) { panic("unfinished") }
func ParseSum(s string) (Sum, error)                 { panic("unfinished") } // "sha512:cf83…"
func ParseBare(a Algorithm, s string) (Sum, error)   { panic("unfinished") } // "cf83…"
func (s Sum) Algorithm() Algorithm                   { return s.alg }
func (s Sum) IsZero() bool                           { return s.alg == 0 }
func (s Sum) Bytes() []byte                          { panic("unfinished") }
func (s Sum) String() string                         { panic("unfinished") }
func (s Sum) Bare() string                           { panic("unfinished") }
func (s Sum) MarshalText() ([]byte, error)           { panic("unfinished") }
func (s *Sum) UnmarshalText(b []byte) error          { panic("unfinished") }

// A Digest computes several sums in one pass. Writes never fail. Not safe for concurrent use.
type Digest struct{}

func NewDigest(algs ...Algorithm) *Digest     { panic("unfinished") }
func (d *Digest) Write(p []byte) (int, error) { panic("unfinished") }
func (d *Digest) Size() int64                 { panic("unfinished") } // bytes written so far
func (d *Digest) Sums() []Sum                 { panic("unfinished") } // of what was written so far, in algorithm order; writing may go on
func (d *Digest) Sum(a Algorithm) Sum         { panic("unfinished") } // zero if a is not computed
func (d *Digest) Close() error                { panic("unfinished") } // ends helper goroutines; needed, idempotent

// NewVerifyingReader returns a reader that gives an error wrapping ErrCorrupt instead of io.EOF when r ended before or after size bytes (size < 0: unknown) or with other sums.
func NewVerifyingReader(r io.Reader, size int64, want ...Sum) io.ReadCloser { panic("unfinished") }

// FileSum hashes one file.
func FileSum(ctx context.Context, path string, algs ...Algorithm) ([]Sum, error) { panic("unfinished") }

// DirSum gives what checksumdir.dirhash gives.
func DirSum(ctx context.Context, dir string, a Algorithm) (Sum, error) { panic("unfinished") }

// DefaultAlgorithms are the digests of a manifest.
func DefaultAlgorithms() []Algorithm { return []Algorithm{SHA512, XXH3_128, Adler32} }

// ManifestOptions; nil = defaults.
type ManifestOptions struct {
	Algorithms []Algorithm                // nil: DefaultAlgorithms()
	Parallel   int                        // files at once; 0: number of CPUs
	Progress   func(path string, n int64) // called with bytes as they are read; from several goroutines
	DropCache  bool                       // fsync and posix_fadvise(DONTNEED) each file before it is read, so that the medium is read
}

// MakeManifest hashes a dataset (directory or regular file).
// Links to files inside the dataset are files; other links, devices, sockets are an error that names them. A file that changes (size or mtime) while it is read is an error.
func MakeManifest(ctx context.Context, path string, o *ManifestOptions) (*Manifest, error) {
	panic("unfinished")
}

func (m *Manifest) Size() int64                        { panic("unfinished") } // total bytes
func (m *Manifest) Files() int                         { panic("unfinished") } // regular files, no empty directories
func (m *Manifest) Find(path string) (Entry, bool)     { panic("unfinished") }
func (m *Manifest) LegacySum(a Algorithm) (Sum, error) { panic("unfinished") } // the original's checksum: dirhash, or the sum of the single file
func (m *Manifest) Root() Sum                          { panic("unfinished") } // SHA-256 over paths, kinds, sizes and sums in canonical form (not mtimes); equal manifests have equal roots
func (m *Manifest) Check() error                       { panic("unfinished") } // ErrFormat unless sorted, unique, relative clean paths without "..", sizes ≥ 0
func (e *Entry) Sum(a Algorithm) Sum                   { panic("unfinished") }

// A Difference is one disagreement between a manifest and a tree (or another manifest).
type Difference struct {
	Path      string
	Kind      DifferenceKind // Missing, Extra, SizeDiffers, DigestDiffers, KindDiffers, Unreadable
	Want, Got string         // sizes or sums for people
	Err       error
}
type DifferenceKind string

const (
	Missing       DifferenceKind = "missing"
	Extra         DifferenceKind = "extra"
	SizeDiffers   DifferenceKind = "size"
	DigestDiffers DifferenceKind = "digest"
	KindDiffers   DifferenceKind = "kind" // file where a directory should be, and the like
	Unreadable    DifferenceKind = "unreadable"
)

// CompareManifest compares two manifests by the algorithms they share; an entry pair with no common algorithm is a DigestDiffers.
func (m *Manifest) CompareManifest(got *Manifest) []Difference { panic("unfinished") }

// CompareTree re-reads a dataset and compares. o.Algorithms nil: XXH3_128 where the manifest has it, else its first. Hashing happens in parallel; sizes are compared first and files of wrong size are not read.
func (m *Manifest) CompareTree(ctx context.Context, path string, o *ManifestOptions) ([]Difference, error) {
	panic("unfinished")
}

// JSON lines: one head line {"manifest":1,"single":…,"files":…,"bytes":…,"root":"sha256:…"} then one line an entry; paths that are not UTF-8 as {"path_base64":…}.
func (m *Manifest) WriteJSON(w io.Writer) error { panic("unfinished") }
func ReadJSON(r io.Reader) (*Manifest, error)   { panic("unfinished") }

// Text that `sha512sum -c` and `xxhsum -c` accept, with their escaping of backslash and newline.
func (m *Manifest) WriteSums(w io.Writer, a Algorithm) error { panic("unfinished") }
func ReadSums(r io.Reader, a Algorithm) (*Manifest, error)   { panic("unfinished") }

var _ time.Time
