package slurm_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/slurm"
)

// On a machine without Slurm's programs the question what runs has no answer; that
// is not the answer that nothing runs.
func Example() {
	dir, err := os.MkdirTemp("", "slurm-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	cluster := slurm.New(&slurm.Options{Env: []string{"PATH=/nonexistent"}})
	queue, err := process.OpenQueue(dir, cluster, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_, err = queue.Submit(ctx, []process.Job{{Key: "claim-1", Script: "#!/bin/sh\ntrue\n"}})
	fmt.Println("nothing was submitted:", errors.Is(err, process.ErrInvalid))
	_, err = cluster.Entries(ctx, "")
	fmt.Println("nothing is known:", errors.Is(err, process.ErrUnavailable))
	// Output:
	// nothing was submitted: true
	// nothing is known: true
}
