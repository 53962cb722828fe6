package checksum

import "github.com/zeebo/xxh3"

// An EntryDigest computes what a manifest records of one file, from its bytes in
// order. It is an io.Writer whose writes never fail, and not safe for concurrent
// use.
type EntryDigest struct {
	Digest
	block  xxh3.Hasher
	filled int64
	blocks []uint64
}

// NewEntryDigest returns an EntryDigest; no algorithms stands for
// DefaultAlgorithms.
func NewEntryDigest(algs ...Algorithm) *EntryDigest {
	if len(algs) == 0 {
		algs = DefaultAlgorithms()
	}
	return &EntryDigest{Digest: *NewDigest(algs...)}
}

// Write adds bytes. It never fails.
func (d *EntryDigest) Write(p []byte) (int, error) {
	d.Digest.Write(p)
	for rest := p; len(rest) > 0; {
		n := min(int64(len(rest)), BlockSize-d.filled)
		d.block.Write(rest[:n])
		rest = rest[n:]
		if d.filled += n; d.filled == BlockSize {
			d.endBlock()
		}
	}
	return len(p), nil
}

func (d *EntryDigest) endBlock() {
	d.blocks = append(d.blocks, d.block.Sum64())
	d.block.Reset()
	d.filled = 0
}

// Reset forgets what was written.
func (d *EntryDigest) Reset() {
	d.Digest.Reset()
	d.block.Reset()
	d.filled, d.blocks = 0, nil
}

// Entry returns the entry of a file whose bytes were all written. Path and
// ModTime are the caller's to fill in.
func (d *EntryDigest) Entry() Entry {
	e := Entry{Size: d.Size(), Sums: d.Sums()}
	if d.Size() > BlockSize {
		e.Blocks = d.blocks[:len(d.blocks):len(d.blocks)]
		if d.filled > 0 {
			e.Blocks = append(e.Blocks, d.block.Sum64())
		}
	}
	return e
}
