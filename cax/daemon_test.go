package cax

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/cax-go/cax/transfer"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/zap"
)

// A chore is a task for tests: it always wants to do its work for every run.
type chore struct {
	name string
	work func(ctx context.Context, r *rundb.Run) error
}

func (c chore) Name() string           { return c.name }
func (chore) Select(*Env) []Candidates { return []Candidates{{}} }
func (c chore) Plan(_ context.Context, _ *Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		for r, err := range runs {
			d := Decision{Task: c.name, Verb: Do, What: "work", Why: "always"}
			if err == nil {
				d.about(r)
			}
			if !yield(NewAction(d, "", func(ctx context.Context) error { return c.work(ctx, r) }), err) {
				return
			}
		}
	}
}

// addRuns inserts runs that have a transferred copy at A and, of all but the first
// missing, at B.
func (l *lab) addRuns(n, missing int) {
	l.t.Helper()
	d := l.store.Driver.(*sqlitestore.Driver)
	for i := range n {
		name := time.Date(2016, 3, 15, 0, i, 0, 0, time.UTC)
		r := rundb.Run{Number: int64(i + 1), Name: name.Format(nameLayout), Detector: "tpc", Start: name, RawSize: 5}
		for _, s := range []string{"A", "B"} {
			if s == "B" && i < missing {
				continue
			}
			r.Data = append(r.Data, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: s}, Status: rundb.Transferred,
				Location: l.site(s).DirRaw + "/" + r.Name, Created: name, Checksum: strings.Repeat(fmt.Sprintf("%08x", i), 16)})
		}
		doc, err := rundb.NewRun(r)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := d.Insert(l.t.Context(), doc.Raw()); err != nil {
			l.t.Fatal(err)
		}
	}
}

// TestOneFailureDoesNotStopTheRest: C3: an error in one run keeps no other run, and
// no other task, from being looked after.
func TestOneFailureDoesNotStopTheRest(t *testing.T) {
	l := newLab(t)
	l.addRuns(3, 0)
	var done atomic.Int64
	broken := errors.New("broken")
	d := NewDaemon(l.env("A"))
	d.Tasks = []Task{
		chore{"First", func(_ context.Context, r *rundb.Run) error {
			switch r.Number {
			case 2:
				return broken
			case 3:
				panic("a defect")
			}
			done.Add(1)
			return nil
		}},
		chore{"Second", func(context.Context, *rundb.Run) error { done.Add(1); return nil }},
	}
	sum, err := d.Once(t.Context())
	if !errors.Is(err, broken) || sum.Failed != 2 || sum.Done != 4 || done.Load() != 4 {
		t.Errorf("%+v, done %d, error %v", sum, done.Load(), err)
	}
}

// TestUndecodableRunIsReported: one document that is no run does not hide the
// others.
func TestUndecodableRunIsReported(t *testing.T) {
	l := newLab(t)
	l.addRuns(2, 0)
	var done atomic.Int64
	env := l.env("A")
	env.Store = &rundb.Store{Driver: oddDriver{l.store.Driver}}
	d := NewDaemon(env)
	d.Tasks = []Task{chore{"Look", func(context.Context, *rundb.Run) error { done.Add(1); return nil }}}
	if _, err := d.Once(t.Context()); !errors.Is(err, rundb.ErrInvalid) || done.Load() != 2 {
		t.Errorf("looked after %d runs, error %v; want 2 and that one is invalid", done.Load(), err)
	}
}

// oddDriver finds a document that is no run before all others.
type oddDriver struct{ rundb.Driver }

func (d oddDriver) Find(ctx context.Context, q *rundb.Query) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		odd, err := bson.Marshal(bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "data", Value: 5}})
		if !yield(odd, err) {
			return
		}
		d.Driver.Find(ctx, q)(yield)
	}
}

// TestFailedActionIsParked: an action that fails before anything could be written
// on a record is not tried in every cycle.
func TestFailedActionIsParked(t *testing.T) {
	l := newLab(t)
	l.cfg.Policy.Interval = time.Millisecond
	l.addRuns(1, 0)
	env := l.env("A")
	var elapsed atomic.Int64
	env.Clock.Elapsed = func() time.Duration { return time.Duration(elapsed.Load()) }
	tries := make(chan bool, 100)
	d := NewDaemon(env)
	d.Tasks = []Task{chore{"Fail", func(context.Context, *rundb.Run) error { tries <- true; return errors.New("no") }}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	<-tries
	time.Sleep(50 * time.Millisecond) // many cycles
	if n := len(tries); n > 0 {
		t.Errorf("tried %d times more while parked", n)
	}
	elapsed.Store(int64(env.Policy.BackoffMin))
	<-tries // and again when it is due
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestDaemonStops: the end of the context ends the daemon as soon as the work
// under way has ended.
func TestDaemonStops(t *testing.T) {
	l := newLab(t)
	l.addRuns(1, 0)
	d := NewDaemon(l.env("A"))
	began := make(chan bool)
	d.Tasks = []Task{chore{"Long", func(ctx context.Context, _ *rundb.Run) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	<-began
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestIdleCycleQueries: C4, R11: the number of queries of a cycle that has nothing
// to do does not depend on the number of runs, and no run is read.
func TestIdleCycleQueries(t *testing.T) {
	count := func(runs int, change ...func(*Config)) (statements []string) {
		l := newLab(t, change...)
		l.addRuns(runs, 0)
		l.trace = true
		for _, s := range []string{"A", "B"} {
			if sum := l.must(s); sum != (Summary{}) {
				t.Fatalf("%+v", sum)
			}
		}
		l.trace = false
		return l.sql
	}
	purging := func(c *Config) {
		pulls(c)
		days := 30
		c.Sites[1].Purge = &days
	}
	for name, change := range map[string]func(*Config){"push": func(*Config) {}, "pull": pulls, "pull and purge": purging} {
		t.Run(name, func(t *testing.T) {
			few, many := count(10, change), count(500, change)
			if !slices.Equal(few, many) {
				t.Errorf("%d statements for 10 runs, %d for 500", len(few), len(many))
			}
			for _, s := range many {
				if strings.Contains(s, "doc FROM runs") {
					t.Errorf("a run is read: %s", s)
				}
			}
		})
	}
}

// TestPurgedRunsAreNotLookedAt: runs that purge has made room for are not read in
// each cycle only to be left alone.
func TestPurgedRunsAreNotLookedAt(t *testing.T) {
	l := newLab(t, pulls, func(c *Config) { days := 30; c.Sites[1].Purge = &days })
	l.addRuns(50, 50)
	l.trace = true
	if sum := l.must("B"); sum != (Summary{}) {
		t.Errorf("%+v", sum)
	}
	for _, s := range l.sql {
		if strings.Contains(s, "doc FROM runs") {
			t.Errorf("old runs are read: %s", s)
		}
	}
}

// A heart is a driver whose updates fail on demand.
type heart struct {
	rundb.Driver
	fail atomic.Pointer[error]
}

func (h *heart) Update(ctx context.Context, u *rundb.Update) error {
	if err := h.fail.Load(); err != nil {
		return *err
	}
	return h.Driver.Update(ctx, u)
}

// TestLeaseEndsWork: R1: a holder whose heartbeats are not acknowledged for
// lease_lost stops by itself; one whose claim is somebody else's stops at once.
func TestLeaseEndsWork(t *testing.T) {
	for name, tc := range map[string]struct {
		err   error
		after func(Policy) time.Duration
	}{
		"database silent": {rundb.ErrTransient, func(p Policy) time.Duration { return p.LeaseLost }},
		"claim taken":     {rundb.ErrConflict, func(p Policy) time.Duration { return p.Heartbeat }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			r := l.register()
			h := &heart{Driver: l.store.Driver}
			store := &rundb.Store{Driver: h, By: "test"}
			held, err := store.Claim(t.Context(), r.ID, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "B"}, Location: "/b/x", Claim: &rundb.Claim{Kind: rundb.ClaimPush}})
			if err != nil {
				t.Fatal(err)
			}
			h.fail.Store(&tc.err)
			p := Policy{}.WithDefaults()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				clock := Clock{Elapsed: func() time.Duration { return time.Since(began) }}
				ctx, lease := hold(context.Background(), held, p, clock, zap.NewNop())
				<-ctx.Done()
				lease.stop()
				if !errors.Is(context.Cause(ctx), ErrLeaseLost) {
					t.Errorf("cause %v", context.Cause(ctx))
				}
				took, want := time.Since(began), tc.after(p)
				if took < want || took > want+5*time.Second {
					t.Errorf("ended after %v, want about %v", took, want)
				}
			})
		})
	}
}

// TestC29ZombieCannotRecord: C13, C29: who lost the claim cannot write the record.
func TestC29ZombieCannotRecord(t *testing.T) {
	l := newLab(t)
	r := l.register()
	held, err := l.store.Claim(t.Context(), r.ID, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "B"}, Location: l.site("B").DirRaw + "/" + runName, Claim: &rundb.Claim{Kind: rundb.ClaimPush}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.store.Reclaim(t.Context(), r.ID, l.raw("B"), rundb.Transferring, rundb.Claim{Kind: rundb.ClaimPush}); err != nil {
		t.Fatal(err)
	}
	w := &work{env: l.env("A"), run: r, held: held, d: Decision{What: "copy", Key: held.Key}}
	if err := w.record(t.Context(), rundb.Transferred, nil, nil); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("error %v, want that the claim was lost", err)
	}
	if b := l.raw("B"); b.Status != rundb.Transferring {
		t.Errorf("a zombie made it %s", b.Status)
	}
}

// TestFailingRemoteIsLeftAlone: what concerns a remote as a whole is met once.
func TestFailingRemoteIsLeftAlone(t *testing.T) {
	l := newLab(t, func(c *Config) {
		c.Sites[1].Method, c.Sites[1].Hostname, c.Sites[1].Port = MethodSFTP, "127.0.0.1", 1 // nobody listens there
		c.Sites[1].Parallel = 1
		c.Sites[1].KnownHosts = os.DevNull
	})
	l.addRuns(5, 5)
	sum, err := l.once("A")
	if err == nil || sum.Failed != 1 || sum.Done != 0 {
		t.Errorf("%+v, %v; want one failure, and the others left alone", sum, err)
	}
}

// TestOutageIsToldOnce: a remote that is left alone is in the log once for each time,
// and not in every cycle.
func TestOutageIsToldOnce(t *testing.T) {
	var o outages
	p := Policy{}.WithDefaults()
	failed := &transfer.Error{Op: "connect", Kind: transfer.ErrTransient}
	o.note("B", failed, p, 0)
	if o.tell("B", 1) == nil || o.tell("B", 2) != nil {
		t.Error("want it told once")
	}
	if o.of("B", 2) == nil {
		t.Error("it is left alone no more")
	}
	o.note("B", failed, p, p.BackoffMin)
	if o.tell("B", p.BackoffMin+1) == nil {
		t.Error("the second time was not told")
	}
}
