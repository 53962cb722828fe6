package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
)

// TestBackupWhileWriting: the backup is complete and sound, and holds at least
// what was there when it began, while writers go on.
func TestBackupWhileWriting(t *testing.T) {
	d := open(t, nil)
	s := &rundb.Store{Driver: d}
	fill(t, d, 100)
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan int)
	go func() {
		for n := 0; ; n++ {
			r, err := rundb.NewRun(rundb.Run{Name: fmt.Sprint("w", n), Detector: "tpc", Start: time.Unix(int64(n), 0)})
			if err == nil {
				err = s.Insert(ctx, r)
			}
			if ctx.Err() != nil {
				written <- n
				return
			}
			if err != nil {
				t.Error(err)
				written <- n
				return
			}
		}
	}()
	var paths []string
	for i := range 3 {
		path := filepath.Join(t.TempDir(), fmt.Sprint("backup ", i))
		if err := d.Backup(t.Context(), path); err != nil {
			t.Error(err)
		}
		paths = append(paths, path)
	}
	cancel()
	n := <-written
	var before int
	for _, path := range paths {
		b, err := sqlitestore.Open(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		runs := 0
		for r, err := range (&rundb.Store{Driver: b}).Find(t.Context(), &rundb.Query{Detectors: []string{"tpc"}}) {
			if err != nil {
				t.Fatal(err)
			}
			want, err := d.Get(t.Context(), r.ID)
			if err != nil || string(want) != string(r.Raw()) {
				t.Errorf("%s differs in the backup: %v", r, err)
			}
			runs++
		}
		if runs < 100 || runs < before || runs > 100+n+1 {
			t.Errorf("the backup has %d runs, the one before %d; %d were written", runs, before, 100+n)
		}
		before = runs
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		wantSound(t, path)
	}
}

func TestBackupErrors(t *testing.T) {
	d := open(t, nil)
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Backup(t.Context(), taken); !errors.Is(err, rundb.ErrExist) {
		t.Errorf("onto a file: %v", err)
	}
	if err := d.Backup(t.Context(), d.Path()); !errors.Is(err, rundb.ErrExist) {
		t.Errorf("onto itself: %v", err)
	}
	if err := d.Backup(t.Context(), filepath.Join(dir, "none", "x")); !errors.Is(err, rundb.ErrInvalid) {
		t.Errorf("into no folder: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Backup(ctx, filepath.Join(dir, "cancelled")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got := tree(t, dir); len(got) != 1 || got["taken"] != "x" {
		t.Errorf("failed backups left %v", got)
	}
}
