package mongostore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/mongostore"
	"github.com/cax-go/cax/rundb/mongostore/mongotest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// childURI tells the test binary that it is one of the claiming processes.
const childURI = "CAX_TEST_MONGOSTORE_CLAIM"

func TestMain(m *testing.M) {
	if uri := os.Getenv(childURI); uri != "" {
		os.Exit(claimAll(uri))
	}
	os.Exit(m.Run())
}

func newRun(t testing.TB, s *rundb.Store, n int) *rundb.Run {
	t.Helper()
	r, err := rundb.NewRun(rundb.Run{Number: int64(n), Name: fmt.Sprintf("160315_%04d", n), Detector: "tpc",
		Start: time.Date(2016, 3, 15, 0, n, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Insert(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// claimAll claims a copy of every run at one host and prints those that it got.
func claimAll(uri string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	d, err := mongostore.Open(ctx, uri, nil)
	if err != nil {
		return fail(err)
	}
	defer d.Close()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin) // the start signal is its end
	s := &rundb.Store{Driver: d}
	for r, err := range s.Find(ctx, &rundb.Query{OldestFirst: true}) {
		if err != nil {
			return fail(err)
		}
		c := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "b"}, Location: "/b/" + r.Name}
		h, err := s.Claim(ctx, r.ID, c)
		switch {
		case errors.Is(err, rundb.ErrConflict):
			continue
		case err != nil:
			return fail(err)
		}
		if err := h.Heartbeat(ctx); err != nil {
			return fail(err)
		}
		if err := h.Finish(ctx, bson.D{{Key: "status", Value: "transferred"}, {Key: "checksum", Value: h.ID}}); err != nil {
			return fail(err)
		}
		fmt.Println(r.Number, h.ID)
	}
	return 0
}

// TestClaimProcesses: of 20 processes that claim the same copies at the same time,
// each copy is claimed by exactly one.
func TestClaimProcesses(t *testing.T) {
	uri := mongotest.Start(t)
	s := &rundb.Store{Driver: open(t, uri)}
	const processes, runs = 20, 30
	for n := 1; n <= runs; n++ {
		newRun(t, s, n)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	won := map[int64]string{}
	var starts []io.Closer
	var all sync.WaitGroup
	ready := make(chan bool, processes)
	for range processes {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), childURI+"="+uri)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		starts = append(starts, in)
		all.Go(func() {
			lines := bufio.NewScanner(out)
			ready <- lines.Scan()
			for lines.Scan() {
				var n int64
				var id string
				if _, err := fmt.Sscan(lines.Text(), &n, &id); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if won[n] != "" {
					t.Errorf("run %d was claimed twice", n)
				}
				won[n] = id
				mu.Unlock()
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	for range processes {
		if !<-ready {
			t.Error("a process ended before it began")
		}
	}
	for _, c := range starts {
		c.Close()
	}
	all.Wait()
	if len(won) != runs {
		t.Errorf("%d of %d copies were claimed", len(won), runs)
	}
	for r, err := range s.Find(t.Context(), &rundb.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Data) != 1 || r.Data[0].Checksum != won[r.Number] || r.Data[0].Status != rundb.Transferred || r.Data[0].Claim != nil {
			t.Errorf("%s ends as %+v", r, r.Data)
		}
	}
}

// TestContention: changes of different copies of one run, which all compare with
// the whole list, all come through.
func TestContention(t *testing.T) {
	s := &rundb.Store{Driver: open(t, mongotest.Start(t))}
	r := newRun(t, s, 1)
	const writers, beats = 16, 10
	var held [writers]*rundb.Held
	for i := range held {
		var err error
		if held[i], err = s.Claim(t.Context(), r.ID, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: fmt.Sprint("h", i)}, Location: "/x"}); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for _, h := range held {
		all.Go(func() {
			for range beats {
				if err := h.Heartbeat(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	r, err := s.Get(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Data {
		if c.Claim == nil || c.Claim.Seq != 1+beats {
			t.Errorf("%s: claim %+v, want seq %d", c.Key, c.Claim, 1+beats)
		}
	}
}

// TestInsertRace: of runs of one name and detector that are added at the same
// moment at most one stays, and whoever was told that it is there finds it.
func TestInsertRace(t *testing.T) {
	s := &rundb.Store{Driver: open(t, mongotest.Start(t))}
	for round := range 10 {
		var told sync.Map
		var all sync.WaitGroup
		name := fmt.Sprintf("160315_%04d", round)
		for range 8 {
			all.Go(func() {
				r, err := rundb.NewRun(rundb.Run{Name: name, Detector: "tpc", Start: time.Date(2016, 3, 15, 0, 0, 0, 0, time.UTC)})
				if err != nil {
					t.Error(err)
					return
				}
				switch err := s.Insert(t.Context(), r); {
				case err == nil:
					told.Store(r.ID, true)
				case !errors.Is(err, rundb.ErrExist):
					t.Error(err)
				}
			})
		}
		all.Wait()
		there := map[any]bool{}
		for r, err := range s.Find(t.Context(), &rundb.Query{Names: []string{name}}) {
			if err != nil {
				t.Fatal(err)
			}
			there[r.ID] = true
		}
		if len(there) > 1 {
			t.Errorf("%d runs of one name", len(there))
		}
		n := 0
		told.Range(func(id, _ any) bool {
			if n++; !there[id] {
				t.Errorf("run %v was added and is not there", id)
			}
			return true
		})
		if n != len(there) {
			t.Errorf("%d were told that their run is there, %d runs are", n, len(there))
		}
	}
}
