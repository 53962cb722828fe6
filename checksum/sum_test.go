package checksum_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cax-go/cax/checksum"
)

// pattern is the input of that length in testdata/known.json.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(7*i + i>>9)
	}
	return p
}

func TestKnownAnswers(t *testing.T) {
	var known struct {
		Cases []struct {
			Hex     string
			Pattern int
			Sums    map[string]string
		}
	}
	load(t, "known.json", &known)
	if len(known.Cases) < 15 {
		t.Fatalf("only %d cases", len(known.Cases))
	}
	for _, c := range known.Cases {
		data, err := hex.DecodeString(c.Hex)
		must(t, err)
		if c.Pattern > 0 {
			data = pattern(c.Pattern)
		}
		if len(c.Sums) != len(checksum.Algorithms()) {
			t.Fatalf("%d sums", len(c.Sums))
		}
		for name, want := range c.Sums {
			a, err := checksum.ParseAlgorithm(name)
			must(t, err)
			d := checksum.NewDigest(a)
			d.Write(data)
			if got := d.Sum(a); got.Bare() != want || got.String() != name+":"+want {
				t.Errorf("%d bytes %.8x: %s, want %s:%s", len(data), data, got, name, want)
			}
		}
	}
}

func TestAlgorithms(t *testing.T) {
	for _, a := range checksum.Algorithms() {
		got, err := checksum.ParseAlgorithm(strings.ToUpper(a.String()))
		if err != nil || got != a {
			t.Errorf("%s parses as %s, %v", a, got, err)
		}
		if h := a.New(); h.Size() != a.Size() {
			t.Errorf("%s has size %d, its hash %d", a, a.Size(), h.Size())
		}
	}
	for alias, want := range map[string]checksum.Algorithm{"SHA-512": checksum.SHA512, "xxh128": checksum.XXH3_128, "xxh3": checksum.XXH3_64, "adler-32": checksum.Adler32} {
		if got, err := checksum.ParseAlgorithm(alias); got != want {
			t.Errorf("%q parses as %s, %v", alias, got, err)
		}
	}
	for _, s := range []string{"", "sha1", "sha512 ", "Algorithm(1)"} {
		if _, err := checksum.ParseAlgorithm(s); !errors.Is(err, checksum.ErrFormat) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, a := range []checksum.Algorithm{0, 99} {
		if a.Size() != 0 || a.String() == "" {
			t.Errorf("no algorithm has size %d and name %q", a.Size(), a)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New of %s did not panic", a)
				}
			}()
			checksum.NewDigest(a)
		}()
	}
}

func TestParseSum(t *testing.T) {
	const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, c := range []struct{ name, text, want string }{
		{"plain", "sha256:" + nothing, "sha256:" + nothing},
		{"upper case", "SHA256:" + strings.ToUpper(nothing), "sha256:" + nothing},
		{"alias", "sha-256:" + nothing, "sha256:" + nothing},
		{"leading zeros missing", "adler32:1", "adler32:00000001"},
		{"odd number of digits", "crc32:abc", "crc32:00000abc"},
		{"all digits", "crc32c:0000abcd", "crc32c:0000abcd"},
		{"empty", "", ""},
		{"no algorithm", nothing, ""},
		{"unknown algorithm", "sha1:" + nothing[:40], ""},
		{"no digest", "adler32:", ""},
		{"too long", "adler32:000000001", ""},
		{"too short", "sha256:" + nothing[2:], ""},
		{"leading zeros of a long one", "md5:1", ""},
		{"not hexadecimal", "adler32:0000000g", ""},
		{"sign", "adler32:-1", ""},
		{"blank", "adler32: 1", ""},
		{"two colons", "adler32:1:2", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := checksum.ParseSum(c.text)
			if got.String() != c.want || (c.want == "") != errors.Is(err, checksum.ErrFormat) {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			if (c.want == "") != got.IsZero() {
				t.Errorf("zero: %v", got.IsZero())
			}
		})
	}
	if _, err := checksum.ParseBare(0, ""); !errors.Is(err, checksum.ErrFormat) {
		t.Errorf("a digest of no algorithm: %v", err)
	}
}

func TestSumIsAValue(t *testing.T) {
	a, err := checksum.NewSum(checksum.Adler32, []byte{0, 0, 1, 2})
	must(t, err)
	b, err := checksum.ParseSum("adler32:102")
	must(t, err)
	if a != b {
		t.Errorf("%s is not %s", a, b)
	}
	c, err := checksum.NewSum(checksum.CRC32, a.Bytes())
	must(t, err)
	if a == c {
		t.Error("the same digest of another algorithm is equal")
	}
	a.Bytes()[0] = 9
	if a != b {
		t.Error("Bytes shares memory with the sum")
	}
	if _, err := checksum.NewSum(checksum.Adler32, make([]byte, 3)); !errors.Is(err, checksum.ErrFormat) {
		t.Errorf("a short digest: %v", err)
	}
	var zero checksum.Sum
	if zero.String() != "" || zero.Bare() != "" || zero.Algorithm() != 0 || len(zero.Bytes()) != 0 {
		t.Errorf("the zero sum is %q", zero)
	}

	for _, s := range []checksum.Sum{a, c, zero} {
		text, err := json.Marshal(s)
		must(t, err)
		back := b
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Errorf("%s comes back as %s, %v", text, back, err)
		}
	}
	kept := a
	if err := kept.UnmarshalText([]byte("adler32:x")); !errors.Is(err, checksum.ErrFormat) || kept != a {
		t.Errorf("%v; the sum is now %s", err, kept)
	}
}
