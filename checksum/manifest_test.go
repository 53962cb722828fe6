package checksum_test

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
)

// entry is that of a file with these bytes.
func entry(path, data string, algs ...checksum.Algorithm) checksum.Entry {
	d := checksum.NewEntryDigest(algs...)
	io.WriteString(d, data)
	e := d.Entry()
	e.Path = path
	return e
}

func manifest(t testing.TB, entries ...checksum.Entry) *checksum.Manifest {
	t.Helper()
	m, err := checksum.NewManifest(entries, false)
	must(t, err)
	return m
}

func TestNewManifest(t *testing.T) {
	m := manifest(t, entry("b", "22"), entry("a/b", "333"), checksum.Entry{Path: "a.d", Dir: true}, entry("\xff", ""))
	var paths []string
	for _, e := range m.Entries {
		paths = append(paths, e.Path)
	}
	// Bytewise: "." is before "/".
	if want := []string{"a.d", "a/b", "b", "\xff"}; !slices.Equal(paths, want) {
		t.Errorf("paths %q, want %q", paths, want)
	}
	if m.Files() != 3 || m.Size() != 5 {
		t.Errorf("%d files of %d bytes", m.Files(), m.Size())
	}
	if e, ok := m.Find("a/b"); !ok || e.Size != 3 {
		t.Errorf("found %+v, %v", e, ok)
	}
	if _, ok := m.Find("a"); ok {
		t.Error("found a folder that is no entry")
	}
}

func TestManifestCheck(t *testing.T) {
	sums := entry("x", "x").Sums
	for _, c := range []struct {
		name    string
		single  bool
		entries []checksum.Entry
		good    bool
	}{
		{name: "nothing", good: true},
		{name: "hostile but clean names", good: true, entries: []checksum.Entry{entry("-rf", ""), entry("...", ""), entry("a\n\\\r", ""), entry("\xff\xfe", ""), entry(strings.Repeat("n", 255), "")}},
		{name: "a folder and a name that begins alike", good: true, entries: []checksum.Entry{entry("a/b", ""), entry("a.b", ""), entry("ab", "")}},
		{name: "single", single: true, good: true, entries: []checksum.Entry{entry("a", "")}},
		{name: "single of none", single: true},
		{name: "single of two", single: true, entries: []checksum.Entry{entry("a", ""), entry("b", "")}},
		{name: "single directory", single: true, entries: []checksum.Entry{{Path: "a", Dir: true}}},
		{name: "twice", entries: []checksum.Entry{entry("a", ""), entry("a", "")}},
		{name: "absolute", entries: []checksum.Entry{entry("/a", "")}},
		{name: "empty", entries: []checksum.Entry{entry("", "")}},
		{name: "upwards", entries: []checksum.Entry{entry("a/../../b", "")}},
		{name: "dot", entries: []checksum.Entry{entry("./a", "")}},
		{name: "double slash", entries: []checksum.Entry{entry("a//b", "")}},
		{name: "slash at the end", entries: []checksum.Entry{entry("a/", "")}},
		{name: "NUL", entries: []checksum.Entry{entry("a\x00b", "")}},
		{name: "file and folder", entries: []checksum.Entry{entry("a", ""), entry("a.b", ""), entry("a/b/c", "")}},
		{name: "empty directory that is not", entries: []checksum.Entry{{Path: "a/b", Dir: true}, entry("a/b/c", "")}},
		{name: "negative size", entries: []checksum.Entry{{Path: "a", Size: -1}}},
		{name: "too large in total", entries: []checksum.Entry{{Path: "a", Size: math.MaxInt64}, {Path: "b", Size: 1}}},
		{name: "directory with sums", entries: []checksum.Entry{{Path: "a", Dir: true, Sums: sums}}},
		{name: "two sums of one algorithm", entries: []checksum.Entry{{Path: "a", Sums: []checksum.Sum{sums[0], sums[0]}}}},
		{name: "sums in another order", entries: []checksum.Entry{{Path: "a", Sums: []checksum.Sum{sums[1], sums[0]}}}},
		{name: "a sum that is none", entries: []checksum.Entry{{Path: "a", Sums: []checksum.Sum{{}}}}},
		{name: "blocks", good: true, entries: []checksum.Entry{{Path: "a", Size: 2*checksum.BlockSize + 1, Blocks: make([]uint64, 3)}}},
		{name: "too few blocks", entries: []checksum.Entry{{Path: "a", Size: 2*checksum.BlockSize + 1, Blocks: make([]uint64, 2)}}},
		{name: "blocks of a small file", entries: []checksum.Entry{{Path: "a", Size: checksum.BlockSize, Blocks: make([]uint64, 1)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := checksum.NewManifest(c.entries, c.single); c.good && err != nil || !c.good && !errors.Is(err, checksum.ErrFormat) {
				t.Error(err)
			}
		})
	}
	unsorted := &checksum.Manifest{Entries: []checksum.Entry{entry("b", ""), entry("a", "")}}
	if err := unsorted.Check(); !errors.Is(err, checksum.ErrFormat) {
		t.Errorf("unsorted: %v", err)
	}
}

// TestRoot pins the canonical form: roots are kept in databases. The values were
// computed by a Python script that follows the comment of Root.
func TestRoot(t *testing.T) {
	some := func() []checksum.Entry {
		return []checksum.Entry{entry("a/b", "123456789", checksum.Adler32, checksum.CRC32), {Path: "dir", Dir: true}, entry("\xff\n", "", checksum.MD5)}
	}
	single, err := checksum.NewManifest(some()[:1], true)
	must(t, err)
	for _, c := range []struct {
		name string
		m    *checksum.Manifest
		want string
	}{
		{"nothing", manifest(t), "eb2541ee83565b552c2a3485f358fd8b68a82da2e5f01cc316db17c526a63e7a"},
		{"some", manifest(t, some()...), "54f62e23e74c9c206f32077483aaca96b697608cf9c7ca2bc7c8c5094959715b"},
		{"single", single, "c6c756bb7b9088d9764682842c24dfa79b9b180fc08004b473fa318780bb1b6c"},
	} {
		if got := c.m.Root(); got.String() != "sha256:"+c.want {
			t.Errorf("%s: %s, want sha256:%s", c.name, got, c.want)
		}
	}

	root := manifest(t, some()...).Root()
	for name, change := range map[string]func(e []checksum.Entry){
		"path":      func(e []checksum.Entry) { e[0].Path = "a/c" },
		"size":      func(e []checksum.Entry) { e[0].Size++ },
		"sum":       func(e []checksum.Entry) { e[0].Sums[0] = entry("", "other", checksum.Adler32).Sums[0] },
		"fewer":     func(e []checksum.Entry) { e[0].Sums = e[0].Sums[:1] },
		"directory": func(e []checksum.Entry) { e[2] = checksum.Entry{Path: e[2].Path, Dir: true} },
	} {
		e := some()
		change(e)
		if manifest(t, e...).Root() == root {
			t.Errorf("another %s gives the same root", name)
		}
	}
	e := some()
	e[0].ModTime = time.Now()
	if manifest(t, e[2], e[1], e[0]).Root() != root {
		t.Error("the root depends on the order or the time")
	}
	e = some()[:1]
	e[0].Path = "renamed"
	renamed, err := checksum.NewManifest(e, true)
	must(t, err)
	if renamed.Root() != single.Root() {
		t.Error("the root of a single file depends on its name")
	}
}

func TestLegacySum(t *testing.T) {
	single, err := checksum.NewManifest([]checksum.Entry{entry("a", "123456789", checksum.CRC32)}, true)
	must(t, err)
	if s, err := single.LegacySum(checksum.CRC32); err != nil || s.String() != "crc32:cbf43926" {
		t.Errorf("single: %s, %v", s, err)
	}
	m := manifest(t, entry("a", "1", checksum.SHA512, checksum.CRC32), entry("b", "2", checksum.CRC32))
	for _, a := range []checksum.Algorithm{checksum.SHA512, checksum.CRC32, checksum.MD5} {
		if s, err := m.LegacySum(a); !errors.Is(err, checksum.ErrFormat) || !s.IsZero() {
			t.Errorf("%s: %s, %v", a, s, err)
		}
	}
}
