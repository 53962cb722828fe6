package checksum

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Kinds of errors, for errors.Is.
var (
	// ErrCorrupt: data were read in full and are not what they should be.
	ErrCorrupt = errors.New("checksum differs")
	// ErrFormat: text or bytes that are not a sum or not a manifest.
	ErrFormat = errors.New("malformed")
	// ErrChanged: a file or a dataset changed while it was read.
	ErrChanged = errors.New("changed while it was read")
	// ErrUnfit: something that a dataset cannot hold, as a link to the outside.
	ErrUnfit = errors.New("a dataset cannot hold it")
)

// A Sum is an algorithm with a digest. It is comparable with ==. The zero Sum
// is no sum; IsZero reports it.
type Sum struct {
	alg Algorithm
	n   [64]byte
}

// NewSum makes a sum of a digest. ErrFormat if its length is not the algorithm's.
func NewSum(a Algorithm, digest []byte) (Sum, error) {
	if a.Size() == 0 || len(digest) != a.Size() {
		return Sum{}, fmt.Errorf("%w: a digest of %d bytes is no %s", ErrFormat, len(digest), a)
	}
	s := Sum{alg: a}
	copy(s.n[:], digest)
	return s, nil
}

// ParseSum reads "sha512:cf83e1…". ErrFormat if it is not of this form.
func ParseSum(s string) (Sum, error) {
	name, digest, ok := strings.Cut(s, ":")
	if !ok {
		return Sum{}, fmt.Errorf("%w: %q is not of the form algorithm:digest", ErrFormat, s)
	}
	a, err := ParseAlgorithm(name)
	if err != nil {
		return Sum{}, err
	}
	return ParseBare(a, digest)
}

// ParseBare reads the digest alone, hexadecimal in either case, as catalogues
// store it. Leading zeros of the 4-byte algorithms may be missing, as some tools
// leave them out. ErrFormat if it is not a digest of that algorithm.
func ParseBare(a Algorithm, s string) (Sum, error) {
	text := s
	if want := 2 * a.Size(); want == 8 && len(text) > 0 && len(text) < want {
		text = strings.Repeat("0", want-len(text)) + text
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return Sum{}, fmt.Errorf("%w: %q is not hexadecimal", ErrFormat, s)
	}
	return NewSum(a, b)
}

// Algorithm returns the algorithm; zero for the zero Sum.
func (s Sum) Algorithm() Algorithm { return s.alg }

// IsZero reports whether this is no sum.
func (s Sum) IsZero() bool { return s.alg == 0 }

// Bytes returns a copy of the digest.
func (s Sum) Bytes() []byte { return append([]byte(nil), s.n[:s.alg.Size()]...) }

// String is "sha512:cf83e1…"; "" for the zero Sum.
func (s Sum) String() string {
	if s.IsZero() {
		return ""
	}
	return s.alg.String() + ":" + s.Bare()
}

// Bare is the digest alone in lower-case hexadecimal; "" for the zero Sum.
func (s Sum) Bare() string { return hex.EncodeToString(s.n[:s.alg.Size()]) }

// MarshalText gives String.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText gave.
func (s *Sum) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*s = Sum{}
		return nil
	}
	p, err := ParseSum(string(b))
	if err == nil {
		*s = p
	}
	return err
}
