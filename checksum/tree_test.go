package checksum_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// A node is a file, a folder or a link of a test's tree.
type node struct {
	Path  string `json:"path"`
	Data  []byte `json:"data"`
	Times int    `json:"times"`
	Dir   bool   `json:"dir"`
	Link  string `json:"link"`
}

// write makes a tree in a new folder and returns that.
func write(t testing.TB, nodes ...node) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range nodes {
		p := dir + "/" + n.Path
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		switch {
		case n.Dir:
			must(t, os.MkdirAll(p, 0o755))
		case n.Link != "":
			must(t, os.Symlink(n.Link, p))
		default:
			must(t, os.WriteFile(p, bytes.Repeat(n.Data, max(1, n.Times)), 0o644))
		}
	}
	return dir
}

func file(path, data string) node { return node{Path: path, Data: []byte(data)} }
func folder(path string) node     { return node{Path: path, Dir: true} }
func link(path, to string) node   { return node{Path: path, Link: to} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, name string, to any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	must(t, err)
	must(t, json.Unmarshal(b, to))
}
