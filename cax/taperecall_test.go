package cax

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer/transfertest"
	"github.com/cax-go/cax/tsm/tsmtest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// many puts runs on the disk of A and on record, and on tape by hand, in few runs of dsmc:
// what a site that has uploaded for a while looks like.
func (l *tapeLab) many(runs, files int) (names []string) {
	l.t.Helper()
	dir := l.site("A").DirTSM
	var paths []string
	for i := range runs {
		name := fmt.Sprintf("16%02d%02d_%02d%02d", 1+i/280%12, 1+i/10%28, i%10, i/3360)
		names = append(names, name)
		set := map[string]string{}
		for f := range files {
			set[fmt.Sprintf("XENON1T-%d.zip", f)] = fmt.Sprintf("%s %d", name, f)
		}
		r := l.add(name, int64(i+1), "tpc", set)
		staged := map[string]string{}
		for f, text := range set {
			staged[name+"_"+f] = text
			paths = append(paths, dir+"/"+name+"/"+name+"_"+f)
		}
		transfertest.MakeTree(l.t, dir+"/"+name, staged)
		l.onRecord(r, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "T"}, Location: dir + "/" + name})
	}
	if _, err := l.tape.Client().Archive(l.t.Context(), paths, "all", nil); err != nil {
		l.t.Fatal(err)
	}
	l.remove(dir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		l.t.Fatal(err)
	}
	return names
}

// onRecord adds a transferred copy with the checksum of A's.
func (l *tapeLab) onRecord(r *rundb.Run, c rundb.Copy) {
	l.t.Helper()
	a, ok := r.Copy(rundb.Key{Type: c.Type, Version: c.Version, Host: "A"})
	if !ok {
		l.t.Fatal("no copy at A")
	}
	owner, err := ThisProcess("A")
	if err != nil {
		l.t.Fatal(err)
	}
	c.Claim = &rundb.Claim{Kind: rundb.ClaimPush, Source: "A", Owner: owner}
	held, err := l.store.Claim(l.t.Context(), r.ID, c)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := held.Finish(l.t.Context(), bson.D{{Key: "status", Value: string(rundb.Transferred)}, {Key: "checksum", Value: a.Checksum}}); err != nil {
		l.t.Fatal(err)
	}
}

// TestRecallMany: many runs come by few runs of dsmc, and each tape is mounted once. At
// full length (CAX_INTEGRATION=1) there are a thousand.
func TestRecallMany(t *testing.T) {
	runs, files, volumes := 40, 3, 4
	if os.Getenv("CAX_INTEGRATION") == "1" {
		runs, files, volumes = 1000, 5, 20
	}
	l := newTapeLab(t)
	l.tape.Set(t, func(s *tsmtest.Settings) { s.VolumeFiles = runs * files / volumes })
	names := l.many(runs, files)
	calls, mounts := len(l.tape.Calls(t)), len(l.tape.Mounts(t))
	if s := l.must("B"); s.Done != 2*runs {
		t.Errorf("%+v", s)
	}
	calls, mounts = len(l.tape.Calls(t))-calls, len(l.tape.Mounts(t))-mounts
	t.Logf("%d runs of %d files: %d calls of dsmc, %d mounts of %d tapes", runs, files, calls, mounts, volumes)
	if calls > 6 || mounts > volumes+1 {
		t.Errorf("%d calls: %q", calls, l.tape.Calls(t))
	}
	for _, n := range names {
		transfertest.SameTree(t, l.site("A").DirRaw+"/"+n, l.site("B").DirRaw+"/"+n)
	}
}

// TestRecallKeepsGoing: what a recall brought before it failed is used, and one tape that
// cannot be read keeps no other run.
func TestRecallKeepsGoing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault tsmtest.Fault
	}{
		{"killed", tsmtest.Fault{Op: "retrieve", Kind: tsmtest.Killed, After: 10, Times: 1}},
		{"no media for a while", tsmtest.Fault{Op: "retrieve", Kind: tsmtest.NoMedia, After: 10, Times: 1}},
		{"a damaged file", tsmtest.Fault{Op: "retrieve", Kind: tsmtest.Damages, After: 10, Times: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newTapeLab(t)
			names := l.many(12, 2)
			l.tape.Fail(t, tc.fault)
			s, err := l.once("B")
			if s.Done < 11 || s.Done < 12 && err == nil {
				t.Errorf("%+v, %v", s, err)
			}
			l.cfg.Policy.BackoffMin, l.cfg.Policy.BackoffMax = 1, 2
			l.must("B")
			for _, n := range names {
				transfertest.SameTree(t, l.site("A").DirRaw+"/"+n, l.site("B").DirRaw+"/"+n)
			}
		})
	}
}

// TestC38OriginalSets: what the original wrote by dsmc incr, under its names, comes back
// under the names of the dataset, although its backup has expired meanwhile; a name that
// begins like the prefix keeps it.
func TestC38OriginalSets(t *testing.T) {
	for _, tc := range []struct {
		name, dir, prefix string
		files             map[string]string
		noManifest        bool
		expired           bool
	}{
		{name: "tpc", dir: runName, prefix: runName, files: flatFiles},
		{name: "expired", dir: runName, prefix: runName, files: flatFiles, expired: true},
		{name: "muon veto", dir: runName + "_MV", prefix: runName + "_MV", files: flatFiles},
		{name: "muon veto, by the run's name", dir: runName + "_MV", prefix: runName, files: flatFiles},
		{name: "not renamed", dir: runName, files: map[string]string{runName + "_a": "1", runName + "_b": "2"}},
		{name: "names like the prefix", dir: runName, prefix: runName, files: map[string]string{runName + "_a": "1", "a": "2"}},
		{name: "no manifest", dir: runName, prefix: runName, files: flatFiles, noManifest: true},
		{name: "no manifest, and expired", dir: runName, prefix: runName, files: flatFiles, noManifest: true, expired: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newTapeLab(t)
			add := l.add
			if tc.noManifest {
				add = l.addOld
			}
			r := add(tc.dir, 5230, "tpc", tc.files)
			dir := l.site("A").DirTSM + "/" + tc.dir
			staged := map[string]string{}
			for f, text := range tc.files {
				if tc.prefix != "" {
					f = tc.prefix + "_" + f
				}
				staged[f] = text
			}
			transfertest.MakeTree(t, dir, staged)
			if _, err := l.tape.Client().Incremental(t.Context(), dir, nil); err != nil {
				t.Fatal(err)
			}
			l.remove(dir)
			if tc.expired {
				if _, err := l.tape.Client().Incremental(t.Context(), l.site("A").DirTSM, nil); err != nil {
					t.Fatal(err)
				}
			}
			l.onRecord(r, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "T"}, Location: dir})
			l.must("B")
			l.good2(tc.dir)
			if n := len(l.tape.CallsOf(t, "restore")); n != 1 {
				t.Errorf("%d restores", n)
			}
		})
	}
}

// addOld is add for a run that other software has put on record: without a manifest.
func (l *tapeLab) addOld(name string, number int64, detector string, files map[string]string) *rundb.Run {
	l.t.Helper()
	path := l.site("A").DirRaw + "/" + name
	transfertest.MakeTree(l.t, path, files)
	sum, err := checksum.DirSum(l.t.Context(), path, checksum.SHA512)
	if err != nil {
		l.t.Fatal(err)
	}
	r, err := rundb.NewRun(rundb.Run{Number: number, Name: runName, Detector: detector, Start: time.Date(2016, 3, 15, 14, 32, 0, 0, time.UTC),
		Data: []rundb.Copy{{Key: rundb.Key{Type: rundb.Raw, Host: "A"}, Status: rundb.Transferred, Location: path, Checksum: sum.Bare(), Created: time.Now()}}})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.store.Insert(l.t.Context(), r); err != nil {
		l.t.Fatal(err)
	}
	return r
}
