package ruciotest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// odd are requests, each after those before it, whose answers are not what one would
// guess: by whom, method, path, body.
const odd = `
admin GET /accounts/nobody
admin GET /accounts/alice
admin GET /accounts/alice/scopes/
admin GET /accounts/root/scopes/
admin GET /accounts/nobody/scopes/
admin GET /accounts/ruciax/limits/local
user POST /accounts/alice/scopes/other
admin POST /accounts/alice/scopes/user.cax
admin POST /accounts/alice/scopes/much.too.long.for.a.scope.really
user POST /accounts/alice/limits/local/TEST-A_SCRATCHDISK {"bytes":5}
admin GET /rses/
admin GET /rses/?expression=TEST-A_SCRATCHDISK
admin GET /rses/?expression=NONE
admin GET /rses/?expression=istape=true
admin GET /rses/?expression=TEST-A_SCRATCHDISK|TEST-B_SCRATCHDISK
admin GET /rses/?expression=site=TESTSITE
admin GET /rses/NONE
admin GET /rses/TEST-A_SCRATCHDISK
admin GET /rses/TEST-A_SCRATCHDISK/protocols
admin POST /dids/$/set {"type":"DATASET"}
admin POST /dids/$/set {"type":"DATASET"}
admin POST /dids/$/set {}
admin POST /dids/$/bad%20name {"type":"DATASET"}
admin POST /dids/$/bad {"type":"FILE"}
admin POST /dids/nowhere/set {"type":"DATASET"}
user POST /dids/$/other {"type":"DATASET"}
admin POST /dids/$/box {"type":"CONTAINER"}
admin GET /dids/$/none
admin GET /dids/$/none/dids
admin GET /dids/$/none/files
admin GET /dids/$/none/rules
admin GET /dids/$/set
admin GET /dids/$/set/dids
admin GET /dids/$/set/files
admin POST /replicas {"rse":"TEST-A_SCRATCHDISK","files":[{"scope":"$","name":"f","bytes":3,"adler32":"00000001","state":"C"},{"scope":"$","name":"g","bytes":4,"adler32":"00000001","state":"C"}],"ignore_availability":true}
admin POST /replicas {"rse":"TEST-A_SCRATCHDISK","files":[{"scope":"$","name":"f","bytes":9,"adler32":"00000009","state":"A"}],"ignore_availability":true}
admin POST /replicas {"rse":"TEST-A_SCRATCHDISK","files":[{"scope":"$","name":"h","bytes":3,"adler32":"1"}]}
admin POST /replicas {"rse":"TEST-A_SCRATCHDISK","files":[{"scope":"$","name":"h","bytes":3,"odd":1,"adler32":"0000000g"}]}
admin POST /replicas {"rse":"TEST-A_SCRATCHDISK","files":[]}
admin POST /replicas {"rse":"TEST-A_SCRATCHDISK","files":[{"scope":"$","name":"h","bytes":3,"adler32":"00000001","pfn":"file://localhost/elsewhere"}]}
admin POST /replicas {"rse":"TEST-A_SCRATCHDISK","ignore_availability":null,"files":[{"scope":"$","name":"h","bytes":3,"adler32":"00000001"}]}
admin POST /replicas {"rse":"NONE","files":[{"scope":"$","name":"h","bytes":3,"adler32":"00000001"}]}
admin POST /replicas {"rse":"TEST-A_SCRATCHDISK","files":[{"scope":"nowhere","name":"h","bytes":3,"adler32":"00000001"}]}
user POST /replicas {"rse":"TEST-A_SCRATCHDISK","files":[{"scope":"$","name":"h","bytes":3,"adler32":"00000001"}]}
user PUT /replicas {"rse":"TEST-A_SCRATCHDISK","files":[{"scope":"$","name":"f","state":"A"}]}
admin PUT /replicas {"rse":"TEST-B_SCRATCHDISK","files":[{"scope":"$","name":"f","state":"A"}]}
admin PUT /replicas {"rse":"NONE","files":[{"scope":"$","name":"f","state":"A"}]}
admin GET /dids/$/f
admin POST /dids/$/set/dids {"dids":[{"scope":"$","name":"f"}]}
admin POST /dids/$/set/dids {"dids":[{"scope":"$","name":"f"}]}
admin POST /dids/$/set/dids {"dids":[{"scope":"$","name":"none"}]}
admin POST /dids/$/set/dids {"dids":[{"scope":"$","name":"g","bytes":5}]}
admin POST /dids/attachments {"ignore_duplicate":true,"attachments":[{"scope":"$","name":"set","dids":[{"scope":"$","name":"f"},{"scope":"$","name":"g"}]}]}
admin POST /dids/attachments {"ignore_duplicate":true,"attachments":[{"scope":"$","name":"none","dids":[{"scope":"$","name":"f"}]}]}
admin POST /dids/attachments {"ignore_duplicate":true,"attachments":[{"scope":"$","name":"set","dids":[{"scope":"$","name":"g","bytes":5}]}]}
admin POST /dids/$/box/dids {"dids":[{"scope":"$","name":"set"}]}
admin POST /dids/$/box/dids {"dids":[{"scope":"$","name":"set"}]}
admin POST /dids/$/box/dids {"dids":[{"scope":"$","name":"f"}]}
admin GET /dids/$/box/dids
admin GET /dids/$/box/files
admin GET /dids/$/box?dynamic_depth=FILE
admin GET /dids/$/f/parents
admin POST /replicas/list {"dids":[{"scope":"$","name":"set"}]}
admin POST /replicas/list {"dids":[{"scope":"$","name":"box"}],"all_states":true,"resolve_parents":true}
admin POST /replicas/list {"dids":[{"scope":"$","name":"f"}]}
admin POST /replicas/list {"dids":[{"scope":"$","name":"set"}],"all_states":true,"rse_expression":"TEST-B_SCRATCHDISK"}
admin POST /replicas/list {"dids":[{"scope":"$","name":"set"}],"all_states":true,"schemes":["root"]}
admin POST /replicas/list {"dids":[{"scope":"$","name":"none"}]}
admin POST /replicas/list {"dids":[{"scope":"$","name":"set"}],"all_states":null}
admin POST /replicas/list {"dids":[{"scope":"$","name":"set"}],"rse_expression":"NONE"}
admin POST /rules/ {"dids":[{"scope":"$","name":"set"}],"account":null,"copies":1,"rse_expression":"TEST-A_SCRATCHDISK"}
admin POST /rules/ {"dids":[{"scope":"$","name":"set"}],"account":null,"copies":1,"rse_expression":"TEST-A_SCRATCHDISK"}
admin POST /rules/ {"dids":[{"scope":"$","name":"set"}],"copies":1,"rse_expression":"TEST-A_SCRATCHDISK"}
admin POST /rules/ {"dids":[{"scope":"$","name":"set"}],"account":null,"copies":0,"rse_expression":"TEST-A_SCRATCHDISK"}
admin POST /rules/ {"dids":[{"scope":"$","name":"set"}],"account":null,"copies":3,"rse_expression":"TEST-A_SCRATCHDISK"}
admin POST /rules/ {"dids":[{"scope":"$","name":"set"}],"account":null,"copies":1,"rse_expression":"NONE"}
admin POST /rules/ {"dids":[{"scope":"$","name":"none"}],"account":null,"copies":1,"rse_expression":"TEST-A_SCRATCHDISK"}
admin POST /rules/ {"dids":[{"scope":"$","name":"set"}],"account":null,"copies":1,"rse_expression":"TEST-A_SCRATCHDISK","locked":null}
admin POST /rules/ {"dids":[],"account":null,"copies":1,"rse_expression":"TEST-A_SCRATCHDISK"}
user POST /rules/ {"dids":[{"scope":"$","name":"set"}],"account":"ruciax","copies":1,"rse_expression":"TEST-B_SCRATCHDISK"}
root POST /rules/ {"dids":[{"scope":"$","name":"set"}],"account":null,"copies":1,"rse_expression":"TEST-B_SCRATCHDISK"}
admin GET /dids/$/set/rules
admin GET /dids/$/f/associated_rules
admin GET /rules/?scope=$&state=R
admin GET /rules/?bogus=1
admin GET /rules/00000000000000000000000000000000
admin GET /rules/none
admin PUT /replicas {"rse":"TEST-A_SCRATCHDISK","files":[{"scope":"$","name":"f","state":"A"},{"scope":"$","name":"g","state":"A"}]}
admin GET /dids/$/set/rules
admin GET /replicas/$/set/datasets?deep=True
admin GET /replicas/$/none/datasets?deep=True
admin GET /dids/$/set/meta
admin GET /dids/$/set/meta?plugin=JSON
admin GET /dids/$/none/meta
admin GET /dids/$/none/meta?plugin=JSON
admin GET /dids/$/set/meta?plugin=ODD
admin POST /dids/$/set/meta {"meta":{"project":"x1t","note":[1,true]},"recursive":true}
admin POST /dids/$/set/meta {"meta":{"provenance":"long"}}
admin POST /dids/$/set/meta {"meta":{"a.b":1}}
admin POST /dids/$/set/meta {"meta":{"bytes":1}}
admin POST /dids/$/set/meta/events {"value":1}
admin POST /dids/$/none/meta {"meta":{"note":1}}
user POST /dids/$/set/meta {"meta":{"project":"x1t"}}
admin GET /dids/$/f/meta
admin POST /replicas/tombstone {"replicas":[{"scope":"$","name":"f","rse":"TEST-A_SCRATCHDISK"}]}
admin POST /replicas/tombstone {"replicas":[{"scope":"$","name":"none","rse":"TEST-A_SCRATCHDISK"}]}
admin POST /replicas/bad {"replicas":[{"scope":"$","name":"f","rse":"TEST-A_SCRATCHDISK"}],"reason":"x"}
root POST /replicas/bad {"replicas":[{"scope":"$","name":"f","rse":"TEST-A_SCRATCHDISK"},{"scope":"$","name":"none","rse":"TEST-A_SCRATCHDISK"}],"reason":"x"}
user DELETE /rules/RULE {}
admin DELETE /rules/RULE
admin DELETE /rules/RULE {}
admin GET /rules/RULE
admin GET /rules/RULE/locks
admin GET /rules/RULE/analysis
admin PUT /rules/RULE {"options":{"lifetime":null}}
admin PUT /rules/RULE {"options":{"odd":1}}
admin PUT /dids/$/set/status {"open":false}
admin PUT /dids/$/set/status {"open":false}
admin POST /dids/$/set/dids {"dids":[{"scope":"$","name":"g"}]}
admin GET /dids/$/set
admin GET /dids/$/dids/search?type=all&name=s*
admin GET /dids/$/dids/search?type=dataset&long=True
admin GET /accounts/ruciax/usage/local
admin GET /nowhere
admin DELETE /ping
none GET /scopes/
bad GET /scopes/
`

// A peer is a server that is asked.
type peer struct {
	url    string
	logins map[string]Login
	tokens map[string]string
	rule   string
}

// ask sends a line of odd and tells what counts of the answer: status, class, and which
// keys the first object of it has.
func (p *peer) ask(t *testing.T, line string) string {
	t.Helper()
	who, rest, _ := strings.Cut(line, " ")
	method, rest, _ := strings.Cut(rest, " ")
	path, body, _ := strings.Cut(rest, " ")
	if p.tokens[who] == "" && p.logins[who].Account != "" {
		l := p.logins[who]
		_, h, _ := p.send(t, "GET", "/auth/userpass", "", http.Header{"X-Rucio-Account": {l.Account}, "X-Rucio-Username": {l.Username}, "X-Rucio-Password": {l.Password}})
		p.tokens[who] = h.Get("X-Rucio-Auth-Token")
	}
	header := http.Header{}
	switch who {
	case "none":
	case "bad":
		header["X-Rucio-Auth-Token"] = []string{"a-b-c-d"}
	default:
		header["X-Rucio-Auth-Token"] = []string{p.tokens[who]}
	}
	status, h, text := p.send(t, method, strings.ReplaceAll(path, "RULE", p.rule), body, header)
	if status == http.StatusCreated && strings.HasPrefix(text, `["`) && path == "/rules/" && p.rule == "" {
		p.rule = strings.Trim(strings.TrimSpace(text), `[]"`)
	}
	first, _, _ := strings.Cut(text, "\n")
	out := fmt.Sprint(status, " ", h.Get("ExceptionClass"))
	if h.Get("ExceptionClass") != "" {
		return out
	}
	var v any
	if json.Unmarshal([]byte(strings.ReplaceAll(first, "Infinity", "-1")), &v) != nil {
		return out
	}
	if m, ok := v.(map[string]any); ok {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out += fmt.Sprintf(" %s:%T", k, m[k])
		}
		return out + fmt.Sprint(" lines:", strings.Count(strings.TrimSpace(text), "\n")+1)
	}
	return out + fmt.Sprintf(" %T", v)
}

func (p *peer) send(t *testing.T, method, path, body string, header http.Header) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// TestFakeIsLikeReal compares answers of the server in memory with those of a real one.
func TestFakeIsLikeReal(t *testing.T) {
	real := Start(t, &Options{NoXRootD: true})
	fake := NewFake(t, nil)
	a := &peer{url: real.URL, logins: map[string]Login{"root": real.Root, "admin": real.Admin, "user": real.User}, tokens: map[string]string{}}
	b := &peer{url: fake.URL, logins: map[string]Login{"root": fake.Root, "admin": fake.Admin, "user": fake.User}, tokens: map[string]string{}}
	for i, line := range strings.Split(strings.TrimSpace(odd), "\n") {
		line = strings.ReplaceAll(line, "$", Scope)
		if d := cmp.Diff(a.ask(t, line), b.ask(t, line)); d != "" {
			t.Errorf("%d: %s\n%s", i+1, line, d)
		}
	}
}
