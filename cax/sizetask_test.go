package cax

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/transfertest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestSizeFits: C44: whether a dataset is whole is told by its files of events, and
// not by "number of files − 4".
func TestSizeFits(t *testing.T) {
	for name, tc := range map[string]struct {
		events, per any
		files, zips int
		fits        bool
	}{
		"whole":                          {events: 2500.0, files: 7, zips: 3, fits: true},
		"a last file that is full":       {events: 3000, files: 7, zips: 3, fits: true},
		"C44: one missing, one too many": {events: 2500, files: 7, zips: 2},
		"events per file":                {events: int64(25), per: 10, files: 3, zips: 3, fits: true},
		"other names":                    {events: 2500, files: 7, fits: true},
		"other names, one missing":       {events: 2500, files: 6},
		"no events":                      {events: 0, files: 4},
		"not told":                       {files: 7, zips: 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := bson.D{{Key: "_id", Value: bson.NewObjectID()}}
			if tc.events != nil {
				d = append(d, bson.E{Key: "trigger", Value: bson.D{{Key: "events_built", Value: tc.events}}})
			}
			if tc.per != nil {
				d = append(d, bson.E{Key: "reader", Value: bson.D{{Key: "ini", Value: bson.D{{Key: "trigger_config_override", Value: bson.D{{Key: "Zip", Value: bson.D{{Key: "events_per_file", Value: tc.per}}}}}}}}})
			}
			raw, err := bson.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			r, err := rundb.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			if why := fits(r, tc.files, tc.zips); (why == "") != tc.fits {
				t.Errorf("says %q", why)
			}
		})
	}
}

// addSizes runs AddSize at A.
func (l *lab) addSizes() (*Env, Summary) {
	l.t.Helper()
	env := l.env("A")
	d := NewDaemon(env)
	d.Tasks = []Task{sizeTask{}}
	sum, err := d.Once(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return env, sum
}

// TestAddSize: from a verified record, from a manifest, and from the files.
func TestAddSize(t *testing.T) {
	want := int64(0)
	for _, s := range someFiles {
		want += int64(len(s))
	}
	for name, forget := range map[string]bson.D{
		"verified record": nil,
		"manifest":        {{Key: "files", Value: nil}, {Key: "size", Value: nil}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			r := l.register()
			if r.RawSize != want {
				t.Errorf("a registered run has the raw size %d, want %d", r.RawSize, want)
			}
			if err := l.store.SetRun(t.Context(), r.ID, bson.D{{Key: "raw_size_byte", Value: nil}}); err != nil {
				t.Fatal(err)
			}
			if forget != nil {
				if err := l.store.CompareAndSet(t.Context(), r.ID, l.raw("A"), forget); err != nil {
					t.Fatal(err)
				}
			}
			dry := l.env("A")
			dry.DryRun = true
			if sum, err := NewDaemon(dry).Once(t.Context()); err != nil || sum.Done == 0 || l.run().RawSize != 0 {
				t.Errorf("dry run: %+v, %v, size %d", sum, err, l.run().RawSize)
			}
			if _, sum := l.addSizes(); sum.Done != 1 || l.run().RawSize != want {
				t.Errorf("%+v, raw size %d, want %d", sum, l.run().RawSize, want)
			}
			l.sql, l.trace = nil, true
			if _, sum := l.addSizes(); sum != (Summary{}) {
				t.Errorf("again: %+v", sum)
			}
			for _, s := range l.sql {
				if strings.Contains(s, ", doc ") {
					t.Errorf("a run is read: %s", s)
				}
			}
		})
	}
	t.Run("files", func(t *testing.T) {
		l := newLab(t)
		path := l.site("A").DirRaw + "/" + runName
		transfertest.MakeTree(t, path, map[string]string{"pax_info.json": "{}", "XENON1T-0-0.zip": "four"})
		r, err := rundb.NewRun(rundb.Run{Number: 1, Name: runName, Detector: "tpc", Start: time.Now(), Data: []rundb.Copy{{
			Key: rundb.Key{Type: rundb.Raw, Host: "A"}, Status: rundb.Transferred, Location: path, Created: time.Now()}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.store.Insert(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := l.store.SetRun(t.Context(), r.ID, bson.D{{Key: "trigger", Value: bson.D{{Key: "events_built", Value: int32(1500)}}}}); err != nil {
			t.Fatal(err)
		}
		env, _ := l.addSizes()
		if n := l.run().RawSize; n != 0 {
			t.Errorf("a file is missing, and the size is %d", n)
		}
		c := l.raw("A")
		if d := (sizeTask{}).decide(env, l.run(), &c); d.Verb != Wait || !strings.Contains(d.Why, "2 files, not 1") {
			t.Errorf("%s", d)
		}
		if err := os.WriteFile(path+"/XENON1T-0-1.zip", []byte("more"), 0o644); err != nil {
			t.Fatal(err)
		}
		l.addSizes()
		if n := l.run().RawSize; n != 10 {
			t.Errorf("raw size %d, want 10", n)
		}
	})
	t.Run("processed", func(t *testing.T) {
		l := newLab(t)
		r := l.register()
		k := rundb.Key{Type: rundb.Processed, Version: "v6.8.0", Host: "A"}
		p := filepath.Join(l.site("A").DirProcessed, "pax_v6.8.0", fmt.Sprint(runName, ".root"))
		transfertest.MakeTree(t, filepath.Dir(p), map[string]string{filepath.Base(p): "seven b"})
		if err := l.store.Register(t.Context(), r.ID, rundb.Copy{Key: k, Status: rundb.Transferred, Location: p, Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if _, sum := l.addSizes(); sum.Done != 1 || l.copy(k).Size != 7 {
			t.Errorf("%+v, size %d, want 7", sum, l.copy(k).Size)
		}
	})
}
