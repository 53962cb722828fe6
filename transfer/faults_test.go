package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/local"
	"github.com/cax-go/cax/transfer/transfertest"
	"golang.org/x/time/rate"
)

// faulty makes both sides of a job faulty. disk tells whether the target is seen
// as this machine's disk, or as a remote place.
func faulty(j *transfer.Job, source, target transfertest.Faults, disk bool) *transfertest.Counter {
	c := &transfertest.Counter{}
	j.Source.Backend = transfertest.NewFaulty(local.New(nil), source, c)
	t := transfertest.NewFaulty(local.New(nil), target, c)
	if j.Target.Backend = t; disk {
		j.Target.Backend = transfertest.FaultyDisk{Faulty: t}
	}
	return c
}

// TestFailAtEachOperation: whichever operation fails, or sees the end of the
// context, nothing but the whole dataset is ever under the final name, and the
// next try completes it.
func TestFailAtEachOperation(t *testing.T) {
	errBroken := errors.New("broken")
	dir := t.TempDir() + "/run"
	files := map[string]string{"a": "alpha", "sub/b": "beta", "hollow/": "", "big": transfertest.Random(1, 1<<20+5)}
	transfertest.MakeTree(t, dir, files)
	known, err := checksum.MakeManifest(t.Context(), dir, &checksum.ManifestOptions{Algorithms: []checksum.Algorithm{checksum.XXH3_128}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name    string
		disk    bool
		prepare func(t *testing.T, j *transfer.Job) // what was there before
		short   string                              // the only mode, where not all are run
	}{
		{name: "to a disk", disk: true, short: "cancel"},
		{name: "to a remote place"},
		{name: "read back", disk: true, short: "error", prepare: func(_ *testing.T, j *transfer.Job) { j.ReadBack = true }},
		{name: "without manifest", short: "error", prepare: func(_ *testing.T, j *transfer.Job) { j.Manifest = nil }},
		{name: "going on", short: "error", prepare: func(t *testing.T, j *transfer.Job) { interrupt(t, *j, "0000"); j.Continue = []string{"0000"} }},
		{name: "adopting", disk: true, prepare: func(t *testing.T, j *transfer.Job) { interrupt(t, *j, "0000"); j.Adopt = []string{"0000"} }},
		{name: "target taken", disk: true, prepare: func(t *testing.T, j *transfer.Job) {
			transfertest.MakeTree(t, j.Target.Path, map[string]string{"a": "other"})
		}},
	} {
		for mode, hit := range map[string]func(cancel func()) error{
			"error":  func(func()) error { return errBroken },
			"cancel": func(cancel func()) error { cancel(); return nil },
		} {
			if tc.short != "" && tc.short != mode && !transfertest.Long() {
				continue
			}
			t.Run(tc.name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				total := 0
				for n := 0; ; n++ {
					j, from, to := sites(t, files)
					j.Manifest = known
					if tc.prepare != nil {
						tc.prepare(t, &j)
					}
					clean := j
					ctx, cancel := context.WithCancel(t.Context())
					before := func(_ context.Context, op transfertest.Op) error {
						if op.N == n {
							return hit(cancel)
						}
						return nil
					}
					count := faulty(&j, transfertest.Faults{Before: before}, transfertest.Faults{Before: before}, tc.disk)
					c := &transfer.Copier{Parallel: 1}
					_, err := c.Copy(ctx, j)
					cancel()
					if total = count.Count(); total <= n {
						if err != nil {
							t.Errorf("nothing failed, and yet: %v", err)
						}
						break
					}
					if err != nil && !errors.Is(err, errBroken) && !errors.Is(err, context.Canceled) {
						t.Errorf("operation %d: error %v", n, err)
					}
					if _, serr := os.Lstat(to); serr == nil && !(tc.name == "target taken" && err != nil) {
						transfertest.SameTree(t, from, to)
					}
					if _, err := c.Copy(t.Context(), clean); err != nil {
						t.Fatalf("operation %d failed with %v; the next try: %v", n, err, err)
					}
					transfertest.SameTree(t, from, to)
					onlyTargetAndAside(t, to)
					if t.Failed() {
						t.Fatalf("at operation %d", n)
					}
				}
				if total < 15 {
					t.Errorf("only %d operations", total)
				}
			})
		}
	}
}

// interrupt copies up to the commit and stops there.
func interrupt(t *testing.T, j transfer.Job, claim string) {
	t.Helper()
	stop := errors.New("stop here")
	j.Claim = claim
	j.BeforeCommit = func(context.Context) error { return stop }
	if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, stop) {
		t.Fatalf("error %v", err)
	}
}

func onlyTargetAndAside(t *testing.T, to string) {
	t.Helper()
	es, err := os.ReadDir(filepath.Dir(to))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		if e.Name() != filepath.Base(to) && !strings.Contains(e.Name(), ".cax-aside-") {
			t.Errorf("%s was left", e.Name())
		}
	}
}

// flip flips a bit of the byte at an offset of the file with a base name.
func flip(name string, at int64) func(p string, off int64, b []byte) {
	return func(p string, off int64, b []byte) {
		if path.Base(p) == name && off <= at && at < off+int64(len(b)) {
			b[at-off] ^= 4
		}
	}
}

// TestFlippedByte: a byte that is wrong at the source, on the way in, or on the
// way out to a disk that is read back is never committed, and is told with the
// name of its file.
func TestFlippedByte(t *testing.T) {
	read := func(name string, at int64) transfertest.Faults {
		f := flip(name, at)
		return transfertest.Faults{Read: func(p string, off int64, b []byte, n int, err error) (int, error) {
			f(p, off, b[:n])
			return n, err
		}}
	}
	for name, tc := range map[string]struct {
		source, target transfertest.Faults
		readBack       bool
		file           string
	}{
		"read, first byte":                {source: read("big", 0), file: "/big"},
		"read, middle of a large file":    {source: read("big", 2<<20+1), file: "/big"},
		"read, last byte of a small file": {source: read("b", 3), file: "/sub/b"},
		"written, and read back":          {target: transfertest.Faults{Write: flip("big", 2<<20)}, readBack: true, file: "big: "},
		"written small, and read back":    {target: transfertest.Faults{Write: flip("a", 0)}, readBack: true, file: "a: "},
	} {
		for _, disk := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, disk %v", name, disk), func(t *testing.T) {
				j, from, to := sites(t, some)
				j.ReadBack = tc.readBack
				clean := j
				faulty(&j, tc.source, tc.target, disk)
				_, err := new(transfer.Copier).Copy(t.Context(), j)
				if !errors.Is(err, transfer.ErrCorrupt) {
					t.Errorf("error %v, want ErrCorrupt", err)
				}
				if err != nil && !strings.Contains(err.Error(), tc.file) {
					t.Errorf("the error does not name the file: %v", err)
				}
				if _, err := os.Lstat(to); err == nil {
					t.Error("it was committed")
				}
				if _, err := new(transfer.Copier).Copy(t.Context(), clean); err != nil {
					t.Fatal(err)
				}
				transfertest.SameTree(t, from, to)
			})
		}
	}
}

// TestReads: readers that give few bytes at a time are read to their end; those
// that end early, or go on, fail the copy.
func TestReads(t *testing.T) {
	for name, tc := range map[string]struct {
		read func(p string, off int64, b []byte, n int, err error) (int, error)
		want error
	}{
		"short": {},
		"early end": {want: transfer.ErrSourceChanged, read: func(p string, off int64, b []byte, n int, err error) (int, error) {
			if path.Base(p) == "big" && off+int64(n) > 2<<20 {
				return 0, io.EOF
			}
			return n, err
		}},
		"early end of a small file": {want: transfer.ErrSourceChanged, read: func(p string, off int64, b []byte, n int, err error) (int, error) {
			if path.Base(p) == "a" {
				return 0, io.EOF
			}
			return n, err
		}},
		"an error": {want: iotest.ErrTimeout, read: func(p string, off int64, b []byte, n int, err error) (int, error) {
			if path.Base(p) == "big" && off > 0 {
				return 0, iotest.ErrTimeout
			}
			return n, err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			j, from, to := sites(t, some)
			clean := j
			faulty(&j, transfertest.Faults{Read: tc.read, Short: tc.read == nil}, transfertest.Faults{}, false)
			_, err := new(transfer.Copier).Copy(t.Context(), j)
			if tc.want == nil && err != nil || !errors.Is(err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			if err != nil {
				if _, err := os.Lstat(to); err == nil {
					t.Error("it was committed")
				}
			}
			if _, err := new(transfer.Copier).Copy(t.Context(), clean); err != nil {
				t.Fatal(err)
			}
			transfertest.SameTree(t, from, to)
		})
	}
}

// TestSourceChanges: a source that does not stay what it was while it is copied
// is not committed.
func TestSourceChanges(t *testing.T) {
	for name, change := range map[string]func(from string) error{
		"grows":        func(f string) error { return appendTo(f+"/big", "x") },
		"shrinks":      func(f string) error { return os.Truncate(f+"/big", 1<<20) },
		"is touched":   func(f string) error { now := time.Now().Add(time.Hour); return os.Chtimes(f+"/a", now, now) },
		"vanishes":     func(f string) error { return os.RemoveAll(f) },
		"loses a file": func(f string) error { return os.Remove(f + "/sub/b") },
		"gets a file":  func(f string) error { return os.WriteFile(f+"/new", nil, 0o644) },
	} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, manifest %v", name, known), func(t *testing.T) {
				j, from, to := sites(t, some)
				if !known {
					j.Manifest = nil
				}
				var once atomic.Bool
				faulty(&j, transfertest.Faults{Before: func(_ context.Context, op transfertest.Op) error {
					if op.Name == "Read" && path.Base(op.Path) == "big" && once.CompareAndSwap(false, true) {
						return change(from)
					}
					return nil
				}}, transfertest.Faults{}, false)
				_, err := new(transfer.Copier).Copy(t.Context(), j)
				if !errors.Is(err, transfer.ErrSourceChanged) && !errors.Is(err, transfer.ErrNotExist) {
					t.Errorf("error %v, want ErrSourceChanged or ErrNotExist", err)
				}
				if _, err := os.Lstat(to); err == nil {
					t.Error("it was committed")
				}
			})
		}
	}
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func TestFullDisk(t *testing.T) {
	j, from, to := sites(t, some)
	clean := j
	faulty(&j, transfertest.Faults{}, transfertest.Faults{Space: 1 << 20}, false)
	if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, transfer.ErrNoSpace) {
		t.Errorf("error %v, want ErrNoSpace", err)
	}
	if _, err := new(transfer.Copier).Copy(t.Context(), clean); err != nil {
		t.Fatal(err)
	}
	transfertest.SameTree(t, from, to)
}

// TestStall: an operation that hangs ends the copy with ErrStalled where it obeys
// its context, and also with ErrLingering where it does not.
func TestStall(t *testing.T) {
	for name, obeys := range map[string]bool{"obeys": true, "does not": false} {
		t.Run(name, func(t *testing.T) {
			j, from, to := sites(t, some)
			clean := j
			free := make(chan struct{})
			faulty(&j, transfertest.Faults{}, transfertest.Faults{Before: func(ctx context.Context, op transfertest.Op) error {
				if op.Name != "Create" || path.Base(op.Path) != "big" {
					return nil
				}
				if obeys {
					<-ctx.Done()
					return ctx.Err()
				}
				<-free
				return nil
			}}, false)
			_, err := (&transfer.Copier{Stall: 100 * time.Millisecond}).Copy(t.Context(), j)
			if !errors.Is(err, transfer.ErrStalled) || errors.Is(err, transfer.ErrLingering) == obeys {
				t.Errorf("error %v", err)
			}
			close(free)
			clean.Claim, clean.Adopt = "0002", []string{"0001"}
			if _, err := new(transfer.Copier).Copy(t.Context(), clean); err != nil {
				t.Fatal(err)
			}
			transfertest.SameTree(t, from, to)
		})
	}
}

// TestLimit: no more passes than the limit allows. The limiter has a burst and
// never refills, so what passed can be counted.
func TestLimit(t *testing.T) {
	j, _, _ := sites(t, some)
	limit := rate.NewLimiter(0, 2<<20)
	var read atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	faulty(&j, transfertest.Faults{}, transfertest.Faults{Write: func(_ string, _ int64, p []byte) {
		if read.Add(int64(len(p))) >= 1<<20 {
			cancel() // what may pass has passed, or nearly
		}
	}}, false)
	defer cancel()
	_, err := (&transfer.Copier{Limit: limit, Stall: time.Second}).Copy(ctx, j)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if n := read.Load(); n > 2<<20+1<<10 { // the journal does not count
		t.Errorf("%d bytes passed, the limit is %d", n, 2<<20)
	}
}

// TestResumeInsideFile: a large file goes on where the journal says, and the part
// before is not sent again.
func TestResumeInsideFile(t *testing.T) {
	const size, every = 136 << 20, 64 << 20
	from, to := t.TempDir()+"/run", t.TempDir()+"/run"
	piece := transfertest.Random(3, 1<<20)
	transfertest.MakeTree(t, from, map[string]string{"a": "alpha"})
	f, err := os.Create(from + "/large")
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(size >> 20) {
		if i%8 == 0 { // the rest is a hole
			if _, err := f.WriteAt([]byte(piece), i<<20); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	m, err := checksum.MakeManifest(t.Context(), from, &checksum.ManifestOptions{Algorithms: []checksum.Algorithm{checksum.XXH3_128}})
	if err != nil {
		t.Fatal(err)
	}
	for name, disk := range map[string]bool{"to a disk": true, "to a remote place": false} {
		if disk && !transfertest.Long() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			target := to + name
			j := transfer.Job{Source: transfer.Location{Backend: local.New(nil), Path: from}, Target: transfer.Location{Path: target},
				Claim: "0001", Manifest: m}
			clean := j
			clean.Target.Backend = local.New(nil)
			// Bytes beyond the journalled offset are spoilt: they must not count.
			faulty(&j, transfertest.Faults{}, transfertest.Faults{
				Write: func(p string, off int64, b []byte) {
					if off >= every {
						clear(b)
						copy(b, "spoilt")
					}
				},
				Space: 100 << 20,
			}, disk)
			if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, transfer.ErrNoSpace) {
				t.Fatalf("error %v, want ErrNoSpace", err)
			}
			res, err := new(transfer.Copier).Copy(t.Context(), clean)
			if err != nil {
				t.Fatal(err)
			}
			if res.Sent > size-every+10 || res.Sent == 0 || !res.Resumed {
				t.Errorf("sent %d bytes again of %d", res.Sent, size)
			}
			same, err := sameFile(from+"/large", target+"/large")
			if err != nil || !same {
				t.Errorf("the copy differs (%v)", err)
			}
		})
	}
}

func sameFile(a, b string) (bool, error) {
	x, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	y, err := os.ReadFile(b)
	return bytes.Equal(x, y), err
}

// TestZombieCannotMoveAside: somebody whose claim is gone does not touch what
// stands at the target, even if that is to be replaced without being looked at.
func TestZombieCannotMoveAside(t *testing.T) {
	j, from, to := sites(t, some)
	transfertest.MakeTree(t, to, some)
	lost := errors.New("the claim is gone")
	j.Suspect, j.Manifest = true, nil
	j.BeforeCommit = func(context.Context) error { return lost }
	if _, err := new(transfer.Copier).Copy(t.Context(), j); !errors.Is(err, lost) {
		t.Errorf("error %v", err)
	}
	transfertest.SameTree(t, from, to)
	nothingElse(t, filepath.Dir(to), "160315_1432")
}
