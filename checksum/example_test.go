package checksum_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/checksum"
)

// A dataset is hashed once; then its copies are held against the manifest.
func Example() {
	ctx := context.Background()
	run, err := os.MkdirTemp("", "160315_1432-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(run)
	os.WriteFile(filepath.Join(run, "XENON1T-0.zip"), []byte("events"), 0o644)
	os.WriteFile(filepath.Join(run, "pax_info.json"), []byte("{}"), 0o644)

	m, err := checksum.MakeManifest(ctx, run, nil)
	if err != nil {
		panic(err)
	}
	sum, _ := m.LegacySum(checksum.SHA512) // what the run database calls its checksum
	fmt.Printf("%d files, %d bytes, %.16s…\n", m.Files(), m.Size(), sum.Bare())
	m.WriteSums(os.Stdout, checksum.XXH3_128)

	os.WriteFile(filepath.Join(run, "XENON1T-0.zip"), []byte("Events"), 0o644)
	diffs, err := m.CompareTree(ctx, run, nil)
	if err != nil {
		panic(err)
	}
	err = checksum.Differ("run 1432", diffs)
	fmt.Println(errors.Is(err, checksum.ErrCorrupt), diffs[0].Path, diffs[0].Kind)
	// Output:
	// 2 files, 8 bytes, 5207bfbbb3df4f5e…
	// 735790f8e73eacd4193dc5063157bd66  XENON1T-0.zip
	// dc7048f8f8747f561349cde127705c16  pax_info.json
	// true XENON1T-0.zip digest
}
