package process_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/local"
)

// A job is made from a template, submitted under a key that we own, and asked
// about until it has ended. Of several submissions of one key, one is taken.
func Example() {
	dir, err := os.MkdirTemp("", "process-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	pool, err := local.New(filepath.Join(dir, "pool"), nil) // or slurm.New
	if err != nil {
		fmt.Println(err)
		return
	}
	queue, err := process.OpenQueue(filepath.Join(dir, "queue"), pool, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	template, err := process.ParseTemplate("job", "#!/bin/sh\necho processing {{.Name}}\nexit {{.Number}}\n")
	if err != nil {
		fmt.Println(err)
		return
	}
	script, err := template.Execute(process.JobData{Number: 3, Name: "it's 160315_1432"})
	if err != nil {
		fmt.Println(err)
		return
	}
	job := process.Job{Key: "claim-1", Name: "raw_3_v6.8.0", Script: script, Resources: process.Resources{Walltime: time.Hour}}
	for range 2 {
		_, err := queue.Submit(ctx, []process.Job{job})
		fmt.Println("submitted:", err)
	}
	if err := pool.Serve(ctx); err != nil { // cax has a process of its own do this
		fmt.Println(err)
		return
	}
	all, err := queue.Jobs(ctx, "claim-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	tail, _ := process.Tail(all[0].Log, 1000)
	fmt.Printf("%s: %s, %s\n%s", all[0].Key, all[0].State, all[0].Reason, tail)
	// Output:
	// submitted: <nil>
	// submitted: submit job claim-1: exists already
	// claim-1: failed, it ended with exit code 3
	// processing it's 160315_1432
}
