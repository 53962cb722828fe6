package cax

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// save writes the manifest beside the copy at a site.
func (l *lab) save(site string) (file string, written bool) {
	l.t.Helper()
	c := l.raw(site)
	file, written, err := l.env(site).SaveManifest(l.t.Context(), l.run(), &c)
	if err != nil {
		l.t.Fatal(err)
	}
	return file, written
}

// lose takes the run database away and gives the lab an empty one.
func (l *lab) lose() {
	l.t.Helper()
	if err := l.store.Close(); err != nil {
		l.t.Fatal(err)
	}
	d, err := sqlitestore.Open(l.t.Context(), l.t.TempDir()+"/new.db", &sqlitestore.Options{Create: true})
	if err != nil {
		l.t.Fatal(err)
	}
	l.store.Driver = d
}

func TestSaveManifest(t *testing.T) {
	l := newPair(t)
	dry := l.env("B")
	dry.DryRun = true
	c := l.raw("B")
	file, written, err := dry.SaveManifest(t.Context(), l.run(), &c)
	if err != nil || !written || isThere(file) {
		t.Errorf("dry run: %s, %v, %v", file, written, err)
	}
	if file, written := l.save("B"); !written || file != l.site("B").DirRaw+"/."+runName+".cax-manifest.json" || !isThere(file) {
		t.Errorf("%s, %v", file, written)
	}
	if _, written := l.save("B"); written {
		t.Error("written once more, though it is the same")
	}
	if err := l.store.SetRun(t.Context(), l.run().ID, bson.D{{Key: "tags", Value: []rundb.Tag{{Name: "keep"}}}}); err != nil {
		t.Fatal(err)
	}
	if _, written := l.save("B"); !written {
		t.Error("not written, though the run has a tag more")
	}
	if fs := l.reconcile("B"); len(fs) != 0 {
		t.Errorf("found %v", fs)
	}
	if _, ok := transfer.ParseLeftover(transfer.ManifestName("x.cax-part-0123")); ok {
		t.Error("a manifest passes for staging")
	}
	a := l.raw("A")
	if _, _, err := l.env("B").SaveManifest(t.Context(), l.run(), &a); err == nil {
		t.Error("saved for another site")
	}
}

// TestAdoptLostDatabase: the records are made again from the manifests beside the
// data, and are transferred once the data were read.
func TestAdoptLostDatabase(t *testing.T) {
	l := newPair(t)
	if err := l.store.SetRun(t.Context(), l.run().ID, bson.D{{Key: "tags", Value: []rundb.Tag{{Name: "keep", User: "u"}}}}); err != nil {
		t.Fatal(err)
	}
	was, a, b := l.run(), l.raw("A"), l.raw("B")
	l.save("A")
	l.save("B")
	l.lose()
	for _, s := range []string{"A", "B"} {
		f := l.only(s, Stray, Call, Adopt)
		if f.Refused == "" {
			t.Error("it could be moved away, though the database names no copy of the site")
		}
		l.mend(s, f)
		if c := l.raw(s); c.Status != rundb.Verifying || c.Checksum != "" {
			t.Errorf("%s: before it was read: %+v", s, c)
		}
		l.did(s, "adopted")
		l.must(s)
		l.agrees(s)
	}
	transfertest.SameTree(t, l.raw0("A"), l.raw0("B"))
	now := l.run()
	if now.ID != was.ID || now.Number != was.Number || now.Detector != was.Detector || !now.Start.Equal(was.Start) {
		t.Errorf("the run is %+v, was %+v", now, was)
	}
	if diff := cmp.Diff(was.Tags, now.Tags); diff != "" {
		t.Errorf("tags:\n%s", diff)
	}
	for s, c := range map[string]rundb.Copy{"A": a, "B": b} {
		got := l.raw(s)
		if got.Location != c.Location || got.Checksum != c.Checksum || got.Size != c.Size || got.Files != c.Files {
			t.Errorf("%s: %+v, was %+v", s, got, c)
		}
	}
}

// TestAdoptDamaged: names and sizes are enough for a record, never for transferred.
func TestAdoptDamaged(t *testing.T) {
	l := newPair(t)
	l.save("B")
	dataset := l.raw("B").Location
	l.lose()
	flip(t, dataset+"/a.zip")
	l.mend("B", l.only("B", Stray, Call, Adopt))
	if _, err := l.once("B"); err == nil {
		t.Error("AddChecksum found it good")
	}
	if c := l.raw("B"); c.Status != rundb.Failed || c.Error.Class != ClassCorrupt {
		t.Errorf("the record is %+v", c)
	}
}

// TestAdoptKnownRun: a stray that is what a run without a copy here has.
func TestAdoptKnownRun(t *testing.T) {
	l := newPair(t)
	if err := l.store.Remove(t.Context(), l.run().ID, l.raw("B"), "test"); err != nil {
		t.Fatal(err)
	}
	f := l.only("B", Stray, Call, Adopt)
	if f.Name != runName || f.Number != 1 || f.Key != (rundb.Key{Type: rundb.Raw, Host: "B"}) {
		t.Errorf("%+v", f)
	}
	l.mend("B", f)
	l.must("B")
	l.good()
	if err := l.env("B").Mend(t.Context(), f); err == nil {
		t.Error("adopted twice")
	}
}

func TestAdoptNot(t *testing.T) {
	for _, tc := range []struct {
		name string
		with func(l *lab, file, dataset string)
	}{
		{"another size", func(_ *lab, _, dataset string) { write(t, dataset+"/a.zip", "x") }},
		{"a file more", func(_ *lab, _, dataset string) { write(t, dataset+"/more", "x") }},
		{"a file less", func(_ *lab, _, dataset string) { must(t, os.Remove(dataset+"/a.zip")) }},
		{"another name", func(_ *lab, _, dataset string) { must(t, os.Rename(dataset+"/a.zip", dataset+"/b.zip")) }},
		{"a manifest that is cut", func(_ *lab, file, _ string) {
			text, err := os.ReadFile(file)
			must(t, err)
			must(t, os.WriteFile(file, text[:len(text)-10], 0o644))
		}},
		{"an empty manifest", func(_ *lab, file, _ string) { must(t, os.WriteFile(file, nil, 0o644)) }},
		{"another format", func(_ *lab, file, _ string) {
			text, err := os.ReadFile(file)
			must(t, err)
			must(t, os.WriteFile(file, []byte(strings.Replace(string(text), `"cax_dataset":1`, `"cax_dataset":2`, 1)), 0o644))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newPair(t)
			file, _ := l.save("B")
			dataset := l.raw("B").Location
			l.lose()
			tc.with(l, file, dataset)
			for _, f := range l.reconcile("B") {
				if f.Remedy != "" {
					t.Errorf("to %s: %s", f.Remedy, f)
				}
			}
		})
	}
	t.Run("the number is taken", func(t *testing.T) {
		l := newPair(t)
		l.save("B")
		l.lose()
		f := l.only("B", Stray, Call, Adopt)
		other := l.site("A").DirRaw + "/170101_0000"
		write(t, other+"/x", "x")
		if _, err := l.env("A").Register(t.Context(), Registration{Path: other, Number: 1}); err != nil {
			t.Fatal(err)
		}
		if err := l.env("B").Mend(t.Context(), f); err == nil || !strings.Contains(err.Error(), "number") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("another manifest is stored", func(t *testing.T) {
		l := newPair(t)
		l.save("B")
		l.lose()
		f := l.only("B", Stray, Call, Adopt)
		write(t, l.raw0("A")+"/a.zip", "other")
		if _, err := l.env("A").Register(t.Context(), Registration{Path: l.raw0("A"), Number: 1}); err != nil {
			t.Fatal(err)
		}
		if err := l.env("B").Mend(t.Context(), f); !errors.Is(err, checksum.ErrCorrupt) {
			t.Errorf("error %v", err)
		}
	})
}

// raw0 is where the raw data of the lab's run lie at a site.
func (l *lab) raw0(site string) string { return l.site(site).DirRaw + "/" + runName }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzParseBeside: what is read from such a file names a run and has a whole
// manifest, or is an error.
func FuzzParseBeside(f *testing.F) {
	const head = `{"cax_dataset":1,"run":"56e81d1f0000000000000001","number":7,"name":"160315_1432","detector":"tpc","start":"2016-03-15T14:32:00Z","type":"raw"}` + "\n"
	const manifest = `{"manifest":1,"entries":0,"files":0,"bytes":0,"root":"sha256:0"}` + "\n"
	for _, s := range []string{head + manifest, head, manifest + head, "", "\n", `{"cax_dataset":1}` + "\n" + manifest} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseBeside(strings.NewReader(text), "B")
		if err != nil {
			return
		}
		if b.run.Name == "" || b.run.Detector == "" || b.run.Start.IsZero() || b.key.Type == "" || b.key.Host != "B" || b.manifest.Check() != nil {
			t.Errorf("%+v", b)
		}
	})
}
