package checksum

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// WriteSums writes the sums of one algorithm as text that the tools of GNU
// coreutils (sha512sum -c and its sisters) and xxhsum -c accept: digest, two
// blanks, path. Lines of paths with a backslash, newline or carriage return begin
// with a backslash and have them escaped, as those tools do. Empty directories
// are left out. ErrFormat if a file has no such sum.
func (m *Manifest) WriteSums(w io.Writer, a Algorithm) error {
	b := bufio.NewWriter(w)
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Dir {
			continue
		}
		s := e.Sum(a)
		if s.IsZero() {
			return fmt.Errorf("%w: %q has no %s", ErrFormat, e.Path, a)
		}
		mark, path := "", e.Path
		if strings.ContainsAny(path, "\\\n\r") {
			mark, path = `\`, escaper.Replace(path)
		}
		fmt.Fprintf(b, "%s%s  %s\n", mark, s.Bare(), path)
	}
	return b.Flush()
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)

// ReadSums reads such text. Sizes are not in it: the entries of the manifest have
// size 0, so it compares by digest only with another one that was read so. The
// error wraps ErrFormat and names the line.
func ReadSums(r io.Reader, a Algorithm) (*Manifest, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	// Only LF ends a line: a CR may be part of a name.
	sc.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	var entries []Entry
	for line := 1; sc.Scan(); line++ {
		bad := func(err any) error { return fmt.Errorf("%w: line %d: %v", ErrFormat, line, err) }
		text, escaped := strings.CutPrefix(sc.Text(), `\`)
		digest, path, ok := strings.Cut(text, " ")
		if !ok || len(path) < 2 || path[0] != ' ' && path[0] != '*' {
			return nil, bad("not of the form digest, two blanks, path")
		}
		path = path[1:]
		if escaped {
			var err error
			if path, err = unescape(path); err != nil {
				return nil, bad(err)
			}
		}
		s, err := ParseBare(a, digest)
		if err != nil {
			return nil, bad(err)
		}
		entries = append(entries, Entry{Path: path, Sums: []Sum{s}})
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	return NewManifest(entries, false)
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", fmt.Errorf("a backslash at the end")
		}
		switch s[i] {
		case '\\':
			b.WriteByte('\\')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		default:
			return "", fmt.Errorf("unknown escape \\%c", s[i])
		}
	}
	return b.String(), nil
}
