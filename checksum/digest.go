package checksum

import (
	"hash"
	"slices"
	"sync"
)

// A Digest computes several sums of the same bytes in one pass. It is an
// io.Writer whose writes never fail. It is not safe for concurrent use.
//
// In a large write, costly hashes run beside each other, in goroutines that end
// before the write does. XXH3, Adler-32 and the CRCs stay in the writer's
// goroutine: beside a SHA-512 they take a fifth of the time, and to hand them over
// gains nothing measurable where files are read in parallel anyway.
type Digest struct {
	algs   []Algorithm
	hashes []hash.Hash
	size   int64
	inline []hash.Hash // the cheap ones, and one costly one
	beside []hash.Hash // further costly ones
}

// parallelFrom is the length of a write from which goroutines pay: below,
// starting them costs as much as it saves.
const parallelFrom = 64 << 10

// costly algorithms take longer per byte than a read from the page cache.
func costly(a Algorithm) bool { return a == SHA512 || a == SHA256 || a == MD5 }

// NewDigest returns a Digest of these algorithms; of each once. It panics for
// what is no algorithm.
func NewDigest(algs ...Algorithm) *Digest {
	d := &Digest{algs: slices.Clone(algs)}
	slices.Sort(d.algs)
	d.algs = slices.Compact(d.algs)
	first := true
	for _, a := range d.algs {
		h := a.New()
		d.hashes = append(d.hashes, h)
		if costly(a) && !first {
			d.beside = append(d.beside, h)
			continue
		}
		first = first && !costly(a)
		d.inline = append(d.inline, h)
	}
	return d
}

// Write adds bytes. It never fails.
func (d *Digest) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	if len(p) < parallelFrom || len(d.beside) == 0 {
		for _, h := range d.hashes {
			h.Write(p)
		}
		return len(p), nil
	}
	var wg sync.WaitGroup
	for _, h := range d.beside {
		wg.Go(func() { h.Write(p) })
	}
	for _, h := range d.inline {
		h.Write(p)
	}
	wg.Wait()
	return len(p), nil
}

// Size is the number of bytes written so far.
func (d *Digest) Size() int64 { return d.size }

// Sums returns the sums of what was written so far, in the order of the
// algorithms. Writing may go on.
func (d *Digest) Sums() []Sum {
	sums := make([]Sum, len(d.algs))
	for i, a := range d.algs {
		sums[i] = Sum{alg: a}
		d.hashes[i].Sum(sums[i].n[:0])
	}
	return sums
}

// Sum returns the sum of one algorithm; zero if it is not computed.
func (d *Digest) Sum(a Algorithm) Sum {
	if i := slices.Index(d.algs, a); i >= 0 {
		s := Sum{alg: a}
		d.hashes[i].Sum(s.n[:0])
		return s
	}
	return Sum{}
}

// Reset forgets what was written.
func (d *Digest) Reset() {
	d.size = 0
	for _, h := range d.hashes {
		h.Reset()
	}
}

// Close ends the use of d. A Digest holds nothing that must be given back: no
// goroutine outlives a write, and the sums stay readable. It never fails.
func (d *Digest) Close() error { return nil }
