package checksum

import (
	"fmt"
	"io"
)

// NewVerifyingReader returns a reader that gives an error wrapping ErrCorrupt
// instead of io.EOF when r ended before or after size bytes (size < 0: any), or
// with other sums than those wanted. Other errors of r pass through. Closing the
// reader does not close r.
func NewVerifyingReader(r io.Reader, size int64, want ...Sum) io.ReadCloser {
	algs := make([]Algorithm, len(want))
	for i, s := range want {
		algs[i] = s.alg
	}
	return &verifyingReader{r: r, size: size, want: want, d: NewDigest(algs...)}
}

type verifyingReader struct {
	r    io.Reader
	size int64
	want []Sum
	d    *Digest
}

func (v *verifyingReader) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.d.Write(p[:n])
	if v.size >= 0 && v.d.Size() > v.size {
		return n, fmt.Errorf("%w: more than %d bytes", ErrCorrupt, v.size)
	}
	if err == io.EOF {
		if cerr := v.check(); cerr != nil {
			return n, cerr
		}
	}
	return n, err
}

func (v *verifyingReader) check() error {
	if v.size >= 0 && v.d.Size() != v.size {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, v.d.Size(), v.size)
	}
	for _, w := range v.want {
		if got := v.d.Sum(w.alg); got != w {
			return fmt.Errorf("%w: %s instead of %s", ErrCorrupt, got, w)
		}
	}
	return nil
}

func (v *verifyingReader) Close() error { return v.d.Close() }
