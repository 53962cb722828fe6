package cax

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/transfer"
	"github.com/cax-go/cax/transfer/transfertest"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// fourSites makes the sites of a lab four, so that one may purge: A, B, C and D,
// each a domain of its own, all old enough to purge.
func fourSites(cfg *Config) {
	days := 0
	cfg.Sites[0].UploadOptions = nil
	for _, n := range []string{"C", "D"} {
		s := *cfg.Sites[1]
		s.Name = n
		s.DirRaw = filepath.Dir(filepath.Dir(s.DirRaw)) + "-" + n + "/raw"
		s.DirProcessed = filepath.Dir(s.DirRaw) + "/processed"
		cfg.Sites = append(cfg.Sites, &s)
	}
	for _, s := range cfg.Sites {
		s.Purge = &days
	}
}

// copies puts the dataset on the disks of some sites and on record as transferred
// and verified there; change may alter a record before it is stored.
func (l *lab) copies(sites []string, change func(*rundb.Copy)) *rundb.Run {
	l.t.Helper()
	now := time.Now()
	r := rundb.Run{Number: 1, Name: runName, Detector: "tpc", Start: now.Add(-100 * 24 * time.Hour)}
	for _, s := range sites {
		path := l.site(s).DirRaw + "/" + runName
		transfertest.MakeTree(l.t, path, someFiles)
		sum, err := checksum.DirSum(l.t.Context(), path, checksum.SHA512)
		if err != nil {
			l.t.Fatal(err)
		}
		c := rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: s}, Status: rundb.Transferred, Location: path, Checksum: sum.Bare(),
			Created: now.Add(-50 * 24 * time.Hour), VerifiedAt: now.Add(-time.Hour), Evidence: rundb.Disk,
			Size: int64(len("alpha") + len("beta") + 3<<20), Files: 4}
		if change != nil {
			change(&c)
		}
		r.Data = append(r.Data, c)
	}
	doc, err := rundb.NewRun(r)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.store.Insert(l.t.Context(), doc); err != nil {
		l.t.Fatal(err)
	}
	return l.run()
}

// cycle runs the tasks that delete at a site.
func (l *lab) cycle(site string) (Summary, error) {
	l.t.Helper()
	d := NewDaemon(l.env(site))
	d.Tasks = []Task{purgeTask{processed: true}, purgeTask{}, emptyTrashTask{}}
	return d.Once(l.t.Context())
}

// left are the sites whose disks have the dataset.
func (l *lab) left() (sites string) {
	l.t.Helper()
	for _, s := range l.cfg.Sites {
		if _, err := os.Lstat(s.DirRaw + "/" + runName); err == nil {
			sites += s.Name
		}
	}
	return sites
}

// TestPurge: a copy that may go goes, in record and in bytes, with evidence, and
// nothing is left in the trash.
func TestPurge(t *testing.T) {
	l := newLab(t, fourSites)
	l.copies([]string{"A", "B", "C"}, nil)
	sum, err := l.cycle("A")
	if err != nil || sum.Done != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if l.left() != "BC" {
		t.Errorf("on disk: %s, want BC", l.left())
	}
	r := l.run()
	if _, ok := r.Copy(rundb.Key{Type: rundb.Raw, Host: "A"}); ok || len(r.Deleted) != 1 {
		t.Errorf("records %+v, deleted %v", r.Data, r.Deleted)
	}
	got, _ := l.events("A")
	if !slices.Equal(got, []string{"intent", "deleted", "unlinked"}) {
		t.Errorf("events %q", got)
	}
	if es, _ := os.ReadDir(l.site("A").DirRaw); len(es) > 0 {
		t.Errorf("left at A: %v", es)
	}
	// Two are left: none of them may go.
	for _, s := range []string{"B", "C"} {
		if sum, err := l.cycle(s); err != nil || sum.Done != 0 {
			t.Errorf("%s: %+v, %v", s, sum, err)
		}
	}
	if l.left() != "BC" {
		t.Errorf("on disk: %s, want BC", l.left())
	}
}

// TestPurgeCounts: what does not count is not counted. One of four sites wants to
// purge; each case spoils one of three others, so that with the minimum of three
// nothing may go.
func TestPurgeCounts(t *testing.T) {
	atC := func(f func(*rundb.Copy)) func(*rundb.Copy) {
		return func(c *rundb.Copy) {
			if c.Host == "C" {
				f(c)
			}
		}
	}
	other := strings.Repeat("0", 128)
	nothing := checksum.NewDigest(checksum.SHA512).Sum(checksum.SHA512).Bare()
	for name, tc := range map[string]struct {
		copy   func(*rundb.Copy)
		config func(*Config)
		goes   bool
	}{
		"all good":                              {goes: true},
		"C22: no checksum":                      {copy: atC(func(c *rundb.Copy) { c.Checksum = "" })},
		"C22: none has a checksum":              {copy: func(c *rundb.Copy) { c.Checksum = "" }},
		"another checksum":                      {copy: atC(func(c *rundb.Copy) { c.Checksum = other })},
		"C25: all empty":                        {copy: func(c *rundb.Copy) { c.Checksum = nothing }},
		"not verified for long":                 {copy: atC(func(c *rundb.Copy) { c.VerifiedAt = time.Now().Add(-40 * 24 * time.Hour) })},
		"never verified":                        {copy: atC(func(c *rundb.Copy) { c.VerifiedAt = time.Time{} })},
		"verified in the future":                {copy: atC(func(c *rundb.Copy) { c.VerifiedAt = time.Now().Add(time.Hour) })},
		"verifying":                             {copy: atC(func(c *rundb.Copy) { c.Status = rundb.Verifying })},
		"being deleted":                         {copy: atC(func(c *rundb.Copy) { c.Status = rundb.Purging })},
		"at a site of the old tool that purges": {config: func(c *Config) { c.Sites[2].Daemon = "python" }},
		"at no site of the configuration":       {copy: atC(func(c *rundb.Copy) { c.Host = "elsewhere" })},
		"C23: two sites, one directory":         {config: func(c *Config) { c.Sites[2].DirRaw = c.Sites[3].DirRaw }},
		"same storage as another":               {config: func(c *Config) { c.Sites[2].SameStorageAs = "D" }},
		"same storage as the one that purges":   {config: func(c *Config) { c.Sites[2].SameStorageAs = "A" }},
		"two domains where three are needed": {config: func(c *Config) {
			c.Policy.MinDomains = 3
			c.Sites[2].Domain, c.Sites[3].Domain = "lab", "lab"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, fourSites, func(c *Config) {
				c.Policy.MinCopies = 3
				if tc.config != nil {
					tc.config(c)
				}
			})
			l.copies([]string{"A", "B", "C", "D"}, tc.copy)
			sum, err := l.cycle("A")
			if err != nil {
				t.Fatal(err)
			}
			if gone := !strings.Contains(l.left(), "A"); gone != tc.goes || gone != (sum.Done == 1) {
				t.Errorf("deleted: %v, want %v (%+v)", gone, tc.goes, sum)
			}
		})
	}
}

// TestC23DuplicatesCountOnce: a duplicate record makes two sites no three copies.
func TestC23DuplicatesCountOnce(t *testing.T) {
	l := newLab(t, fourSites)
	l.copies([]string{"A", "B", "B"}, nil)
	if sum, err := l.cycle("A"); err != nil || sum.Done != 0 || l.left() != "AB" {
		t.Errorf("%+v, %v; on disk: %s", sum, err, l.left())
	}
}

// TestC31ArrivalDelays: a copy that came back a moment ago is young.
func TestC31ArrivalDelays(t *testing.T) {
	l := newLab(t, fourSites, func(c *Config) { days := 10; c.Sites[0].Purge = &days })
	l.copies([]string{"A", "B", "C"}, func(c *rundb.Copy) { c.Created = time.Now().Add(-time.Minute) })
	if sum, err := l.cycle("A"); err != nil || sum.Done != 0 || l.left() != "ABC" {
		t.Errorf("%+v, %v; on disk: %s", sum, err, l.left())
	}
}

// TestKeepTag: a run that is tagged stays.
func TestKeepTag(t *testing.T) {
	l := newLab(t, fourSites)
	r := l.copies([]string{"A", "B", "C"}, nil)
	if err := l.store.SetRun(t.Context(), r.ID, bson.D{{Key: "tags", Value: []rundb.Tag{{Name: "keep"}}}}); err != nil {
		t.Fatal(err)
	}
	if sum, err := l.cycle("A"); err != nil || sum.Done != 0 || l.left() != "ABC" {
		t.Errorf("%+v, %v; on disk: %s", sum, err, l.left())
	}
	err := l.env("A").Remove(t.Context(), r.ID, rundb.Key{Type: rundb.Raw, Host: "A"}, Removal{Task: "rm", Why: "test"})
	if !errors.Is(err, ErrNotNeeded) {
		t.Errorf("rm: %v", err)
	}
}

// TestSourceIsLocked: line 17 of what users asked for: a copy from which another one
// is being made stays.
func TestSourceIsLocked(t *testing.T) {
	l := newLab(t, fourSites)
	r := l.copies([]string{"A", "B", "C"}, nil)
	if _, err := l.store.Claim(t.Context(), r.ID, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: "D"}, Location: l.site("D").DirRaw + "/" + runName,
		Claim: &rundb.Claim{Kind: rundb.ClaimPull, Source: "A", Owner: rundb.Owner{Site: "D", Host: "elsewhere"}}}); err != nil {
		t.Fatal(err)
	}
	if sum, err := l.cycle("A"); err != nil || sum.Done != 0 || l.left() != "ABC" {
		t.Errorf("%+v, %v; on disk: %s", sum, err, l.left())
	}
}

// TestEachOthersStrength: two sites that want to purge on each other's strength: one
// goes, one stays, however they race.
func TestEachOthersStrength(t *testing.T) {
	for range 20 {
		l := newLab(t, fourSites)
		l.copies([]string{"A", "B", "C"}, nil)
		done := make(chan error, 3)
		for _, s := range []string{"A", "B", "C"} {
			d := NewDaemon(l.env(s))
			d.Tasks = []Task{purgeTask{}}
			go func() { _, err := d.Once(t.Context()); done <- err }()
		}
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := len(l.left()); n != 2 {
			t.Fatalf("%d copies are left: %s", n, l.left())
		}
	}
}

// TestOtherRecordOfTheBytes: bytes that another record names are not deleted.
func TestOtherRecordOfTheBytes(t *testing.T) {
	l := newLab(t, fourSites)
	l.copies([]string{"A", "B", "C"}, nil)
	other, err := rundb.NewRun(rundb.Run{Name: "x", Detector: "muon_veto", Start: time.Now(), Data: []rundb.Copy{{
		Key: rundb.Key{Type: rundb.Raw, Host: "A"}, Status: rundb.Transferred, Location: l.site("A").DirRaw + "/" + runName, Created: time.Now()}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.store.Insert(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if _, err := l.cycle("A"); !errors.Is(err, transfer.ErrExist) || l.left() != "ABC" {
		t.Errorf("error %v; on disk: %s", err, l.left())
	}
}

// TestC32ProcessedGoesOnlyIfItCanBeMadeAgain: processed copies may go to zero only
// where the raw data are at their minimum and the version is not current.
func TestC32ProcessedGoesOnlyIfItCanBeMadeAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		raw     []string
		current string
		goes    bool
	}{
		"raw data at the minimum, version not current": {[]string{"B", "C"}, "v6.8.0", true},
		"raw data below the minimum":                   {[]string{"B"}, "v6.8.0", false},
		"version current":                              {[]string{"B", "C"}, "v6.2.1", false},
		"nobody says which version is current":         {[]string{"B", "C"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, fourSites, func(c *Config) {
				c.Sites[0].PaxVersionPurge = "v6.2.1"
				if tc.current != "" {
					c.Sites[1].PaxVersions = []string{tc.current}
				}
			})
			l.copies(tc.raw, nil)
			p := l.site("A").DirProcessed + "/pax_v6.2.1/" + runName + ".root"
			transfertest.MakeTree(t, filepath.Dir(p), map[string]string{filepath.Base(p): "events"})
			if _, err := l.env("A").Register(t.Context(), Registration{Path: p, Type: rundb.Processed, Version: "v6.2.1", Name: runName}); err != nil {
				t.Fatal(err)
			}
			if _, err := l.cycle("A"); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(p); (err != nil) != tc.goes {
				t.Errorf("deleted: %v, want %v", err != nil, tc.goes)
			}
		})
	}
}

// TestC33TypesCount: copies of another type or version are no copies of this one, and
// a catalogue's or a tape's word alone is none.
func TestC33TypesCount(t *testing.T) {
	l := newLab(t, fourSites)
	r := l.copies([]string{"A", "B"}, nil)
	for _, c := range []rundb.Copy{
		{Key: rundb.Key{Type: rundb.Processed, Version: "v6.8.0", Host: "C"}},
		{Key: rundb.Key{Type: rundb.Raw, Host: "rucio-catalogue"}, RSE: []string{"X_DISK"}},
		{Key: rundb.Key{Type: rundb.Raw, Host: "tsm-server"}},
	} {
		c.Status, c.Location, c.Checksum = rundb.Transferred, "/elsewhere/"+c.Host, l.raw("A").Checksum
		c.Created, c.VerifiedAt = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
		if err := l.store.Register(t.Context(), r.ID, c); err != nil {
			t.Fatal(err)
		}
	}
	if sum, err := l.cycle("A"); err != nil || sum.Done != 0 || l.left() != "AB" {
		t.Errorf("%+v, %v; on disk: %s", sum, err, l.left())
	}
}

// TestPurgeCap: one cycle deletes no more than it may.
func TestPurgeCap(t *testing.T) {
	l := newLab(t, fourSites, func(c *Config) { c.Policy.PurgeCopies = 2 })
	for i := range 5 {
		name := time.Date(2016, 3, 15, 14, i, 0, 0, time.UTC)
		r := rundb.Run{Number: int64(i + 1), Name: name.Format(nameLayout), Detector: "tpc", Start: name}
		for _, s := range []string{"A", "B", "C"} {
			path := l.site(s).DirRaw + "/" + r.Name
			transfertest.MakeTree(t, path, map[string]string{"a": r.Name})
			r.Data = append(r.Data, rundb.Copy{Key: rundb.Key{Type: rundb.Raw, Host: s}, Status: rundb.Transferred, Location: path,
				Checksum: strings.Repeat("ab", 64), Created: name, VerifiedAt: time.Now().Add(-time.Hour)})
		}
		doc, err := rundb.NewRun(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.store.Insert(t.Context(), doc); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{2, 2, 1, 0} {
		if sum, err := l.cycle("A"); err != nil || sum.Done != want {
			t.Errorf("%+v, %v; want %d done", sum, err, want)
		}
	}
}

// TestRemoveKeepsInTrash: what rm deletes can be brought back for a while, and is
// unlinked when that is over; unless too little is left by then: then it comes back.
func TestRemoveKeepsInTrash(t *testing.T) {
	for name, spoil := range map[string]bool{"unlinked": false, "restored": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, fourSites)
			r := l.copies([]string{"A", "B", "C"}, nil)
			w := Removal{Task: "rm", Why: "test", Keep: time.Nanosecond}
			if err := l.env("A").Remove(t.Context(), r.ID, rundb.Key{Type: rundb.Raw, Host: "A"}, w); err != nil {
				t.Fatal(err)
			}
			es, err := os.ReadDir(l.site("A").DirRaw)
			if err != nil || len(es) != 1 || !strings.Contains(es[0].Name(), ".cax-trash-") {
				t.Fatalf("at A: %v (%v)", es, err)
			}
			if spoil {
				c := l.raw("B")
				if err := l.store.CompareAndSet(t.Context(), r.ID, c, bson.D{{Key: "status", Value: "error"}}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := l.cycle("A"); err != nil {
				t.Fatal(err)
			}
			want := "BC"
			if spoil {
				want = "ABC"
				if a := l.raw("A"); a.Status != rundb.Verifying {
					t.Errorf("restored as %s", a.Status)
				}
			}
			if l.left() != want {
				t.Errorf("on disk: %s, want %s", l.left(), want)
			}
			if got, _ := l.events("A"); got[len(got)-1] != name {
				t.Errorf("events %q", got)
			}
		})
	}
}

// TestDeletionIsFinished: whatever step was the last one of a process that died, the
// next one finishes.
func TestDeletionIsFinished(t *testing.T) {
	for step, until := range map[string]func(l *lab, h *rundb.Held, c rundb.Copy) error{
		"marked": func(*lab, *rundb.Held, rundb.Copy) error { return nil },
		"trash folder made": func(l *lab, h *rundb.Held, c rundb.Copy) error {
			_, err := makeTrash(t.Context(), l.env("A").remotes.local(), infoOf(l, h, c))
			return err
		},
		"moved to the trash": func(l *lab, h *rundb.Held, c rundb.Copy) error {
			b, err := makeTrash(t.Context(), l.env("A").remotes.local(), infoOf(l, h, c))
			if err == nil {
				_, err = b.take(t.Context())
			}
			return err
		},
		"off the record": func(l *lab, h *rundb.Held, c rundb.Copy) error {
			b, err := makeTrash(t.Context(), l.env("A").remotes.local(), infoOf(l, h, c))
			if err == nil {
				_, err = b.take(t.Context())
			}
			if err == nil {
				err = h.Delete(t.Context(), "test", nil)
			}
			return err
		},
	} {
		t.Run(step, func(t *testing.T) {
			l := newLab(t, fourSites, func(c *Config) { c.Policy.Trash = time.Nanosecond })
			r := l.copies([]string{"A", "B", "C"}, nil)
			c := l.raw("A")
			dead := l.env("A").Owner
			dead.PID = 1 << 29
			h, err := l.store.Reclaim(t.Context(), r.ID, c, rundb.Purging, rundb.Claim{Kind: rundb.ClaimDelete, Owner: dead})
			if err != nil {
				t.Fatal(err)
			}
			if err := until(l, h, c); err != nil {
				t.Fatal(err)
			}
			if _, err := l.cycle("A"); err != nil {
				t.Fatal(err)
			}
			if _, err := l.cycle("A"); err != nil {
				t.Fatal(err)
			}
			if _, ok := l.run().Copy(c.Key); ok || l.left() != "BC" {
				t.Errorf("on record: %v; on disk: %s", ok, l.left())
			}
			if es, _ := os.ReadDir(l.site("A").DirRaw); len(es) > 0 {
				t.Errorf("left at A: %v", es)
			}
		})
	}
}

func infoOf(l *lab, h *rundb.Held, c rundb.Copy) trashInfo {
	return trashInfo{Run: h.Run.Hex(), Name: runName, Type: string(c.Type), Host: c.Host, Location: c.Location, Claim: h.ID, Until: time.Now()}
}
