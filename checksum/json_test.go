package checksum_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/google/go-cmp/cmp"
)

var sumsEqual = cmp.Comparer(func(a, b checksum.Sum) bool { return a == b })

// everything is a manifest with all that can be in one.
func everything(t testing.TB) *checksum.Manifest {
	t.Helper()
	var entries []checksum.Entry
	for _, n := range hostile() {
		if n.Dir {
			entries = append(entries, checksum.Entry{Path: n.Path, Dir: true})
			continue
		}
		e := entry(n.Path, string(n.Data), checksum.Algorithms()...)
		e.ModTime = time.Date(2016, 3, 15, 14, 32, 1, 123456789, time.UTC)
		entries = append(entries, e)
	}
	large := entry("large", "", checksum.SHA512)
	large.Size, large.Blocks = 2*checksum.BlockSize+1, []uint64{1, 0, 1<<64 - 1}
	large.ModTime = time.Date(1969, 12, 31, 23, 0, 0, 0, time.UTC)
	return manifest(t, append(entries, large, checksum.Entry{Path: "no sums", Size: 3})...)
}

func TestJSONRoundTrip(t *testing.T) {
	single, err := checksum.NewManifest([]checksum.Entry{entry("\xff", "x")}, true)
	must(t, err)
	for name, m := range map[string]*checksum.Manifest{"empty": manifest(t), "everything": everything(t), "single": single} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			must(t, m.WriteJSON(&b))
			if lines := strings.Count(b.String(), "\n"); lines != len(m.Entries)+1 {
				t.Errorf("%d lines for %d entries", lines, len(m.Entries))
			}
			got, err := checksum.ReadJSON(iotest.OneByteReader(&b))
			must(t, err)
			if len(m.Entries) == 0 {
				m.Entries = nil
			}
			if diff := cmp.Diff(m, got, sumsEqual); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestJSONForm pins the form, which other programs read.
func TestJSONForm(t *testing.T) {
	e := entry("a<&>", "123456789", checksum.Adler32)
	e.ModTime = time.Date(2016, 3, 15, 15, 32, 1, 500, time.FixedZone("CET", 3600))
	far := entry("b", "", checksum.Adler32)
	far.ModTime = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	var b strings.Builder
	must(t, manifest(t, e, far, checksum.Entry{Path: "\xff", Dir: true}).WriteJSON(&b))
	_, got, _ := strings.Cut(b.String(), "\n")
	const want = `{"path":"a<&>","size":9,"mtime":"2016-03-15T14:32:01.0000005Z","sums":["adler32:091e01de"]}
{"path":"b","size":0,"sums":["adler32:00000001"]}
{"path_base64":"/w==","dir":true}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(b.String(), `{"manifest":1,"entries":3,"files":2,"bytes":9,"root":"sha256:`) {
		t.Errorf("head of %s", b.String())
	}
	if _, err := checksum.ReadJSON(strings.NewReader(b.String())); err != nil {
		t.Error(err)
	}
}

func TestReadJSONErrors(t *testing.T) {
	var b strings.Builder
	must(t, manifest(t, entry("a", "1"), entry("b", "2"), entry("c", "3")).WriteJSON(&b))
	good := b.String()
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	lines := strings.SplitAfter(good, "\n")
	for _, c := range []struct{ name, text, line string }{
		{"nothing", "", "line 1:"},
		{"an empty line", "\n", "line 1:"},
		{"no JSON", "manifest\n", "line 1:"},
		{"another version", replace(`"manifest":1`, `"manifest":2`), "line 1:"},
		{"no version", replace(`"manifest":1,`, ``), "line 1:"},
		{"an entry for the head", strings.Join(lines[1:], ""), "line 1:"},
		{"torn in the head", good[:20], "line 1:"},
		{"torn between lines", strings.Join(lines[:3], ""), "line 4:"},
		{"torn in the last line", good[:len(good)-30], "line 4:"},
		{"torn in the middle", strings.Join(lines[:2], "") + lines[2][:20] + "\n" + lines[3], "line 3:"},
		{"two lines run together", strings.Join(lines[:2], "") + strings.TrimSuffix(lines[2], "\n") + lines[3], "line 3:"},
		{"NUL bytes after a crash", good[:len(good)-30] + strings.Repeat("\x00", 30), "line 4:"},
		{"blank line", good + "\n", "line 5:"},
		{"a line twice", good + lines[3], ""},
		{"unknown key", replace(`{"path":"b"`, `{"colour":1,"path":"b"`), "line 3:"},
		{"no UTF-8", replace(`"path":"b"`, "\"path\":\"\xff\""), "line 3:"},
		{"no path", replace(`"path":"b",`, ""), "line 3:"},
		{"two paths", replace(`"path":"b"`, `"path":"b","path_base64":"Yg=="`), "line 3:"},
		{"an unsafe path", replace(`"path":"b"`, `"path":"../b"`), "line 3:"},
		{"no size", replace(`"size":1,`, ``), "line 2:"},
		{"negative size", replace(`"size":1`, `"size":-1`), "line 2:"},
		{"size of a folder", replace(`"size":1`, `"dir":true,"size":1`), "line 2:"},
		{"time", replace(`"size":1`, `"size":1,"mtime":"yesterday"`), "line 2:"},
		{"block", replace(`"size":1`, `"size":1,"blocks":["+00000000000000f"]`), "line 2:"},
		{"blocks of a small file", replace(`"size":1`, `"size":1,"blocks":["000000000000000f"]`), "line 2:"},
		{"sum", replace(`adler32:`, `adler32:x`), "line 2:"},
		{"sum that is none", replace(`"sums":[`, `"sums":["",`), "line 2:"},
		{"another sum", replace(`adler32:00`, `adler32:01`), "line 1:"},
		{"another size", replace(`"size":1`, `"size":2`), "line 1:"},
		{"another count", replace(`"files":3`, `"files":4`), "line 1:"},
		{"another root", replace(`sha256:`, `sha256:00`), "line 1:"},
		{"no root", good[:strings.Index(good, `,"root"`)] + good[strings.Index(good, "}\n"):], "line 1:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := checksum.ReadJSON(strings.NewReader(c.text))
			if !errors.Is(err, checksum.ErrFormat) || m != nil {
				t.Fatalf("%v, %v", m, err)
			}
			if !strings.Contains(err.Error(), c.line) {
				t.Errorf("%v does not name %s", err, c.line)
			}
		})
	}
}

// TestReadersPassErrors: that reading failed says nothing about the text.
func TestReadersPassErrors(t *testing.T) {
	broken := errors.New("broken")
	for name, read := range map[string]func(io.Reader) (*checksum.Manifest, error){
		"JSON": checksum.ReadJSON,
		"sums": func(r io.Reader) (*checksum.Manifest, error) { return checksum.ReadSums(r, checksum.MD5) },
	} {
		for _, r := range []io.Reader{iotest.ErrReader(broken), io.MultiReader(strings.NewReader("# \n"), iotest.ErrReader(broken))} {
			if name == "JSON" {
				var b bytes.Buffer
				must(t, manifest(t, entry("a", "1")).WriteJSON(&b))
				r = io.MultiReader(&b, iotest.ErrReader(broken))
			}
			if _, err := read(r); !errors.Is(err, broken) || errors.Is(err, checksum.ErrFormat) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := read(strings.NewReader(strings.Repeat("#", 65<<20))); !errors.Is(err, checksum.ErrFormat) || !strings.Contains(err.Error(), "line 1:") {
			t.Errorf("%s, a line that is too long: %v", name, err)
		}
	}
}
