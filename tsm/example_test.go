package tsm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/tsm"
	"github.com/cax-go/cax/tsm/tsmtest"
)

// A run goes to tape, is looked for there, and comes back.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "tape-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	library, err := tsmtest.Make(filepath.Join(dir, "library")) // a stand-in, here
	if err != nil {
		panic(err)
	}
	client := library.Client()

	run, dest := filepath.Join(dir, "raw/160315_1432"), filepath.Join(dir, "back")
	os.MkdirAll(run, 0o755)
	os.Mkdir(dest, 0o755)
	os.WriteFile(filepath.Join(run, "XENON1T-0.zip"), []byte("events"), 0o644)

	// Under the names that the tape wants, without copying.
	staged, err := tsm.Stage(ctx, run, filepath.Join(dir, "tsm/160315_1432"), "160315_1432", nil)
	if err != nil {
		panic(err)
	}
	var paths []string
	for _, f := range staged.Files {
		paths = append(paths, f.Path)
	}
	if _, err := client.Archive(ctx, paths, "cax:160315_1432:4711", nil); err != nil {
		panic(err)
	}
	rows, err := client.QueryArchive(ctx, tsm.Query{Path: staged.Dir})
	if err != nil {
		panic(err)
	}
	fmt.Println(len(rows), "on tape,", len(tsm.Uncovered(staged.Files, rows)), "missing")
	tsm.Unstage(staged.Dir, "160315_1432")

	plan := tsm.PlanRecall([]tsm.Want{{Location: staged.Dir, Description: "cax:160315_1432:4711"}}, rows, 0)
	for _, recall := range plan.Recalls {
		if _, err := client.Retrieve(ctx, recall, dest, false, nil); err != nil {
			panic(err)
		}
	}
	at, _ := tsm.Placed(dest, staged.Dir)
	tsm.UndoPrefix(at, "160315_1432", nil)
	b, err := os.ReadFile(filepath.Join(at, "XENON1T-0.zip"))
	fmt.Printf("%s %v\n", b, err)
	// Output:
	// 1 on tape, 0 missing
	// events <nil>
}
