package checksum_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/google/go-cmp/cmp"
)

func FuzzParseSum(f *testing.F) {
	for _, a := range checksum.Algorithms() {
		f.Add(entry("", "x", a).Sums[0].String())
	}
	for _, s := range []string{"", ":", "adler32:1", "SHA-512:00", "crc32:-1", "md5:" + strings.Repeat("0", 33), "xxh128:\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sum, err := checksum.ParseSum(s)
		if err != nil {
			if !errors.Is(err, checksum.ErrFormat) || !sum.IsZero() {
				t.Fatalf("%v, %v", sum, err)
			}
			return
		}
		if again, err := checksum.ParseSum(sum.String()); again != sum || err != nil {
			t.Fatalf("%s comes back as %s, %v", sum, again, err)
		}
	})
}

func FuzzParseBare(f *testing.F) {
	for _, a := range checksum.Algorithms() {
		f.Add(uint8(a), entry("", "x", a).Sums[0].Bare())
	}
	f.Add(uint8(0), "")
	f.Add(uint8(checksum.Adler32), "1")
	f.Add(uint8(99), "00")
	f.Fuzz(func(t *testing.T, a uint8, s string) {
		sum, err := checksum.ParseBare(checksum.Algorithm(a), s)
		if err != nil {
			if !errors.Is(err, checksum.ErrFormat) || !sum.IsZero() {
				t.Fatalf("%v, %v", sum, err)
			}
			return
		}
		// Nothing but leading zeros and case may differ.
		if sum.Algorithm() != checksum.Algorithm(a) || strings.TrimLeft(sum.Bare(), "0") != strings.TrimLeft(strings.ToLower(s), "0") {
			t.Fatalf("%q gives %s", s, sum)
		}
	})
}

func FuzzReadSums(f *testing.F) {
	for _, a := range []checksum.Algorithm{checksum.SHA512, checksum.XXH3_64, checksum.Adler32} {
		var b bytes.Buffer
		m := manifest(f, entry("-", "x", a), entry("a/b", "", a), entry("new\nline", "y", a), entry("\xff\r", "z", a))
		must(f, m.WriteSums(&b, a))
		f.Add(uint8(a), b.String())
	}
	f.Add(uint8(checksum.MD5), "# comment\nd41d8cd98f00b204e9800998ecf8427e *./a\n\\MD5 (a\\n) = D41D8CD98F00B204E9800998ECF8427E")
	f.Fuzz(func(t *testing.T, a uint8, text string) {
		m, err := checksum.ReadSums(strings.NewReader(text), checksum.Algorithm(a))
		if err != nil {
			if !errors.Is(err, checksum.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		var b bytes.Buffer
		must(t, m.WriteSums(&b, checksum.Algorithm(a)))
		again, err := checksum.ReadSums(&b, checksum.Algorithm(a))
		must(t, err)
		if diff := cmp.Diff(m, again, sumsEqual); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzReadJSON(f *testing.F) {
	// Small ones: the fuzzer spends its time on making large inputs smaller.
	large := checksum.Entry{Path: "l", Size: checksum.BlockSize + 1, Blocks: []uint64{1, 2}, ModTime: time.Unix(1, 5).UTC()}
	for _, m := range []*checksum.Manifest{manifest(f), manifest(f, large), manifest(f, entry("a", "1", checksum.CRC32, checksum.XXH3_64), checksum.Entry{Path: "\xff", Dir: true})} {
		var b bytes.Buffer
		must(f, m.WriteJSON(&b))
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:b.Len()/2])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := checksum.ReadJSON(bytes.NewReader(text))
		if err != nil {
			if !errors.Is(err, checksum.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		var b bytes.Buffer
		must(t, m.WriteJSON(&b))
		again, err := checksum.ReadJSON(&b)
		must(t, err)
		if diff := cmp.Diff(m, again, sumsEqual); diff != "" || m.Root() != again.Root() {
			t.Fatal(diff)
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add([]byte("123456789"), uint32(3))
	f.Add(pattern(200_000), uint32(70_000))
	f.Fuzz(func(t *testing.T, data []byte, cut uint32) {
		n := int(cut) % (len(data) + 1)
		d := checksum.NewDigest(checksum.Algorithms()...)
		d.Write(data[:n])
		d.Write(data[n:])
		for _, s := range d.Sums() {
			h := s.Algorithm().New()
			h.Write(data)
			if !bytes.Equal(h.Sum(nil), s.Bytes()) {
				t.Fatalf("%s in two parts, %x in one", s, h.Sum(nil))
			}
		}
	})
}
