package checksum_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/google/go-cmp/cmp"
)

// hostile are names that have broken tools.
func hostile() []node {
	return []node{
		file("-", "dash"), file("-rf", "leading dash"), file("stdin", "xxhsum's name for it"), file(" ", "blank"), file(" a", "leading blank"),
		file("a ", "trailing blank"), file("*a", "star"), file("#a", "hash"), file("new\nline", "newline"), file("\n", "newline alone"), file("cr\r", "carriage return"),
		file(`back\slash`, "backslash"), file(`back\nslash`, "backslash, n"), file(`\`, "backslash alone"), file("größe", "UTF-8"),
		file("\xff\xfe", "not UTF-8"), file("\xffdir/\xfe\n", "not UTF-8, nested"), file(strings.Repeat("n", 255), "long"), file("a) = b", "tag"),
		file("...", "dots"), file(`"quoted"`, "quotes"), file("'$(reboot)'", "shell"), file("\x01\x1b[31m\x7f", "control"), file("U+2028\u2028", "line separator"),
		folder("empty/\xff"), folder("empty/new\nline"),
	}
}

func TestMakeManifest(t *testing.T) {
	dir := write(t, file("b", "22"), file("a/b", "333"), file(".hidden/.c", ""), folder("empty/inner"), folder("also empty"))
	when := time.Date(2016, 3, 15, 14, 32, 1, 123456789, time.UTC)
	must(t, os.Chtimes(dir+"/b", when, when))
	m, err := checksum.MakeManifest(t.Context(), dir, nil)
	must(t, err)
	want := manifest(t, entry("b", "22"), entry("a/b", "333"), entry(".hidden/.c", ""), checksum.Entry{Path: "empty/inner", Dir: true}, checksum.Entry{Path: "also empty", Dir: true})
	for i := range want.Entries {
		if e := m.Entries[i]; !e.Dir && (e.ModTime.IsZero() || e.ModTime.Location() != time.UTC) {
			t.Errorf("%s has time %v", e.Path, e.ModTime)
		}
		want.Entries[i].ModTime = m.Entries[i].ModTime
	}
	if diff := cmp.Diff(want, m, cmp.Comparer(func(a, b checksum.Sum) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e, _ := m.Find("b"); !e.ModTime.Equal(when) {
		t.Errorf("time %v, want %v", e.ModTime, when)
	}
}

// TestMakeManifestPaths: whatever way a dataset is named, its files are the same.
func TestMakeManifestPaths(t *testing.T) {
	dir := write(t, file("run/some file", "x"), file("run/sub/file", "y"), link("run/inside", "sub/file"), link("other/run", "../run"))
	must(t, os.Symlink(dir+"/run/sub/file", dir+"/run/absolute"))
	want, err := checksum.MakeManifest(t.Context(), dir+"/run", nil)
	must(t, err)
	if want.Files() != 4 {
		t.Fatalf("%d files", want.Files())
	}
	t.Chdir(dir + "/run")
	t.Setenv("PWD", dir+"/other/run")
	for _, p := range []string{".", "./", "../run", dir + "/run/", "sub/..", dir + "/other/run", "../other/run/../run"} {
		m, err := checksum.MakeManifest(t.Context(), p, nil)
		if err != nil {
			t.Errorf("%q: %v", p, err)
		} else if m.Root() != want.Root() {
			t.Errorf("%q: %+v", p, m.Entries)
		}
	}
}

func TestMakeManifestSingle(t *testing.T) {
	dir := write(t, file("data", "x"), link("name", "data"))
	for _, name := range []string{"data", "name"} {
		m, err := checksum.MakeManifest(t.Context(), dir+"/"+name, &checksum.ManifestOptions{DropCache: true})
		must(t, err)
		want := entry(name, "x")
		want.ModTime = m.Entries[0].ModTime
		if diff := cmp.Diff([]checksum.Entry{want}, m.Entries, cmp.Comparer(func(a, b checksum.Sum) bool { return a == b })); diff != "" || !m.Single {
			t.Errorf("single %v, (-want +got):\n%s", m.Single, diff)
		}
	}
}

func TestMakeManifestHostileNames(t *testing.T) {
	nodes := hostile()
	m, err := checksum.MakeManifest(t.Context(), write(t, nodes...), nil)
	must(t, err)
	if len(m.Entries) != len(nodes) {
		t.Errorf("%d entries of %d", len(m.Entries), len(nodes))
	}
	for _, n := range nodes {
		e, ok := m.Find(n.Path)
		if !ok || e.Dir != n.Dir || e.Size != int64(len(n.Data)) {
			t.Errorf("%q: %+v, %v", n.Path, e, ok)
		}
	}
}

func TestMakeManifestRefuses(t *testing.T) {
	outside := write(t, file("f", "x"))
	for _, c := range []struct {
		name string
		tree []node
		bad  string // path that the error names; "" for none
	}{
		{"link to a file", []node{file("a", "x"), link("b/c", "../a")}, ""},
		{"chain of links", []node{file("a", "x"), link("b", "c"), link("c", "a")}, ""},
		{"through a linked folder's own path", []node{file("a/f", "x"), link("b", "a/../a/f")}, ""},
		{"broken link", []node{file("a", "x"), link("b", "nowhere")}, "b"},
		{"link to a directory", []node{file("a/f", "x"), link("b", "a")}, "b"},
		{"link to the root", []node{file("a/f", "x"), link("a/b", "..")}, "a/b"},
		{"link to the outside", []node{link("b", outside+"/f")}, "b"},
		{"link to a neighbour whose name begins alike", []node{link("b", "../x")}, "b"},
		{"circle", []node{link("a", "b"), link("b", "a")}, "a"},
		{"link to a device", []node{link("a", "/dev/null")}, "a"},
		{"link through a file", []node{file("a", "x"), link("b", "a/x")}, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, c.tree...)
			_, err := checksum.MakeManifest(t.Context(), dir, nil)
			if c.bad == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var at *fs.PathError
			if !errors.Is(err, checksum.ErrUnfit) || !errors.As(err, &at) || at.Path != dir+"/"+c.bad {
				t.Errorf("%v; want ErrUnfit and the path of %s", err, c.bad)
			}
		})
	}

	dir := write(t, file("a", "x"))
	must(t, syscall.Mkfifo(dir+"/pipe", 0o600))
	for _, p := range []string{dir, dir + "/pipe", "/dev/null"} {
		if _, err := checksum.MakeManifest(t.Context(), p, nil); !errors.Is(err, checksum.ErrUnfit) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := checksum.MakeManifest(t.Context(), dir+"/absent", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

// meddle does something to a dataset of files "a", "b" and "c" while "b" is read, "a"
// having been read before.
func meddle(t *testing.T, what func(dir string)) (dir string, o *checksum.ManifestOptions) {
	dir = write(t, file("a", "first"), file("b", strings.Repeat("second", 1<<18)), file("c", "third"))
	old := time.Now().Add(-time.Hour)
	for _, f := range []string{"a", "b", "c"} {
		must(t, os.Chtimes(dir+"/"+f, old, old))
	}
	done := false
	return dir, &checksum.ManifestOptions{Parallel: 1, Progress: func(path string, _ int64) {
		if path == "b" && !done {
			done = true
			what(dir)
		}
	}}
}

func TestChangedWhileRead(t *testing.T) {
	overwrite := func(p string) {
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString("x")
		must(t, err)
		must(t, f.Close())
	}
	for _, c := range []struct {
		name, path string
		what       func(dir string)
	}{
		{"written to", "b", func(dir string) { overwrite(dir + "/b") }},
		{"grown", "b", func(dir string) { must(t, os.Truncate(dir+"/b", 1<<21)) }},
		{"shrunk", "b", func(dir string) { must(t, os.Truncate(dir+"/b", 3)) }},
		{"after it was read", "a", func(dir string) { overwrite(dir + "/a") }},
		{"before it is read", "c", func(dir string) { overwrite(dir + "/c") }},
		{"gone before it is read", "c", func(dir string) { must(t, os.Remove(dir+"/c")) }},
		{"gone after it was read", "a", func(dir string) { must(t, os.Remove(dir+"/a")) }},
		{"a new file", "d", func(dir string) { must(t, os.WriteFile(dir+"/d", nil, 0o600)) }},
		{"a new folder", "0", func(dir string) { must(t, os.Mkdir(dir+"/0", 0o700)) }},
		{"another file in its place", "a", func(dir string) { must(t, os.Rename(dir+"/c", dir+"/a")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, o := meddle(t, c.what)
			m, err := checksum.MakeManifest(t.Context(), dir, o)
			if !errors.Is(err, checksum.ErrChanged) || m != nil {
				t.Fatalf("%v, %v; want ErrChanged", m, err)
			}
			if at := new(fs.PathError); c.name != "another file in its place" && (!errors.As(err, &at) || at.Path != dir+"/"+c.path) {
				t.Errorf("%v does not name %s", err, c.path)
			}
		})
	}
	dir, o := meddle(t, func(string) {})
	if _, err := checksum.MakeManifest(t.Context(), dir, o); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// sparse makes a file of one byte at its end.
func sparse(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	_, err = f.WriteAt([]byte{1}, size-1)
	must(t, err)
	must(t, f.Close())
}

func TestCancelled(t *testing.T) {
	dir := write(t, file("a", "x"))
	sparse(t, dir+"/large", 8<<30)
	m := manifest(t, checksum.Entry{Path: "large", Size: 8 << 30, Sums: entry("", "").Sums})
	for name, do := range map[string]func(context.Context, *checksum.ManifestOptions) error{
		"make": func(ctx context.Context, o *checksum.ManifestOptions) error {
			_, err := checksum.MakeManifest(ctx, dir, o)
			return err
		},
		"compare": func(ctx context.Context, o *checksum.ManifestOptions) error {
			_, err := m.CompareTree(ctx, dir, o)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			// With a cause of its own the context's error must show all the same.
			ctx, cancel := context.WithCancelCause(t.Context())
			var seen atomic.Int64
			o := &checksum.ManifestOptions{Progress: func(path string, n int64) {
				if path == "large" {
					seen.Add(n)
					cancel(errors.New("the claim is lost"))
				}
			}}
			if err := do(ctx, o); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if n := seen.Load(); n == 0 || n > 16<<20 {
				t.Errorf("%d bytes were read", n)
			}
			seen.Store(0)
			if err := do(ctx, o); !errors.Is(err, context.Canceled) || seen.Load() != 0 {
				t.Errorf("ended before: %v, %d bytes", err, seen.Load())
			}
		})
	}
}

func TestManifestBlocksAndProgress(t *testing.T) {
	dir := write(t, file("small", "12345"))
	sparse(t, dir+"/large", checksum.BlockSize+10)
	var total atomic.Int64
	m, err := checksum.MakeManifest(t.Context(), dir, &checksum.ManifestOptions{
		Algorithms: []checksum.Algorithm{checksum.XXH3_128},
		Progress:   func(_ string, n int64) { total.Add(n) },
	})
	must(t, err)
	e, _ := m.Find("large")
	if len(e.Blocks) != 2 || e.Blocks[0] == e.Blocks[1] || len(e.Sums) != 1 {
		t.Errorf("blocks %x, sums %v", e.Blocks, e.Sums)
	}
	if total.Load() != m.Size() || m.Size() != checksum.BlockSize+15 {
		t.Errorf("progress of %d bytes of %d", total.Load(), m.Size())
	}
}
