package checksum

import "errors"

// Kinds of errors, for errors.Is.
var (
	// ErrCorrupt: data were read in full and are not what they should be.
	ErrCorrupt = errors.New("checksum differs")
	// ErrFormat: text or bytes that are not a sum or not a manifest.
	ErrFormat = errors.New("malformed")
)

// A Sum is an algorithm with a digest. It is comparable with ==. The zero Sum
// is no sum; IsZero reports it.
type Sum struct {
	alg Algorithm
	n   [64]byte
}
