package rucio_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cax-go/cax/rucio"
	"github.com/cax-go/cax/rucio/ruciotest"
)

// realOperations does everything once; the Python client reads what we wrote.
func realOperations(t *testing.T, srv *ruciotest.Server) {
	scope, files := operations(t, as(t, srv, srv.Admin), as(t, srv, srv.Root))
	got := srv.Python(`import sys
from rucio.client import Client
c, scope = Client(), sys.argv[1]
print(c.get_metadata(scope, "set", plugin="JSON")["note"], sorted(f["name"] for f in c.list_files(scope, "box")), c.get_did(scope, "set")["open"])
`, scope)
	if want := fmt.Sprintf("{'a': [1, True]} ['%s', '%s'] False\n", files[0].Name, files[1].Name); got != want {
		t.Errorf("the Python client has %s, want %s", got, want)
	}
}

// TestFakeOperations does the same with the server that the other tests have, whose
// answers are to be those of a real one.
func TestFakeOperations(t *testing.T) {
	for _, version := range []string{"41.5.1", "39.4.0", "38.6.0", "35.8.0", "34.6.0"} {
		t.Run(version, func(t *testing.T) {
			srv := ruciotest.NewFake(t, &ruciotest.FakeOptions{Version: version})
			operations(t, fakeClient(t, srv, srv.Admin), fakeClient(t, srv, srv.Root))
		})
	}
}

// fakeClient is a client of a server in memory that does not wait long.
func fakeClient(t *testing.T, srv *ruciotest.Fake, l ruciotest.Login) *rucio.Client {
	t.Helper()
	return client(t, rucio.Config{Host: srv.URL, Account: l.Account, Backoff: time.Millisecond,
		Auth: rucio.Userpass{Username: l.Username, Password: l.Password}})
}

// operations does everything that a client can once, and looks at what became of it.
func operations(t *testing.T, c, root *rucio.Client) (scope string, files []rucio.DID) {
	account, disk, other := c.Account(), ruciotest.RSEA, ruciotest.RSEB
	ctx := t.Context()
	unique := fmt.Sprintf("%x", time.Now().UnixNano())
	scope = "go" + unique
	did := func(name string) rucio.DID { return rucio.DID{Scope: scope, Name: name} }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(got, kind error) {
		t.Helper()
		if !errors.Is(got, kind) {
			t.Fatalf("got %v, want kind %q", got, kind)
		}
	}
	same := func(got, want any) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	}

	v, err := c.Ping(ctx)
	must(err)
	if v.Major < 34 {
		t.Fatalf("version %v", v)
	}

	// Accounts and scopes.
	me, err := c.Whoami(ctx)
	must(err)
	same(me.Name, account)
	same(c.Account(), account)
	_, err = c.AccountInfo(ctx, "nobody")
	want(err, rucio.ErrNotExist)
	found := 0
	for a, err := range c.Accounts(ctx, account) {
		must(err)
		same(a.Name, account)
		found++
	}
	same(found, 1)
	_, err = c.AccountAttributes(ctx, account)
	must(err)
	must(c.SetLimit(ctx, account, disk, rucio.Unlimited))
	must(c.SetLimit(ctx, account, other, 1<<40))
	defer c.SetLimit(context.WithoutCancel(ctx), account, other, rucio.Unlimited)
	limits, err := c.Limits(ctx, account)
	must(err)
	same(limits[disk], rucio.Unlimited)
	same(limits[other], int64(1<<40))
	want(c.SetLimit(ctx, account, "NO-SUCH", 1), rucio.ErrNotExist)
	usage := map[string]rucio.AccountUsage{}
	for u, err := range c.AccountUsage(ctx, account) {
		must(err)
		usage[u.RSE] = u
	}
	same(usage[disk].Limit, rucio.Unlimited)
	same(usage[other].Limit, int64(1<<40))
	must(c.AddScope(ctx, account, scope))
	want(c.AddScope(ctx, account, scope), rucio.ErrExist)
	scopes, err := c.Scopes(ctx)
	must(err)
	own, err := c.AccountScopes(ctx, account)
	must(err)
	if !slices.Contains(scopes, scope) || !slices.Contains(own, scope) {
		t.Fatalf("scope %s is in neither %v nor %v", scope, scopes, own)
	}

	// RSEs.
	rses, err := c.RSEs(ctx, "")
	must(err)
	if !slices.Contains(rses, disk) {
		t.Fatal(rses)
	}
	one, err := c.RSEs(ctx, disk)
	must(err)
	same(one, []string{disk})
	_, err = c.RSEs(ctx, "NO-SUCH")
	want(err, rucio.ErrInvalid)
	_, err = c.RSE(ctx, "NO-SUCH")
	want(err, rucio.ErrNotExist)
	rse, err := c.RSE(ctx, disk)
	must(err)
	if !rse.Writable || !rse.Deterministic || !rse.VerifyChecksum {
		t.Fatalf("%+v", rse)
	}
	_, err = c.RSEAttributes(ctx, disk)
	must(err)
	for _, err := range c.RSEUsage(ctx, disk, true) {
		must(err)
	}

	// Files come with replicas.
	files = []rucio.DID{did("a-1"), did("dir/b+2")}
	if v.Major < 38 {
		files[1] = did("b-2")
	}
	_, err = c.DID(ctx, files[0])
	want(err, rucio.ErrNotExist)
	replicas := []rucio.NewReplica{
		{DID: files[0], Bytes: 10, Adler32: "1e72", MD5: "0123456789abcdef0123456789abcdef", State: rucio.Copying, GUID: "0123456789abcdef0123456789abcdef"},
		{DID: files[1], Bytes: 20, Adler32: "00000001", State: rucio.Copying},
	}
	if v.Major >= 38 {
		replicas[1].DID.Name, files[1].Name = "dir/b-2", "dir/b-2"
	}
	must(c.AddReplicas(ctx, disk, replicas))
	must(c.AddReplicas(ctx, disk, replicas)) // says nothing
	info, err := c.DID(ctx, files[0])
	must(err)
	same(info, rucio.DIDInfo{DID: files[0], Type: rucio.File, Account: account, Bytes: 10, Length: 1, Adler32: "00001e72", MD5: "0123456789abcdef0123456789abcdef"})

	// Collections.
	set, box := did("set"), did("box")
	must(c.AddDID(ctx, rucio.NewDID{DID: set, Type: rucio.Dataset, Metadata: map[string]any{"project": "x1t"}}))
	want(c.AddDID(ctx, rucio.NewDID{DID: set, Type: rucio.Dataset}), rucio.ErrExist)
	must(c.AddDIDs(ctx, []rucio.NewDID{{DID: box, Type: rucio.Container}, {DID: did("set2"), Type: rucio.Dataset}}))
	must(c.Attach(ctx, set, files))
	must(c.Attach(ctx, set, files))
	must(c.Attach(ctx, box, []rucio.DID{set}))
	must(c.Attach(ctx, box, []rucio.DID{set, did("set2")}))
	want(c.Attach(ctx, set, []rucio.DID{did("none")}), rucio.ErrNotExist)
	names := func(seq func(func(rucio.DIDEntry, error) bool)) (all []string) {
		t.Helper()
		for e, err := range seq {
			must(err)
			all = append(all, e.Name)
		}
		slices.Sort(all)
		return all
	}
	same(names(c.Contents(ctx, set)), []string{files[0].Name, files[1].Name})
	same(names(c.Contents(ctx, box)), []string{"set", "set2"})
	same(names(c.Parents(ctx, files[0])), []string{"set"})
	must(c.Detach(ctx, box, []rucio.DID{did("set2")}))
	same(names(c.Contents(ctx, box)), []string{"set"})
	n := 0
	for f, err := range c.Files(ctx, box) {
		must(err)
		if f.DID == files[0] {
			same(f, rucio.FileEntry{DID: files[0], Bytes: 10, Adler32: "00001e72", GUID: "0123456789ABCDEF0123456789ABCDEF", Events: -1})
		}
		n++
	}
	same(n, 2)
	var hits []string
	for d, err := range c.SearchDIDs(ctx, scope, rucio.Search{Type: rucio.Dataset, Name: "se*"}) {
		must(err)
		hits = append(hits, string(d.Type)+" "+d.Name)
	}
	slices.Sort(hits)
	same(hits, []string{"DATASET set", "DATASET set2"})
	hits = nil
	for d, err := range c.SearchDIDs(ctx, scope, rucio.Search{Metadata: map[string]string{"project": "x1t"}}) {
		must(err)
		hits = append(hits, d.Name)
	}
	same(hits, []string{"set"})
	size, err := c.MeasureDID(ctx, box)
	must(err)
	same([]int64{size.Bytes, size.Length}, []int64{30, 2})

	// Metadata.
	must(c.SetMetadata(ctx, set, map[string]any{"run_number": 1234, "note": map[string]any{"a": []any{1.0, true}}, "campaign": "SR0"}))
	meta, err := c.Metadata(ctx, set)
	must(err)
	same([]any{meta["run_number"], meta["note"], meta["campaign"], meta["project"]},
		[]any{1234.0, map[string]any{"a": []any{1.0, true}}, "SR0", "x1t"})
	_, err = c.Metadata(ctx, did("none"))
	want(err, rucio.ErrNotExist)
	want(c.SetMetadata(ctx, did("none"), map[string]any{"note": 1}), rucio.ErrNotExist)

	// Replicas.
	list := func(q rucio.ReplicaQuery) map[string]rucio.FileReplicas {
		t.Helper()
		all := map[string]rucio.FileReplicas{}
		for f, err := range c.Replicas(ctx, q) {
			must(err)
			all[f.Name] = f
		}
		return all
	}
	same(len(list(rucio.ReplicaQuery{DIDs: []rucio.DID{did("none")}})), 0)
	all := list(rucio.ReplicaQuery{DIDs: []rucio.DID{box}, AllStates: true, Parents: true})
	same(all[files[0].Name].States, map[string]rucio.ReplicaState{disk: rucio.Copying})
	same(len(all[files[0].Name].Parents), 2)
	same(len(list(rucio.ReplicaQuery{DIDs: []rucio.DID{set}})[files[0].Name].PFNs), 0)
	want(c.SetReplicaState(ctx, other, rucio.Available, files), rucio.ErrNotExist)
	want(c.SetReplicaState(ctx, "NO-SUCH", rucio.Available, files), rucio.ErrNotExist)

	// Rules: an upload's goes OK with its last replica.
	hour := time.Hour
	ids, err := c.AddRule(ctx, rucio.NewRule{DIDs: []rucio.DID{set}, RSEExpression: disk, Lifetime: &hour, Comment: "real"})
	must(err)
	same(len(ids), 1)
	_, err = c.AddRule(ctx, rucio.NewRule{DIDs: []rucio.DID{set}, RSEExpression: disk})
	want(err, rucio.ErrExist)
	_, err = c.AddRule(ctx, rucio.NewRule{DIDs: []rucio.DID{set}, RSEExpression: "NO-SUCH"})
	want(err, rucio.ErrInvalid)
	_, err = c.AddRule(ctx, rucio.NewRule{DIDs: []rucio.DID{did("none")}, RSEExpression: disk})
	want(err, rucio.ErrNotExist)
	rule, err := c.Rule(ctx, ids[0])
	must(err)
	same([]any{rule.State, rule.DID, rule.RSEExpression, rule.Copies, rule.LocksReplicating, rule.Comments, rule.DIDType, rule.Account},
		[]any{rucio.RuleReplicating, set, disk, 1, int64(2), "real", rucio.Dataset, account})
	if left := time.Until(rule.ExpiresAt); left < 50*time.Minute || left > 70*time.Minute {
		t.Fatalf("it ends in %v", left)
	}
	must(c.SetReplicaState(ctx, disk, rucio.Available, files))
	rule, err = c.Rule(ctx, ids[0])
	must(err)
	same([]any{rule.State, rule.LocksOK}, []any{rucio.RuleOK, int64(2)})
	for _, seq := range []func(func(rucio.Rule, error) bool){
		c.RulesOf(ctx, set), c.RulesAbove(ctx, files[0]),
		c.Rules(ctx, rucio.RuleFilter{Scope: scope, Name: "set", State: rucio.RuleOK, CreatedAfter: time.Now().Add(-time.Hour)}),
	} {
		var got []string
		for r, err := range seq {
			must(err)
			got = append(got, r.ID)
		}
		same(got, ids)
	}
	for _, err := range c.RulesOf(ctx, did("none")) {
		want(err, rucio.ErrNotExist)
	}
	locks := map[rucio.DID]rucio.LockState{}
	for l, err := range c.Locks(ctx, ids[0]) {
		must(err)
		locks[l.DID] = l.State
	}
	same(locks, map[rucio.DID]rucio.LockState{files[0]: rucio.LockOK, files[1]: rucio.LockOK})
	why, err := c.RuleErrors(ctx, ids[0])
	must(err)
	if why.Text == "" || len(why.Transfers) != 0 {
		t.Fatalf("%+v", why)
	}
	must(c.SetRuleLifetime(ctx, ids[0], nil))
	rule, err = c.Rule(ctx, ids[0])
	must(err)
	same(rule.ExpiresAt.IsZero(), true)
	must(c.DeleteRule(ctx, ids[0], true))
	rule, err = c.Rule(ctx, ids[0])
	must(err) // it is still there
	if rule.ExpiresAt.IsZero() || !rule.PurgeReplicas {
		t.Fatalf("%+v", rule)
	}
	_, err = c.Rule(ctx, "00000000000000000000000000000000")
	want(err, rucio.ErrNotExist)

	// Addresses: ours are the server's.
	all = list(rucio.ReplicaQuery{DIDs: files})
	for _, f := range files {
		if len(all[f.Name].PFNs) != 1 {
			t.Fatalf("%+v", all[f.Name])
		}
	}
	for _, name := range rses {
		r, err := c.RSE(ctx, name)
		must(err)
		for _, p := range r.Best(rucio.OpRead, "wan", v) {
			for _, d := range files {
				pfn, err := c.PFN(ctx, r, p, d)
				must(err)
				r.LFN2PFN = "only the server knows"
				theirs, err := c.PFN(ctx, r, p, d)
				must(err)
				r.LFN2PFN = "hash"
				same(pfn, theirs)
				if name == disk {
					same(all[d.Name].PFNs[0].URL, pfn)
				}
			}
		}
	}

	for d, err := range c.DatasetReplicas(ctx, set, true) {
		must(err)
		same([]any{d.RSE, d.AvailableLength, d.AvailableBytes}, []any{disk, int64(2), int64(30)})
	}
	_, err = c.DeclareBad(ctx, disk, files[:1], "damaged")
	want(err, rucio.ErrPermission) // root alone may
	refused, err := root.DeclareBad(ctx, disk, append(files[:1:1], did("none")), "damaged")
	must(err)
	same(len(refused), 1)
	all = list(rucio.ReplicaQuery{DIDs: files, AllStates: true})
	same(all[files[0].Name].States, map[string]rucio.ReplicaState{disk: rucio.Bad})

	must(c.CloseDataset(ctx, set))
	must(c.CloseDataset(ctx, set))
	info, err = c.DID(ctx, set)
	must(err)
	same([]any{info.Open, info.Type, info.Bytes}, []any{false, rucio.Dataset, int64(30)})
	want(c.Attach(ctx, set, []rucio.DID{did("none")}), rucio.ErrUnsupported)

	must(c.AddReplicas(ctx, disk, []rucio.NewReplica{{DID: did("gone"), Bytes: 1, Adler32: "1"}}))
	must(c.ReleaseReplicas(ctx, disk, []rucio.DID{did("gone")}))
	want(c.ReleaseReplicas(ctx, disk, files), rucio.ErrUnavailable)
	want(c.ReleaseReplicas(ctx, disk, []rucio.DID{did("none")}), rucio.ErrNotExist)
	_, err = root.SignURL(ctx, disk, "s3", rucio.OpRead, "https://localhost/x", time.Minute)
	want(err, rucio.ErrUnsupported) // no address of a bucket
	return scope, files
}
