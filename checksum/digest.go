package checksum

import (
	"hash"
	"slices"
	"sync"
)

// A Digest computes several sums of the same bytes in one pass. It is an
// io.Writer whose writes never fail. It is not safe for concurrent use.
//
// Cryptographic hashes run beside each other: a write hands its bytes to one
// helper goroutine per further costly algorithm and returns when all have seen
// them. With one costly algorithm, as in a manifest's default, nothing is handed
// over: XXH3 and Adler-32 cost a tenth of SHA-512 and less than a hand-over.
type Digest struct {
	algs    []Algorithm
	hashes  []hash.Hash
	size    int64
	helpers []*helper
	inline  []hash.Hash
}

// parallelFrom is the length of a write from which handing it over pays: below,
// waking a goroutine costs more than hashing.
const parallelFrom = 64 << 10

// costly algorithms take longer per byte than a read from the page cache.
func costly(a Algorithm) bool { return a == SHA512 || a == SHA256 || a == MD5 }

type helper struct {
	h    hash.Hash
	in   chan []byte
	done *sync.WaitGroup
}

// NewDigest returns a Digest of these algorithms; of each once. Close it.
func NewDigest(algs ...Algorithm) *Digest {
	d := &Digest{algs: slices.Clone(algs)}
	slices.Sort(d.algs)
	d.algs = slices.Compact(d.algs)
	for _, a := range d.algs {
		d.hashes = append(d.hashes, a.New())
	}
	return d
}

// Write adds bytes. It never fails.
func (d *Digest) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	if len(p) < parallelFrom {
		for _, h := range d.hashes {
			h.Write(p)
		}
		return len(p), nil
	}
	d.start()
	var seen sync.WaitGroup
	seen.Add(len(d.helpers))
	for _, h := range d.helpers {
		h.done = &seen
		h.in <- p
	}
	for _, h := range d.inline {
		h.Write(p)
	}
	seen.Wait()
	return len(p), nil
}

// start makes the helpers, at the first large write: all costly algorithms but
// the first, which stays with the writer.
func (d *Digest) start() {
	if d.inline != nil || len(d.hashes) == 0 {
		return
	}
	first := true
	for i, a := range d.algs {
		if costly(a) && !first {
			h := &helper{h: d.hashes[i], in: make(chan []byte)}
			d.helpers = append(d.helpers, h)
			go func() {
				for p := range h.in {
					h.h.Write(p)
					h.done.Done()
				}
			}()
			continue
		}
		if costly(a) {
			first = false
		}
		d.inline = append(d.inline, d.hashes[i])
	}
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

// Close ends the helper goroutines. Sums stay readable; writing must not go on.
// Closing twice is no error.
func (d *Digest) Close() error {
	for _, h := range d.helpers {
		close(h.in)
	}
	d.helpers = nil
	return nil
}
