package checksum

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonHead is the first line of a manifest written as JSON lines.
type jsonHead struct {
	Manifest int    `json:"manifest"` // version of the format
	Single   bool   `json:"single,omitempty"`
	Entries  int    `json:"entries"`
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"`
	Root     string `json:"root"`
}

// jsonEntry is every further line.
type jsonEntry struct {
	Path   *string  `json:"path,omitempty"`
	Base64 []byte   `json:"path_base64,omitempty"` // instead of path, where it is not UTF-8
	Dir    bool     `json:"dir,omitempty"`
	Size   *int64   `json:"size,omitempty"`
	MTime  string   `json:"mtime,omitempty"` // RFC 3339 with nanoseconds, UTC
	Sums   []Sum    `json:"sums,omitempty"`
	Blocks []string `json:"blocks,omitempty"` // hexadecimal XXH3-64
}

// WriteJSON writes the manifest as JSON lines: one line with counts and root
// digest, then one a file or empty directory. Paths that are not UTF-8 are written
// in base64. Modification times outside the years 0 to 9999 are left out.
func (m *Manifest) WriteJSON(w io.Writer) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	head := jsonHead{Manifest: 1, Single: m.Single, Entries: len(m.Entries), Files: m.Files(), Bytes: m.Size(), Root: m.Root().String()}
	if err := enc.Encode(head); err != nil {
		return err
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		j := jsonEntry{Dir: e.Dir, Sums: e.Sums}
		// JSON text cannot hold other bytes, and would silently change them.
		if utf8.ValidString(e.Path) {
			j.Path = &e.Path
		} else {
			j.Base64 = []byte(e.Path)
		}
		if !e.Dir {
			j.Size = &e.Size
		}
		// RFC 3339 has four digits for the year; some file systems have more.
		if t := e.ModTime.UTC(); !t.IsZero() && t.Year() >= 0 && t.Year() <= 9999 {
			j.MTime = t.Format(time.RFC3339Nano)
		}
		for _, n := range e.Blocks {
			j.Blocks = append(j.Blocks, fmt.Sprintf("%016x", n))
		}
		if err := enc.Encode(j); err != nil {
			return err
		}
	}
	return b.Flush()
}

// ReadJSON reads what WriteJSON wrote. What is malformed gives an error that wraps
// ErrFormat and names the line; a manifest that is not complete, or whose files do
// not give its root digest, is malformed too. Errors of r pass through.
func ReadJSON(r io.Reader) (*Manifest, error) {
	var head jsonHead
	var entries []Entry
	first := true
	err := eachLine(r, func(line []byte) error {
		if first {
			first = false
			if err := decodeLine(line, &head); err != nil {
				return err
			}
			if head.Manifest != 1 {
				return fmt.Errorf("%w: manifest format %d; this program knows 1", ErrFormat, head.Manifest)
			}
			return nil
		}
		var j jsonEntry
		if err := decodeLine(line, &j); err != nil {
			return err
		}
		e, err := j.entry()
		if err == nil {
			err = e.check()
		}
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	if first {
		return nil, fmt.Errorf("line 1: %w: there is none", ErrFormat)
	}
	if len(entries) != head.Entries {
		return nil, fmt.Errorf("line %d: %w: the end after %d entries; line 1 says %d", len(entries)+2, ErrFormat, len(entries), head.Entries)
	}
	m, err := NewManifest(entries, head.Single)
	if err != nil {
		return nil, err
	}
	if m.Files() != head.Files || m.Size() != head.Bytes {
		return nil, fmt.Errorf("line 1: %w: %d files of %d bytes; there are %d of %d", ErrFormat, head.Files, head.Bytes, m.Files(), m.Size())
	}
	if got := m.Root().String(); got != head.Root {
		return nil, fmt.Errorf("line 1: %w: root digest %s; the files give %s", ErrFormat, head.Root, got)
	}
	return m, nil
}

// decodeLine is strict where encoding/json is not: it would change bytes that are no
// UTF-8, and leave what follows a value.
func decodeLine(line []byte, to any) error {
	if !utf8.Valid(line) {
		return fmt.Errorf("%w: not UTF-8", ErrFormat)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: text after the object", ErrFormat)
	}
	return nil
}

func (j *jsonEntry) entry() (Entry, error) {
	e := Entry{Dir: j.Dir, Sums: j.Sums}
	switch {
	case j.Path != nil && j.Base64 == nil:
		e.Path = *j.Path
	case j.Path == nil:
		e.Path = string(j.Base64)
	default:
		return e, fmt.Errorf("%w: path and path_base64 together", ErrFormat)
	}
	if j.Size != nil {
		e.Size = *j.Size
	} else if !j.Dir {
		return e, fmt.Errorf("%w: %q has no size", ErrFormat, e.Path)
	}
	if j.MTime != "" {
		t, err := time.Parse(time.RFC3339Nano, j.MTime)
		if err != nil {
			return e, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		e.ModTime = t.UTC()
	}
	for _, s := range j.Blocks {
		n, err := strconv.ParseUint(s, 16, 64)
		if err != nil || len(s) != 16 {
			return e, fmt.Errorf("%w: block %q is not 16 hexadecimal digits", ErrFormat, s)
		}
		e.Blocks = append(e.Blocks, n)
	}
	return e, nil
}
