package rucio

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// says answers everything with one text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func TestDIDAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		want         DIDInfo
	}{
		{"file", `{"scope":"s","name":"n","type":"FILE","account":"jdoe","bytes":10,"length":1,"md5":null,"adler32":"00000001"}`,
			DIDInfo{DID: DID{"s", "n"}, Type: File, Account: "jdoe", Bytes: 10, Length: 1, Adler32: "00000001"}},
		{"open dataset", `{"scope":"s","name":"n","type":"DATASET","account":"jdoe","open":true,"monotonic":false,"expired_at":null,"length":null,"bytes":null}`,
			DIDInfo{DID: DID{"s", "n"}, Type: Dataset, Account: "jdoe", Bytes: -1, Length: -1, Open: true}},
		{"dataset that expires", `{"scope":"s","name":"n","type":"DATASET","account":"jdoe","open":false,"monotonic":true,"expired_at":"Thu, 01 Jan 2026 00:00:00 UTC","length":2,"bytes":30.0}`,
			DIDInfo{DID: DID{"s", "n"}, Type: Dataset, Account: "jdoe", Bytes: 30, Length: 2, Monotonic: true, ExpiredAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := answering(t, says(tt.answer)).client(t).DID(t.Context(), DID{"s", "n"})
			if d := cmp.Diff(tt.want, got); err != nil || d != "" {
				t.Errorf("%v %s", err, d)
			}
		})
	}
}

func TestParseDID(t *testing.T) {
	for in, want := range map[string]DID{"s:n": {"s", "n"}, "s:n:m": {"s", "n:m"}, "s": {}, ":n": {}, "s:": {}, "": {}} {
		got, err := ParseDID(in)
		if got != want || (err == nil) == want.IsZero() {
			t.Errorf("%q: %v, %v", in, got, err)
		}
		if err == nil && got.String() != in {
			t.Errorf("%q became %q", in, got)
		}
	}
}

// A dataset that is closed already is what was wanted.
func TestCloseClosed(t *testing.T) {
	for _, tt := range []struct {
		name, info string
		want       error
	}{
		{"closed", `{"type":"DATASET","open":false}`, nil},
		{"open, and may not be closed", `{"type":"DATASET","open":true}`, ErrUnsupported},
		{"a file", `{"type":"FILE"}`, ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					refuse(w, 409, "UnsupportedOperation", "The status of the data identifier cannot be changed")
					return
				}
				io.WriteString(w, tt.info)
			})
			if err := s.client(t).CloseDataset(t.Context(), DID{"s", "n"}); !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	by := func(answers map[string]http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Query().Get("plugin")](w, r) }
	}
	refuses := func(status int, class string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { refuse(w, status, class, "") }
	}
	both := map[string]any{"project": "x1t", "note": map[string]any{"a": 1.0}}
	columns := map[string]any{"project": "x1t"}
	for _, tt := range []struct {
		name    string
		answers map[string]http.HandlerFunc
		want    map[string]any
		err     error
	}{
		{"merged by the server", map[string]http.HandlerFunc{"ALL": says(`{"project":"x1t","note":{"a":1}}`)}, both, nil},
		{"merged here", map[string]http.HandlerFunc{"ALL": refuses(400, "UnsupportedMetadataPlugin"), "DID_COLUMN": says(`{"project":"x1t"}`), "JSON": says(`{"note":{"a":1}}`)}, both, nil},
		{"a database without JSON", map[string]http.HandlerFunc{"ALL": status(500), "DID_COLUMN": says(`{"project":"x1t"}`), "JSON": refuses(409, "NotImplementedError")}, columns, nil},
		{"a value that JSON does not know", map[string]http.HandlerFunc{"ALL": says(`{"project":NaN}`)}, map[string]any{"project": "NaN"}, nil},
		{"no such DID", map[string]http.HandlerFunc{"ALL": refuses(404, "DataIdentifierNotFound")}, nil, ErrNotExist},
		{"not allowed", map[string]http.HandlerFunc{"ALL": refuses(401, "AccessDenied")}, nil, ErrPermission},
		{"not now", map[string]http.HandlerFunc{"ALL": status(503)}, nil, ErrTransient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := answering(t, by(tt.answers)).client(t).Metadata(t.Context(), DID{"s", "n"})
			if d := cmp.Diff(tt.want, got); !errors.Is(err, tt.err) || d != "" {
				t.Errorf("%v %s", err, d)
			}
		})
	}
}

func TestCheckMetadata(t *testing.T) {
	for _, tt := range []struct {
		key   string
		value any
		ok    bool
	}{
		{"project", strings.Repeat("ü", 50), true}, {"project", strings.Repeat("x", 51), false}, {"project", 5, false}, {"project", nil, true},
		{"stream_name", strings.Repeat("x", 70), true}, {"stream_name", strings.Repeat("x", 71), false},
		{"provenance", "abc", false}, {"phys_group", strings.Repeat("x", 26), false},
		{"run_number", 5, true}, {"run_number", "5", true}, {"run_number", 5.0, true}, {"run_number", 5.5, false}, {"run_number", "five", false},
		{"lifetime", 3600.5, true}, {"lifetime", nil, true}, {"lifetime", "soon", false},
		{"bytes", 5, false}, {"adler32", "1", false}, {"expired_at", nil, false},
		{"note", map[string]any{"any": 1}, true}, {"a.b", 1, false}, {"", 1, false}, {"transient", true, true},
	} {
		err := CheckMetadata(tt.key, tt.value)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s %v: %v", tt.key, tt.value, err)
		}
	}
}

func TestReplicasAnswer(t *testing.T) {
	const answer = `{"scope":"s","name":"f","bytes":7,"md5":null,"adler32":"1e720467","pfns":{` +
		`"https://b:443/x/s/f":{"rse_id":"2","rse":"B","type":"TAPE","volatile":true,"domain":"wan","priority":2,"client_extract":true},` +
		`"file://a/x/s/f":{"rse_id":"1","rse":"A","type":"DISK","volatile":false,"domain":"lan","priority":1,"client_extract":false}},` +
		`"rses":{"A":["file://a/x/s/f"],"B":["https://b:443/x/s/f"]},"states":{"A":"AVAILABLE","B":"COPYING"},"parents":["s:set","odd"]}` + "\n" +
		`{"scope":"s","name":"g","bytes":null,"md5":null,"adler32":null,"pfns":{},"rses":{},"states":{}}` + "\n"
	got, err := collect(answering(t, says(answer)).client(t).Replicas(t.Context(), ReplicaQuery{DIDs: []DID{{"s", "set"}}}))
	want := []FileReplicas{
		{DID: DID{"s", "f"}, Bytes: 7, Adler32: "1e720467", States: map[string]ReplicaState{"A": Available, "B": Copying}, Parents: []DID{{"s", "set"}}, PFNs: []PFN{
			{URL: "file://a/x/s/f", RSE: "A", RSEID: "1", Type: "DISK", Domain: "lan", Priority: 1},
			{URL: "https://b:443/x/s/f", RSE: "B", RSEID: "2", Type: "TAPE", Volatile: true, Domain: "wan", Priority: 2, ClientExtract: true}}},
		{DID: DID{"s", "g"}, Bytes: -1, States: map[string]ReplicaState{}},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// An unknown DID has an empty answer, which is a success.
func TestReplicasOfUnknownDID(t *testing.T) {
	got, err := collect(answering(t, says("")).client(t).Replicas(t.Context(), ReplicaQuery{DIDs: []DID{{"s", "none"}}}))
	if err != nil || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSameAdler32(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"00000001", "1", true}, {"1E72", "00001e72", true}, {"1", "2", false}, {"", "", false}, {"", "1", false}, {"00000000", "0", true}} {
		if got := SameAdler32(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %v", tt.a, tt.b, got)
		}
	}
}

func TestDeclareBadAnswer(t *testing.T) {
	got, err := answering(t, says(`{"A": ["s:f Unknown replica"]}`)).client(t).DeclareBad(t.Context(), "A", []DID{{"s", "f"}}, "lost")
	if d := cmp.Diff([]string{"s:f Unknown replica"}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

func TestRuleAnswer(t *testing.T) {
	const answer = `{"id":"` + ruleID + `","account":"jdoe","scope":"s","name":"n","did_type":"DATASET","state":"STUCK","rse_expression":"A|B","copies":2,
"expires_at":"Thu, 01 Jan 2026 00:00:00 UTC","weight":null,"locked":true,"locks_ok_cnt":1,"locks_replicating_cnt":2,"locks_stuck_cnt":3,"error":"MissingSourceReplica","comments":null,
"source_replica_expression":null,"activity":"User Subscriptions","grouping":"DATASET","purge_replicas":false,"child_rule_id":null,"meta":"{\"a\":1}","stuck_at":null,
"created_at":"Fri, 02 Jan 2026 03:04:05 UTC","updated_at":"Sat, 03 Jan 2026 03:04:05 UTC"}`
	got, err := answering(t, says(answer)).client(t).Rule(t.Context(), ruleID)
	want := Rule{ID: ruleID, DID: DID{"s", "n"}, DIDType: Dataset, Account: "jdoe", State: RuleStuck, RSEExpression: "A|B", Copies: 2,
		ExpiresAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Locked: true, LocksOK: 1, LocksReplicating: 2, LocksStuck: 3, Error: "MissingSourceReplica",
		Activity: "User Subscriptions", Grouping: "DATASET", Meta: `{"a":1}`, Bytes: -1,
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), UpdatedAt: time.Date(2026, 1, 3, 3, 4, 5, 0, time.UTC)}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

func TestRuleErrorsAnswer(t *testing.T) {
	const answer = `{"rule_error":"stuck","transfers":[{"scope":"s","name":"f","rse_id":"1","rse":"A","attempts":3,"last_error":"FAILED","last_source":"B",` +
		`"sources":[["B",true],["C",false]],"last_time":"Thu, 01 Jan 2026 00:00:00 UTC"},{"scope":"s","name":"g","rse_id":"1","rse":"A","attempts":0,"last_error":null,"last_source":null,"sources":[],"last_time":null}]}`
	got, err := answering(t, says(answer)).client(t).RuleErrors(t.Context(), ruleID)
	want := RuleErrors{Text: "stuck", Transfers: []TransferError{
		{DID: DID{"s", "f"}, RSE: "A", Attempts: 3, State: "FAILED", LastSource: "B", LastTime: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Sources: []string{"B"}},
		{DID: DID{"s", "g"}, RSE: "A"}}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// Infinity is no JSON, but what the server says of an account without a limit.
func TestLimits(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/usage/local") {
			io.WriteString(w, `{"rse_id":"1","rse":"A","bytes":5,"files":1,"bytes_limit":Infinity,"bytes_remaining":Infinity}`+"\n"+
				`{"rse_id":"2","rse":"B","bytes":5.0,"files":1,"bytes_limit":3,"bytes_remaining":-2}`+"\n")
			return
		}
		io.WriteString(w, `{"A": Infinity, "B": 1000, "C": null}`)
	})
	limits, err := s.client(t).Limits(t.Context(), "jdoe")
	if d := cmp.Diff(map[string]int64{"A": Unlimited, "B": 1000}, limits); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	usage, err := collect(s.client(t).AccountUsage(t.Context(), "jdoe"))
	want := []AccountUsage{{"A", "1", 5, 1, Unlimited, Unlimited}, {"B", "2", 5, 1, 3, -2}}
	if d := cmp.Diff(want, usage); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// Limits moved with server 40.
func TestSetLimitOfOldServer(t *testing.T) {
	for _, missing := range []int{404, 405} {
		s := answering(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/accounts/") {
				w.WriteHeader(missing)
				return
			}
			w.WriteHeader(http.StatusCreated)
		})
		if err := s.client(t).SetLimit(t.Context(), "jdoe", "A", 5); err != nil {
			t.Errorf("%d: %v", missing, err)
		}
		if all := s.requests(); len(all) != 2 || all[1].URI != "/accountlimits/local/jdoe/A" || all[1].Body != `{"bytes":5}` {
			t.Errorf("%d: %v", missing, all)
		}
	}
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 404, "AccountNotFound", "") })
	if err := s.client(t).SetLimit(t.Context(), "jdoe", "A", 5); !errors.Is(err, ErrNotExist) || len(s.requests()) != 1 {
		t.Errorf("no such account: %v, %d requests", err, len(s.requests()))
	}
}

// An account without scopes is an error to the server.
func TestNoScopes(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 404, "ScopeNotFound", "") })
	if got, err := s.client(t).AccountScopes(t.Context(), "jdoe"); err != nil || got != nil {
		t.Errorf("got %v, %v", got, err)
	}
	s = answering(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 404, "AccountNotFound", "") })
	if _, err := s.client(t).AccountScopes(t.Context(), "jdoe"); !errors.Is(err, ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestAccountAttributes(t *testing.T) {
	s := answering(t, says(`[{"key":"admin","value":true},{"key":"country-de","value":"user"}]`))
	got, err := s.client(t).AccountAttributes(t.Context(), "jdoe")
	if d := cmp.Diff(map[string]any{"admin": true, "country-de": "user"}, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

func TestRSEUsageAnswer(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json") // it is lines
		io.WriteString(w, `{"rse_id":"1","rse":"A","source":"rucio","used":10,"free":null,"total":10,"files":2,"updated_at":"Thu, 01 Jan 2026 00:00:00 UTC","account_usages":[{"used":10,"account":"jdoe","percentage":100.0}]}`+"\n"+
			`{"rse_id":"1","rse":"A","source":"storage","used":1,"free":2,"total":3,"files":null,"updated_at":null}`+"\n")
	})
	got, err := collect(s.client(t).RSEUsage(t.Context(), "A", true))
	want := []RSEUsage{
		{RSE: "A", RSEID: "1", Source: "rucio", Used: 10, Free: -1, Total: 10, Files: 2, UpdatedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Accounts: []AccountShare{{"jdoe", 10, 100}}},
		{RSE: "A", RSEID: "1", Source: "storage", Used: 1, Free: 2, Total: 3, Files: -1}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}

// Servers before 38 refuse a collection that is in the container already.
func TestAttachTwiceToOldServer(t *testing.T) {
	box, a, b := DID{"s", "box"}, DID{"s", "a"}, DID{"s", "b"}
	for _, tt := range []struct {
		name, class string
		there       string
		bodies      int
		want        error
	}{
		{"some are in", "DuplicateContent", `{"scope":"s","name":"a","type":"DATASET"}` + "\n", 2, nil},
		{"all are in", "DuplicateContent", `{"scope":"s","name":"a"}` + "\n" + `{"scope":"s","name":"b"}` + "\n", 1, nil},
		{"none is in, it says", "FileAlreadyExists", "", 4, ErrExist},
		{"another reason", "UnsupportedOperation", "", 1, ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				switch {
				case r.Method == http.MethodGet:
					io.WriteString(w, tt.there)
				case tt.want == nil && !strings.Contains(string(body), `"name":"a"`):
					w.WriteHeader(http.StatusCreated)
				default:
					refuse(w, 409, tt.class, "")
				}
			})
			if err := s.client(t).Attach(t.Context(), box, []DID{a, b}); !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
			n := 0
			for _, r := range s.requests() {
				if r.Method == http.MethodPost {
					n++
				}
			}
			if n != tt.bodies {
				t.Errorf("attached %d times", n)
			}
		})
	}
}
