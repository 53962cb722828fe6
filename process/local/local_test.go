package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/cax-go/cax/process"
	"github.com/cax-go/cax/process/local"
	"github.com/cax-go/cax/process/processtest"
)

// TestMain: with an argument of this name the test program is what serves a pool.
const serve = "-serve-pool"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == serve {
		slots, err := strconv.Atoi(os.Args[3])
		if err == nil {
			err = servePool(os.Args[2], slots)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func servePool(dir string, slots int) error {
	if _, err := os.Stat(dir + "/active"); err != nil {
		return nil // the test is over
	}
	b, err := local.New(dir, options(dir, slots))
	if err != nil {
		return err
	}
	return b.Serve(context.Background())
}

func options(dir string, slots int) *local.Options {
	return &local.Options{Slots: slots, Grace: 300 * time.Millisecond, Server: []string{os.Args[0], serve, dir, strconv.Itoa(slots)}}
}

func pool(t *testing.T, slots int) *local.Batch {
	t.Helper()
	dir := t.TempDir()
	b, err := local.New(dir, options(dir, slots))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drain(t, dir) })
	return b
}

// drain ends what runs and waits until nobody serves any more.
func drain(t *testing.T, dir string) {
	b, err := local.New(dir, &local.Options{Grace: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	// It may outlive the test's own context.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		files, err := filepath.Glob(dir + "/active/*.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			var s process.Submission
			if data, err := os.ReadFile(f); err != nil || json.Unmarshal(data, &s) != nil {
				continue // it has just ended
			}
			for i := range s.Tasks {
				if err := b.Cancel(ctx, []string{fmt.Sprint(s.ID, ".", i)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := b.Serve(ctx); err != nil {
			t.Fatal(err)
		}
		if lock, err := os.OpenFile(dir+"/lock", os.O_RDWR, 0); err == nil {
			free := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
			lock.Close()
			if free && len(files) == 0 {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the pool does not come to an end")
}

func TestSuite(t *testing.T) {
	processtest.Run(t, processtest.Harness{Open: func(t *testing.T) process.Batch { return pool(t, 2) }})
}
