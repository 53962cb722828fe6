package checksum_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cax-go/cax/checksum"
)

type dirVectors struct {
	Cases []struct {
		Name                string
		Tree                []node
		SHA512, SHA256, MD5 string
	}
}

func TestDirSumEqualsPython(t *testing.T) {
	var vectors dirVectors
	load(t, "dirhash.json", &vectors)
	if len(vectors.Cases) < 20 {
		t.Fatalf("only %d cases", len(vectors.Cases))
	}
	for _, c := range vectors.Cases {
		t.Run(c.Name, func(t *testing.T) {
			dir := write(t, c.Tree...)
			for a, want := range map[checksum.Algorithm]string{checksum.SHA512: c.SHA512, checksum.SHA256: c.SHA256, checksum.MD5: c.MD5} {
				got, err := checksum.DirSum(t.Context(), dir, a)
				if err != nil || got.Bare() != want {
					t.Errorf("%s, %v; want %s", got, err, want)
				}
			}
			m, err := checksum.MakeManifest(t.Context(), dir, &checksum.ManifestOptions{Algorithms: []checksum.Algorithm{checksum.MD5}})
			if errors.Is(err, checksum.ErrUnfit) {
				return // links that a dataset cannot hold
			}
			must(t, err)
			if got, err := m.LegacySum(checksum.MD5); err != nil || got.Bare() != c.MD5 {
				t.Errorf("from the manifest %s, %v; want %s", got, err, c.MD5)
			}
		})
	}
}

func TestDirSumOfALink(t *testing.T) {
	dir := write(t, file("data/a", "x"), link("run", "data"))
	want, err := checksum.DirSum(t.Context(), dir+"/data", checksum.SHA512)
	must(t, err)
	t.Chdir(dir)
	for _, p := range []string{dir + "/run", "run", "data/", "./data/../run"} {
		if got, err := checksum.DirSum(t.Context(), p, checksum.SHA512); got != want || err != nil {
			t.Errorf("%s: %s, %v", p, got, err)
		}
	}
}

func TestDirSumErrors(t *testing.T) {
	dir := write(t, file("file", "x"), file("full/a", "x"))
	must(t, syscall.Mkfifo(dir+"/full/pipe", 0o600))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name, path string
		ctx        context.Context
		a          checksum.Algorithm
		want       error
	}{
		{"algorithm", dir, t.Context(), checksum.XXH3_128, checksum.ErrFormat},
		{"absent", dir + "/absent", t.Context(), checksum.SHA512, fs.ErrNotExist},
		{"a file", dir + "/file", t.Context(), checksum.SHA512, syscall.ENOTDIR},
		{"a pipe, which is not waited for", dir + "/full", t.Context(), checksum.SHA512, checksum.ErrUnfit},
		{"cancelled", dir, ended, checksum.SHA512, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := checksum.DirSum(c.ctx, c.path, c.a)
			if !errors.Is(err, c.want) || !got.IsZero() {
				t.Errorf("%s, %v; want %v", got, err, c.want)
			}
			var at *fs.PathError
			if errors.As(c.want, new(syscall.Errno)) && (!errors.As(err, &at) || at.Path != c.path) {
				t.Errorf("%v does not name %s", err, filepath.Base(c.path))
			}
		})
	}
}

func TestFileSum(t *testing.T) {
	dir := write(t, file("a", "123456789"))
	got, err := checksum.FileSum(t.Context(), dir+"/a", checksum.CRC32C, checksum.CRC32)
	if err != nil || len(got) != 2 || got[0].String() != "crc32:cbf43926" || got[1].String() != "crc32c:e3069283" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := checksum.FileSum(t.Context(), dir+"/b", checksum.CRC32); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := checksum.FileSum(t.Context(), dir, checksum.CRC32); !errors.Is(err, checksum.ErrUnfit) {
		t.Errorf("a directory: %v", err)
	}
}

// TestFileSumOfAnotherLength: the length that a file is said to have is held against
// what was read. A file in /proc has more than it says.
func TestFileSumOfAnotherLength(t *testing.T) {
	const p = "/proc/self/status"
	if _, err := os.Stat(p); err != nil {
		t.Skip("needs Linux's /proc:", err)
	}
	if got, err := checksum.FileSum(t.Context(), p, checksum.CRC32); err == nil {
		t.Errorf("%v and no error", got)
	}
}
