package ruciotest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// A call is a request on its way.
type call struct {
	f       *Fake
	q       url.Values
	header  http.Header
	body    []byte
	args    []string // what the groups of the route's pattern hold
	account *fakeAccount
}

// An answer is what is sent back. Lines is a stream.
type answer struct {
	status int
	kind   string
	header map[string]string
	body   []byte
	lines  [][]byte
	stream bool
}

// A route is one call of the interface.
type route struct {
	method  string
	pattern *regexp.Regexp
	open    bool // needs no token
	do      func(*call) answer
}

// routes are tried in order: names may hold what looks like the end of another path.
func (f *Fake) routes() []route {
	at := func(method, pattern string, do func(*call) answer) route {
		return route{method: method, pattern: regexp.MustCompile("^" + pattern + "$"), do: do}
	}
	// A DID is split at its first slash, and before 38 at its last.
	did := `/([^/]+)/(.*)`
	if f.major < 38 {
		did = `/(.*)/([^/]+)`
	}
	const a = `/([^/]+)`
	all := []route{
		{"GET", regexp.MustCompile("^/ping$"), true, func(c *call) answer { return object(map[string]any{"version": c.f.version}) }},
		{"GET", regexp.MustCompile("^/auth/userpass$"), true, (*call).logIn},
		{"POST", regexp.MustCompile("^/traces/$"), true, (*call).trace},
		at("GET", "/accounts/whoami", (*call).whoami),
		at("GET", "/accounts/?", (*call).listAccounts),
		at("GET", "/accounts"+a, (*call).showAccount),
		at("GET", "/accounts"+a+"/attr/", (*call).accountAttributes),
		at("GET", "/accounts"+a+"/scopes/", (*call).accountScopes),
		at("POST", "/accounts"+a+"/scopes"+a, (*call).addScope),
		at("GET", "/accounts"+a+"/usage/local", (*call).accountUsage),
		at("GET", "/accounts"+a+"/limits/local", (*call).limits),
		at("GET", "/scopes/", (*call).listScopes),
		at("GET", "/rses/", (*call).listRSEs),
		at("GET", "/rses"+a, (*call).showRSE),
		at("GET", "/rses"+a+"/attr/", (*call).rseAttributes),
		at("GET", "/rses"+a+"/protocols", (*call).rseProtocols),
		at("GET", "/rses"+a+"/usage", (*call).rseUsage),
		at("GET", "/rses"+a+"/lfns2pfns", (*call).lfns),
		at("GET", "/accounts"+a+"/rules", (*call).accountRules),
		at("POST", "/dids", (*call).addDIDs),
		at("POST", "/dids/attachments", (*call).attachMany),
		at("GET", "/dids"+a+"/dids/search", (*call).search),
		at("GET", "/dids"+did+"/dids", (*call).contents),
		at("POST", "/dids"+did+"/dids", (*call).attachOne),
		at("DELETE", "/dids"+did+"/dids", (*call).detach),
		at("GET", "/dids"+did+"/parents", (*call).parents),
		at("GET", "/dids"+did+"/files", (*call).files),
		at("GET", "/dids"+did+"/rules", (*call).rulesOf),
		at("GET", "/dids"+did+"/associated_rules", (*call).rulesAbove),
		at("GET", "/dids"+did+"/meta", (*call).metadata),
		at("POST", "/dids"+did+"/meta", (*call).setMetadata),
		at("POST", "/dids"+did+"/meta/([^/]+)", (*call).setOneMetadata),
		at("PUT", "/dids"+did+"/status", (*call).setStatus),
		at("GET", "/dids"+did, (*call).showDID),
		at("POST", "/dids"+did, (*call).addDID),
		at("POST", "/rules/", (*call).addRule),
		at("GET", "/rules/", (*call).listRules),
		at("GET", "/rules"+a, (*call).showRule),
		at("PUT", "/rules"+a, (*call).updateRule),
		at("DELETE", "/rules"+a, (*call).deleteRule),
		at("GET", "/rules"+a+"/locks", (*call).locks),
		at("GET", "/rules"+a+"/analysis", (*call).analysis),
		at("POST", "/replicas/list", (*call).listReplicas),
		at("GET", "/replicas"+did+"/datasets", (*call).datasetReplicas),
		at("POST", "/replicas", (*call).addReplicas),
		at("PUT", "/replicas", (*call).setReplicas),
		at("POST", "/replicas/tombstone", (*call).tombstone),
		at("POST", "/replicas/bad", (*call).declareBad),
	}
	if f.major >= 40 {
		all = append(all, at("POST", "/accounts"+a+"/limits/local"+a, (*call).setLimit))
	}
	return append(all, at("POST", "/accountlimits/local"+a+a, (*call).setLimit))
}

// ServeHTTP implements [http.Handler], for tests that put something in between.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	fault := f.note(Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Body: string(body)})
	switch fault {
	case Busy:
		http.Error(w, "<html>no server is available</html>", http.StatusServiceUnavailable)
		return
	case CutBefore:
		panic(http.ErrAbortHandler)
	case Unauthorized:
		refuse(http.StatusUnauthorized, "CannotAuthenticate", "Cannot authenticate with given credentials").send(w, NoFault, nil)
		return
	case Hang:
		f.hang(r)
		panic(http.ErrAbortHandler)
	}
	f.answer(r, body).send(w, fault, func() { f.hang(r) })
}

// hang waits for the client to give up.
func (f *Fake) hang(r *http.Request) {
	f.waiting.Add(1)
	defer f.waiting.Done()
	select {
	case <-r.Context().Done():
	case <-f.closing:
	}
}

// answer carries a request out, as one transaction.
func (f *Fake) answer(r *http.Request, body []byte) answer {
	known := false
	for _, rt := range f.table {
		m := rt.pattern.FindStringSubmatch(r.URL.Path)
		if m == nil {
			continue
		}
		if known = true; rt.method != r.Method {
			continue
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		c := &call{f: f, q: r.URL.Query(), header: r.Header, body: body, args: m[1:]}
		if !rt.open {
			if refused := c.admit(r.Header.Get("X-Rucio-Auth-Token")); refused != nil {
				return *refused
			}
		}
		return rt.do(c)
	}
	status := http.StatusNotFound
	if known {
		status = http.StatusMethodNotAllowed
	}
	return answer{status: status, kind: "text/html", body: []byte("<!doctype html>\n<title>" + http.StatusText(status) + "</title>\n")}
}

func object(v any) answer {
	return answer{status: http.StatusOK, kind: "application/json", body: encode(v)}
}

func created() answer {
	return answer{status: http.StatusCreated, kind: "text/html", body: []byte("Created")}
}

func done() answer { return answer{status: http.StatusOK, kind: "text/html"} }

func lines[T any](all []T) answer {
	out := answer{status: http.StatusOK, kind: "application/x-json-stream", stream: true}
	for _, v := range all {
		out.lines = append(out.lines, append(encode(v), '\n'))
	}
	return out
}

// infinity is put where Python writes Infinity, which is no JSON.
const infinity = "\x01"

// encode writes JSON as Python does.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of the fake's own values
	}
	return bytes.ReplaceAll(b, []byte(`"\u0001"`), []byte("Infinity"))
}

// refuse answers with an exception.
func refuse(status int, class, format string, args ...any) answer {
	message := fmt.Sprintf(format, args...)
	short := strings.ReplaceAll(message, "\n", " ")
	if len(short) > 125 {
		short = short[:125] + "..."
	}
	return answer{status: status, kind: "application/octet-stream", header: map[string]string{"ExceptionClass": class, "ExceptionMessage": short},
		body: encode(map[string]string{"ExceptionClass": class, "ExceptionMessage": message})}
}

// crash is a programming error of the server.
func crash(text string) answer {
	return answer{status: http.StatusInternalServerError, kind: "text/plain", body: []byte(text)}
}

// send writes the answer, or what a fault makes of it. slow waits where the answer is to
// hang.
func (a answer) send(w http.ResponseWriter, fault Fault, slow func()) {
	if fault == CutAfter {
		panic(http.ErrAbortHandler)
	}
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	w.Header().Set("Content-Type", a.kind)
	if !a.stream {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		if fault == CutInLine && len(a.body) > 0 {
			_, _ = w.Write(a.body[:len(a.body)/2])
			flush(w)
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(a.body)
		return
	}
	w.WriteHeader(a.status)
	flush(w)
	for i, l := range a.lines {
		switch {
		case fault == CutInLine && i >= len(a.lines)/2:
			_, _ = w.Write(l[:len(l)/2])
			flush(w)
			panic(http.ErrAbortHandler)
		case fault == StallInLine && i >= len(a.lines)/2:
			_, _ = w.Write(l[:len(l)/2])
			flush(w)
			slow()
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(l); err != nil {
			return
		}
		if fault == Trickle {
			flush(w)
		}
	}
}

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

// into decodes the body, in which some keys are required. Since 39 booleans must not be
// null. The answer is a refusal, or nil.
func (c *call) into(v any, required []string, booleans ...string) *answer {
	refused := func(class, format string, args ...any) *answer {
		a := refuse(http.StatusBadRequest, class, format, args...)
		return &a
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(c.body, &keys); err != nil {
		return refused("ValueError", "cannot decode json parameter dictionary")
	}
	for _, k := range required {
		if _, ok := keys[k]; !ok {
			return refused("KeyError", "'%s not defined'", k)
		}
	}
	for _, k := range booleans {
		if string(keys[k]) == "null" && c.f.major >= 39 {
			return refused("KeyError", "'%s not defined'", k)
		}
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return refused("TypeError", "%v", err)
	}
	return nil
}

// hexOf is a number that looks like a digest.
func hexOf(what string, n int) string {
	sum := md5.Sum(fmt.Appendf(nil, "%s %d", what, n))
	return hex.EncodeToString(sum[:])
}
