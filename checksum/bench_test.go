package checksum_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/cax-go/cax/checksum"
)

// BenchmarkTree reads directories of 64 MiB from the page cache.
func BenchmarkTree(b *testing.B) {
	const total = 64 << 20
	for _, files := range []int{1, 8, 4096} {
		dir := b.TempDir()
		data := pattern(total / files)
		for i := range files {
			must(b, os.WriteFile(fmt.Sprintf("%s/%d", dir, i), data, 0o600))
		}
		m, err := checksum.MakeManifest(b.Context(), dir, nil)
		must(b, err)
		for name, f := range map[string]func() error{
			"MakeManifest":  func() error { _, err := checksum.MakeManifest(b.Context(), dir, nil); return err },
			"CompareTree":   func() error { _, err := m.CompareTree(b.Context(), dir, nil); return err },
			"DirSum-sha512": func() error { _, err := checksum.DirSum(b.Context(), dir, checksum.SHA512); return err },
		} {
			b.Run(fmt.Sprintf("%s/files=%d", name, files), func(b *testing.B) {
				b.SetBytes(total)
				for b.Loop() {
					must(b, f())
				}
			})
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	data := pattern(1 << 20)
	bench := func(name string, algs ...checksum.Algorithm) {
		b.Run(name, func(b *testing.B) {
			d := checksum.NewDigest(algs...)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				d.Write(data)
			}
		})
	}
	for _, a := range checksum.Algorithms() {
		bench(a.String(), a)
	}
	bench("default", checksum.DefaultAlgorithms()...)
	bench("all", checksum.Algorithms()...)
}
