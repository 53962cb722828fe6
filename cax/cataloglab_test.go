package cax

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
	"github.com/cax-go/cax/rundb"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A catalogLab is a lab whose A uploads to the catalogue R, a server in memory, and whose
// B downloads from there.
type catalogLab struct {
	*lab
	srv *ruciotest.Fake
}

// scope is that of the files of the lab's run.
const scope = "x1t_SR000_" + runName + "_tpc"

var dataset = rucio.DID{Scope: scope, Name: "raw"}

// atR is the copy in the catalogue.
var atR = rundb.Key{Type: rundb.Raw, Host: "R"}

func newCatalogLab(t *testing.T, change ...func(*Config)) *catalogLab {
	t.Helper()
	l := &catalogLab{srv: ruciotest.NewFake(t, nil)}
	login := l.srv.Admin
	text := fmt.Sprintf("[client]\nrucio_host = %s\nauth_host = %s\nauth_type = userpass\nusername = %s\npassword = %s\naccount = %s\nrequest_retries = 1\nauth_token_file_path = %s\n",
		l.srv.URL, l.srv.URL, login.Username, login.Password, login.Account, filepath.Join(t.TempDir(), "token"))
	file := filepath.Join(t.TempDir(), "rucio.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set := func(cfg *Config) {
		a, b := cfg.Sites[0], cfg.Sites[1]
		a.UploadOptions, b.DownloadOptions = []string{"R"}, []string{"R"}
		a.DataType, b.DataType = []string{"raw"}, []string{"raw"}
		cfg.Sites = append(cfg.Sites, &Site{Name: "R", Method: MethodRucio, RucioUploadRSE: ruciotest.RSEA, Rucio: RucioConfig{Config: file}})
	}
	l.lab = newLab(t, append([]func(*Config){set}, change...)...)
	return l
}

// add puts the dataset on the disk of A and on record.
func (l *catalogLab) add() *rundb.Run {
	l.t.Helper()
	path := l.site("A").DirRaw + "/" + runName
	for name, text := range flatFiles {
		if err := os.MkdirAll(path, 0o755); err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
	r, err := l.env("A").Register(l.t.Context(), Registration{Path: path, Number: 5200, Detector: "tpc"})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// ruciax is a process of ruciax at a site, with the text of a rule file or "".
func (l *catalogLab) ruciax(site, rules string) *Env {
	l.t.Helper()
	o := RucioOptions{}
	if rules != "" {
		var err error
		if o.Rules, _, err = loadRules(l.t, rules); err != nil {
			l.t.Fatal(err)
		}
	}
	e := l.env(site)
	e.Tasks = RucioTasks(o)
	return e
}

// cycle runs one cycle of ruciax.
func (l *catalogLab) cycle(site, rules string) (Summary, error) {
	l.t.Helper()
	return NewDaemon(l.ruciax(site, rules)).Once(l.t.Context())
}

// well runs one in which nothing may fail.
func (l *catalogLab) well(site, rules string) Summary {
	l.t.Helper()
	sum, err := l.cycle(site, rules)
	if err != nil {
		l.t.Fatalf("ruciax at %s: %v", site, err)
	}
	return sum
}

// uploaded is a lab whose dataset is in the catalogue.
func uploaded(t *testing.T, change ...func(*Config)) *catalogLab {
	t.Helper()
	l := newCatalogLab(t, change...)
	l.add()
	l.well("A", "")
	l.inCatalogue()
	return l
}

// client asks the server past all that is tested.
func (l *catalogLab) client() *rucio.Client {
	l.t.Helper()
	c, err := rucio.New(rucio.Config{Host: l.srv.URL, Account: l.srv.Admin.Account, Auth: rucio.Userpass{Username: l.srv.Admin.Username, Password: l.srv.Admin.Password}})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	return c
}

// inCatalogue fails the test unless catalogue, storage and record have the dataset as an
// upload leaves it.
func (l *catalogLab) inCatalogue() {
	l.t.Helper()
	a, c := l.raw("A"), l.copy(atR)
	if c.Status != rundb.Transferred || c.Claim != nil || c.Error != nil || c.Content != a.Checksum || c.Location != dataset.String() ||
		!slices.Contains(c.RSE, ruciotest.RSEA) || !slices.Contains(c.RuleInfo, ruciotest.RSEA+":valid") {
		l.t.Errorf("the record is %+v, error %+v", c, c.Error)
	}
	for name, want := range flatFiles {
		if got, err := os.ReadFile(l.srv.File(ruciotest.RSEA, scope, name)); err != nil || string(got) != want {
			l.t.Errorf("%s at the RSE: %d bytes, %v", name, len(got), err)
		}
	}
	for _, left := range l.srv.Orphans() {
		if !strings.HasSuffix(left, "COPYING at "+ruciotest.RSEB) {
			l.t.Errorf("left over: %s", left)
		}
	}
	if n := l.srv.Attachments(scope, "raw"); n != len(flatFiles) {
		l.t.Errorf("%d attachments of %d files", n, len(flatFiles))
	}
	if rules := l.rulesAt(ruciotest.RSEA); len(rules) != 1 || rules[0].State != rucio.RuleOK {
		l.t.Errorf("rules there: %+v", rules)
	}
}

// rulesAt are the rules of the dataset at an RSE.
func (l *catalogLab) rulesAt(rse string) []rucio.Rule {
	l.t.Helper()
	var all []rucio.Rule
	for r, err := range l.client().RulesOf(l.t.Context(), dataset) {
		if err != nil {
			l.t.Fatal(err)
		}
		if r.RSEExpression == rse {
			all = append(all, r)
		}
	}
	return all
}

// replicate does what the catalogue's daemons do for the rules at an RSE.
func (l *catalogLab) replicate(rse string) {
	l.t.Helper()
	var files []rucio.DID
	for name := range flatFiles {
		from, to := l.srv.File(ruciotest.RSEA, scope, name), l.srv.File(rse, scope, name)
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, b, 0o644)
		}
		if err != nil {
			l.t.Fatal(err)
		}
		files = append(files, rucio.DID{Scope: scope, Name: name})
	}
	if err := l.client().SetReplicaState(l.t.Context(), rse, rucio.Available, files); err != nil {
		l.t.Fatal(err)
	}
}

// late makes a failed copy's next try now.
func (l *catalogLab) late(k rundb.Key) {
	l.t.Helper()
	l.cfg.Policy.BackoffMin = time.Nanosecond
	c := l.copy(k)
	if c.Error == nil {
		return
	}
	c.Error.NextTry = time.Now().Add(-time.Second)
	if err := l.store.CompareAndSet(l.t.Context(), l.run().ID, c, bsonError(c.Error)); err != nil {
		l.t.Fatal(err)
	}
}

// change sets fields of a record, as other software would.
func (l *catalogLab) change(k rundb.Key, fields ...bson.E) {
	l.t.Helper()
	if err := l.store.CompareAndSet(l.t.Context(), l.run().ID, l.copy(k), fields); err != nil {
		l.t.Fatal(err)
	}
}

// explained is what is said about the dataset at a host.
func (l *catalogLab) explained(site, host string) string {
	l.t.Helper()
	all, err := l.env(site).Explain(l.t.Context(), l.run(), host)
	if err != nil {
		l.t.Fatal(err)
	}
	var b strings.Builder
	for _, x := range all {
		if x.Type != rundb.Raw {
			continue
		}
		b.WriteString(x.Answer + "\n" + x.Next + "\n")
		for _, d := range x.Decisions {
			b.WriteString(d.Why + "\n")
		}
	}
	return b.String()
}

// reconciled are the findings about the catalogue.
func (l *catalogLab) reconciled(site string) []Discrepancy {
	l.t.Helper()
	all, err := l.env(site).ReconcileCatalogue(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return all
}

// mended carries out the remedies of what is found about the catalogue.
func (l *catalogLab) mended(site string) {
	l.t.Helper()
	for _, f := range l.reconciled(site) {
		if f.Remedy == "" {
			continue
		}
		if err := l.env(site).Mend(l.t.Context(), f); err != nil && !errors.Is(err, ErrNotNeeded) {
			l.t.Errorf("mend %s: %v", f, err)
		}
	}
}

// nilled are fields without a value.
func nilled(names ...string) []bson.E {
	var all []bson.E
	for _, n := range names {
		all = append(all, bson.E{Key: n, Value: nil})
	}
	return all
}
