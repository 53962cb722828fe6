package transfer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
)

// A dataset is copied against its manifest. Where the copy is there already it is
// compared and adopted; where something else is, that is moved aside.
func Example() {
	dir, err := os.MkdirTemp("", "cax-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	from, to := filepath.Join(dir, "a", "160315_1432"), filepath.Join(dir, "b", "160315_1432")
	_ = os.MkdirAll(from, 0o755)
	_ = os.MkdirAll(filepath.Dir(to), 0o755)
	_ = os.WriteFile(from+"/XENON1T-0-000000000.zip", []byte("events"), 0o644)
	ctx, disk := context.Background(), local.New(nil)

	manifest, err := checksum.MakeManifest(ctx, from, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	copier := &transfer.Copier{} // its zero value is ready
	for claim := range 2 {
		res, err := copier.Copy(ctx, transfer.Job{
			Source:   transfer.Location{Backend: disk, Path: from},
			Target:   transfer.Location{Backend: disk, Path: to},
			Claim:    fmt.Sprint("claim-", claim),
			Manifest: manifest,
		})
		fmt.Println(res.Files, "file,", res.Sent, "bytes sent, adopted:", res.Adopted, err)
	}
	// Output:
	// 1 file, 6 bytes sent, adopted: false <nil>
	// 1 file, 0 bytes sent, adopted: true <nil>
}
