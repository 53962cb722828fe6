package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// CheckOutput looks at a product: a file that is not empty, or a directory with at
// least one such file. It returns the bytes in it. The error wraps ErrOutput.
func CheckOutput(path string) (size int64, err error) {
	bad := func(err error) (int64, error) { return 0, &Error{Op: "check", What: path, Kind: ErrOutput, Err: err} }
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return bad(errors.New("it is missing"))
	}
	if err != nil {
		return bad(err)
	}
	switch {
	case st.IsDir():
		if size, err = treeSize(path); err != nil {
			return bad(err)
		}
	case st.Mode().IsRegular():
		size = st.Size()
	default:
		return bad(fmt.Errorf("it is neither a file nor a directory: %s", st.Mode()))
	}
	if size == 0 {
		return bad(errors.New("it is empty"))
	}
	return size, nil
}

func treeSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if err == nil {
			size += st.Size()
		}
		return err
	})
	return size, err
}

// Tail gives the last lines of a file, at most n bytes of it, as text. What is no
// UTF-8, and control characters but tabs and line breaks, come out as "?".
func Tail(path string, n int) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	from := max(0, size-int64(n))
	b := make([]byte, size-from)
	k, err := f.ReadAt(b, from)
	if err != nil && err != io.EOF {
		return "", err
	}
	return tailText(b[:k], from > 0), nil
}

// tailText makes text of the end of a file; cut: there is more before it. A line
// that was cut is left out, unless it is all there is.
func tailText(b []byte, cut bool) string {
	if cut {
		if _, rest, ok := strings.Cut(string(b), "\n"); ok && rest != "" {
			b = []byte(rest)
		}
		for len(b) > 0 && !utf8.RuneStart(b[0]) {
			b = b[1:]
		}
	}
	return strings.Map(func(c rune) rune {
		if c == utf8.RuneError || c != '\n' && c != '\t' && (c < ' ' || c == 0x7f) {
			return '?'
		}
		return c
	}, string(b))
}
