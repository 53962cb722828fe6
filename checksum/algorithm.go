package checksum

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
