package cax

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// manyCopies puts runs on the disk of A and on record there, each last verified so
// long ago; 0: never.
func (l *lab) manyCopies(ages ...time.Duration) (names []string) {
	l.t.Helper()
	now, err := l.store.Now(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for i, age := range ages {
		name := fmt.Sprintf("1603%02d_0000", i+1)
		names = append(names, name)
		transfertest.MakeTree(l.t, l.site("A").DirRaw+"/"+name, map[string]string{"a.zip": transfertest.Random(byte(i+1), 1000)})
		r, err := l.env("A").Register(l.t.Context(), Registration{Path: l.site("A").DirRaw + "/" + name, Number: int64(i + 1)})
		if err != nil {
			l.t.Fatal(err)
		}
		c, _ := r.Copy(rundb.Key{Type: rundb.Raw, Host: "A"})
		at := any(now.Add(-age))
		if age == 0 {
			at = nil
		}
		if err := l.store.CompareAndSet(l.t.Context(), r.ID, c, bson.D{{Key: "verified_at", Value: at}}); err != nil {
			l.t.Fatal(err)
		}
	}
	return names
}

// order notes which runs are worked on, in which order.
type order struct{ names []string }

func (o *order) Begin(d Decision) (transfer.Progress, func(error)) {
	o.names = append(o.names, d.Name)
	return nil, func(error) {}
}

// scrubOf runs the task once at A with an environment.
func scrubOf(t *testing.T, env *Env) (Summary, error) {
	t.Helper()
	d := NewDaemon(env)
	d.Tasks = []Task{scrubTask{}}
	return d.Once(t.Context())
}

// TestScrubOrder: oldest verified first, never verified ones before all, and those
// that were verified lately not at all; each once.
func TestScrubOrder(t *testing.T) {
	l := newLab(t, func(cfg *Config) { cfg.Policy.Scrub = Bandwidth{BytesPerSecond: 1 << 40} })
	names := l.manyCopies(20*day, day, 40*day, 0, 16*day)
	var read order
	env := l.env("A")
	env.Monitor = &read
	if sum, err := scrubOf(t, env); err != nil || sum.Done != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if want := []string{names[3], names[2], names[0], names[4]}; !slices.Equal(read.names, want) {
		t.Errorf("read %q, want %q", read.names, want)
	}
	env = l.env("A")
	if sum, err := scrubOf(t, env); err != nil || sum != (Summary{}) {
		t.Errorf("what was just read is read again: %+v, %v", sum, err)
	}
}

// TestScrubBudget: one cycle reads no more than fits between two, and the next goes on.
func TestScrubBudget(t *testing.T) {
	l := newLab(t, func(cfg *Config) {
		cfg.Policy.Interval = time.Second
		cfg.Policy.Scrub = Bandwidth{BytesPerSecond: 1500}
	})
	names := l.manyCopies(50*day, 40*day, 30*day)
	var read order
	for _, want := range [][]string{names[:2], names} {
		env := l.env("A")
		env.Monitor = &read
		env.scrubbing.pace = newPacer(env.Clock, func(time.Time) int64 { return 1 << 40 }) // the test has no time
		if _, err := scrubOf(t, env); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(read.names, want) {
			t.Errorf("read %q, want %q", read.names, want)
		}
	}
}

// TestScrubRests: it is off by default and outside of its hours, and then costs
// nothing.
func TestScrubRests(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	night := Bandwidth{Table: []BandwidthWindow{{From: 20 * 60, To: 6 * 60, BytesPerSecond: 1 << 40}}}
	for name, tc := range map[string]struct {
		scrub Bandwidth
		at    time.Time
		done  int
	}{
		"off":       {Bandwidth{}, noon, 0},
		"at noon":   {night, noon, 0},
		"at night":  {night, noon.Add(10 * time.Hour), 1},
		"all hours": {Bandwidth{BytesPerSecond: 1 << 40}, noon, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, func(cfg *Config) { cfg.Policy.Scrub = tc.scrub })
			l.manyCopies(50 * day)
			env := l.env("A")
			env.Clock.Now = func() time.Time { return tc.at }
			l.trace = true
			sum, err := scrubOf(t, env)
			if err != nil || sum.Done != tc.done {
				t.Errorf("%+v, %v", sum, err)
			}
			if tc.done == 0 && len(l.sql) > 0 {
				t.Errorf("it asked %q", l.sql)
			}
		})
	}
}

// TestScrubLeavesClaims: a copy that somebody works on is not read.
func TestScrubLeavesClaims(t *testing.T) {
	l := newLab(t, func(cfg *Config) { cfg.Policy.Scrub = Bandwidth{BytesPerSecond: 1 << 40} })
	l.manyCopies(50*day, 40*day)
	r, err := l.store.One(t.Context(), &rundb.Query{Names: []string{"160301_0000"}})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := r.Copy(rundb.Key{Type: rundb.Raw, Host: "A"})
	owner, err := ThisProcess("A")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.store.Reclaim(t.Context(), r.ID, c, rundb.Transferred, rundb.Claim{Kind: rundb.ClaimVerify, Owner: owner}); err != nil {
		t.Fatal(err)
	}
	var read order
	env := l.env("A")
	env.Monitor = &read
	if _, err := scrubOf(t, env); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(read.names, []string{"160302_0000"}) {
		t.Errorf("read %q", read.names)
	}
}

// TestScrubFindsAndTheNextCycleHeals: Scrub tells what is damaged, and
// RetryBadChecksumTransfer fetches it again when it is due.
func TestScrubFindsAndTheNextCycleHeals(t *testing.T) {
	l := threeCopies(t, func(cfg *Config) { cfg.Policy.Scrub = Bandwidth{BytesPerSecond: 1 << 40} })
	flip(t, l.raw("C").Location+"/big.zip")
	l.set("C", bson.E{Key: "verified_at", Value: time.Now().Add(-20 * day)})
	if _, err := l.once("C"); !errors.Is(err, checksum.ErrCorrupt) {
		t.Errorf("error %v, want corrupt", err)
	}
	if got, last := l.events("C"); last.What != "damaged" {
		t.Errorf("events %q", got)
	}
	l.due("C")
	l.must("C")
	l.whole("C")
}

// TestPacer: bytes pass at the rate that holds at the time, none while it is 0, and
// waiting ends with the context.
func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		rate := func(at time.Time) int64 {
			if at.Sub(began) < time.Hour {
				return 0
			}
			return 1000
		}
		p := newPacer(Clock{}, rate)
		p.slow(t.Context(), nil).Moved(5000)
		if took := time.Since(began); took < time.Hour+4*time.Second || took > time.Hour+6*time.Second {
			t.Errorf("5000 bytes at 1000 a second, after an hour of rest, took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.wait(ctx, 1<<40)
		if took := time.Since(began); took > time.Hour+8*time.Second {
			t.Errorf("it waited until %v after its context had ended", took)
		}
	})
	if p := (*pacer)(nil).slow(t.Context(), nil); p != nil {
		t.Error("no pacer slows nothing")
	}
}

func TestVerifiedShare(t *testing.T) {
	l := newLab(t)
	l.manyCopies(5*day, 20*day, 40*day, 0)
	got, err := l.env("B").VerifiedShare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []SiteShare{{Site: "A", Type: rundb.Raw, Copies: 4, Bytes: 4000, VerifiedCopies: 2, VerifiedBytes: 2000}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got[0].Share() != 0.5 || (SiteShare{}).Share() != 1 || (SiteShare{Copies: 4, VerifiedCopies: 1}).Share() != 0.25 {
		t.Errorf("share %v", got[0].Share())
	}
}
