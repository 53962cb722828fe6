package rundbtest

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// makeManifest lists n files and some odd ones.
func makeManifest(t testing.TB, n int, content string, odd ...checksum.Entry) *checksum.Manifest {
	t.Helper()
	dg := checksum.NewEntryDigest()
	defer dg.Close()
	dg.Write([]byte(content))
	entries := odd
	for i := range n {
		en := dg.Entry()
		en.Path = fmt.Sprintf("XENON1T-%06d.zip", i)
		en.ModTime = day.Add(time.Duration(i) * time.Nanosecond)
		entries = append(entries, en)
	}
	m, err := checksum.NewManifest(entries, false)
	must(t, err)
	return m
}

var sameSums = cmp.Comparer(func(a, b checksum.Sum) bool { return a == b })

func testManifest(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d, By: "test"}
	ctx := t.Context()
	k := rundb.ManifestKey{Run: runID(1), Type: rundb.Raw}
	_, err := s.Manifest(ctx, k)
	wantIs(t, "before it is stored", err, rundb.ErrNotExist)
	big := makeManifest(t, 1, "big").Entries[0]
	big.Path, big.Blocks = "big", []uint64{1, 1<<64 - 1}
	big.Size = checksum.BlockSize + 1
	m := makeManifest(t, 3, "a", big, checksum.Entry{Path: "empty", Dir: true}, checksum.Entry{Path: "not\xffutf8", Sums: big.Sums},
		checksum.Entry{Path: "new\nline", Sums: big.Sums, Size: 1})
	must(t, s.PutManifest(ctx, k, m))
	got, err := s.Manifest(ctx, k)
	must(t, err)
	if diff := cmp.Diff(m, got, sameSums); diff != "" {
		t.Errorf("manifest (-put +got):\n%s", diff)
	}
	wantIs(t, "the same again", s.PutManifest(ctx, k, m), nil)
	wantIs(t, "another one", s.PutManifest(ctx, k, makeManifest(t, 3, "b")), rundb.ErrExist)
	if got, err := s.Manifest(ctx, k); err != nil || got.Root() != m.Root() {
		t.Errorf("after a refused one: %v", err)
	}
	// Keys of which one begins with the other, and the same in another run.
	for i, other := range []rundb.ManifestKey{{Run: runID(1), Type: rundb.Processed, Version: "v1"},
		{Run: runID(1), Type: rundb.Processed, Version: "v1/2"}, {Run: runID(1), Type: "raw2"}, {Run: runID(2), Type: rundb.Raw}} {
		_, err := s.Manifest(ctx, other)
		wantIs(t, "another key", err, rundb.ErrNotExist)
		o := makeManifest(t, i+1, "o")
		must(t, s.PutManifest(ctx, other, o))
		if got, err := s.Manifest(ctx, other); err != nil || got.Root() != o.Root() {
			t.Errorf("%+v: %v", other, err)
		}
	}
	// One file as a dataset.
	single, err := checksum.NewManifest([]checksum.Entry{makeManifest(t, 1, "s").Entries[0]}, true)
	must(t, err)
	k = rundb.ManifestKey{Run: runID(3), Type: rundb.Processed, Version: "v1"}
	must(t, s.PutManifest(ctx, k, single))
	if got, err := s.Manifest(ctx, k); err != nil || !got.Single {
		t.Errorf("a single file: %v", err)
	}
	bad := &checksum.Manifest{Entries: []checksum.Entry{{Path: "../x"}}}
	wantIs(t, "a manifest that is none", s.PutManifest(ctx, rundb.ManifestKey{Run: runID(4), Type: rundb.Raw}, bad), rundb.ErrInvalid)
}

// testManifestChunks: more files than one document holds.
func testManifestChunks(t *testing.T, d rundb.Driver) {
	s := &rundb.Store{Driver: d}
	for _, n := range []int{0, 5000, 10001} {
		k := rundb.ManifestKey{Run: runID(n + 1), Type: rundb.Raw}
		m := makeManifest(t, n, "x")
		must(t, s.PutManifest(t.Context(), k, m))
		got, err := s.Manifest(t.Context(), k)
		must(t, err)
		if len(got.Entries) != n || got.Root() != m.Root() {
			t.Errorf("%d files came back as %d", n, len(got.Entries))
		}
		docs := all(t, d.Docs(t.Context(), &rundb.DocQuery{Coll: rundb.Manifests, Run: k.Run}))
		if want := (n+4999)/5000 + 1; len(docs) != want {
			t.Errorf("%d files are in %d documents, want %d", n, len(docs), want)
		}
	}
}

// testManifestCrash: a writer that dies at any document leaves no manifest, and
// nothing that keeps this or another manifest from being stored later.
func testManifestCrash(t *testing.T, d rundb.Driver) {
	m := makeManifest(t, 5001, "x")
	other := makeManifest(t, 5001, "y")
	for n, after := range []int{0, 1, 2} {
		k := rundb.ManifestKey{Run: runID(n), Type: rundb.Raw}
		done := 0
		f := &Faulty{Driver: d, Next: func(string) Fault {
			if done++; done > after {
				return Fail
			}
			return None
		}}
		err := (&rundb.Store{Driver: f}).PutManifest(t.Context(), k, m)
		wantIs(t, "the writer that dies", err, rundb.ErrTransient)
		s := &rundb.Store{Driver: d}
		_, err = s.Manifest(t.Context(), k)
		wantIs(t, fmt.Sprintf("after %d documents", after), err, rundb.ErrNotExist)
		put := m
		if n%2 == 1 {
			put = other // its chunks must not be mixed with those of the first
		}
		must(t, s.PutManifest(t.Context(), k, put))
		got, err := s.Manifest(t.Context(), k)
		must(t, err)
		if got.Root() != put.Root() {
			t.Error("another manifest came back")
		}
	}
}

// damaged is a driver that gives back other manifest documents than were stored.
type damaged struct {
	rundb.Driver
	damage func(doc bson.D) bson.D // nil: the document is gone
}

func (d damaged) Docs(ctx context.Context, q *rundb.DocQuery) iter.Seq2[bson.Raw, error] {
	return func(yield func(bson.Raw, error) bool) {
		for raw, err := range d.Driver.Docs(ctx, q) {
			var doc bson.D
			if err == nil {
				err = bson.Unmarshal(raw, &doc)
			}
			if err == nil {
				if doc = d.damage(doc); doc == nil {
					continue
				}
				raw, err = bson.Marshal(doc)
			}
			if !yield(raw, err) {
				return
			}
		}
	}
}

func testManifestDamaged(t *testing.T, d rundb.Driver) {
	k := rundb.ManifestKey{Run: runID(1), Type: rundb.Raw}
	must(t, (&rundb.Store{Driver: d}).PutManifest(t.Context(), k, makeManifest(t, 20, "x")))
	entries := func(change func(bson.A) bson.A) func(bson.D) bson.D {
		return func(doc bson.D) bson.D {
			for i := range doc {
				if doc[i].Key == "entries" {
					doc[i].Value = change(doc[i].Value.(bson.A))
				}
			}
			return doc
		}
	}
	entry := func(field string, v any) func(bson.D) bson.D {
		return entries(func(a bson.A) bson.A {
			a[0] = with(a[0].(bson.D), []bson.E{e(field, v)})
			return a
		})
	}
	isChunk := func(doc bson.D) bool {
		for _, f := range doc {
			if f.Key == "entries" {
				return true
			}
		}
		return false
	}
	for name, damage := range map[string]func(bson.D) bson.D{
		"size":             entry("size", int64(77)),
		"path":             entry("path", "XENON1T-999999.zip"),
		"no path":          entry("path", absent),
		"sum":              entry("sums", bson.A{"adler32:00000001"}),
		"no sum":           entry("sums", bson.A{"nonsense"}),
		"entry is text":    entries(func(a bson.A) bson.A { a[0] = "x"; return a }),
		"entry lost":       entries(func(a bson.A) bson.A { return a[1:] }),
		"entry twice":      entries(func(a bson.A) bson.A { return append(a, a[len(a)-1]) }),
		"root":             func(doc bson.D) bson.D { return with(doc, []bson.E{e("root", "x")}) },
		"number of chunks": func(doc bson.D) bson.D { return with(doc, []bson.E{e("chunks", int64(2))}) },
		"chunk lost": func(doc bson.D) bson.D {
			if isChunk(doc) {
				return nil
			}
			return doc
		},
	} {
		_, err := (&rundb.Store{Driver: damaged{d, damage}}).Manifest(t.Context(), k)
		wantIs(t, name, err, rundb.ErrInvalid)
	}
}
