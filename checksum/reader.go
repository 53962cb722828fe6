package checksum

import (
	"fmt"
	"io"
	"slices"
)

// NewVerifyingReader returns a reader that gives an error wrapping ErrCorrupt
// instead of io.EOF when r ended before or after size bytes (size < 0: any), or
// with other sums than those wanted; a zero Sum is wanted by mistake and gives
// ErrFormat. Other errors of r pass through. An error of the reader itself
// stays: it is what every further read gives.
//
// The bytes are judged at the end: whoever stops before io.EOF has verified
// nothing. Closing the reader does not close r.
func NewVerifyingReader(r io.Reader, size int64, want ...Sum) io.ReadCloser {
	var algs []Algorithm
	for _, s := range want {
		if !s.IsZero() {
			algs = append(algs, s.alg)
		}
	}
	return &verifyingReader{r: r, size: size, want: slices.Clone(want), d: NewDigest(algs...)}
}

type verifyingReader struct {
	r    io.Reader
	size int64
	want []Sum
	d    *Digest
	err  error // the verdict, once there is one
}

func (v *verifyingReader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.d.Write(p[:n])
	if v.size >= 0 && v.d.Size() > v.size {
		v.err = fmt.Errorf("%w: more than %d bytes", ErrCorrupt, v.size)
		return n, v.err
	}
	if err == io.EOF {
		if v.err = v.check(); v.err == nil {
			v.err = io.EOF
		}
		return n, v.err
	}
	return n, err
}

func (v *verifyingReader) check() error {
	if v.size >= 0 && v.d.Size() != v.size {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, v.d.Size(), v.size)
	}
	for _, w := range v.want {
		if w.IsZero() {
			return fmt.Errorf("%w: no sum to compare with", ErrFormat)
		}
		if got := v.d.Sum(w.alg); got != w {
			return fmt.Errorf("%w: %s instead of %s", ErrCorrupt, got, w)
		}
	}
	return nil
}

func (v *verifyingReader) Close() error { return v.d.Close() }
