package transfertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
)

// A Harness tells the suite how to get a backend and what it cannot do. The
// backend's place has to be this machine: the suite looks at the same paths by
// itself.
type Harness struct {
	Open       func(t *testing.T) transfer.Backend
	WholeFiles bool // writers are not transfer.WriterAt
	NoCreate   bool // files come by transfer.TreeCopier only
	NoShell    bool // the place runs no commands, and does not tell its space
	PlainNames bool // names are of letters, digits and ._-+=,:@~ only, and of at most 250 bytes
	NoTimes    bool // modification times are those of writing
	NoLinks    bool // links are not seen
	OldSums    bool // a Hasher may tell sums that it computed some time ago
}

// names are those that files get.
func (h Harness) names() []string {
	if h.PlainNames {
		return []string{"-rf", "--", ".hidden", "~", "a+b=c,d:e@f", "C0644", strings.Repeat("x", 250)}
	}
	return OddNames()
}

// Run runs the conformance suite.
func Run(t *testing.T, h Harness) {
	for _, tc := range []struct {
		name string
		f    func(t *testing.T, h Harness, b transfer.Backend)
	}{
		{"Lstat", testLstat},
		{"List", testList},
		{"Read", testRead},
		{"Write", testWrite},
		{"WriteAt", testWriteAt},
		{"Mkdir", testMkdir},
		{"RenameNeverReplaces", testRename},
		{"Remove", testRemove},
		{"Hash", testHash},
		{"Clone", testClone},
		{"Space", testSpace},
		{"Ended", testEnded},
		{"Push", testPush},
		{"Pull", testPull},
		{"SingleFile", testSingle},
		{"ResumePush", testResumePush},
		{"ResumePull", testResumePull},
		{"DamagedInStaging", testDamagedInStaging},
		{"Limit", testLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := h.Open(t)
			t.Cleanup(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
			tc.f(t, h, b)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, got, kind error) {
	t.Helper()
	if !errors.Is(got, kind) {
		t.Errorf("error %v, want %v", got, kind)
	}
}

// readAll reads a file from an offset to its end.
func readAll(t *testing.T, b transfer.Backend, p string, offset int64) string {
	t.Helper()
	r, err := b.Open(t.Context(), p, offset)
	must(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	must(t, err)
	return string(got)
}

func testLstat(t *testing.T, h Harness, b transfer.Backend) {
	dir := t.TempDir()
	MakeTree(t, dir, map[string]string{"file": "12345", "d/": ""})
	when := time.Unix(1458052320, 0)
	must(t, os.Chtimes(dir+"/file", when, when))
	must(t, os.Symlink("file", dir+"/link"))
	i, err := b.Lstat(t.Context(), dir+"/file")
	must(t, err)
	if i.Size != 5 || !i.Mode.IsRegular() || !i.ModTime.Equal(when) {
		t.Errorf("file: %+v", i)
	}
	if i, err = b.Lstat(t.Context(), dir+"/d"); err != nil || !i.Mode.IsDir() {
		t.Errorf("directory: %+v, %v", i, err)
	}
	if i, err = b.Lstat(t.Context(), dir+"/link"); !h.NoLinks && (err != nil || i.Mode&fs.ModeSymlink == 0 || i.Link != "file") {
		t.Errorf("link: %+v, %v", i, err)
	}
	_, err = b.Lstat(t.Context(), dir+"/none")
	want(t, err, transfer.ErrNotExist)
	_, err = b.Lstat(t.Context(), dir+"/none/deeper")
	want(t, err, transfer.ErrNotExist)
}

func testList(t *testing.T, h Harness, b transfer.Backend) {
	dir := t.TempDir()
	files := map[string]string{"deep/er/x": "1", ".hid/y": "22", "empty": "", "hollow/": ""}
	for _, n := range h.names() {
		files[n] = "odd"
	}
	MakeTree(t, dir, files)
	wanted := []string{"deep", "deep/er", ".hid", "hollow"}
	for n := range files {
		if !strings.HasSuffix(n, "/") {
			wanted = append(wanted, n)
		}
	}
	var got []string
	seen := map[string]bool{".": true}
	for i, err := range b.List(t.Context(), dir) {
		must(t, err)
		if !seen[filepath.Dir(i.Path)] {
			t.Errorf("%q comes before its parent", i.Path)
		}
		seen[i.Path] = true
		got = append(got, i.Path)
		if i.Mode.IsRegular() && i.Size != int64(len(files[i.Path])) {
			t.Errorf("%q has size %d", i.Path, i.Size)
		}
	}
	slices.Sort(wanted)
	slices.Sort(got)
	if !slices.Equal(got, wanted) {
		t.Errorf("listed %q\nwant   %q", got, wanted)
	}
	for _, err := range b.List(t.Context(), dir+"/none") {
		want(t, err, transfer.ErrNotExist)
	}
}

func testRead(t *testing.T, h Harness, b transfer.Backend) {
	dir := t.TempDir()
	big := Random(1, 5<<20+17)
	MakeTree(t, dir, map[string]string{"empty": "", "small": "0123456789", "big": big})
	if got := readAll(t, b, dir+"/empty", 0); got != "" {
		t.Errorf("empty: %q", got)
	}
	if got := readAll(t, b, dir+"/small", 4); got != "456789" {
		t.Errorf("small from 4: %q", got)
	}
	if got := readAll(t, b, dir+"/big", 0); got != big {
		t.Error("big differs")
	}
	if got := readAll(t, b, dir+"/big", 3<<20+1); got != big[3<<20+1:] {
		t.Error("big from the middle differs")
	}
	_, err := b.Open(t.Context(), dir+"/none", 0)
	want(t, err, transfer.ErrNotExist)
	for _, n := range h.names() {
		MakeTree(t, dir, map[string]string{n: n})
		if got := readAll(t, b, dir+"/"+n, 0); got != n {
			t.Errorf("%q: %q", n, got)
		}
	}
}

func testWrite(t *testing.T, h Harness, b transfer.Backend) {
	if h.NoCreate {
		_, err := b.Create(t.Context(), t.TempDir()+"/x", 0, 0, time.Time{})
		want(t, err, transfer.ErrUnsupported)
		return
	}
	dir := t.TempDir()
	when := time.Unix(1458052320, 0)
	for _, n := range append(h.names(), "empty") {
		content := strings.Repeat(n, 3)
		if n == "empty" {
			content = ""
		}
		w, err := b.Create(t.Context(), dir+"/"+n, 0, int64(len(content)), when)
		must(t, err)
		_, err = io.WriteString(w, content)
		must(t, err)
		must(t, w.Close())
		got, err := os.ReadFile(dir + "/" + n)
		must(t, err)
		if string(got) != content {
			t.Errorf("%q: %q", n, got)
		}
		st, err := os.Stat(dir + "/" + n)
		must(t, err)
		if !h.NoTimes && st.ModTime().Unix() != when.Unix() {
			t.Errorf("%q: modification time %v", n, st.ModTime())
		}
	}
	if w, err := b.Create(t.Context(), dir+"/none/x", 0, 1, when); err == nil {
		_, _ = w.Write([]byte("x"))
		if w.Close() == nil {
			t.Error("a file was made in a directory that is not there")
		}
	}
}

func testWriteAt(t *testing.T, h Harness, b transfer.Backend) {
	dir := t.TempDir()
	if h.NoCreate {
		return
	}
	if h.WholeFiles {
		MakeTree(t, dir, map[string]string{"f": "0123"})
		_, err := b.Create(t.Context(), dir+"/f", 2, 4, time.Time{})
		want(t, err, transfer.ErrUnsupported)
		return
	}
	MakeTree(t, dir, map[string]string{"f": "0123456789"})
	w, err := b.Create(t.Context(), dir+"/f", 4, 8, time.Time{})
	must(t, err)
	at := w.(transfer.WriterAt)
	_, err = at.WriteAt([]byte("cd"), 6)
	must(t, err)
	_, err = at.WriteAt([]byte("ab"), 4)
	must(t, err)
	_, err = at.Sync(t.Context())
	must(t, err)
	must(t, w.Close())
	if got, _ := os.ReadFile(dir + "/f"); string(got) != "0123abcd" {
		t.Errorf("file holds %q", got)
	}
	if _, err := b.Create(t.Context(), dir+"/f", 100, 200, time.Time{}); err == nil {
		t.Error("a file was continued beyond its end")
	}
}

func testMkdir(t *testing.T, h Harness, b transfer.Backend) {
	dir := t.TempDir()
	must(t, b.Mkdir(t.Context(), dir+"/d"))
	want(t, b.Mkdir(t.Context(), dir+"/d"), transfer.ErrExist)
	want(t, b.Mkdir(t.Context(), dir+"/none/d"), transfer.ErrNotExist)
	for _, n := range h.names() {
		must(t, b.Mkdir(t.Context(), dir+"/"+n))
		if st, err := os.Stat(dir + "/" + n); err != nil || !st.IsDir() {
			t.Errorf("%q was not made: %v", n, err)
		}
	}
}

func testRename(t *testing.T, h Harness, b transfer.Backend) {
	for name, target := range map[string]map[string]string{
		"over a file":            {"to": "x"},
		"over a directory":       {"to/x": "x"},
		"over an empty one":      {"to/": ""},
		"a file, over a file":    {"from": "f", "to": "x"},
		"a file, over directory": {"from": "f", "to/": ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if target["from"] == "" {
				MakeTree(t, dir, map[string]string{"from/a": "a"})
			}
			MakeTree(t, dir, target)
			want(t, b.Rename(t.Context(), dir+"/from", dir+"/to"), transfer.ErrExist)
			if _, err := os.Lstat(dir + "/from"); err != nil {
				t.Error(err)
			}
		})
	}
	dir := t.TempDir()
	MakeTree(t, dir, map[string]string{"from/a": "a"})
	if !h.NoLinks {
		must(t, os.Symlink("nowhere", dir+"/to"))
		want(t, b.Rename(t.Context(), dir+"/from", dir+"/to"), transfer.ErrExist)
	}
	must(t, b.Rename(t.Context(), dir+"/from", dir+"/free"))
	if got, _ := os.ReadFile(dir + "/free/a"); string(got) != "a" {
		t.Errorf("after the rename: %q", got)
	}
	want(t, b.Rename(t.Context(), dir+"/none", dir+"/other"), transfer.ErrNotExist)
	for _, n := range h.names() {
		MakeTree(t, dir, map[string]string{"f": "f"})
		must(t, b.Rename(t.Context(), dir+"/f", dir+"/"+n))
	}
}

func testRemove(t *testing.T, h Harness, b transfer.Backend) {
	dir := t.TempDir()
	MakeTree(t, dir, map[string]string{"keep/x": "x", "gone/deep/y": "y", "gone/.z": "z", "file": "f"})
	if !h.NoLinks {
		must(t, os.Symlink(dir+"/keep", dir+"/gone/link"))
	}
	must(t, b.Remove(t.Context(), dir+"/gone"))
	must(t, b.Remove(t.Context(), dir+"/gone"))
	must(t, b.Remove(t.Context(), dir+"/file"))
	for _, n := range h.names() {
		MakeTree(t, dir, map[string]string{n: n})
		must(t, b.Remove(t.Context(), dir+"/"+n))
	}
	es, err := os.ReadDir(dir)
	must(t, err)
	if len(es) != 1 || es[0].Name() != "keep" {
		t.Errorf("left: %v", es)
	}
	if _, err := os.Stat(dir + "/keep/x"); err != nil {
		t.Error("a link was followed: ", err)
	}
}

func testHash(t *testing.T, harness Harness, b transfer.Backend) {
	h, ok := b.(transfer.Hasher)
	if !ok {
		return
	}
	dir := t.TempDir()
	var paths []string
	for _, n := range harness.names() {
		MakeTree(t, dir, map[string]string{n: "content of " + n})
		paths = append(paths, dir+"/"+n)
	}
	for _, a := range []checksum.Algorithm{checksum.XXH3_128, checksum.SHA512, checksum.MD5, checksum.Adler32} {
		sums, err := h.Hash(t.Context(), a, paths)
		if errors.Is(err, transfer.ErrUnsupported) {
			t.Logf("%s: %v", a, err)
			continue
		}
		must(t, err)
		for i, p := range paths {
			w, err := checksum.FileSum(t.Context(), p, a)
			must(t, err)
			if sums[i] != w[0] {
				t.Errorf("%q: %s, want %s", p, sums[i], w[0])
			}
		}
	}
	if _, err := h.Hash(t.Context(), checksum.SHA512, []string{dir + "/none"}); err == nil {
		t.Error("a missing file was hashed")
	}
}

func testClone(t *testing.T, h Harness, b transfer.Backend) {
	c, ok := b.(transfer.Cloner)
	if !ok {
		return
	}
	dir := t.TempDir()
	MakeTree(t, dir, map[string]string{"a": "alpha"})
	if h.NoShell {
		want(t, c.Clone(t.Context(), dir+"/a", dir+"/b"), transfer.ErrUnsupported)
		return
	}
	must(t, c.Clone(t.Context(), dir+"/a", dir+"/b"))
	must(t, os.WriteFile(dir+"/a", []byte("other"), 0o644))
	if got, _ := os.ReadFile(dir + "/b"); string(got) != "alpha" {
		t.Errorf("the clone shares bytes with its source: %q", got)
	}
}

func testSpace(t *testing.T, h Harness, b transfer.Backend) {
	s, ok := b.(transfer.Spacer)
	if !ok {
		return
	}
	n, err := s.Free(t.Context(), t.TempDir())
	if h.NoShell {
		want(t, err, transfer.ErrUnsupported)
		return
	}
	must(t, err)
	if n <= 0 {
		t.Errorf("%d bytes free", n)
	}
}

func testEnded(t *testing.T, _ Harness, b transfer.Backend) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Lstat(ctx, t.TempDir())
	want(t, err, context.Canceled)
	want(t, b.Mkdir(ctx, t.TempDir()+"/x"), context.Canceled)
}

// dataset is what the suite copies.
func dataset(h Harness) map[string]string {
	files := map[string]string{"a": "alpha", "sub/b": "beta", "empty": "", "hollow/": "", ".dot": "dot", "big": Random(1, 3<<20+5)}
	for _, n := range h.names() {
		files["odd/"+n] = n
	}
	return files
}

// job is a copy from or to the backend.
func job(t *testing.T, h Harness, b transfer.Backend, push bool) transfer.Job {
	t.Helper()
	from, to := t.TempDir()+"/160315_1432", t.TempDir()+"/160315_1432"
	MakeTree(t, from, dataset(h))
	m, err := checksum.MakeManifest(t.Context(), from, nil)
	must(t, err)
	j := transfer.Job{Claim: "0001", Manifest: m,
		Source: transfer.Location{Backend: local.New(nil), Path: from}, Target: transfer.Location{Backend: b, Path: to}}
	if !push {
		j.Source.Backend, j.Target.Backend = b, j.Source.Backend
	}
	return j
}

func onlyTarget(t *testing.T, j transfer.Job) {
	t.Helper()
	es, err := os.ReadDir(filepath.Dir(j.Target.Path))
	must(t, err)
	if len(es) != 1 {
		t.Errorf("beside the target: %v", es)
	}
}

func testPush(t *testing.T, h Harness, b transfer.Backend) {
	for _, back := range []bool{false, true} {
		j := job(t, h, b, true)
		j.ReadBack = back
		res, err := new(transfer.Copier).Copy(t.Context(), j)
		must(t, err)
		SameTree(t, j.Source.Path, j.Target.Path)
		onlyTarget(t, j)
		if back && !res.ReadBack {
			t.Error("was not read back")
		}
	}
}

func testPull(t *testing.T, h Harness, b transfer.Backend) {
	j := job(t, h, b, false)
	res, err := new(transfer.Copier).Copy(t.Context(), j)
	must(t, err)
	SameTree(t, j.Source.Path, j.Target.Path)
	onlyTarget(t, j)
	if !res.Durable {
		t.Error("not durable")
	}
	// Again, to the same target: it is adopted.
	j.Claim = "0002"
	res, err = new(transfer.Copier).Copy(t.Context(), j)
	must(t, err)
	if !res.Adopted || res.Sent != 0 {
		t.Errorf("%+v", res)
	}
}

func testSingle(t *testing.T, h Harness, b transfer.Backend) {
	for _, push := range []bool{true, false} {
		j := job(t, h, b, push)
		j.Source.Path += "/big"
		j.Target.Path = filepath.Dir(j.Target.Path) + "/big"
		j.Manifest = nil
		res, err := new(transfer.Copier).Copy(t.Context(), j)
		must(t, err)
		a, err := os.ReadFile(j.Source.Path)
		must(t, err)
		got, err := os.ReadFile(j.Target.Path)
		must(t, err)
		if !bytes.Equal(a, got) || !res.Manifest.Single {
			t.Error("copy differs")
		}
		onlyTarget(t, j)
	}
}

var errStop = errors.New("stop here")

// resume copies up to the commit, stops there, and goes on under another claim
// as take says. It returns how many bytes the second part sent.
func resume(t *testing.T, j transfer.Job, take func(j *transfer.Job)) *transfer.Result {
	t.Helper()
	j.BeforeCommit = func(context.Context) error { return errStop }
	_, err := new(transfer.Copier).Copy(t.Context(), j)
	want(t, err, errStop)
	j.BeforeCommit = nil
	j.Claim = "0002"
	take(&j)
	res, err := new(transfer.Copier).Copy(t.Context(), j)
	must(t, err)
	SameTree(t, j.Source.Path, j.Target.Path)
	onlyTarget(t, j)
	return res
}

func testResumePush(t *testing.T, h Harness, b transfer.Backend) { testResume(t, h, b, true) }
func testResumePull(t *testing.T, h Harness, b transfer.Backend) { testResume(t, h, b, false) }

func testResume(t *testing.T, h Harness, b transfer.Backend, push bool) {
	for name, take := range map[string]func(j *transfer.Job){
		"stopped": func(j *transfer.Job) { j.Continue = []string{"0001"} },
		"silent":  func(j *transfer.Job) { j.Adopt = []string{"0001"} },
	} {
		res := resume(t, job(t, h, b, push), take)
		// rsync counts what it sends of its own, and looks at every file.
		// Without a shell nothing can be cloned.
		if res.Sent > 0 && !h.NoCreate && !(h.NoShell && name == "silent") || !res.Resumed {
			t.Errorf("%s: sent %d bytes again, %+v", name, res.Sent, res)
		}
	}
}

// testDamagedInStaging: what was damaged in staging between two tries is found
// before it is committed.
func testDamagedInStaging(t *testing.T, h Harness, b transfer.Backend) {
	if h.OldSums {
		return
	}
	j := job(t, h, b, true)
	j.ReadBack = true
	res := resume(t, j, func(j2 *transfer.Job) {
		staged := filepath.Join(filepath.Dir(j.Target.Path), transfer.StagingName(filepath.Base(j.Target.Path), "0001"), "data", "a")
		st, err := os.Stat(staged)
		must(t, err)
		must(t, os.WriteFile(staged, []byte("alphA"), 0o644))
		must(t, os.Chtimes(staged, st.ModTime(), st.ModTime()))
		j2.Continue = []string{"0001"}
		_, err = new(transfer.Copier).Copy(t.Context(), *j2)
		if err == nil {
			return // found and mended at once, as on a local disk
		}
		want(t, err, transfer.ErrCorrupt)
		if !strings.Contains(err.Error(), "a: digest") {
			t.Errorf("the error does not name the file: %v", err)
		}
	})
	_ = res
}

func testLimit(t *testing.T, h Harness, b transfer.Backend) {
	j := job(t, h, b, true)
	c := &transfer.Copier{Reserve: 1 << 60}
	if _, ok := b.(transfer.Spacer); ok && !h.NoShell {
		_, err := c.Copy(t.Context(), j)
		want(t, err, transfer.ErrNoSpace)
	}
}
