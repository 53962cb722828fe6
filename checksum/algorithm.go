package checksum

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"hash/adler32"
	"hash/crc32"
	"strings"

	"github.com/zeebo/xxh3"
)

// An Algorithm names a checksum algorithm. The zero value is no algorithm.
type Algorithm uint8

// The algorithms, in the order in which sums are listed.
const (
	_        Algorithm = iota
	SHA512             // FIPS 180-4, 64 bytes; the original's algorithm
	SHA256             // FIPS 180-4, 32 bytes
	MD5                // RFC 1321, 16 bytes; Rucio's second checksum
	Adler32            // RFC 1950, 4 bytes; Rucio's and gfal's checksum
	CRC32              // IEEE 802.3, 4 bytes
	CRC32C             // Castagnoli (RFC 3720), 4 bytes
	XXH3_64            // xxHash XXH3, 64 bit, big-endian as xxhsum prints it
	XXH3_128           // xxHash XXH3, 128 bit, big-endian as xxhsum prints it
)

// spec is what there is to know about an algorithm.
type spec struct {
	name    string
	aliases []string
	size    int
	new     func() hash.Hash
}

// specOf gives the zero spec for what is no algorithm.
func specOf(a Algorithm) spec {
	switch a {
	case SHA512:
		return spec{"sha512", []string{"sha-512"}, sha512.Size, sha512.New}
	case SHA256:
		return spec{"sha256", []string{"sha-256"}, sha256.Size, sha256.New}
	case MD5:
		return spec{"md5", nil, md5.Size, md5.New}
	case Adler32:
		return spec{"adler32", []string{"adler-32"}, adler32.Size, func() hash.Hash { return adler32.New() }}
	case CRC32:
		return spec{"crc32", []string{"crc-32"}, crc32.Size, func() hash.Hash { return crc32.NewIEEE() }}
	case CRC32C:
		return spec{"crc32c", []string{"crc-32c"}, crc32.Size, func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }}
	case XXH3_64:
		return spec{"xxh3-64", []string{"xxh3", "xxh3_64"}, 8, func() hash.Hash { return xxh3.New() }}
	case XXH3_128:
		return spec{"xxh3-128", []string{"xxh128", "xxh3_128"}, 16, func() hash.Hash { return xxh3.New128() }}
	}
	return spec{}
}

// Algorithms returns all algorithms, in order.
func Algorithms() []Algorithm {
	return []Algorithm{SHA512, SHA256, MD5, Adler32, CRC32, CRC32C, XXH3_64, XXH3_128}
}

// ParseAlgorithm reads a name as String gives it, in either case; some other
// spellings that tools use ("sha-512", "xxh128") are accepted. ErrFormat for
// anything else.
func ParseAlgorithm(s string) (Algorithm, error) {
	name := strings.ToLower(s)
	var known []string
	for _, a := range Algorithms() {
		sp := specOf(a)
		if name == sp.name {
			return a, nil
		}
		for _, alias := range sp.aliases {
			if name == alias {
				return a, nil
			}
		}
		known = append(known, sp.name)
	}
	return 0, fmt.Errorf("%w: no checksum algorithm %q (known: %s)", ErrFormat, s, strings.Join(known, ", "))
}

// String is the name of the algorithm: "sha512", "xxh3-128", ….
func (a Algorithm) String() string {
	if sp := specOf(a); sp.name != "" {
		return sp.name
	}
	return fmt.Sprintf("Algorithm(%d)", uint8(a))
}

// Size is the length of a digest in bytes; 0 for what is no algorithm.
func (a Algorithm) Size() int { return specOf(a).size }

// New returns a hash. It panics for what is no algorithm, as crypto.Hash.New does.
func (a Algorithm) New() hash.Hash {
	sp := specOf(a)
	if sp.new == nil {
		panic("checksum: " + a.String() + " is no algorithm")
	}
	return sp.new()
}
