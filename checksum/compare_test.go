package checksum_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/google/go-cmp/cmp"
)

// kinds reduces differences to "path: kind".
func kinds(ds []checksum.Difference) []string {
	var s []string
	for _, d := range ds {
		s = append(s, d.Path+": "+string(d.Kind))
	}
	return s
}

func TestCompareManifest(t *testing.T) {
	single := func(e checksum.Entry) *checksum.Manifest {
		m, err := checksum.NewManifest([]checksum.Entry{e}, true)
		must(t, err)
		return m
	}
	dir := func(p string) checksum.Entry { return checksum.Entry{Path: p, Dir: true} }
	for _, c := range []struct {
		name      string
		want, got *checksum.Manifest
		diffs     []string
	}{
		{"equal", manifest(t, entry("a", "1"), dir("b")), manifest(t, entry("a", "1"), dir("b")), nil},
		{"both empty", manifest(t), manifest(t), nil},
		{"missing", manifest(t, entry("a", "1"), entry("b", "2"), entry("c", "3")), manifest(t, entry("b", "2")), []string{"a: missing", "c: missing"}},
		{"extra", manifest(t, entry("b", "2")), manifest(t, entry("a", "1"), entry("b", "2"), dir("c")), []string{"a: extra", "c: extra"}},
		{"empty directory missing", manifest(t, dir("a")), manifest(t), []string{"a: missing"}},
		{"size", manifest(t, entry("a", "1")), manifest(t, entry("a", "12")), []string{"a: size"}},
		{"digest", manifest(t, entry("a", "1")), manifest(t, entry("a", "2")), []string{"a: digest"}},
		{"swapped names, which a directory sum does not see", manifest(t, entry("a", "1"), entry("b", "2")), manifest(t, entry("a", "2"), entry("b", "1")), []string{"a: digest", "b: digest"}},
		{"kind", manifest(t, entry("a", "")), manifest(t, dir("a")), []string{"a: kind"}},
		{"a common algorithm", manifest(t, entry("a", "1")), manifest(t, entry("a", "1", checksum.XXH3_128, checksum.MD5)), nil},
		{"no common algorithm", manifest(t, entry("a", "1", checksum.MD5)), manifest(t, entry("a", "1")), []string{"a: digest"}},
		{"no sums at all", manifest(t, checksum.Entry{Path: "a"}), manifest(t, checksum.Entry{Path: "a"}), []string{"a: digest"}},
		{"single under another name", single(entry("a", "1")), single(entry("b", "1")), nil},
		{"single of another content", single(entry("a", "1")), single(entry("b", "2")), []string{"a: digest"}},
		{"single and directory", single(entry("a", "1")), manifest(t, entry("a", "1")), []string{": kind"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ds := c.want.CompareManifest(c.got)
			if diff := cmp.Diff(c.diffs, kinds(ds)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := checksum.Differ("run", ds); (err == nil) != (c.diffs == nil) || err != nil && !errors.Is(err, checksum.ErrCorrupt) {
				t.Errorf("error %v", err)
			}
			if back := c.got.CompareManifest(c.want); (len(back) == 0) != (len(ds) == 0) {
				t.Errorf("the other way round: %v", back)
			}
		})
	}
}

func TestCompareTree(t *testing.T) {
	tree := []node{file("a", "first"), file("d/b", "second"), file("d/c", "third"), folder("empty"), file("zero", "")}
	put := func(p, data string) func(string) {
		return func(dir string) { must(t, os.WriteFile(dir+"/"+p, []byte(data), 0o600)) }
	}
	for _, c := range []struct {
		name  string
		what  func(dir string)
		diffs []string
	}{
		{"nothing", func(string) {}, nil},
		{"times do not count", put("a", "first"), nil},
		{"missing", func(dir string) { must(t, os.RemoveAll(dir+"/d")) }, []string{"d/b: missing", "d/c: missing"}},
		{"emptied folder", func(dir string) { must(t, os.Remove(dir+"/d/b")); must(t, os.Remove(dir+"/d/c")) }, []string{"d: extra", "d/b: missing", "d/c: missing"}},
		{"extra", put("d/new", ""), []string{"d/new: extra"}},
		{"size", put("a", "first "), []string{"a: size"}},
		{"digest", put("a", "First"), []string{"a: digest"}},
		{"an empty directory for a file", func(dir string) { must(t, os.Remove(dir+"/zero")); must(t, os.Mkdir(dir+"/zero", 0o700)) }, []string{"zero: kind"}},
		{"a file for an empty directory", func(dir string) { must(t, os.Remove(dir+"/empty")); put("empty", "")(dir) }, []string{"empty: kind"}},
		{"no longer empty", put("empty/x", ""), []string{"empty: missing", "empty/x: extra"}},
		{"empty directory missing", func(dir string) { must(t, os.Remove(dir+"/empty")) }, []string{"empty: missing"}},
		{"a broken link for a file", func(dir string) { must(t, os.Remove(dir+"/a")); must(t, os.Symlink("x", dir+"/a")) }, []string{"a: kind"}},
		{"a good link for a file", func(dir string) {
			must(t, os.Rename(dir+"/a", dir+"/d/moved"))
			must(t, os.Symlink("d/moved", dir+"/a"))
		}, []string{"d/moved: extra"}},
		{"a link to a directory for one", func(dir string) { must(t, os.Remove(dir+"/empty")); must(t, os.Symlink("d", dir+"/empty")) }, []string{"empty: kind"}},
		{"a pipe for a file", func(dir string) { must(t, os.Remove(dir+"/a")); must(t, syscall.Mkfifo(dir+"/a", 0o600)) }, []string{"a: kind"}},
		{"a pipe more", func(dir string) { must(t, syscall.Mkfifo(dir+"/d/p", 0o600)) }, []string{"d/p: extra"}},
		{"all sorts", func(dir string) { put("a", "x")(dir); put("0", "")(dir); must(t, os.Remove(dir+"/zero")) }, []string{"0: extra", "a: size", "zero: missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, tree...)
			m, err := checksum.MakeManifest(t.Context(), dir, nil)
			must(t, err)
			c.what(dir)
			for _, o := range []*checksum.ManifestOptions{nil, {DropCache: true, Parallel: 1}, {Algorithms: []checksum.Algorithm{checksum.SHA512}}} {
				ds, err := m.CompareTree(t.Context(), dir, o)
				if diff := cmp.Diff(c.diffs, kinds(ds)); diff != "" || err != nil {
					t.Errorf("%+v: %v, (-want +got):\n%s", o, err, diff)
				}
				if err := checksum.Differ("run", ds); (err != nil) != errors.Is(err, checksum.ErrCorrupt) {
					t.Errorf("%v is not ErrCorrupt", err)
				}
			}
		})
	}
}

func TestCompareTreeSingle(t *testing.T) {
	dir := write(t, file("a", "content"), file("other", "content"), file("bad", "Content"), file("d/a", "content"))
	m, err := checksum.MakeManifest(t.Context(), dir+"/a", nil)
	must(t, err)
	for name, want := range map[string][]string{"a": nil, "other": nil, "bad": {"a: digest"}, "d": {": kind"}} {
		ds, err := m.CompareTree(t.Context(), dir+"/"+name, nil)
		if diff := cmp.Diff(want, kinds(ds)); diff != "" || err != nil {
			t.Errorf("%s: %v, (-want +got):\n%s", name, err, diff)
		}
	}
	if _, err := m.CompareTree(t.Context(), dir+"/absent", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	whole, err := checksum.MakeManifest(t.Context(), dir+"/d", nil)
	must(t, err)
	if ds, err := whole.CompareTree(t.Context(), dir+"/a", nil); len(ds) != 1 || ds[0].Kind != checksum.KindDiffers || err != nil {
		t.Errorf("a file for a directory: %v, %v", ds, err)
	}
}

// TestCompareTreeAlgorithms: what cannot be compared is never equal.
func TestCompareTreeAlgorithms(t *testing.T) {
	dir := write(t, file("a", "1"), file("b", "2"))
	mixed := manifest(t, entry("a", "1", checksum.MD5), entry("b", "2", checksum.SHA512))
	if ds, err := mixed.CompareTree(t.Context(), dir, nil); !errors.Is(err, checksum.ErrFormat) {
		t.Errorf("no sum that all files have: %v, %v", ds, err)
	}
	ds, err := mixed.CompareTree(t.Context(), dir, &checksum.ManifestOptions{Algorithms: []checksum.Algorithm{checksum.MD5}})
	if diff := cmp.Diff([]string{"b: digest"}, kinds(ds)); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
	both := &checksum.ManifestOptions{Algorithms: []checksum.Algorithm{checksum.MD5, checksum.SHA512}}
	if ds, err := mixed.CompareTree(t.Context(), dir, both); len(ds) > 0 || err != nil {
		t.Errorf("with both: %v, %v", ds, err)
	}
	none := manifest(t)
	if ds, err := none.CompareTree(t.Context(), t.TempDir(), nil); len(ds) > 0 || err != nil {
		t.Errorf("nothing: %v, %v", ds, err)
	}
}

func TestCompareTreeChanging(t *testing.T) {
	dir, o := meddle(t, func(dir string) { must(t, os.Truncate(dir+"/b", 3)); must(t, os.Remove(dir+"/c")) })
	m, err := checksum.MakeManifest(t.Context(), dir, nil)
	must(t, err)
	ds, err := m.CompareTree(t.Context(), dir, o)
	if diff := cmp.Diff([]string{"b: unreadable", "c: unreadable"}, kinds(ds)); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
	// Nothing was seen that differs: the copy may be good.
	if err := checksum.Differ("run", ds); errors.Is(err, checksum.ErrCorrupt) || !errors.Is(err, checksum.ErrChanged) {
		t.Errorf("error %v", err)
	}
}

// TestUnreadable is run by somebody who may not read everything: root has a child do
// it under another uid.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	tree := []node{file("a", "1"), file("closed/b", "2"), file("closed/c/d", "3"), file("closed.x", "5"), file("e", "4"), folder("empty")}
	close := func(t *testing.T, path string) {
		must(t, os.Chmod(path, 0))
		t.Cleanup(func() { os.Chmod(path, 0o700) })
	}
	t.Run("file", func(t *testing.T) {
		dir := write(t, tree...)
		m, err := checksum.MakeManifest(t.Context(), dir, nil)
		must(t, err)
		single, err := checksum.MakeManifest(t.Context(), dir+"/e", nil)
		must(t, err)
		close(t, dir+"/e")
		denied(t, dir, dir+"/e")
		ds, err := m.CompareTree(t.Context(), dir, nil)
		if diff := cmp.Diff([]string{"e: unreadable"}, kinds(ds)); diff != "" || err != nil {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
		if err := checksum.Differ("run", ds); errors.Is(err, checksum.ErrCorrupt) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("error %v", err)
		}
		must(t, os.Remove(dir+"/a"))
		ds, err = m.CompareTree(t.Context(), dir, nil)
		must(t, err)
		if err := checksum.Differ("run", ds); !errors.Is(err, checksum.ErrCorrupt) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("missing and unreadable: %v", err)
		}
		ds, err = single.CompareTree(t.Context(), dir+"/e", nil)
		if diff := cmp.Diff([]string{"e: unreadable"}, kinds(ds)); diff != "" || err != nil {
			t.Errorf("single: %v, (-want +got):\n%s", err, diff)
		}
	})
	t.Run("folder", func(t *testing.T) {
		dir := write(t, tree...)
		m, err := checksum.MakeManifest(t.Context(), dir, nil)
		must(t, err)
		close(t, dir+"/closed")
		denied(t, dir, dir+"/closed")
		ds, err := m.CompareTree(t.Context(), dir, nil)
		if diff := cmp.Diff([]string{"closed: unreadable"}, kinds(ds)); diff != "" || err != nil {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
	})
	t.Run("empty folder", func(t *testing.T) {
		dir := write(t, tree...)
		m, err := checksum.MakeManifest(t.Context(), dir, nil)
		must(t, err)
		close(t, dir+"/empty")
		denied(t, dir, dir+"/empty")
		ds, err := m.CompareTree(t.Context(), dir, nil)
		if diff := cmp.Diff([]string{"empty: unreadable"}, kinds(ds)); diff != "" || err != nil {
			t.Errorf("%v, (-want +got):\n%s", err, diff)
		}
	})
	t.Run("target of a link", func(t *testing.T) {
		dir := write(t, file("a", "1"), file("closed/b", "2"), link("l", "closed/b"))
		close(t, dir+"/closed")
		if s, err := checksum.DirSum(t.Context(), dir, checksum.MD5); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s, %v", s, err)
		}
	})
	t.Run("root", func(t *testing.T) {
		dir := write(t, tree...)
		m, err := checksum.MakeManifest(t.Context(), dir, nil)
		must(t, err)
		close(t, dir)
		denied(t, dir, dir)
		if ds, err := m.CompareTree(t.Context(), dir, nil); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v, %v", ds, err)
		}
	})
}

// denied sees that nothing is made of a dataset with something unreadable in it.
func denied(t *testing.T, dir, path string) {
	t.Helper()
	s, serr := checksum.DirSum(t.Context(), dir, checksum.SHA512)
	m, merr := checksum.MakeManifest(t.Context(), dir, nil)
	if !s.IsZero() || m != nil {
		t.Errorf("sum %s, manifest %v", s, m)
	}
	for _, err := range []error{serr, merr} {
		var at *fs.PathError
		if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &at) || at.Path != path {
			t.Errorf("%v; want permission denied for %s", err, path)
		}
	}
}

func asNobody(t *testing.T) {
	// Not t.TempDir, which is closed to others.
	dir, err := os.MkdirTemp("", "checksum-test-")
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Mkdir(dir+"/tmp", 0o700))
	const nobody = 65534
	must(t, os.Chown(dir+"/tmp", nobody, nobody))
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	must(t, os.WriteFile(dir+"/test", program, 0o755))
	cmd := exec.CommandContext(t.Context(), dir+"/test", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = dir + "/tmp"
	cmd.Env = append(os.Environ(), "TMPDIR="+cmd.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+"/root") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDifferError(t *testing.T) {
	if err := checksum.Differ("run", nil); err != nil {
		t.Errorf("no differences: %v", err)
	}
	var ds []checksum.Difference
	for i := range 7 {
		ds = append(ds, checksum.Difference{Path: "f" + strconv.Itoa(i), Kind: checksum.Missing})
	}
	ds[0] = checksum.Difference{Path: "new\nline", Kind: checksum.SizeDiffers, Want: "1", Got: "2"}
	ds[1] = checksum.Difference{Kind: checksum.KindDiffers, Want: "a file", Got: "a directory"}
	err := checksum.Differ("/data/run", ds)
	const want = `/data/run differs from its manifest in 7 file(s): "new\nline": size (is 2, should be 1); kind (is a directory, should be a file); f2: missing; f3: missing; f4: missing; and 2 more`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	var d *checksum.DifferError
	if !errors.As(err, &d) || len(d.Differences) != 7 || !errors.Is(err, checksum.ErrCorrupt) {
		t.Errorf("%#v", err)
	}
}
