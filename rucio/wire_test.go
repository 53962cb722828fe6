package rucio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ruleID = "0123456789abcdef0123456789abcdef"

// drain reads a stream for its requests alone.
func drain[T any](seq func(func(T, error) bool)) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// What goes over the wire: the slashes at ends matter, the server takes no null for a
// boolean, DELETE of a rule needs a body, booleans of queries are "True" or left out.
func TestWire(t *testing.T) {
	f, g := DID{"s", "f"}, DID{"s", "g"}
	day, over := 24*time.Hour, -time.Second
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		do     func(context.Context, *Client) error
		answer string
		want   string // method, URI and body
	}{
		{"look up", func(ctx context.Context, c *Client) error { _, err := c.DID(ctx, f); return err }, `{}`, `GET /dids/s/f `},
		{"measure", func(ctx context.Context, c *Client) error { _, err := c.MeasureDID(ctx, f); return err }, `{}`, `GET /dids/s/f?dynamic_depth=FILE `},
		{"contents", func(ctx context.Context, c *Client) error { return drain(c.Contents(ctx, f)) }, ``, `GET /dids/s/f/dids `},
		{"parents", func(ctx context.Context, c *Client) error { return drain(c.Parents(ctx, f)) }, ``, `GET /dids/s/f/parents `},
		{"files", func(ctx context.Context, c *Client) error { return drain(c.Files(ctx, f)) }, ``, `GET /dids/s/f/files `},
		{"search all", func(ctx context.Context, c *Client) error { return drain(c.SearchDIDs(ctx, "s", Search{})) }, ``, `GET /dids/s/dids/search?long=True&type=all `},
		{"search some", func(ctx context.Context, c *Client) error {
			return drain(c.SearchDIDs(ctx, "s", Search{Type: Container, Name: "raw*", Metadata: map[string]string{"project": "x1t"}, Recursive: true, Limit: 5}))
		}, ``, `GET /dids/s/dids/search?limit=5&long=True&name=raw%2A&project=x1t&recursive=True&type=container `},
		{"add", func(ctx context.Context, c *Client) error { return c.AddDID(ctx, NewDID{DID: f, Type: Dataset}) }, ``, `POST /dids/s/f {"type":"DATASET"}`},
		{"add with all", func(ctx context.Context, c *Client) error {
			return c.AddDID(ctx, NewDID{DID: f, Type: Dataset, Monotonic: true, Metadata: map[string]any{"project": "x1t"}, Lifetime: time.Minute + 1, RSE: "A",
				Children: []DID{g}, Rules: []NewRule{{RSEExpression: "A"}}})
		}, ``, `POST /dids/s/f {"type":"DATASET","statuses":{"monotonic":true},"meta":{"project":"x1t"},"rules":[{"account":"jdoe","copies":1,"rse_expression":"A","lifetime":null}],"lifetime":61,"dids":[{"scope":"s","name":"g"}],"rse":"A"}`},
		{"add many", func(ctx context.Context, c *Client) error {
			return c.AddDIDs(ctx, []NewDID{{DID: f, Type: Dataset}, {DID: g, Type: Container}})
		}, ``, `POST /dids [{"scope":"s","name":"f","type":"DATASET"},{"scope":"s","name":"g","type":"CONTAINER"}]`},
		{"attach", func(ctx context.Context, c *Client) error { return c.Attach(ctx, f, []DID{g}) }, ``,
			`POST /dids/attachments {"attachments":[{"dids":[{"scope":"s","name":"g"}],"name":"f","scope":"s"}],"ignore_duplicate":true}`},
		{"detach", func(ctx context.Context, c *Client) error { return c.Detach(ctx, f, []DID{g}) }, ``, `DELETE /dids/s/f/dids {"dids":[{"scope":"s","name":"g"}]}`},
		{"close", func(ctx context.Context, c *Client) error { return c.CloseDataset(ctx, f) }, ``, `PUT /dids/s/f/status {"open":false}`},
		{"metadata", func(ctx context.Context, c *Client) error { _, err := c.Metadata(ctx, f); return err }, `{}`, `GET /dids/s/f/meta?plugin=ALL `},
		{"set metadata", func(ctx context.Context, c *Client) error {
			return c.SetMetadata(ctx, f, map[string]any{"lifetime": nil, "note": []int{1}})
		}, ``, `POST /dids/s/f/meta {"meta":{"lifetime":null,"note":[1]},"recursive":false}`},

		{"replicas", func(ctx context.Context, c *Client) error {
			return drain(c.Replicas(ctx, ReplicaQuery{DIDs: []DID{f}}))
		}, ``,
			`POST /replicas/list {"all_states":false,"client_location":{"site":"ROAMING"},"dids":[{"scope":"s","name":"f"}],"domain":null,"ignore_availability":true,"resolve_archives":true,"resolve_parents":false}`},
		{"replicas of all kinds", func(ctx context.Context, c *Client) error {
			return drain(c.Replicas(ctx, ReplicaQuery{DIDs: []DID{f}, Schemes: []string{"davs"}, RSEExpression: "A|B", Sort: "geoip", Domain: "all", AllStates: true,
				OnlyReadable: true, NoArchives: true, Parents: true, Signature: time.Hour, Location: &Location{Site: "LNGS"}}))
		}, ``, `POST /replicas/list {"all_states":true,"client_location":{"site":"LNGS"},"dids":[{"scope":"s","name":"f"}],"domain":"all","ignore_availability":false,"resolve_archives":false,"resolve_parents":true,"rse_expression":"A|B","schemes":["davs"],"signature_lifetime":3600,"sort":"geoip"}`},
		{"dataset replicas", func(ctx context.Context, c *Client) error { return drain(c.DatasetReplicas(ctx, f, false)) }, ``, `GET /replicas/s/f/datasets `},
		{"dataset replicas now", func(ctx context.Context, c *Client) error { return drain(c.DatasetReplicas(ctx, f, true)) }, ``, `GET /replicas/s/f/datasets?deep=True `},
		{"add replica, adler32 of eight digits", func(ctx context.Context, c *Client) error {
			return c.AddReplicas(ctx, "A", []NewReplica{{DID: f, Bytes: 0, Adler32: "1"}, {DID: g, Bytes: 7, Adler32: "1E720467", MD5: "D41D", State: Copying, PFN: "file://h/x", GUID: "ab"}})
		}, ``, `POST /replicas {"files":[{"scope":"s","name":"f","bytes":0,"adler32":"00000001","state":"A"},{"scope":"s","name":"g","bytes":7,"adler32":"1e720467","md5":"d41d","state":"C","pfn":"file://h/x","meta":{"guid":"ab"}}],"ignore_availability":true,"rse":"A"}`},
		{"set state", func(ctx context.Context, c *Client) error {
			return c.SetReplicaState(ctx, "A", TemporarilyUnavailable, []DID{f})
		}, ``, `PUT /replicas {"files":[{"scope":"s","name":"f","state":"T"}],"rse":"A"}`},
		{"set state to be deleted", func(ctx context.Context, c *Client) error {
			return c.SetReplicaState(ctx, "A", BeingDeleted, []DID{f})
		}, ``, `PUT /replicas {"files":[{"scope":"s","name":"f","state":"D"}],"rse":"A"}`},
		{"release", func(ctx context.Context, c *Client) error { return c.ReleaseReplicas(ctx, "A", []DID{f}) }, ``, `POST /replicas/tombstone {"replicas":[{"scope":"s","name":"f","rse":"A"}]}`},
		{"declare bad", func(ctx context.Context, c *Client) error {
			_, err := c.DeclareBad(ctx, "A", []DID{f}, "lost")
			return err
		}, `{}`, `POST /replicas/bad {"force":false,"reason":"lost","replicas":[{"scope":"s","name":"f","rse":"A"}]}`},

		{"add rule", func(ctx context.Context, c *Client) error {
			_, err := c.AddRule(ctx, NewRule{DIDs: []DID{f}, RSEExpression: "A"})
			return err
		}, `["x"]`, `POST /rules/ {"dids":[{"scope":"s","name":"f"}],"account":"jdoe","copies":1,"rse_expression":"A","lifetime":null}`},
		{"add rule with all", func(ctx context.Context, c *Client) error {
			_, err := c.AddRule(ctx, NewRule{DIDs: []DID{f}, RSEExpression: "A|B", Account: "prod", Copies: 2, Lifetime: &day, Grouping: "ALL", Activity: "User Subscriptions", Comment: "c",
				Meta: "m", SourceRSEs: "C", Weight: "w", Notify: "Y", Priority: 4, Locked: true, PurgeReplicas: true, AnyRSE: true, AskApproval: true, Asynchronous: true})
			return err
		}, `["x"]`, `POST /rules/ {"dids":[{"scope":"s","name":"f"}],"account":"prod","copies":2,"rse_expression":"A|B","lifetime":86400,"grouping":"ALL","activity":"User Subscriptions","comment":"c","meta":"m","source_replica_expression":"C","weight":"w","notify":"Y","priority":4,"locked":true,"purge_replicas":true,"ignore_availability":true,"ask_approval":true,"asynchronous":true}`},
		{"rule", func(ctx context.Context, c *Client) error { _, err := c.Rule(ctx, ruleID); return err }, `{}`, `GET /rules/` + ruleID + ` `},
		{"rules of a DID", func(ctx context.Context, c *Client) error { return drain(c.RulesOf(ctx, f)) }, ``, `GET /dids/s/f/rules `},
		{"rules above a file", func(ctx context.Context, c *Client) error { return drain(c.RulesAbove(ctx, f)) }, ``, `GET /dids/s/f/associated_rules `},
		{"rules, the state a letter", func(ctx context.Context, c *Client) error {
			return drain(c.Rules(ctx, RuleFilter{Account: "jdoe", State: RuleStuck, Scope: "s", Name: "f", RSEExpression: "A", UpdatedAfter: at, CreatedBefore: at}))
		}, ``, `GET /rules/?account=jdoe&created_before=Thu%2C+01+Jan+2026+00%3A00%3A00+UTC&name=f&rse_expression=A&scope=s&state=S&updated_after=Thu%2C+01+Jan+2026+00%3A00%3A00+UTC `},
		{"all rules", func(ctx context.Context, c *Client) error { return drain(c.Rules(ctx, RuleFilter{})) }, ``, `GET /rules/ `},
		{"lifetime", func(ctx context.Context, c *Client) error { return c.SetRuleLifetime(ctx, ruleID, &day) }, ``, `PUT /rules/` + ruleID + ` {"options":{"lifetime":86400}}`},
		{"over", func(ctx context.Context, c *Client) error { return c.SetRuleLifetime(ctx, ruleID, &over) }, ``, `PUT /rules/` + ruleID + ` {"options":{"lifetime":-1}}`},
		{"for ever", func(ctx context.Context, c *Client) error { return c.SetRuleLifetime(ctx, ruleID, nil) }, ``, `PUT /rules/` + ruleID + ` {"options":{"lifetime":null}}`},
		{"delete rule", func(ctx context.Context, c *Client) error { return c.DeleteRule(ctx, ruleID, false) }, ``, `DELETE /rules/` + ruleID + ` {"purge_replicas":null}`},
		{"delete rule and data", func(ctx context.Context, c *Client) error { return c.DeleteRule(ctx, ruleID, true) }, ``, `DELETE /rules/` + ruleID + ` {"purge_replicas":true}`},
		{"locks", func(ctx context.Context, c *Client) error { return drain(c.Locks(ctx, ruleID)) }, ``, `GET /rules/` + ruleID + `/locks `},
		{"errors", func(ctx context.Context, c *Client) error { _, err := c.RuleErrors(ctx, ruleID); return err }, `{}`, `GET /rules/` + ruleID + `/analysis `},

		{"RSEs", func(ctx context.Context, c *Client) error { _, err := c.RSEs(ctx, ""); return err }, ``, `GET /rses/ `},
		{"RSEs of an expression", func(ctx context.Context, c *Client) error { _, err := c.RSEs(ctx, "istape=true&A"); return err }, ``, `GET /rses/?expression=istape%3Dtrue%26A `},
		{"RSE", func(ctx context.Context, c *Client) error { _, err := c.RSE(ctx, "A"); return err }, `{}`, `GET /rses/A `},
		{"RSE attributes", func(ctx context.Context, c *Client) error { _, err := c.RSEAttributes(ctx, "A"); return err }, `{}`, `GET /rses/A/attr/ `},
		{"RSE usage", func(ctx context.Context, c *Client) error { return drain(c.RSEUsage(ctx, "A", false)) }, ``, `GET /rses/A/usage `},
		{"RSE usage of accounts", func(ctx context.Context, c *Client) error { return drain(c.RSEUsage(ctx, "A", true)) }, ``, `GET /rses/A/usage?per_account=True `},
		{"sign", func(ctx context.Context, c *Client) error {
			_, err := c.SignURL(ctx, "A", "s3", OpWrite, "https://h/b/k", 0)
			return err
		}, `x`, `GET /credentials/signurl?lifetime=600&op=write&rse=A&svc=s3&url=https%3A%2F%2Fh%2Fb%2Fk `},

		{"account", func(ctx context.Context, c *Client) error { _, err := c.AccountInfo(ctx, "jdoe"); return err }, `{}`, `GET /accounts/jdoe `},
		{"accounts", func(ctx context.Context, c *Client) error { return drain(c.Accounts(ctx, "j*")) }, ``, `GET /accounts/?account=j%2A `},
		{"account attributes", func(ctx context.Context, c *Client) error { _, err := c.AccountAttributes(ctx, "jdoe"); return err }, `[]`, `GET /accounts/jdoe/attr/ `},
		{"limits", func(ctx context.Context, c *Client) error { _, err := c.Limits(ctx, "jdoe"); return err }, `{}`, `GET /accounts/jdoe/limits/local `},
		{"set limit", func(ctx context.Context, c *Client) error { return c.SetLimit(ctx, "jdoe", "A", Unlimited) }, ``, `POST /accounts/jdoe/limits/local/A {"bytes":-1}`},
		{"account usage", func(ctx context.Context, c *Client) error { return drain(c.AccountUsage(ctx, "jdoe")) }, ``, `GET /accounts/jdoe/usage/local `},
		{"scopes", func(ctx context.Context, c *Client) error { _, err := c.Scopes(ctx); return err }, `[]`, `GET /scopes/ `},
		{"scopes of an account", func(ctx context.Context, c *Client) error { _, err := c.AccountScopes(ctx, "jdoe"); return err }, `[]`, `GET /accounts/jdoe/scopes/ `},
		{"add scope", func(ctx context.Context, c *Client) error { return c.AddScope(ctx, "jdoe", "s.t") }, ``, `POST /accounts/jdoe/scopes/s.t `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, tt.answer) })
			if err := tt.do(t.Context(), s.client(t, func(c *Config) { c.Account = "jdoe" })); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range s.requests() {
				got = append(got, r.Method+" "+r.URI+" "+r.Body)
			}
			if d := cmp.Diff([]string{tt.want}, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Where neither configuration nor login tells the account, the key is there all the same.
func TestRuleWithoutAccount(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `["x"]`) })
	c := s.client(t, func(c *Config) { c.Auth = &counting{life: time.Hour, now: time.Now} })
	ids, err := c.AddRule(t.Context(), NewRule{DIDs: []DID{{"s", "f"}}, RSEExpression: "A"})
	if err != nil || len(ids) != 1 || !strings.Contains(s.requests()[0].Body, `"account":null`) {
		t.Errorf("%v %v %s", ids, err, s.requests()[0].Body)
	}
}

// The server takes a thousand entries at once.
func TestChunks(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "") })
	c := s.client(t)
	var dids []DID
	var replicas []NewReplica
	var collections []NewDID
	for i := range 2500 {
		d := DID{"s", fmt.Sprint("n", i)}
		dids, replicas, collections = append(dids, d), append(replicas, NewReplica{DID: d}), append(collections, NewDID{DID: d, Type: Dataset})
	}
	ctx := t.Context()
	for name, do := range map[string]func() error{
		"attach":      func() error { return c.Attach(ctx, DID{"s", "p"}, dids) },
		"add DIDs":    func() error { return c.AddDIDs(ctx, collections) },
		"add replica": func() error { return c.AddReplicas(ctx, "A", replicas) },
		"set state":   func() error { return c.SetReplicaState(ctx, "A", Available, dids) },
		"list":        func() error { return drain(c.Replicas(ctx, ReplicaQuery{DIDs: dids})) },
	} {
		before := len(s.requests())
		if err := do(); err != nil {
			t.Fatal(name, err)
		}
		if n := len(s.requests()) - before; n != 3 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

// What cannot be right is refused here, where the server's answer would say little.
func TestInvalidHere(t *testing.T) {
	s := answering(t, func(http.ResponseWriter, *http.Request) {})
	c, ctx := s.client(t), t.Context()
	f := DID{"s", "f"}
	for name, err := range map[string]error{
		"rule id":               func() error { _, err := c.Rule(ctx, "x"); return err }(),
		"rule id of locks":      drain(c.Locks(ctx, "../rses")),
		"rule id of lifetime":   c.SetRuleLifetime(ctx, "", nil),
		"rule id of delete":     c.DeleteRule(ctx, strings.Repeat("a", 31), false),
		"rule id of analysis":   func() error { _, err := c.RuleErrors(ctx, "g"+ruleID[1:]); return err }(),
		"rule for nothing":      func() error { _, err := c.AddRule(ctx, NewRule{RSEExpression: "A"}); return err }(),
		"rule for nowhere":      func() error { _, err := c.AddRule(ctx, NewRule{DIDs: []DID{f}}); return err }(),
		"file as a collection":  c.AddDID(ctx, NewDID{DID: f, Type: File}),
		"size":                  c.AddReplicas(ctx, "A", []NewReplica{{DID: f, Bytes: -1}}),
		"adler32":               c.AddReplicas(ctx, "A", []NewReplica{{DID: f, Adler32: "123456789"}}),
		"reserved metadata":     c.SetMetadata(ctx, f, map[string]any{"bytes": 1}),
		"list without a name":   drain(c.Files(ctx, DID{Scope: "s"})),
		"replicas of a nothing": drain(c.Replicas(ctx, ReplicaQuery{DIDs: []DID{{}}})),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	if _, err := c.Rule(ctx, "01234567-89ab-cdef-0123-456789abcdef"); errors.Is(err, ErrInvalid) {
		t.Error("an id with dashes is one too")
	}
}
