package ruciotest

import (
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// FakeOptions says what kind of server [NewFake] is.
type FakeOptions struct {
	Version string           // "": "41.5.1"; 34 to 41 differ as the real ones do
	Now     func() time.Time // tells when tokens and rules end; nil: time.Now
	NoJSON  bool             // its database has no JSON, so that metadata has only columns
}

// A Fake is a Rucio server in memory, with the accounts, scopes and, as folders, the
// two storages [RSEA] and [RSEB] of a real one. It answers as the real one does, oddities included:
// a replica that is added again is silently left as it is, an unknown DID has an empty
// list of replicas, files attached later have no locks before [Fake.Evaluate], deleted
// rules are there for another hour. Storage does not go through it.
//
// What it cannot do is in the tests that compare it with a real server. It is safe for
// concurrent use.
type Fake struct {
	URL   string
	Root  Login // may do everything
	Admin Login // a service account with all rights, without quota limit, owner of [Scope] and "admin"
	User  Login // a plain user with a terabyte on each storage, owner of "user.cax"

	t       testing.TB
	server  *httptest.Server
	version string
	major   int
	now     func() time.Time
	noJSON  bool
	table   []route

	mu       sync.Mutex
	accounts map[string]*fakeAccount
	tokens   map[string]fakeToken
	scopes   map[string]string // owner of each
	rses     []*fakeRSE        // in the order in which they are near
	dids     map[fakeName]*fakeDID
	rules    []*fakeRule
	serial   int
	traces   int

	faultMu  sync.Mutex
	requests []Request
	faults   []*planned
	waiting  sync.WaitGroup // answers that hang
	closing  chan struct{}
}

// NewFake starts a server that ends with the test. Nil options are the defaults.
func NewFake(t testing.TB, o *FakeOptions) *Fake {
	t.Helper()
	if o == nil {
		o = &FakeOptions{}
	}
	f := &Fake{t: t, version: o.Version, now: o.Now, noJSON: o.NoJSON,
		accounts: map[string]*fakeAccount{}, tokens: map[string]fakeToken{}, scopes: map[string]string{}, dids: map[fakeName]*fakeDID{},
		closing: make(chan struct{})}
	if f.version == "" {
		f.version = "41.5.1"
	}
	if f.now == nil {
		f.now = time.Now
	}
	f.major = majorOf(f.version)
	f.table = f.routes()
	f.Root = f.addAccount("root", "secret", "SERVICE", true)
	f.Admin = f.addAccount("ruciax", "ruciax-secret", "SERVICE", true)
	f.User = f.addAccount("alice", "alice-secret", "USER", false)
	f.scopes[Scope], f.scopes["admin"], f.scopes["user.cax"] = "ruciax", "ruciax", "alice"
	f.AddRSE(FakeRSE{Name: RSEA})
	f.AddRSE(FakeRSE{Name: RSEB})
	f.server = httptest.NewServer(f)
	f.URL = f.server.URL
	t.Cleanup(func() {
		close(f.closing)
		f.server.CloseClientConnections()
		f.server.Close()
		f.waiting.Wait()
	})
	return f
}

// majorOf is the 41 of "41.5.1".
func majorOf(version string) (n int) {
	for _, r := range version {
		if r < '0' || r > '9' {
			break
		}
		n = 10*n + int(r-'0')
	}
	return n
}

// A fakeName is a DID.
type fakeName struct {
	Scope string `json:"scope"`
	Name  string `json:"name"`
}

func (n fakeName) String() string { return n.Scope + ":" + n.Name }

// id makes what looks like the server's ids, each once.
func (f *Fake) id() string {
	f.serial++
	return hexOf("id", f.serial)
}

// AddScope gives an account a new scope.
func (f *Fake) AddScope(account, scope string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scopes[scope] = account
}
