package rucio_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/transfer"
)

// A downloadWorld has a dataset at two RSEs.
type downloadWorld struct {
	*world
	dir string
	st  *stage
}

func newDownload(t *testing.T, sizes ...int) *downloadWorld {
	t.Helper()
	w := newWorld(t, sizes...)
	w.upload(t, ruciotest.RSEA)
	w.upload(t, ruciotest.RSEB)
	return &downloadWorld{world: w, dir: t.TempDir(), st: &stage{}}
}

func (w *downloadWorld) name(i int) string { return filepath.Base(w.job.Files[i].Path) }

func (w *downloadWorld) local(i int) string { return filepath.Join(w.dir, "raw", w.name(i)) }

func (w *downloadWorld) fetch(t *testing.T, change ...func(*rucio.Downloader, *rucio.Download)) (*rucio.DownloadResult, error) {
	t.Helper()
	d := &rucio.Downloader{Client: w.client(t), Open: w.st.open, Parallel: 1}
	job := rucio.Download{DID: w.job.Dataset, Dir: w.dir}
	for _, f := range change {
		f(d, &job)
	}
	return d.Download(t.Context(), job)
}

// right fails the test unless all files are there as they have to be, and nothing else.
func (w *downloadWorld) right(t *testing.T) {
	t.Helper()
	for name, want := range w.bytes {
		if got, err := os.ReadFile(filepath.Join(w.dir, "raw", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if all, err := os.ReadDir(filepath.Join(w.dir, "raw")); err != nil || len(all) != len(w.bytes) {
		t.Errorf("%v, %v", all, err)
	}
}

func TestDownload(t *testing.T) {
	w := newDownload(t, 10, 0, 5000)
	res, err := w.fetch(t)
	if err != nil || res.Moved != 5010 || res.Bytes != 5010 || res.Failed != 0 || len(res.Files) != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	w.right(t)
	for _, f := range res.Files {
		if f.State != rucio.Fetched || f.Bytes > 0 && !slices.Equal(f.RSE, []string{ruciotest.RSEA}) {
			t.Errorf("%+v", f)
		}
	}
	n := w.st.n
	res, err = w.fetch(t)
	if err != nil || res.Moved != 0 || res.Files[0].State != rucio.There || w.st.n != n {
		t.Errorf("the second time: %+v, %v", res, err)
	}
}

// The layout is that of the Python client.
func TestDownloadWhere(t *testing.T) {
	w := newDownload(t, 10)
	box := rucio.DID{Scope: ruciotest.Scope, Name: "box"}
	c := w.client(t)
	if err := errors.Join(c.AddDID(t.Context(), rucio.NewDID{DID: box, Type: rucio.Container}), c.Attach(t.Context(), box, []rucio.DID{w.job.Dataset})); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		did  rucio.DID
		flat bool
		want string
	}{
		{"dataset", w.job.Dataset, false, "raw/" + w.name(0)},
		{"dataset, flat", w.job.Dataset, true, w.name(0)},
		{"file", w.did(w.name(0)), false, ruciotest.Scope + "/" + w.name(0)},
		{"container", box, false, "raw/" + w.name(0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			res, err := w.fetch(t, func(_ *rucio.Downloader, j *rucio.Download) { j.DID, j.Flat, j.Dir = tt.did, tt.flat, dir })
			if err != nil || len(res.Files) != 1 || res.Files[0].Path != filepath.Join(dir, tt.want) {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	if _, err := w.fetch(t, func(_ *rucio.Downloader, j *rucio.Download) { j.DID.Name = "none" }); !errors.Is(err, rucio.ErrNotExist) {
		t.Errorf("unknown: %v", err)
	}
}

// A10: the original printed nothing and exited with 0 after its last try. Files that are
// not to be had are errors, those that are come all the same, and the result tells which.
func TestA10PartOfADataset(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*testing.T, *downloadWorld)
		want  error
	}{
		{"gone from the storage", func(t *testing.T, w *downloadWorld) {
			for _, rse := range []string{ruciotest.RSEA, ruciotest.RSEB} {
				if err := os.Remove(w.at(rse, w.name(1))); err != nil {
					t.Fatal(err)
				}
			}
		}, rucio.ErrNotExist},
		{"no replica in the catalogue", func(_ *testing.T, w *downloadWorld) {
			w.srv.SetReplica(ruciotest.RSEA, ruciotest.Scope, w.name(1), "")
			w.srv.SetReplica(ruciotest.RSEB, ruciotest.Scope, w.name(1), "")
		}, rucio.ErrUnavailable},
		{"no replica that is available", func(_ *testing.T, w *downloadWorld) {
			w.srv.SetReplica(ruciotest.RSEA, ruciotest.Scope, w.name(1), "COPYING")
			w.srv.SetReplica(ruciotest.RSEB, ruciotest.Scope, w.name(1), "BAD")
		}, rucio.ErrUnavailable},
		{"damaged everywhere", func(t *testing.T, w *downloadWorld) {
			for _, rse := range []string{ruciotest.RSEA, ruciotest.RSEB} {
				if err := os.WriteFile(w.at(rse, w.name(1)), bytes.Repeat([]byte("x"), 20), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}, rucio.ErrCorrupt},
		{"empty everywhere", func(t *testing.T, w *downloadWorld) {
			for _, rse := range []string{ruciotest.RSEA, ruciotest.RSEB} {
				if err := os.Truncate(w.at(rse, w.name(1)), 0); err != nil {
					t.Fatal(err)
				}
			}
		}, nil},
		{"without a checksum", func(_ *testing.T, w *downloadWorld) { w.srv.SetChecksums(ruciotest.Scope, w.name(1), 20, "", "") }, rucio.ErrCorrupt},
		{"another one lies here", func(t *testing.T, w *downloadWorld) {
			if err := errors.Join(os.MkdirAll(filepath.Dir(w.local(1)), 0o755), os.WriteFile(w.local(1), []byte("mine"), 0o644)); err != nil {
				t.Fatal(err)
			}
		}, rucio.ErrConflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newDownload(t, 10, 20, 30)
			tt.spoil(t, w)
			res, err := w.fetch(t)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if !strings.Contains(err.Error(), w.name(1)) || strings.Contains(err.Error(), w.name(0)) {
				t.Errorf("it does not name the file: %v", err)
			}
			if res == nil || res.Failed != 1 || len(res.Files) != 2 || res.Files[0].Name != w.name(0) || res.Files[1].Name != w.name(2) {
				t.Errorf("%+v", res)
			}
			if tt.want == rucio.ErrConflict {
				if got, err := os.ReadFile(w.local(1)); err != nil || string(got) != "mine" {
					t.Errorf("%q, %v", got, err)
				}
			} else if _, err := os.Stat(w.local(1)); !errors.Is(err, os.ErrNotExist) {
				t.Error("it has its name")
			}
		})
	}
}

// Bytes may come without a checksum where the caller says so, and replace others where he
// says that.
func TestDownloadAsTold(t *testing.T) {
	w := newDownload(t, 10, 20)
	w.srv.SetChecksums(ruciotest.Scope, w.name(0), 10, "", "")
	if err := errors.Join(os.MkdirAll(filepath.Dir(w.local(1)), 0o755), os.WriteFile(w.local(1), []byte("mine"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.fetch(t, func(_ *rucio.Downloader, j *rucio.Download) { j.Unchecked, j.Overwrite = true, true }); err != nil {
		t.Fatal(err)
	}
	w.right(t)
}

// One RSE after the other is tried, also in the middle of a file.
func TestDownloadFailsOver(t *testing.T) {
	atA := func(w *downloadWorld, pfn string) bool {
		return strings.Contains(pfn, w.srv.Folder(ruciotest.RSEA))
	}
	broken := &transfer.Error{Op: "read", Kind: transfer.ErrTransient}
	for _, tt := range []struct {
		name  string
		spoil func(*testing.T, *downloadWorld)
		want  []string // RSEs of the first file
	}{
		{"gone from the nearest", func(t *testing.T, w *downloadWorld) {
			if err := os.RemoveAll(w.srv.Folder(ruciotest.RSEA)); err != nil {
				t.Fatal(err)
			}
		}, []string{ruciotest.RSEB}},
		{"damaged at the nearest", func(t *testing.T, w *downloadWorld) {
			if err := os.WriteFile(w.at(ruciotest.RSEA, w.name(0)), bytes.Repeat([]byte("x"), 5000), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{ruciotest.RSEB}},
		{"short at the nearest", func(t *testing.T, w *downloadWorld) {
			if err := os.Truncate(w.at(ruciotest.RSEA, w.name(0)), 2500); err != nil {
				t.Fatal(err)
			}
		}, []string{ruciotest.RSEA, ruciotest.RSEB}},
		{"short and damaged at the nearest", func(t *testing.T, w *downloadWorld) {
			if err := os.WriteFile(w.at(ruciotest.RSEA, w.name(0)), bytes.Repeat([]byte("x"), 2500), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{ruciotest.RSEB}},
		{"longer at the nearest", func(t *testing.T, w *downloadWorld) {
			if err := os.WriteFile(w.at(ruciotest.RSEA, w.name(0)), append(bytes.Clone(w.bytes[w.name(0)]), 'x'), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{ruciotest.RSEB}},
		{"the nearest breaks off", func(_ *testing.T, w *downloadWorld) {
			w.st.before = func(_ int, op, pfn string) error {
				if n := w.st.n; op == "read" && n%4 == 0 && atA(w, pfn) {
					return broken
				}
				return nil
			}
		}, []string{ruciotest.RSEA, ruciotest.RSEB}},
		{"the nearest is away", func(_ *testing.T, w *downloadWorld) {
			w.st.before = func(_ int, _, pfn string) error {
				if atA(w, pfn) {
					return broken
				}
				return nil
			}
		}, []string{ruciotest.RSEB}},
		{"bytes change on the way from the nearest", func(_ *testing.T, w *downloadWorld) {
			w.st.spoil = func(pfn string, p []byte, at int64) {
				if at == 3000 && atA(w, pfn) {
					p[7] ^= 2
				}
			}
		}, []string{ruciotest.RSEB}},
		{"the nearest does not read from the middle", func(t *testing.T, w *downloadWorld) {
			w.st.noOffset = true
			if err := errors.Join(os.MkdirAll(filepath.Dir(w.local(0)), 0o755), os.WriteFile(w.local(0)+".part", w.bytes[w.name(0)][:777], 0o644)); err != nil {
				t.Fatal(err)
			}
		}, []string{ruciotest.RSEA}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newDownload(t, 5000, 0)
			tt.spoil(t, w)
			res, err := w.fetch(t)
			if err != nil {
				t.Fatal(err)
			}
			w.right(t)
			if got := res.Files[0].RSE; !slices.Equal(got, tt.want) {
				t.Errorf("it came from %v, want %v", got, tt.want)
			}
		})
	}
}

// An RSE that is away is asked twice, and then left for the end.
func TestDownloadRemembersWhoIsAway(t *testing.T) {
	w := newDownload(t, slices.Repeat([]int{10}, 20)...)
	asked := 0
	w.st.before = func(_ int, op, pfn string) error {
		if !strings.Contains(pfn, w.srv.Folder(ruciotest.RSEA)) {
			return nil
		}
		asked++
		return &transfer.Error{Op: op, Kind: transfer.ErrStalled}
	}
	if _, err := w.fetch(t); err != nil {
		t.Fatal(err)
	}
	w.right(t)
	if asked > 3 {
		t.Errorf("asked %d times", asked)
	}
}

// A part that an earlier call left is taken up, if it is right.
func TestDownloadResumes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		part  func([]byte) []byte
		moved int64 // at most
	}{
		{"right", func(b []byte) []byte { return b[:4000] }, 1000},
		{"complete", bytes.Clone, 0},
		{"wrong", func(b []byte) []byte { return bytes.Repeat([]byte("x"), 4000) }, 6000},
		{"wrong and complete", func(b []byte) []byte { return bytes.Repeat([]byte("x"), 5000) }, 5000},
		{"too long", func(b []byte) []byte { return append(bytes.Clone(b), 'x') }, 5000},
		{"empty", func([]byte) []byte { return nil }, 5000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newDownload(t, 5000)
			if err := errors.Join(os.MkdirAll(filepath.Dir(w.local(0)), 0o755), os.WriteFile(w.local(0)+".part", tt.part(w.bytes[w.name(0)]), 0o644)); err != nil {
				t.Fatal(err)
			}
			var p counted
			if _, err := w.fetch(t, func(_ *rucio.Downloader, j *rucio.Download) { j.Progress = &p }); err != nil {
				t.Fatal(err)
			}
			w.right(t)
			if p.moved > tt.moved {
				t.Errorf("%d bytes were moved, want at most %d", p.moved, tt.moved)
			}
		})
	}
}

type counted struct{ moved int64 }

func (c *counted) Start(int, int64) {}
func (c *counted) Moved(n int64)    { c.moved += n }
func (c *counted) Skipped(int64)    {}
func (c *counted) File(string)      {}

// Downloads that are killed at each operation go on where they were.
func TestKilledDownload(t *testing.T) {
	w := newDownload(t, 5000, 0, 7)
	if _, err := w.fetch(t); err != nil {
		t.Fatal(err)
	}
	operations := w.st.n
	for k := 1; k <= operations; k++ {
		w.dir = t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		w.st = &stage{before: func(int, string, string) error {
			if n++; n >= k {
				cancel()
				return errKilled
			}
			return nil
		}}
		d := &rucio.Downloader{Client: w.client(t), Open: w.st.open, Parallel: 1}
		if _, err := d.Download(ctx, rucio.Download{DID: w.job.Dataset, Dir: w.dir}); err == nil {
			t.Errorf("%d: it was not killed", k)
		}
		cancel()
		w.st = &stage{}
		if _, err := w.fetch(t); err != nil {
			t.Errorf("%d: %v", k, err)
		}
		w.right(t)
	}
}

// Only one download at a time writes a part.
func TestDownloadOfTwo(t *testing.T) {
	w := newDownload(t, 5000)
	other := w.st
	entered, leave := make(chan bool), make(chan bool)
	w.st = &stage{before: func(n int, op, _ string) error {
		if op == "get" {
			entered <- true
			<-leave
		}
		return nil
	}}
	first := make(chan error, 1)
	d := &rucio.Downloader{Client: w.client(t), Open: w.st.open}
	go func() {
		_, err := d.Download(t.Context(), rucio.Download{DID: w.job.Dataset, Dir: w.dir})
		first <- err
	}()
	<-entered
	w.st = other
	if _, err := w.fetch(t); !errors.Is(err, rucio.ErrTransient) {
		t.Errorf("the second: %v", err)
	}
	leave <- true
	if err := <-first; err != nil {
		t.Error(err)
	}
	w.right(t)
}

// Tape is read where it is allowed.
func TestDownloadFromTape(t *testing.T) {
	w := newDownload(t, 10)
	for _, rse := range []string{ruciotest.RSEA, ruciotest.RSEB} {
		w.srv.ChangeRSE(rse, func(r *ruciotest.FakeRSE) { r.Type = "TAPE" })
	}
	if _, err := w.fetch(t); !errors.Is(err, rucio.ErrUnavailable) || !strings.Contains(err.Error(), "tape") {
		t.Errorf("got %v", err)
	}
	if _, err := w.fetch(t, func(d *rucio.Downloader, _ *rucio.Download) { d.Tape = true }); err != nil {
		t.Error(err)
	}
	w.right(t)
}

// An expression bounds where bytes come from.
func TestDownloadFromOneRSE(t *testing.T) {
	w := newDownload(t, 10)
	res, err := w.fetch(t, func(_ *rucio.Downloader, j *rucio.Download) { j.RSE = ruciotest.RSEB })
	if err != nil || !slices.Equal(res.Files[0].RSE, []string{ruciotest.RSEB}) {
		t.Errorf("%+v, %v", res, err)
	}
	w.srv.SetReplica(ruciotest.RSEB, ruciotest.Scope, w.name(0), "")
	w.dir = t.TempDir()
	if _, err := w.fetch(t, func(_ *rucio.Downloader, j *rucio.Download) { j.RSE = ruciotest.RSEB }); !errors.Is(err, rucio.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Lists that are cut are asked for again; one that is cut always is no list.
func TestDownloadThroughCutLists(t *testing.T) {
	for _, fault := range []ruciotest.Fault{ruciotest.CutInLine, ruciotest.Busy, ruciotest.CutAfter, ruciotest.Trickle, ruciotest.StallInLine} {
		w := newDownload(t, 10, 0, 30)
		cfg := rucio.Config{Host: w.srv.URL, Account: "ruciax", Backoff: time.Millisecond, Stall: 100 * time.Millisecond,
			Auth: rucio.Userpass{Username: w.srv.Admin.Username, Password: w.srv.Admin.Password}}
		d := &rucio.Downloader{Client: client(t, cfg)}
		w.srv.Fail(2, fault, func(r ruciotest.Request) bool { return r.Path == "/replicas/list" })
		if _, err := d.Download(t.Context(), rucio.Download{DID: w.job.Dataset, Dir: w.dir}); err != nil {
			t.Errorf("fault %d: %v", fault, err)
		}
		w.right(t)
		if fault == ruciotest.Trickle {
			continue
		}
		w.srv.Fail(-1, fault, func(r ruciotest.Request) bool { return strings.HasSuffix(r.Path, "/files") })
		if _, err := d.Download(t.Context(), rucio.Download{DID: w.job.Dataset, Dir: w.dir}); !errors.Is(err, rucio.ErrTransient) {
			t.Errorf("fault %d always: %v", fault, err)
		}
	}
}

// Tokens that end in the middle, again and again, are renewed.
func TestTransfersWhileTokensEnd(t *testing.T) {
	w := newWorld(t, 10, 20)
	seen := map[string]bool{}
	w.srv.Fail(-1, ruciotest.NoFault, func(r ruciotest.Request) bool {
		if !seen[r.Path] && !strings.HasSuffix(r.Path, "/meta") { // of which several are under way
			seen[r.Path] = true
			w.srv.ExpireTokens()
		}
		return false
	})
	c := w.client(t)
	if _, err := (&rucio.Uploader{Client: c}).Upload(t.Context(), w.job); err != nil {
		t.Fatal(err)
	}
	w.complete(t, ruciotest.RSEA)
	if _, err := (&rucio.Downloader{Client: c}).Download(t.Context(), rucio.Download{DID: w.job.Dataset, Dir: w.dir}); err != nil {
		t.Fatal(err)
	}
	for name, want := range w.bytes {
		if got, err := os.ReadFile(filepath.Join(w.dir, "raw", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	logins := 0
	for _, r := range w.srv.Requests() {
		if r.Path == "/auth/userpass" {
			logins++
		}
	}
	if logins < 3 {
		t.Errorf("%d logins: the tokens did not end", logins)
	}
}

// OpenedDataset gives all files of a dataset, verifies what it reads, and says of those
// that are nowhere that they are.
func TestOpenedDataset(t *testing.T) {
	w := newDownload(t, 5000, 10, 20)
	w.srv.SetReplica(ruciotest.RSEA, ruciotest.Scope, w.name(1), "COPYING")
	w.srv.SetReplica(ruciotest.RSEB, ruciotest.Scope, w.name(1), "")
	if err := os.WriteFile(w.at(ruciotest.RSEA, w.name(2)), bytes.Repeat([]byte("x"), 20), 0o644); err != nil {
		t.Fatal(err)
	}
	o, err := rucio.OpenDataset(t.Context(), &rucio.Downloader{Client: w.client(t)}, w.job.Dataset, "")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if n := len(o.Files()); n != 3 {
		t.Errorf("%d files", n)
	}
	for i, want := range []error{nil, rucio.ErrUnavailable, rucio.ErrCorrupt} {
		r, err := o.Open(t.Context(), w.name(i), 0)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", w.name(i), err, want)
		}
	}
	if err := o.Check(t.Context(), w.name(1)); !errors.Is(err, rucio.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := o.Check(t.Context(), w.name(0)); err != nil {
		t.Error(err)
	}
	r, err := o.Open(t.Context(), w.name(0), 4990)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, w.bytes[w.name(0)][4990:]) {
		t.Errorf("%q, %v", b, err)
	}
}
