package checksum

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
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
// digest, then one a file.
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
		if !e.ModTime.IsZero() {
			j.MTime = e.ModTime.UTC().Format(time.RFC3339Nano)
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

// maxLine bounds a line of a manifest that is read: a file of 64 TiB has 32 MiB
// of blocks.
const maxLine = 64 << 20

// ReadJSON reads what WriteJSON wrote. The error wraps ErrFormat and names the
// line; a manifest whose files do not give its root digest is one too.
func ReadJSON(r io.Reader) (*Manifest, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	var head jsonHead
	var entries []Entry
	line := 0
	bad := func(err any) error { return fmt.Errorf("%w: line %d: %v", ErrFormat, line, err) }
	for sc.Scan() {
		line++
		dec := json.NewDecoder(bytes.NewReader(sc.Bytes()))
		dec.DisallowUnknownFields()
		if line == 1 {
			if err := dec.Decode(&head); err != nil {
				return nil, bad(err)
			}
			if head.Manifest != 1 {
				return nil, bad(fmt.Sprintf("manifest format %d; this program knows 1", head.Manifest))
			}
			continue
		}
		var j jsonEntry
		if err := dec.Decode(&j); err != nil {
			return nil, bad(err)
		}
		e, err := j.entry()
		if err != nil {
			return nil, bad(err)
		}
		entries = append(entries, e)
	}
	if err := sc.Err(); err != nil {
		return nil, bad(err)
	}
	if line == 0 {
		return nil, fmt.Errorf("%w: empty", ErrFormat)
	}
	if len(entries) != head.Entries {
		return nil, bad(fmt.Sprintf("%d entries, the head says %d", len(entries), head.Entries))
	}
	m, err := NewManifest(entries, head.Single)
	if err != nil {
		return nil, err
	}
	if got := m.Root().String(); got != head.Root {
		return nil, fmt.Errorf("%w: the files give the root digest %s, the head says %s", ErrFormat, got, head.Root)
	}
	return m, nil
}

func (j *jsonEntry) entry() (Entry, error) {
	e := Entry{Dir: j.Dir, Sums: j.Sums}
	switch {
	case j.Path != nil && j.Base64 == nil:
		e.Path = *j.Path
	case j.Path == nil:
		e.Path = string(j.Base64)
	default:
		return e, fmt.Errorf("path and path_base64 together")
	}
	if j.Size != nil {
		e.Size = *j.Size
	} else if !j.Dir {
		return e, fmt.Errorf("%q has no size", e.Path)
	}
	if j.MTime != "" {
		t, err := time.Parse(time.RFC3339Nano, j.MTime)
		if err != nil {
			return e, err
		}
		e.ModTime = t.UTC()
	}
	for _, s := range j.Blocks {
		var n uint64
		if _, err := fmt.Sscanf(strings.ToLower(s), "%16x", &n); err != nil || len(s) != 16 {
			return e, fmt.Errorf("block %q is not 16 hexadecimal digits", s)
		}
		e.Blocks = append(e.Blocks, n)
	}
	return e, nil
}
