package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"github.com/cax-go/cax/transfer/transfertest"
)

// store opens the world's run database, to write there what other software does.
func (w *world) store() *rundb.Store {
	w.t.Helper()
	d, err := sqlitestore.Open(w.t.Context(), strings.TrimPrefix(w.db, "sqlite:"), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &rundb.Store{Driver: d, By: "other software"}
	w.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return s
}

// aside is what was moved aside at b.
func (w *world) aside(run string) string {
	w.t.Helper()
	m, err := filepath.Glob(w.raw("b") + "/." + run + ".cax-aside-*")
	if err != nil || len(m) != 1 {
		w.t.Fatalf("moved aside: %q, %v; want one", m, err)
	}
	if why, _ := w.event(run, "aside"); !strings.Contains(why, filepath.Base(m[0])) {
		w.t.Errorf("the event aside is %q, want one that names %s", why, m[0])
	}
	return m[0]
}

// TestNameTakenByStrangers: what stands under the final name and is not the dataset,
// of which nobody has a record, is moved aside as it is and told of; it is never
// written to, nor does any of it become a part of the copy.
func TestNameTakenByStrangers(t *testing.T) {
	part := small()
	part[bigFile] = part[bigFile][:300<<10]
	delete(part, "sub/notes.txt")
	for name, there := range map[string]map[string]string{
		"another dataset":               {"other.zip": "other", "deep/er.zip": "x"},
		"part of it, from the old tool": part,
		"an empty directory":            {},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, method int, pull bool) {
				w := newWorld(t, options{method: methods[method].method, sshd: methods[method].sshd, pull: pull})
				w.register(aRun, small())
				transfertest.MakeTree(t, w.at("b", aRun), there)
				was := w.dir + "/was"
				transfertest.MakeTree(t, was, there)
				w.must("--once", "--host", worker(pull))
				transfertest.SameTree(t, was, w.aside(aRun))
				w.recovers(aRun)
			})
		})
	}
}

// TestNameTakenByAFile: the same for a file where a directory should be.
func TestNameTakenByAFile(t *testing.T) {
	each(t, func(t *testing.T, method int, pull bool) {
		w := newWorld(t, options{method: methods[method].method, sshd: methods[method].sshd, pull: pull})
		w.register(aRun, small())
		if err := os.WriteFile(w.at("b", aRun), []byte("precious"), 0o644); err != nil {
			t.Fatal(err)
		}
		w.must("--once", "--host", worker(pull))
		if b, err := os.ReadFile(w.aside(aRun)); err != nil || string(b) != "precious" {
			t.Errorf("aside is %q, %v", b, err)
		}
		w.recovers(aRun)
	})
}

// TestNameOfAnotherRecord: a place that another run's record holds is refused, and
// nothing of it is touched, as long as that record is there.
func TestNameOfAnotherRecord(t *testing.T) {
	each(t, func(t *testing.T, method int, pull bool) {
		w := newWorld(t, options{method: methods[method].method, sshd: methods[method].sshd, pull: pull})
		w.register(aRun, small())
		files := map[string]string{"veto.zip": "veto"}
		transfertest.MakeTree(t, w.at("b", aRun), files)
		w.must("register", "--host", "b", "--detector", "muon_veto", w.at("b", aRun))
		for range 2 {
			w.fails([]string{aRun, "muon_veto", w.at("b", aRun)}, "--once", "--host", worker(pull))
		}
		was := w.dir + "/was"
		transfertest.MakeTree(t, was, files)
		transfertest.SameTree(t, was, w.at("b", aRun))
		if n := w.names("b"); len(n) != 1 {
			t.Errorf("b holds %q", n)
		}

		s := w.store()
		veto, err := s.One(t.Context(), &rundb.Query{Names: []string{aRun}, Detectors: []string{"muon_veto"}})
		if err != nil {
			t.Fatal(err)
		}
		c, _ := veto.Copy(rundb.Key{Type: rundb.Raw, Host: "b"})
		if err := s.Remove(t.Context(), veto.ID, c, "it was moved"); err != nil {
			t.Fatal(err)
		}
		rename(t, w.at("b", aRun))
		w.recovers(aRun)
	})
}

// TestRecordOfTheOldTool: a copy that the old tool, which holds no claim, has under
// way or left as an error is left alone, and cax says so; when its record is gone, what
// it left on the disk is moved aside and never appended to.
func TestRecordOfTheOldTool(t *testing.T) {
	for i, status := range []rundb.Status{rundb.Failed, rundb.Transferring} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			pull := i == 1
			w := newWorld(t, options{method: "scp", pull: pull})
			w.register(aRun, small())
			part := map[string]string{bigFile: small()[bigFile][:500<<10]}
			transfertest.MakeTree(t, w.at("b", aRun), part)
			s := w.store()
			r, err := s.One(t.Context(), &rundb.Query{Names: []string{aRun}})
			if err != nil {
				t.Fatal(err)
			}
			k := rundb.Key{Type: rundb.Raw, Host: "b"}
			err = s.Register(t.Context(), r.ID, rundb.Copy{Key: k, Status: status, Location: w.at("b", aRun), Created: time.Now().Add(-time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			was := w.dir + "/was"
			transfertest.MakeTree(t, was, part)
			for range 2 {
				w.must("--once", "--host", worker(pull))
			}
			transfertest.SameTree(t, was, w.at("b", aRun))
			if b := w.copy("b", aRun); b.Status != string(status) || b.Claim != nil || b.Error != nil {
				t.Errorf("the record is %+v now", b)
			}
			if o := w.must("plan", "--explain", "--host", worker(pull), "--name", aRun); !strings.Contains(o, "software") {
				t.Errorf("the plan does not say whose it is:\n%s", o)
			}

			// As RetryStalledTransfer of the old tool does.
			if r, err = s.Get(t.Context(), r.ID); err != nil {
				t.Fatal(err)
			}
			c, _ := r.Copy(k)
			if err := s.Remove(t.Context(), r.ID, c, "stalled"); err != nil {
				t.Fatal(err)
			}
			w.must("--once", "--host", worker(pull))
			transfertest.SameTree(t, was, w.aside(aRun))
			w.recovers(aRun)
		})
	}
}
