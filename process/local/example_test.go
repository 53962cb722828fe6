package local_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/local"
)

// Five jobs on two cores. A program gives Options.Server, a command that calls
// Serve, so that the jobs go on when it has ended; here Serve is called directly.
func Example() {
	dir, err := os.MkdirTemp("", "local-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	pool, err := local.New(filepath.Join(dir, "pool"), &local.Options{Slots: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	queue, err := process.OpenQueue(filepath.Join(dir, "queue"), pool, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var jobs []process.Job
	for run := range 5 {
		jobs = append(jobs, process.Job{Key: process.Key(fmt.Sprint("run-", run)), Script: "#!/bin/sh\ntrue\n"})
	}
	if _, err := queue.Submit(ctx, jobs); err != nil {
		fmt.Println(err)
		return
	}
	all, _ := queue.Jobs(ctx)
	fmt.Println(process.Active(all), "of", len(all), "to do")
	if err := pool.Serve(ctx); err != nil {
		fmt.Println(err)
		return
	}
	all, _ = queue.Jobs(ctx)
	fmt.Println(process.Active(all), "of", len(all), "to do")
	// Output:
	// 5 of 5 to do
	// 0 of 5 to do
}
