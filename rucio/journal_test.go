package rucio_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
)

// interrupted uploads with a journal and is killed at the n-th file's renaming, or, with
// told, after the catalogue was told.
func interrupted(t *testing.T, w *world, dir string, n int, told bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	st := &stage{before: func(_ int, op, _ string) error {
		if op == "rename" {
			if n--; n < 0 {
				cancel()
			}
		}
		if ctx.Err() != nil {
			return errKilled
		}
		return nil
	}}
	if told {
		w.srv.Fail(-1, ruciotest.CutBefore, func(r ruciotest.Request) bool {
			if r.Path == "/dids/attachments" {
				cancel()
			}
			return r.Path == "/dids/attachments"
		})
		defer w.srv.Recover()
	}
	if _, err := (&rucio.Uploader{Client: w.client(t), Open: st.open, Parallel: 1, Journal: dir}).Upload(ctx, w.job); err == nil {
		t.Fatal("it was not killed")
	}
}

// With a journal the next call does not read again what was sent, and the journal goes
// with the end of the upload.
func TestJournalSparesReading(t *testing.T) {
	w, dir := newWorld(t, 10, 20, 30), t.TempDir()
	interrupted(t, w, dir, 2, false)
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	// Cut as a kill in the middle of a write leaves it.
	f, err := os.OpenFile(filepath.Join(dir, found[0].Name()), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"path":"/x","na`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	// A file of the same size and time with other bytes: who does not read does not see it.
	first := w.job.Files[0].Path
	info, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(first, []byte("other text"), 0o644), os.Chtimes(first, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	res, err := (&rucio.Uploader{Client: w.client(t), Journal: dir}).Upload(t.Context(), w.job)
	if err != nil || res.Sent != 30 {
		t.Fatalf("%+v, %v", res, err)
	}
	w.complete(t, ruciotest.RSEA)
	if found, err := os.ReadDir(dir); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// A file that changed since is another one: what was sent of it gives way.
func TestJournalOfChangedFile(t *testing.T) {
	w, dir := newWorld(t, 10, 20), t.TempDir()
	interrupted(t, w, dir, 1, false)
	name := filepath.Base(w.job.Files[0].Path)
	w.bytes[name] = []byte("other text") // as long as before
	w.write(t, name)
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(w.job.Files[0].Path, later, later); err != nil {
		t.Fatal(err)
	}
	res, err := (&rucio.Uploader{Client: w.client(t), Journal: dir}).Upload(t.Context(), w.job)
	if err != nil || res.Files[0].State != rucio.Replaced {
		t.Fatalf("%+v, %v", res, err)
	}
	w.complete(t, ruciotest.RSEA)
}

// An upload that is given up leaves nothing where the catalogue knows nothing, and all
// where it does.
func TestUndo(t *testing.T) {
	for _, told := range []bool{false, true} {
		w, dir := newWorld(t, 10, 20, 30), t.TempDir()
		w.manifest(checksum.DefaultAlgorithms()...)
		n := 2
		if told {
			n = 99
		}
		interrupted(t, w, dir, n, told)
		up := &rucio.Uploader{Client: w.client(t), Journal: dir}
		removed, err := up.Undo(t.Context(), w.job.Dataset, ruciotest.RSEA)
		if err != nil {
			t.Fatal(err)
		}
		want, left := 3, 0
		if told {
			want, left = 0, 3
		}
		if len(removed) != want {
			t.Errorf("told %v: %v", told, removed)
		}
		w.onlyFiles(t, ruciotest.RSEA, left)
		if found, err := os.ReadDir(dir); err != nil || len(found) != 0 {
			t.Errorf("%v, %v", found, err)
		}
		if removed, err := up.Undo(t.Context(), w.job.Dataset, ruciotest.RSEA); err != nil || removed != nil {
			t.Errorf("twice: %v, %v", removed, err)
		}
		w.upload(t, ruciotest.RSEA)
		w.complete(t, ruciotest.RSEA)
	}
	if _, err := (&rucio.Uploader{}).Undo(t.Context(), rucio.DID{Scope: "s", Name: "n"}, "A"); !errors.Is(err, rucio.ErrInvalid) {
		t.Errorf("without a journal: %v", err)
	}
}

// What was there before is not what the upload put there.
func TestUndoLeavesWhatOthersPut(t *testing.T) {
	w, dir := newWorld(t, 10, 20), t.TempDir()
	name := filepath.Base(w.job.Files[0].Path)
	at := w.at(ruciotest.RSEA, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, w.bytes[name], 0o644)); err != nil {
		t.Fatal(err)
	}
	interrupted(t, w, dir, 0, false)
	removed, err := (&rucio.Uploader{Client: w.client(t), Journal: dir}).Undo(t.Context(), w.job.Dataset, ruciotest.RSEA)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Base(w.job.Files[1].Path)
	if d := cmp.Diff([]string{"file://localhost" + w.at(ruciotest.RSEA, other)}, removed); d != "" {
		t.Error(d)
	}
	if _, err := os.Stat(at); err != nil {
		t.Error(err)
	}
	if strings.Contains(strings.Join(removed, " "), name) {
		t.Error("it was removed")
	}
	w.onlyFiles(t, ruciotest.RSEA, 1)
}
