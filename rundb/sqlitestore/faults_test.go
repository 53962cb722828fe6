package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func open(t *testing.T) *Driver {
	t.Helper()
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "runs.db"), &Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // some tests have closed it
	return d
}

func newRun(t *testing.T, name string) *rundb.Run {
	t.Helper()
	r, err := rundb.NewRun(rundb.Run{Name: name, Detector: "tpc", Start: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestDiskFull: a write for which there is no room fails as transient, leaves
// nothing, and succeeds when there is room again.
func TestDiskFull(t *testing.T) {
	d := open(t)
	var pages int
	if err := d.write.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		t.Helper()
		if err := d.write.QueryRow(fmt.Sprintf(`PRAGMA max_page_count = %d`, n)).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 1)
	r := newRun(t, "x")
	big, err := bson.Marshal(bson.D{{Key: "_id", Value: r.ID}, {Key: "name", Value: "x"}, {Key: "text", Value: string(make([]byte, 100_000))}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Insert(t.Context(), big); !errors.Is(err, rundb.ErrTransient) {
		t.Errorf("on a full disk: %v", err)
	}
	if _, err := d.Get(t.Context(), r.ID); !errors.Is(err, rundb.ErrNotExist) {
		t.Errorf("a failed insert left something: %v", err)
	}
	limit(1_000_000)
	if err := d.Insert(t.Context(), big); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestLockedByOthers: whoever waits for a lock goes when his time is up, and
// others go on when the lock is free.
func TestLockedByOthers(t *testing.T) {
	locks := map[string]func(t *testing.T, d *Driver) (unlock func()){
		"the lock file": func(t *testing.T, d *Driver) func() {
			other, err := newFileLock(d.path + ".lock")
			if err != nil {
				t.Fatal(err)
			}
			unlock, err := other.acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return func() { unlock(); other.close() }
		},
		"a program without the lock file": func(t *testing.T, d *Driver) func() {
			db, err := sql.Open("sqlite", dsn(d.path, "_txlock=immediate"))
			if err != nil {
				t.Fatal(err)
			}
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			return func() { tx.Rollback(); db.Close() }
		},
	}
	for name, lock := range locks {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			unlock := lock(t, d)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := d.Insert(ctx, newRun(t, "a").Raw()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("while it is locked: %v", err)
			}
			// Readers are not concerned.
			if _, err := d.Get(t.Context(), rundb.ID{}); !errors.Is(err, rundb.ErrNotExist) {
				t.Errorf("a reader: %v", err)
			}
			waiting := make(chan error, 1)
			go func() { waiting <- d.Insert(t.Context(), newRun(t, "b").Raw()) }()
			time.Sleep(20 * time.Millisecond)
			unlock()
			if err := <-waiting; err != nil {
				t.Errorf("once it is free: %v", err)
			}
		})
	}
}

// TestCloseWhileWaiting: a waiter whose time is up may still be in its call when the
// database is closed; it disturbs nobody and keeps the lock from nobody.
func TestCloseWhileWaiting(t *testing.T) {
	d := open(t)
	other, err := newFileLock(d.path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	unlock, err := other.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Insert(ctx, newRun(t, "a").Raw()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	unlock()
	if unlock, err = other.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	unlock()
	again, err := Open(t.Context(), d.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(again.Insert(t.Context(), newRun(t, "b").Raw()), again.Close()); err != nil {
		t.Error(err)
	}
}

// TestCancelledBeforeCommit: the end of a context in the last moment is its error,
// and not an unknown outcome.
func TestCancelledBeforeCommit(t *testing.T) {
	d := open(t)
	for range 20 { // the database/sql package sees it now here, now there
		ctx, cancel := context.WithCancel(t.Context())
		err := d.transaction(ctx, "test", func(tx *tx) error {
			defer cancel()
			return tx.exec(`INSERT INTO tags (name, run) VALUES ('x', x'00')`)
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, rundb.ErrUnknownOutcome) {
			t.Fatalf("got %v", err)
		}
		var n int
		if err := d.read.QueryRow(`SELECT count(*) FROM tags`).Scan(&n); err != nil || n != 0 {
			t.Fatalf("%d rows are there, %v", n, err)
		}
	}
}

// TestCancelledWrites: a write that ends with its context was not applied, and
// one that ends well was, whenever the context ends.
func TestCancelledWrites(t *testing.T) {
	d := open(t)
	cancelled := 0
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			cancel()
		}()
		r := newRun(t, fmt.Sprint(i))
		err := d.Insert(ctx, r.Raw())
		_, gerr := d.Get(t.Context(), r.ID)
		switch {
		case err == nil && gerr != nil:
			t.Fatalf("an acknowledged write is not there: %v", gerr)
		case errors.Is(err, context.Canceled):
			cancelled++
			if !errors.Is(gerr, rundb.ErrNotExist) {
				t.Fatalf("a cancelled write is there: %v", gerr)
			}
		case err != nil:
			t.Fatalf("a cancelled write gave %v", err)
		}
		cancel()
	}
	if cancelled == 0 || cancelled == 200 {
		t.Logf("%d of 200 writes were cancelled: this machine is too fast or too slow for this test", cancelled)
	}
	if err := d.Insert(t.Context(), newRun(t, "last").Raw()); err != nil {
		t.Error(err)
	}
}

// TestStoppedHolder: a process that was stopped in the middle of a write keeps others
// waiting for a while and not for ever; the error says who it is.
func TestStoppedHolder(t *testing.T) {
	path := t.TempDir() + "/lock"
	stopped, err := newFileLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.close()
	unlock, err := stopped.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	stopped.sign()
	other, err := newFileLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	_, err = other.acquireWithin(t.Context(), 20*time.Millisecond)
	if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("error %v, want one of our own that names the holder", err)
	}
}
