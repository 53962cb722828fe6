package cax

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cax-go/cax/checksum"
	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/rundb"
)

// TestCatalogFailures: what goes wrong with an upload is told by the status that the
// original has for it, with a reason that cax explain repeats, and the upload is finished by
// itself once the fault is gone. Never is it called transferred before.
func TestCatalogFailures(t *testing.T) {
	request := func(method, path string) func(ruciotest.Request) bool {
		return func(r ruciotest.Request) bool { return r.Method == method && strings.HasPrefix(r.Path, path) }
	}
	admin := func(l *catalogLab) string { return l.srv.Admin.Account }
	recover := func(l *catalogLab) { l.srv.Recover() }
	source := func(l *catalogLab) { flip(l.t, l.site("A").DirRaw+"/"+runName+"/XENON1T-1.zip") }
	for name, tc := range map[string]struct {
		spoil, mend func(*catalogLab)
		status      rundb.Status
		class, says string
		before      bool // no byte may have reached the RSE
	}{
		"no quota": {func(l *catalogLab) { l.srv.SetLimit(admin(l), ruciotest.RSEA, 10) }, func(l *catalogLab) { l.srv.SetLimit(admin(l), ruciotest.RSEA, -1) },
			rundb.RSEQuota, ClassQuota, "may store 10 bytes more there", true},
		"no quota on record": {func(l *catalogLab) { l.srv.RemoveLimit(admin(l), ruciotest.RSEA) }, func(l *catalogLab) { l.srv.SetLimit(admin(l), ruciotest.RSEA, 1<<40) },
			rundb.RSEQuota, ClassQuota, "has no quota there", true},
		"the RSE takes no writes": {func(l *catalogLab) { l.srv.ChangeRSE(ruciotest.RSEA, func(r *ruciotest.FakeRSE) { r.NoWrite = true }) },
			func(l *catalogLab) { l.srv.ChangeRSE(ruciotest.RSEA, func(r *ruciotest.FakeRSE) { r.NoWrite = false }) },
			rundb.RSEReupload, ClassUnavailable, "takes no writes now", true},
		"the server is away": {func(l *catalogLab) { l.srv.Fail(-1, ruciotest.Busy, nil) }, recover, rundb.RSEReupload, ClassTransient, "503", true},
		"the server goes away in the middle": {func(l *catalogLab) { l.srv.Fail(-1, ruciotest.Busy, request("POST", "/replicas")) }, recover,
			rundb.RSEReupload, ClassTransient, "503", false},
		"an answer is lost": {func(l *catalogLab) { l.srv.Fail(-1, ruciotest.CutAfter, request("POST", "/rules/")) }, recover, "", "", "", false},
		"lists end in mid-line": {func(l *catalogLab) { l.srv.Fail(-1, ruciotest.CutInLine, request("POST", "/replicas/list")) }, recover,
			rundb.RSEReupload, ClassTransient, "", false},
		"tokens are refused":             {func(l *catalogLab) { l.srv.Fail(-1, ruciotest.Unauthorized, request("GET", "/rses/")) }, recover, rundb.Failed, ClassAuth, "", true},
		"a token ends":                   {func(l *catalogLab) { l.srv.Fail(1, ruciotest.Unauthorized, request("POST", "/replicas")) }, recover, "", "", "", false},
		"C27: damaged at the source":     {source, source, rundb.Failed, ClassCorrupt, "XENON1T-1.zip", false},
		"C27: others' file of that name": {func(l *catalogLab) { l.foreign("XENON1T-0.zip", "others") }, nil, rundb.Failed, ClassConflict, "XENON1T-0.zip", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newCatalogLab(t)
			l.add()
			tc.spoil(l)
			_, err := l.cycle("A", "")
			c := l.copy(atR)
			if tc.status == "" {
				if err != nil {
					t.Fatal(err)
				}
				l.inCatalogue()
				return
			}
			if err == nil || c.Status != tc.status || c.Error == nil || c.Error.Class != tc.class || c.Claim != nil {
				t.Fatalf("error %v, the record is %s, %+v; want %s of class %s", err, c.Status, c.Error, tc.status, tc.class)
			}
			if got := l.explained("A", "R"); !strings.Contains(got, tc.says) || !strings.Contains(got, c.Error.Text) {
				t.Errorf("explained as %s\nwant %q and the error, %s", got, tc.says, c.Error.Text)
			}
			if n := l.atRSE(); tc.before && n > 0 {
				t.Errorf("%d files lie at the RSE", n)
			}
			if tc.mend == nil {
				return
			}
			tc.mend(l)
			l.late(atR)
			l.well("A", "")
			l.inCatalogue()
			if n := l.atRSE(); n != len(flatFiles) {
				t.Errorf("%d files lie at the RSE", n)
			}
		})
	}
}

// atRSE counts the files that lie at the entrance RSE.
func (l *catalogLab) atRSE() (n int) {
	l.t.Helper()
	err := filepath.WalkDir(l.srv.Folder(ruciotest.RSEA), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

// foreign is a file that somebody else has registered in the scope of the run.
func (l *catalogLab) foreign(name, text string) {
	l.t.Helper()
	l.srv.AddScope(l.srv.Admin.Account, scope)
	d := checksum.NewDigest(checksum.Adler32, checksum.MD5)
	d.Write([]byte(text))
	err := l.client().AddReplicas(l.t.Context(), ruciotest.RSEB, []rucio.NewReplica{{DID: rucio.DID{Scope: scope, Name: name}, Bytes: int64(len(text)),
		Adler32: d.Sum(checksum.Adler32).Bare(), MD5: d.Sum(checksum.MD5).Bare(), State: rucio.Available}})
	if err != nil {
		l.t.Fatal(err)
	}
}

// TestCatalogLost: what the catalogue has lost is noticed when it is looked at, and
// uploaded again; meanwhile the record does not count.
func TestCatalogLost(t *testing.T) {
	for name, tc := range map[string]struct {
		lose   func(*catalogLab)
		status rundb.Status // after a look
		class  string
	}{
		"a replica is declared bad": {func(l *catalogLab) {
			l.srv.SetReplica(ruciotest.RSEA, scope, "XENON1T-1.zip", "BAD")
			l.remove(l.srv.File(ruciotest.RSEA, scope, "XENON1T-1.zip"))
		}, rundb.RSEReupload, ClassCorrupt},
		"a replica is gone": {func(l *catalogLab) {
			l.srv.SetReplica(ruciotest.RSEA, scope, "XENON1T-1.zip", "")
			l.remove(l.srv.File(ruciotest.RSEA, scope, "XENON1T-1.zip"))
		}, rundb.RSEReupload, ClassCorrupt},
		"all replicas are gone": {func(l *catalogLab) {
			for f := range flatFiles {
				l.srv.SetReplica(ruciotest.RSEA, scope, f, "")
				l.remove(l.srv.File(ruciotest.RSEA, scope, f))
			}
		}, rundb.RSEReupload, ClassCorrupt},
		"C27: another file is there": {func(l *catalogLab) {
			l.srv.SetChecksums(scope, "XENON1T-1.zip", int64(len(flatFiles["XENON1T-1.zip"])), "0badf00d", "")
		}, rundb.Failed, ClassCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := uploaded(t)
			tc.lose(l)
			if sum := l.well("A", ""); sum.Done != 1 {
				t.Errorf("a cycle did %+v; want one look that finds it", sum)
			}
			c := l.copy(atR)
			if c.Status != tc.status || c.Error == nil || c.Error.Class != tc.class {
				t.Fatalf("the record is %s, %+v; want %s", c.Status, c.Error, tc.status)
			}
			if whats, last := l.events("R"); last.What != "lost" || last.Why == "" {
				t.Errorf("events %q, the last %+v", whats, last)
			}
			if got := l.explained("A", "R"); !strings.Contains(got, c.Error.Text) {
				t.Errorf("explained as %s", got)
			}
			l.late(atR)
			if tc.status == rundb.Failed {
				// A person has to find out: nothing is overwritten.
				if _, err := l.cycle("A", ""); err == nil {
					t.Error("it was uploaded again")
				}
				return
			}
			l.well("A", "")
			l.inCatalogue()
		})
	}
}

// TestCatalogStuck: a rule that is stuck is on record with its reason, and does not
// count; when it goes on, a look finds it good.
func TestCatalogStuck(t *testing.T) {
	l := uploaded(t, func(c *Config) { c.Sites[2].RucioTransfer = []string{ruciotest.RSEB} })
	why := "no space left at the destination"
	l.srv.Stick(l.rulesAt(ruciotest.RSEB)[0].ID, scope, "XENON1T-1.zip", ruciotest.RSEB, why)
	l.well("A", "")
	c := l.copy(atR)
	if c.Status != rundb.Transferred || len(c.RSE) != 1 || len(c.Replicas) != 2 || c.Replicas[1].State != "STUCK" || c.Replicas[1].Text != why {
		t.Errorf("the record is %s, %v, %+v", c.Status, c.RSE, c.Replicas)
	}
	if got := l.explained("A", "R"); !strings.Contains(got, "R/"+ruciotest.RSEB+" does not count as a copy: the rule is STUCK: "+why) {
		t.Errorf("explained as %s", got)
	}
	l.replicate(ruciotest.RSEB)
	l.well("A", "")
	if c = l.copy(atR); len(c.RSE) != 2 || c.Replicas[1].State != "OK" || c.Replicas[1].Text != "" {
		t.Errorf("the record is %v, %+v", c.RSE, c.Replicas)
	}
}

func (l *catalogLab) remove(path string) {
	l.t.Helper()
	if err := os.Remove(path); err != nil {
		l.t.Fatal(err)
	}
}
