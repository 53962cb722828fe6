package checksum

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteSums writes the sums of one algorithm as text that the tools of GNU
// coreutils (sha512sum -c and its sisters) and xxhsum -c accept: digest, two
// blanks, path; for XXH3-64, whose digests xxhsum would else take for XXH64's,
// "XXH3 (path) = digest". For Adler-32 and the CRCs there is no such tool.
//
// Lines of paths with a backslash, newline or carriage return begin with a backslash
// and have them escaped, as those tools do (coreutils 9, xxhsum 0.8.2). Names by which
// they mean the standard input begin with "./". Empty directories are left out.
// ErrFormat if a file has no such sum.
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
		if path == "-" || path == "stdin" {
			path = "./" + path
		}
		if a == XXH3_64 {
			fmt.Fprintf(b, "%sXXH3 (%s) = %s\n", mark, path, s.Bare())
		} else {
			fmt.Fprintf(b, "%s%s  %s\n", mark, s.Bare(), path)
		}
	}
	return b.Flush()
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)

// ReadSums reads such text, with either form of line, comment lines that begin with
// "#", and paths that begin with "./". Sizes are not in it: the entries of the
// manifest have size 0, so it compares by digest only with another one that was read
// so. What is malformed gives an error that wraps ErrFormat and names the line;
// errors of r pass through.
func ReadSums(r io.Reader, a Algorithm) (*Manifest, error) {
	var entries []Entry
	err := eachLine(r, func(text []byte) error {
		if len(text) > 0 && text[0] == '#' {
			return nil
		}
		e, err := sumsLine(string(text), a)
		if err == nil {
			err = e.check()
		}
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return NewManifest(entries, false)
}

func sumsLine(line string, a Algorithm) (Entry, error) {
	text, escaped := strings.CutPrefix(line, `\`)
	first, rest, _ := strings.Cut(text, " ")
	var path, digest string
	switch end := strings.LastIndex(rest, ") = "); {
	case len(rest) > 1 && (rest[0] == ' ' || rest[0] == '*'):
		path, digest = rest[1:], first
	case end > 1 && rest[0] == '(':
		path, digest = rest[1:end], rest[end+len(") = "):]
		if named, err := ParseAlgorithm(first); err != nil || named != a {
			return Entry{}, fmt.Errorf("%w: %q is not %s", ErrFormat, first, a)
		}
	default:
		return Entry{}, fmt.Errorf("%w: not of the form digest, two blanks, path", ErrFormat)
	}
	if escaped {
		var err error
		if path, err = unescape(path); err != nil {
			return Entry{}, err
		}
	}
	s, err := ParseBare(a, digest)
	return Entry{Path: strings.TrimPrefix(path, "./"), Sums: []Sum{s}}, err
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", fmt.Errorf("%w: a backslash at the end", ErrFormat)
		}
		switch s[i] {
		case '\\':
			b.WriteByte('\\')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		default:
			return "", fmt.Errorf("%w: unknown escape %q", ErrFormat, s[i-1:i+1])
		}
	}
	return b.String(), nil
}
