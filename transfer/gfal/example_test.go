package gfal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/gfal"
	"github.com/cax-go/cax/transfer/gfal/gfaltest"
	"github.com/cax-go/cax/transfer/local"
)

// A dataset is sent to a storage element and compared there. The programs are a stand-in
// here, which keeps everything on this machine.
func Example() {
	dir, err := os.MkdirTemp("", "cax-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	from, to := filepath.Join(dir, "lab", "160315_1432"), filepath.Join(dir, "grid", "160315_1432")
	for _, d := range []string{from, filepath.Dir(to), dir + "/bin"} {
		_ = os.MkdirAll(d, 0o755)
	}
	_ = os.WriteFile(from+"/XENON1T-0-000000000.zip", []byte("events"), 0o644)
	_ = gfaltest.Link(dir+"/bin", gfal.Programs())

	grid, err := gfal.New("davs://se.example/", &gfal.Options{Dir: dir + "/bin", Streams: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := new(transfer.Copier).Copy(context.Background(), transfer.Job{
		Source:   transfer.Location{Backend: local.New(nil), Path: from},
		Target:   transfer.Location{Backend: grid, Path: to},
		Claim:    "claim",
		ReadBack: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Files, "file,", res.Sent, "bytes sent to", grid, "and compared there by", res.ReadBackBy)
	// Output: 1 file, 6 bytes sent to davs://se.example and compared there by adler32
}
