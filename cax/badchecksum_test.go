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

// third adds a site C that pulls from A, and lets B pull too.
func third(t *testing.T) func(*Config) {
	return func(cfg *Config) {
		pulls(cfg)
		dir := t.TempDir() + "/C"
		if err := os.MkdirAll(dir+"/raw", 0o755); err != nil {
			t.Fatal(err)
		}
		cfg.Sites = append(cfg.Sites, &Site{Name: "C", Method: MethodLocal, DirRaw: dir + "/raw", DataType: []string{"raw"}, DownloadOptions: []string{"A"}})
	}
}

// threeCopies is a lab with a good copy at A, B and C.
func threeCopies(t *testing.T, change ...func(*Config)) *lab {
	t.Helper()
	l := newLab(t, append([]func(*Config){third(t)}, change...)...)
	l.register()
	l.must("B")
	l.must("C")
	return l
}

// reverify re-reads the copy at a site and reports whether it is good.
func (l *lab) reverify(site string) bool {
	l.t.Helper()
	return l.env(site).Reverify(l.t.Context(), l.run(), l.raw(site), false) == nil
}

// set changes fields of the record of the raw copy at a site.
func (l *lab) set(site string, fields ...bson.E) {
	l.t.Helper()
	if err := l.store.CompareAndSet(l.t.Context(), l.run().ID, l.raw(site), fields); err != nil {
		l.t.Fatal(err)
	}
}

// asides lists what was moved aside at a site.
func (l *lab) asides(site string) []string {
	l.t.Helper()
	m, err := filepath.Glob(l.site(site).DirRaw + "/." + runName + ".cax-aside-*")
	if err != nil {
		l.t.Fatal(err)
	}
	return m
}

// whole fails the test unless a copy is on record as good, and its bytes are.
func (l *lab) whole(site string) {
	l.t.Helper()
	c := l.raw(site)
	if c.Status != rundb.Transferred || c.Error != nil || c.Claim != nil {
		l.t.Errorf("the record of %s is %+v, want transferred", site, c)
	}
	want := l.t.TempDir() + "/whole"
	transfertest.MakeTree(l.t, want, someFiles)
	transfertest.SameTree(l.t, want, c.Location)
}

// TestBadCopyIsFetchedAgain: what was found damaged, or gone, is fetched again, the
// files that are good are not sent, and the damaged copy is kept aside.
func TestBadCopyIsFetchedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(t *testing.T, dataset string)
		sent   int64
		aside  int
	}{
		"a flipped bit": {func(t *testing.T, p string) { flip(t, p+"/a.zip") }, int64(len(someFiles["a.zip"])), 1},
		"a file is gone": {func(t *testing.T, p string) {
			if err := os.Remove(p + "/sub/b.zip"); err != nil {
				t.Fatal(err)
			}
		}, int64(len(someFiles["sub/b.zip"])), 1},
		"all is gone": {func(t *testing.T, p string) {
			if err := os.RemoveAll(p); err != nil {
				t.Fatal(err)
			}
		}, int64(len(someFiles["a.zip"]) + len(someFiles["sub/b.zip"]) + len(someFiles["big.zip"])), 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := threeCopies(t)
			l.site("C").DownloadOptions = nil // any site will do
			tc.damage(t, l.raw("C").Location)
			if l.reverify("C") {
				t.Fatal("the damage was not found")
			}
			if sum := l.must("C"); sum.Done != 0 || sum.Waiting == 0 {
				t.Errorf("tried again at once: %+v", sum)
			}
			l.due("C")
			l.must("C")
			l.whole("C")
			if n := len(l.asides("C")); n != tc.aside {
				t.Errorf("%d damaged copies kept aside, want %d", n, tc.aside)
			}
			_, last := l.events("C")
			var sent int64
			for _, f := range last.Evidence {
				if f.Key == "sent" {
					sent = f.Value.(int64)
				}
			}
			if last.What != "transferred" || sent != tc.sent {
				t.Errorf("the last event is %q with %d bytes sent, want transferred and %d", last.What, sent, tc.sent)
			}
			if got := l.raw("C").Evidence; got != rundb.Stream {
				t.Errorf("evidence %q", got)
			}
		})
	}
}

// TestTogetherTheyAreWhole: no copy is whole, each has lost something else: they are
// put together, from copies on record as good and from such as are known to be bad.
func TestTogetherTheyAreWhole(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(map[bool]string{false: "not known yet", true: "all known to be bad"}[known], func(t *testing.T) {
			l := threeCopies(t)
			flip(t, l.raw("A").Location+"/a.zip")
			flip(t, l.raw("B").Location+"/big.zip")
			if err := os.Remove(l.raw("C").Location + "/sub/b.zip"); err != nil {
				t.Fatal(err)
			}
			if known {
				for _, s := range []string{"A", "B", "C"} {
					l.reverify(s)
				}
			}
			for _, s := range []string{"C", "A", "B"} {
				var got []Scrubbed
				for s, err := range l.env(s).Scrub(t.Context(), ScrubOptions{All: true}) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, s)
				}
				if len(got) != 1 || got[0].Outcome != ScrubHealed {
					t.Fatalf("scrub at %s: %+v, want one that is healed", s, got)
				}
				l.whole(s)
			}
		})
	}
}

// TestWrongRecordIsCorrected: a checksum on record that is not the master's is not
// believed against the bytes.
func TestWrongRecordIsCorrected(t *testing.T) {
	l := threeCopies(t, func(cfg *Config) { cfg.Masters = []Master{{Type: "raw", Host: "A"}} })
	right := l.raw("B").Checksum
	l.set("B", bson.E{Key: "checksum", Value: strings.Repeat("0", 128)})
	l.must("B")
	l.whole("B")
	if got := l.raw("B").Checksum; got != right {
		t.Errorf("checksum %s, want that of the manifest", got)
	}
	if got, _ := l.events("B"); !slices.Contains(got, "record corrected") {
		t.Errorf("events %q", got)
	}
	if len(l.asides("B")) != 0 {
		t.Error("good bytes were moved aside")
	}
}

// legacy puts a run on record as the original leaves it: no manifest, no
// pax_version, no verified_at. checksums are by host; "" is null.
func (l *lab) legacy(checksums map[string]string) {
	l.t.Helper()
	data := bson.A{}
	for _, host := range []string{"A", "B", "C"} {
		sum, ok := checksums[host]
		if !ok {
			continue
		}
		d := bson.D{{Key: "type", Value: "raw"}, {Key: "host", Value: host}, {Key: "status", Value: "transferred"},
			{Key: "location", Value: l.site(host).DirRaw + "/" + runName}, {Key: "checksum", Value: nil},
			{Key: "creation_time", Value: bson.A{time.Now().Add(-100 * day)}}}
		if sum != "" {
			d[4].Value = sum
		}
		data = append(data, d)
	}
	doc, err := bson.Marshal(bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "number", Value: 1}, {Key: "name", Value: runName},
		{Key: "detector", Value: "tpc"}, {Key: "start", Value: time.Now().Add(-100 * day)}, {Key: "data", Value: data}})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.store.Driver.Insert(l.t.Context(), doc); err != nil {
		l.t.Fatal(err)
	}
}

// onDisk puts the dataset on the disks of sites and returns its checksum.
func (l *lab) onDisk(sites ...string) string {
	l.t.Helper()
	for _, s := range sites {
		transfertest.MakeTree(l.t, l.site(s).DirRaw+"/"+runName, someFiles)
	}
	sum, err := checksum.DirSum(l.t.Context(), l.site(sites[0]).DirRaw+"/"+runName, checksum.SHA512)
	if err != nil {
		l.t.Fatal(err)
	}
	return sum.Bare()
}

// TestC24RawCopyWithoutVersion: the original dies of KeyError: 'pax_version' at a
// corrupt local raw copy, in the only path that could repair it. Here it is read
// again, found bad, and fetched again.
func TestC24RawCopyWithoutVersion(t *testing.T) {
	l := newLab(t, third(t))
	right := l.onDisk("A", "B", "C")
	bad := l.site("B").DirRaw + "/" + runName
	flip(t, bad+"/a.zip")
	wrong, err := checksum.DirSum(t.Context(), bad, checksum.SHA512)
	if err != nil {
		t.Fatal(err)
	}
	l.legacy(map[string]string{"A": right, "B": wrong.Bare(), "C": right})
	if _, err := l.once("B"); err == nil {
		t.Error("the damaged copy was not told of")
	}
	if b := l.raw("B"); b.Status != rundb.Failed || b.Error == nil || b.Error.Class != ClassCorrupt {
		t.Fatalf("record %+v, want an error of class corrupt", b)
	}
	l.due("B")
	l.must("B")
	l.whole("B")
	if len(l.asides("B")) != 1 {
		t.Errorf("kept aside: %q", l.asides("B"))
	}
	for _, s := range []string{"A", "C"} {
		l.must(s)
		l.whole(s)
	}
}

// TestMissingChecksum: a null checksum is filled in only where another copy's agrees
// with the bytes.
func TestMissingChecksum(t *testing.T) {
	for name, tc := range map[string]struct {
		sums   func(right string) map[string]string
		damage bool
		status rundb.Status
		added  bool
		class  string
		calls  int
	}{
		"a master agrees":       {sums: func(s string) map[string]string { return map[string]string{"A": s, "B": "", "C": s} }, status: rundb.Transferred, added: true},
		"one other copy agrees": {sums: func(s string) map[string]string { return map[string]string{"A": s, "B": ""} }, status: rundb.Transferred, added: true},
		"a master says that the bytes are wrong": {sums: func(s string) map[string]string { return map[string]string{"A": s, "B": "", "C": s} }, damage: true,
			status: rundb.Failed, class: ClassCorrupt},
		"one other copy says something else": {sums: func(s string) map[string]string { return map[string]string{"A": s, "B": ""} }, damage: true,
			status: rundb.Transferred, class: ClassConflict},
		"nobody has one": {sums: func(string) map[string]string { return map[string]string{"A": "", "B": ""} }, status: rundb.Transferred},
		"the others differ": {sums: func(s string) map[string]string {
			return map[string]string{"A": s, "B": "", "C": strings.Repeat("0", 128)}
		}, status: rundb.Transferred, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, third(t))
			right := l.onDisk("A", "B", "C")
			l.legacy(tc.sums(right))
			if tc.damage {
				flip(t, l.site("B").DirRaw+"/"+runName+"/a.zip")
			}
			d := NewDaemon(l.env("B"))
			d.Tasks = []Task{verifyTask{}}
			sum, err := d.Once(t.Context())
			if (err != nil) != (tc.class != "") || sum.Calls != tc.calls {
				t.Errorf("error %v, %+v", err, sum)
			}
			b := l.raw("B")
			if b.Status != tc.status || (b.Checksum == right) != tc.added || b.VerifiedAt.IsZero() == tc.added {
				t.Errorf("record %+v", b)
			}
			if got := ""; b.Error != nil {
				got = b.Error.Class
				if got != tc.class {
					t.Errorf("class %q, want %q", got, tc.class)
				}
			}
			if events, _ := l.events("B"); slices.Contains(events, "checksum added") != tc.added {
				t.Errorf("events %q", events)
			}
			if sum, err := NewDaemon(l.env("B")).Once(t.Context()); tc.class == ClassConflict && (err != nil || sum.Failed > 0) {
				t.Errorf("what nobody can decide is read again at once: %+v, %v", sum, err)
			}
		})
	}
}

// TestLastCopyIsLeft: where no other copy is good, a damaged one stays as it is and a
// person is called. When that person has mended it, this is noticed.
func TestLastCopyIsLeft(t *testing.T) {
	l := newLab(t)
	l.register()
	bad := l.raw("A").Location + "/a.zip"
	flip(t, bad)
	l.reverify("A")
	if sum := l.must("A"); sum.Calls != 1 || sum.Done != 0 {
		t.Errorf("%+v, want one call", sum)
	}
	l.due("A")
	if _, err := l.once("A"); !errors.Is(err, checksum.ErrCorrupt) {
		t.Errorf("error %v, want that it is still damaged", err)
	}
	if a := l.raw("A"); len(l.asides("A")) != 0 || a.Status != rundb.Failed || a.Error.Tries != 2 {
		t.Errorf("record %+v, moved aside: %q", a, l.asides("A"))
	}
	flip(t, bad)
	l.due("A")
	l.must("A")
	l.whole("A")
}

// TestMendedByHand: what a try to replace a copy left in staging goes when the copy
// turns out to be good again.
func TestMendedByHand(t *testing.T) {
	l := threeCopies(t)
	for _, s := range []string{"A", "B", "C"} {
		flip(t, l.raw(s).Location+"/a.zip")
	}
	l.set("B", bson.E{Key: "status", Value: "error"})
	l.set("B", bson.E{Key: "error", Value: (&rundb.CopyError{Class: ClassCorrupt, Text: "damaged"}).BSON()})
	if _, err := l.once("B"); !errors.Is(err, transfer.ErrCorrupt) {
		t.Fatalf("error %v, want that the source is damaged too", err)
	}
	staged := func() []string {
		m, err := filepath.Glob(l.site("B").DirRaw + "/." + runName + ".cax-part-*")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if len(staged()) != 1 {
		t.Fatalf("staging: %q", staged())
	}
	flip(t, l.raw("B").Location+"/a.zip")
	if !l.reverify("B") {
		t.Fatal("it is not good")
	}
	if len(staged()) != 0 {
		t.Errorf("left behind: %q", staged())
	}
	l.whole("B")
}

// TestTwoAgainstTheManifest: two independent copies that agree with each other
// against the manifest stop all repair, and a person is called, once.
func TestTwoAgainstTheManifest(t *testing.T) {
	l := threeCopies(t)
	for _, s := range []string{"B", "C"} {
		flip(t, l.raw(s).Location+"/a.zip")
		l.reverify(s)
	}
	if b, c := l.raw("B").Error.Found, l.raw("C").Error.Found; b == "" || b != c {
		t.Fatalf("what was found: %q and %q", b, c)
	}
	for _, s := range []string{"B", "C", "B"} {
		l.due(s)
		l.must(s)
		if got := l.raw(s).Status; got != rundb.Failed {
			t.Errorf("the copy at %s is %s", s, got)
		}
		if n := len(l.asides(s)); n != 0 {
			t.Errorf("%d copies were moved at %s", n, s)
		}
	}
	told := 0
	for _, s := range []string{"B", "C"} {
		got, _ := l.events(s)
		told += len(slices.DeleteFunc(got, func(w string) bool { return w != "dispute" }))
	}
	if told != 1 {
		t.Errorf("the dispute is told %d times, want once", told)
	}
	var called bool
	env := l.env("B")
	for d, err := range env.Plan(t.Context(), false) {
		if err != nil {
			t.Fatal(err)
		}
		called = called || d.Verb == Call
	}
	for s, err := range env.Scrub(t.Context(), ScrubOptions{All: true}) {
		if err != nil || s.Outcome != ScrubBad || !strings.Contains(s.Err.Error(), "B and C") || s.Next == "" {
			t.Errorf("scrub: %+v, %v", s, err)
		}
	}
	if len(l.asides("B")) != 0 {
		t.Error("cax scrub repaired what is disputed")
	}
}

// TestAgreementIsRemembered: that the first of two copies was repaired before the
// second was read does not hide that they agreed.
func TestAgreementIsRemembered(t *testing.T) {
	l := threeCopies(t)
	for _, s := range []string{"B", "C"} {
		flip(t, l.raw(s).Location+"/a.zip")
	}
	l.reverify("B")
	l.due("B")
	l.must("B")
	l.whole("B")
	l.reverify("C")
	if c := l.raw("C"); c.Error == nil || c.Error.Class != ClassDispute || !strings.Contains(c.Error.Text, "found at B") {
		t.Fatalf("record %+v", c)
	}
	l.due("C")
	if sum := l.must("C"); sum.Done != 1 { // the report
		t.Errorf("%+v", sum)
	}
	if sum := l.must("C"); sum.Done != 0 || sum.Calls == 0 {
		t.Errorf("%+v, want a call and nothing done", sum)
	}
	if len(l.asides("C")) != 0 || l.raw("C").Status != rundb.Failed {
		t.Error("what is disputed was repaired")
	}
	if got, _ := l.events("C"); !slices.Contains(got, "dispute") {
		t.Errorf("events %q", got)
	}
}

// TestSameDamageIsNoAgreement: that the same file is missing, or empty, in two copies
// is damage that both met.
func TestSameDamageIsNoAgreement(t *testing.T) {
	l := threeCopies(t)
	for _, s := range []string{"B", "C"} {
		if err := os.Truncate(l.raw(s).Location+"/a.zip", 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(l.raw(s).Location + "/sub/b.zip"); err != nil {
			t.Fatal(err)
		}
		l.reverify(s)
		if f := l.raw(s).Error.Found; f != "" {
			t.Errorf("found %q at %s", f, s)
		}
	}
	for _, s := range []string{"B", "C"} {
		l.due(s)
		l.must(s)
		l.whole(s)
	}
}

func TestDisputed(t *testing.T) {
	sum := func(c string) func(*rundb.Copy) {
		return func(x *rundb.Copy) { x.Checksum = strings.Repeat(c, 128) }
	}
	found := func(f string) func(*rundb.Copy) {
		return func(x *rundb.Copy) { x.Error = &rundb.CopyError{Class: ClassCorrupt, Found: f} }
	}
	for _, tc := range []struct {
		name   string
		copies []rundb.Copy
		change func(*Config)
		want   bool
	}{
		{name: "all agree", copies: []rundb.Copy{rawAt("A", rundb.Transferred, sum("a")), rawAt("B", rundb.Transferred, sum("a")), rawAt("C", rundb.Transferred, sum("a"))}},
		{name: "one differs", copies: []rundb.Copy{rawAt("A", rundb.Transferred, sum("a")), rawAt("B", rundb.Transferred, sum("b")), rawAt("C", rundb.Transferred, sum("a"))}},
		{name: "two against the master", copies: []rundb.Copy{rawAt("A", rundb.Transferred, sum("a")), rawAt("B", rundb.Transferred, sum("b")), rawAt("C", rundb.Transferred, sum("b"))},
			change: func(c *Config) { c.Masters = []Master{{Type: "raw", Host: "A"}} }, want: true},
		{name: "the same, in one domain", copies: []rundb.Copy{rawAt("A", rundb.Transferred, sum("a")), rawAt("B", rundb.Transferred, sum("b")), rawAt("C", rundb.Transferred, sum("b"))},
			change: func(c *Config) {
				c.Masters = []Master{{Type: "raw", Host: "A"}}
				c.Sites[1].Domain, c.Sites[2].Domain = "x", "x"
			}},
		{name: "two pairs", copies: []rundb.Copy{rawAt("A", rundb.Transferred, sum("a")), rawAt("B", rundb.Transferred, sum("b")), rawAt("C", rundb.Transferred, sum("b")), rawAt("D", rundb.Transferred, sum("a"))}, want: true},
		{name: "the same bytes found in two", copies: []rundb.Copy{rawAt("A", rundb.Transferred, sum("a")), rawAt("B", rundb.Failed, found("x")), rawAt("C", rundb.Failed, found("x"))}, want: true},
		{name: "others found", copies: []rundb.Copy{rawAt("A", rundb.Transferred, sum("a")), rawAt("B", rundb.Failed, found("x")), rawAt("C", rundb.Failed, found("y"))}},
		{name: "nothing found", copies: []rundb.Copy{rawAt("A", rundb.Transferred, sum("a")), rawAt("B", rundb.Failed, found("")), rawAt("C", rundb.Failed, found(""))}},
		{name: "the same bytes, on one storage", copies: []rundb.Copy{rawAt("A", rundb.Transferred, sum("a")), rawAt("B", rundb.Failed, found("x")), rawAt("C", rundb.Failed, found("x"))},
			change: func(c *Config) { c.Sites[2].SameStorageAs = "B" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := twoSites()
			for _, n := range []string{"C", "D"} {
				cfg.Sites = append(cfg.Sites, &Site{Name: n, DirRaw: "/" + n})
			}
			if tc.change != nil {
				tc.change(cfg)
			}
			why, got := disputed(cfg, aRun(t, tc.copies...), rundb.Key{Type: rundb.Raw})
			if got != tc.want || got != (why != "") {
				t.Errorf("%v %q, want %v", got, why, tc.want)
			}
		})
	}
}
