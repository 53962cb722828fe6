package checksum_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cax-go/cax/checksum"
)

func TestVerifyingReader(t *testing.T) {
	const text = "the bytes of a file, more than sixteen"
	d := checksum.NewDigest(checksum.SHA512, checksum.Adler32)
	io.WriteString(d, text)
	good := d.Sums()
	io.WriteString(d, "!")
	bad := d.Sums()
	broken := errors.New("broken")
	n := int64(len(text))

	for _, c := range []struct {
		name string
		r    io.Reader
		size int64
		want []checksum.Sum
		err  error
	}{
		{"equal", strings.NewReader(text), n, good, nil},
		{"size unknown", strings.NewReader(text), -1, good, nil},
		{"size alone", strings.NewReader(text), n, nil, nil},
		{"byte by byte", iotest.OneByteReader(strings.NewReader(text)), n, good, nil},
		{"end with the data", iotest.DataErrReader(strings.NewReader(text)), n, good, nil},
		{"short", strings.NewReader(text[1:]), n, good, checksum.ErrCorrupt},
		{"short, size alone", strings.NewReader(text[1:]), n, nil, checksum.ErrCorrupt},
		{"empty", strings.NewReader(""), n, good, checksum.ErrCorrupt},
		{"long", strings.NewReader(text + "!"), n, good, checksum.ErrCorrupt},
		{"long, end with the data", iotest.DataErrReader(strings.NewReader(text + "!")), n, good, checksum.ErrCorrupt},
		{"one sum of two wrong", strings.NewReader(text), n, []checksum.Sum{good[0], bad[1]}, checksum.ErrCorrupt},
		{"wrong with the data", iotest.DataErrReader(strings.NewReader(text)), n, bad, checksum.ErrCorrupt},
		{"two sums of one algorithm", strings.NewReader(text), n, []checksum.Sum{good[0], bad[0]}, checksum.ErrCorrupt},
		{"a sum that is none", strings.NewReader(text), n, []checksum.Sum{{}}, checksum.ErrFormat},
		{"another error", io.MultiReader(strings.NewReader(text[:5]), iotest.ErrReader(broken)), n, good, broken},
		{"time-out", iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text))), n, good, iotest.ErrTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := checksum.NewVerifyingReader(c.r, c.size, c.want...)
			got, err := io.ReadAll(r)
			if !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if c.err == nil && string(got) != text {
				t.Errorf("read %q", got)
			}
			if errors.Is(c.err, checksum.ErrCorrupt) {
				if n, again := r.Read(make([]byte, 10)); n != 0 || !errors.Is(again, checksum.ErrCorrupt) {
					t.Errorf("after %v: %d, %v", err, n, again)
				}
			}
			must(t, r.Close())
		})
	}

	if err := iotest.TestReader(checksum.NewVerifyingReader(strings.NewReader(text), n, good...), []byte(text)); err != nil {
		t.Error(err)
	}
}
