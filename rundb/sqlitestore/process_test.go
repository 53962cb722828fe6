package sqlitestore_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// childEnv makes this binary a child that works on a database instead of testing.
const childEnv = "CAX_SQLITESTORE_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := child(context.Background(), what, os.Args[1], os.Args[2], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(ctx context.Context, what, path, name string, out io.Writer) error {
	d, err := sqlitestore.Open(ctx, path, nil)
	if err != nil {
		return err
	}
	s := &rundb.Store{Driver: d, By: name}
	work := map[string]func(context.Context, *rundb.Store, string, io.Writer) error{"claim": claimAll, "write": writeForever}
	return errors.Join(work[what](ctx, s, name, out), d.Close())
}

// claimAll tries to claim a copy of each run, and works on those that it gets. It
// prints their names. In the run "shared" it adds a copy for each try.
func claimAll(ctx context.Context, s *rundb.Store, name string, out io.Writer) error {
	shared, err := s.One(ctx, &rundb.Query{Names: []string{"shared"}})
	if err != nil {
		return err
	}
	n := 0
	for r, err := range s.Find(ctx, &rundb.Query{Detectors: []string{"tpc"}}) {
		if err != nil {
			return err
		}
		n++
		u := &rundb.Update{Run: shared.ID, Push: &rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: fmt.Sprintf("%s-%d", name, n)}, Created: r.Start}}
		if err := s.Driver.Update(ctx, u); err != nil {
			return err
		}
		h, err := s.Claim(ctx, r.ID, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "b"}, Location: "/b/" + r.Name})
		if errors.Is(err, rundb.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		for range 3 {
			if err := h.Heartbeat(ctx); err != nil {
				return err
			}
		}
		if err := h.Finish(ctx, bson.D{{Key: "status", Value: "transferred"}, {Key: "by", Value: name}}); err != nil {
			return err
		}
		fmt.Fprintln(out, r.Name)
	}
	return nil
}

// writeForever writes and prints a number after each write that was acknowledged.
func writeForever(ctx context.Context, s *rundb.Store, name string, out io.Writer) error {
	for n := 0; ; n++ {
		r, err := rundb.NewRun(rundb.Run{Name: fmt.Sprintf("%s-%d", name, n), Detector: "tpc", Start: time.Unix(int64(n), 0)})
		if err != nil {
			return err
		}
		if err := s.Insert(ctx, r); err != nil {
			return err
		}
		if err := s.Register(ctx, r.ID, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "a"}, Status: rundb.Transferred, Location: "/a/" + r.Name}); err != nil {
			return err
		}
		if err := s.Record(ctx, rundb.Event{Run: r.ID, What: "registered", Name: r.Name}); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, n); err != nil {
			return err
		}
	}
}

func command(t *testing.T, what, path, name string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, path, name)
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	return cmd, stderr
}

func TestProcesses(t *testing.T) {
	const processes = 8
	runs := rounds(12, 200)
	path := filepath.Join(t.TempDir(), "runs.db")
	d, err := sqlitestore.Open(t.Context(), path, &sqlitestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s := &rundb.Store{Driver: d}
	for n := range runs + 1 {
		r := rundb.Run{Name: fmt.Sprint("run ", n), Detector: "tpc", Start: time.Unix(int64(n), 0)}
		if n == runs {
			r.Name, r.Detector = "shared", "none"
		}
		insert(t, s, r)
	}
	var mu sync.Mutex
	winners := map[string]string{}
	var wg sync.WaitGroup
	for p := range processes {
		name := fmt.Sprint("p", p)
		wg.Go(func() {
			cmd, stderr := command(t, "claim", path, name)
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%s: %v: %s", name, err, stderr)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, run := range strings.Split(strings.TrimSpace(string(out)), "\n") {
				if other := winners[run]; run != "" && other != "" {
					t.Errorf("%s was claimed by %s and %s", run, other, name)
				}
				winners[run] = name
			}
		})
	}
	wg.Wait()
	for r, err := range s.Find(t.Context(), &rundb.Query{Detectors: []string{"tpc"}}) {
		if err != nil {
			t.Fatal(err)
		}
		by, _ := r.Raw().Lookup("data", "0", "by").StringValueOK()
		if len(r.Data) != 1 || r.Data[0].Status != rundb.Transferred || r.Data[0].Claim != nil || by == "" || by != winners[r.Name] {
			t.Errorf("%s was done by %q, the record says %q: %+v", r, winners[r.Name], by, r.Data)
		}
	}
	shared, err := s.One(t.Context(), &rundb.Query{Names: []string{"shared"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := processes * runs; len(shared.Data) != want || len(shared.Duplicates()) != 0 {
		t.Errorf("%d of %d updates of one document are there", len(shared.Data), want)
	}
	wantSound(t, path)
}

func insert(t *testing.T, s *rundb.Store, r rundb.Run) *rundb.Run {
	t.Helper()
	made, err := rundb.NewRun(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Insert(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	return made
}

// TestKill: what was acknowledged is there, whenever the writer dies.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.db")
	d, err := sqlitestore.Open(t.Context(), path, &sqlitestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	acked := map[string]int{}
	for round := range rounds(4, 100) {
		name := fmt.Sprint("w", round)
		cmd, stderr := command(t, "write", path, name)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Killed after some acknowledged writes and a moment more, so that it is
		// in the middle of one.
		after := 1 + rand.IntN(20)
		lines := bufio.NewScanner(out)
		last := -1
		for lines.Scan() {
			if last, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
			if last == after {
				time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || last < after {
			t.Fatalf("the writer ended by itself after %d: %v: %s", last, err, stderr)
		}
		acked[name] = last

		d, err := sqlitestore.Open(t.Context(), path, nil)
		if err != nil {
			t.Fatalf("after round %d: %v", round, err)
		}
		s := &rundb.Store{Driver: d}
		for name, last := range acked {
			for n := range last + 1 {
				r, err := s.One(t.Context(), &rundb.Query{Names: []string{fmt.Sprintf("%s-%d", name, n)}})
				if err != nil {
					t.Fatalf("after round %d: %v", round, err)
				}
				events := 0
				for _, err := range s.Events(t.Context(), r.ID) {
					if err != nil {
						t.Fatal(err)
					}
					events++
				}
				if len(r.Data) != 1 || r.Data[0].Status != rundb.Transferred || events != 1 {
					t.Fatalf("after round %d: %s has %d copies and %d events", round, r, len(r.Data), events)
				}
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		wantSound(t, path)
	}
}

// wantSound asks SQLite whether the file is sound, and checks that columns, side
// tables and signatures agree with each other.
func wantSound(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]string{
		`PRAGMA integrity_check`: "ok",
		`SELECT count(*) FROM signatures s WHERE runs <> (SELECT count(*) FROM runs WHERE sig = s.id)`: "0",
		`SELECT count(*) FROM runs WHERE sig NOT IN (SELECT id FROM signatures)`:                       "0",
		`SELECT count(*) FROM copies WHERE run NOT IN (SELECT id FROM runs)`:                           "0",
		`PRAGMA journal_mode`: "wal",
	} {
		var got string
		if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %q, %v", query, got, err)
		}
	}
}
