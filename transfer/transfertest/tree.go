// Package transfertest holds the conformance suite of transfer backends, a
// backend that makes faults on demand, and real servers for tests.
package transfertest

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// MakeTree writes files below dir: names to contents. Names that end in a slash
// are empty directories.
func MakeTree(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		p := dir + "/" + name
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Random gives n bytes that depend on the seed alone.
func Random(seed byte, n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{seed})
	if _, err := io.ReadFull(r, b); err != nil {
		panic(err) // it never ends
	}
	return string(b)
}

// OddNames are file names that a careless protocol trips over: with every byte
// that a name can hold, a newline, a leading dash, blanks, bytes that are no
// UTF-8, and 255 bytes.
func OddNames() []string {
	var all []byte
	for b := 1; b < 256; b++ {
		if b != '/' {
			all = append(all, byte(b))
		}
	}
	return []string{
		string(all[:127]), string(all[127:]), "-rf", "--", "new\nline", " blank ", "tab\t", "quo'te\"s`$(x)", `back\slash`,
		"\xff\xfe", "*?[a]", "~", "…", ".hidden", strings.Repeat("x", 255), "a;b&c|d", "%s%n", "C0644 1 x",
	}
}

// SameTree fails the test if two datasets on this machine differ in names, kinds
// or bytes. Links are followed.
func SameTree(t testing.TB, want, got string) {
	t.Helper()
	a, b := readTree(t, want), readTree(t, got)
	for p := range a {
		if _, ok := b[p]; !ok {
			t.Errorf("%q is missing from %s", p, got)
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok {
			t.Errorf("%q is too much in %s", p, got)
		}
	}
	for p := range a {
		if !bytes.Equal(a[p], b[p]) {
			t.Errorf("%q differs: %s", p, firstDifference(a[p], b[p]))
		}
	}
}

func firstDifference(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("at byte %d", i)
		}
	}
	return fmt.Sprintf("%d and %d bytes", len(a), len(b))
}

func readTree(t testing.TB, root string) map[string][]byte {
	t.Helper()
	tree := map[string][]byte{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p[len(root):], "/")
		if d.IsDir() {
			if rel != "" {
				tree[rel+"/"] = nil
			}
			return nil
		}
		b, err := os.ReadFile(p)
		tree[rel] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
