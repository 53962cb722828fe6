package checksum_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/cax-go/cax/checksum"
	"github.com/google/go-cmp/cmp"
)

// TestDigestOnePass writes the same bytes in many ways: around the length from which
// hashes run beside each other, and around the words and stripes of the hashes.
func TestDigestOnePass(t *testing.T) {
	data := pattern(1<<20 + 77)
	var want []checksum.Sum
	for _, a := range checksum.Algorithms() {
		h := a.New()
		h.Write(data)
		s, err := checksum.NewSum(a, h.Sum(nil))
		must(t, err)
		want = append(want, s)
	}
	equal := cmp.Comparer(func(a, b checksum.Sum) bool { return a == b })
	for _, lengths := range [][]int{
		{1 << 30}, {1, 2, 3, 1000}, {7, 64 << 10}, {64<<10 - 1}, {64 << 10}, {64<<10 + 1}, {0, 100_000, 3}, {200_000, 1, 1, 70_000}, {1 << 18, 255},
	} {
		t.Run(fmt.Sprint(lengths), func(t *testing.T) {
			d := checksum.NewDigest(checksum.Algorithms()...)
			n := 0
			for rest := data; len(rest) > 0; n++ {
				p := rest[:min(len(rest), lengths[n%len(lengths)])]
				if w, err := d.Write(p); w != len(p) || err != nil {
					t.Fatalf("write of %d: %d, %v", len(p), w, err)
				}
				rest = rest[len(p):]
				if n%1000 == 0 {
					d.Sums() // does not disturb
				}
			}
			if diff := cmp.Diff(want, d.Sums(), equal); diff != "" || d.Size() != int64(len(data)) {
				t.Errorf("size %d, sums (-want +got):\n%s", d.Size(), diff)
			}
			d.Reset()
			if d.Size() != 0 {
				t.Errorf("size %d after Reset", d.Size())
			}
			io.Copy(d, bytes.NewReader(data))
			if diff := cmp.Diff(want, d.Sums(), equal); diff != "" {
				t.Errorf("after Reset (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDigestAlgorithms(t *testing.T) {
	d := checksum.NewDigest(checksum.XXH3_128, checksum.MD5, checksum.XXH3_128)
	if s := d.Sums(); len(s) != 2 || s[0].Algorithm() != checksum.MD5 || s[1].Algorithm() != checksum.XXH3_128 {
		t.Errorf("sums %v; want each once, in the order of the algorithms", s)
	}
	if !d.Sum(checksum.SHA512).IsZero() {
		t.Error("a sum that is not computed is not zero")
	}
	none := checksum.NewDigest()
	none.Write(make([]byte, 100_000))
	if none.Size() != 100_000 || len(none.Sums()) != 0 {
		t.Errorf("without algorithms: size %d, sums %v", none.Size(), none.Sums())
	}
}

// TestDigestLeavesNoGoroutine: a bubble fails when something in it outlives it.
func TestDigestLeavesNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := checksum.NewDigest(checksum.SHA512, checksum.SHA256, checksum.MD5)
		for range 3 {
			d.Write(make([]byte, 1<<20))
		}
		before := d.Sums()
		d.Close()
		d.Close()
		if after := d.Sums(); before[0] != after[0] || before[2] != after[2] {
			t.Error("sums are not readable after Close")
		}
		// Another one is never closed.
		checksum.NewDigest(checksum.SHA512, checksum.MD5).Write(make([]byte, 1<<20))
	})
}

func TestEntryDigest(t *testing.T) {
	data := pattern(300_000)
	d := checksum.NewEntryDigest()
	d.Write([]byte("something else"))
	d.Reset()
	d.Write(data[:1000])
	d.Write(data[1000:])
	e := d.Entry()
	if e.Size != int64(len(data)) || e.Blocks != nil || len(e.Sums) != 3 {
		t.Errorf("entry %+v", e)
	}
	for _, a := range checksum.DefaultAlgorithms() {
		one := checksum.NewDigest(a)
		one.Write(data)
		if got := e.Sum(a); got != one.Sum(a) {
			t.Errorf("%s, want %s", got, one.Sum(a))
		}
	}
}

func TestEntryDigestBlocks(t *testing.T) {
	block := make([]byte, checksum.BlockSize)
	block[5] = 1
	sum := func(p []byte) uint64 {
		h := checksum.XXH3_64.New()
		h.Write(p)
		var n uint64
		for _, b := range h.Sum(nil) {
			n = n<<8 | uint64(b)
		}
		return n
	}
	full := sum(block)
	for _, c := range []struct {
		name  string
		parts []int
		want  []uint64
	}{
		{"one block", []int{checksum.BlockSize}, nil},
		{"one byte more", []int{checksum.BlockSize, 1}, []uint64{full, sum(block[:1])}},
		{"two blocks", []int{checksum.BlockSize, checksum.BlockSize}, []uint64{full, full}},
		{"in pieces", []int{checksum.BlockSize, 3, 6}, []uint64{full, sum(append(append([]byte(nil), block[:3]...), block[:6]...))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := checksum.NewEntryDigest(checksum.XXH3_128)
			for _, n := range c.parts {
				d.Write(block[:n])
			}
			if diff := cmp.Diff(c.want, d.Entry().Blocks); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
			early := d.Entry().Blocks
			d.Write(block)
			if diff := cmp.Diff(c.want, early); diff != "" {
				t.Errorf("blocks changed with a later write:\n%s", diff)
			}
		})
	}
}
