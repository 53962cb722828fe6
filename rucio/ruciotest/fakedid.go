package ruciotest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type fakeDID struct {
	fakeName
	kind         string // FILE, DATASET or CONTAINER
	account      string
	bytes        int64
	adler32, md5 string
	closed       bool
	monotonic    bool
	expires      time.Time
	children     map[fakeName]bool
	columns      map[string]any
	json         map[string]any
	replicas     map[string]*fakeReplica // of files, by RSE
	attachments  int                     // how often something was attached
}

func itoa(n int) string { return strconv.Itoa(n) }

func sameText(v any, text string) bool { return strings.EqualFold(fmt.Sprint(v), text) }

func (f *Fake) newDID(n fakeName, kind, account string) *fakeDID {
	d := &fakeDID{fakeName: n, kind: kind, account: account, children: map[fakeName]bool{}, columns: map[string]any{}, json: map[string]any{}, replicas: map[string]*fakeReplica{}}
	f.dids[n] = d
	return d
}

// sortedDIDs are all that a condition holds for.
func (f *Fake) sortedDIDs(want func(*fakeDID) bool) []*fakeDID {
	var all []*fakeDID
	for _, d := range f.dids {
		if want(d) {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *fakeDID) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// below are the files of a collection and of those in it.
func (f *Fake) below(d *fakeDID) []*fakeDID {
	if d.kind == "FILE" {
		return []*fakeDID{d}
	}
	seen := map[fakeName]bool{}
	var walk func(d *fakeDID)
	walk = func(d *fakeDID) {
		for n := range d.children {
			if !seen[n] {
				seen[n] = true
				walk(f.dids[n])
			}
		}
	}
	walk(d)
	return f.sortedDIDs(func(d *fakeDID) bool { return d.kind == "FILE" && seen[d.fakeName] })
}

// theDID looks up the DID of the path.
func (c *call) theDID() (*fakeDID, *answer) {
	n := fakeName{c.args[0], c.args[1]}
	if d, ok := c.f.dids[n]; ok {
		return d, nil
	}
	a := unknown(n, http.StatusNotFound)
	return nil, &a
}

func unknown(n fakeName, status int) answer {
	return refuse(status, "DataIdentifierNotFound", "Data identifier '%s' not found", n)
}

func (f *Fake) isName(s string) bool {
	pattern := `^[/A-Za-z0-9][/A-Za-z0-9.\-_]*$`
	if f.major < 38 {
		pattern = `^[A-Za-z0-9][A-Za-z0-9.\-_]*$`
	}
	ok, err := regexp.MatchString(pattern, s)
	return err == nil && ok && len(s) <= 250
}

func (c *call) showDID() answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	w := map[string]any{"scope": d.Scope, "name": d.Name, "type": d.kind, "account": d.account}
	if d.kind == "FILE" {
		w["bytes"], w["length"], w["adler32"], w["md5"] = d.bytes, 1, orNull(d.adler32), orNull(d.md5)
		return object(w)
	}
	w["open"], w["monotonic"], w["expired_at"], w["length"], w["bytes"] = !d.closed, d.monotonic, dateOrNull(d.expires), nil, nil
	if c.q.Get("dynamic_depth") != "" || d.closed {
		bytes, n := c.f.measure(d)
		w["length"], w["bytes"] = n, json.RawMessage(fmt.Sprintf("%d.0", bytes)) // sums are floats
	}
	return object(w)
}

func (f *Fake) measure(d *fakeDID) (bytes, n int64) {
	for _, b := range f.below(d) {
		bytes += b.bytes
		n++
	}
	return bytes, n
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func dateOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(rucioTime)
}

// A didBody is a collection to be made.
type didBody struct {
	fakeName
	Type     string           `json:"type"`
	Statuses map[string]bool  `json:"statuses"`
	Meta     map[string]any   `json:"meta"`
	Rules    []map[string]any `json:"rules"`
	Lifetime float64          `json:"lifetime"`
	DIDs     []childBody      `json:"dids"`
	RSE      string           `json:"rse"`
}

type childBody struct {
	fakeName
	Bytes   *int64         `json:"bytes"`
	Adler32 string         `json:"adler32"`
	MD5     string         `json:"md5"`
	Meta    map[string]any `json:"meta"`
}

func (c *call) addDID() answer {
	var w didBody
	if no := c.into(&w, []string{"type"}); no != nil {
		return *no
	}
	w.fakeName = fakeName{c.args[0], c.args[1]}
	if no := c.makeDID(w, true); no != nil {
		return *no
	}
	if no := c.makeDID(w, false); no != nil {
		return *no
	}
	return created()
}

func (c *call) addDIDs() answer {
	var all []didBody
	if err := json.Unmarshal(c.body, &all); err != nil {
		return refuse(http.StatusBadRequest, "ValueError", "cannot decode json parameter list")
	}
	for _, check := range []bool{true, false} { // all or none
		for _, w := range all {
			if no := c.makeDID(w, check); no != nil {
				return *no
			}
		}
	}
	return created()
}

// makeDID makes a collection, or only tells whether it could.
func (c *call) makeDID(w didBody, check bool) *answer {
	refused := func(status int, class, format string, args ...any) *answer {
		a := refuse(status, class, format, args...)
		return &a
	}
	kind := strings.ToUpper(w.Type)
	owner, known := c.f.scopes[w.Scope]
	if check {
		_, there := c.f.dids[w.fakeName]
		switch {
		case kind != "DATASET" && kind != "CONTAINER":
			return refused(http.StatusConflict, "UnsupportedOperation", "Only collection (dataset/container) can be registered.")
		case !c.f.isName(w.Name) || !isScope(w.Scope):
			return refused(http.StatusBadRequest, "InvalidObject", "Provided object does not match schema: Problem with DID %s", w.fakeName)
		case known && owner != c.account.name && !c.account.admin:
			return refused(http.StatusUnauthorized, "AccessDenied", "Account %s can not add data identifier to scope %s", c.account.name, w.Scope)
		case !known:
			return refused(http.StatusNotFound, "ScopeNotFound", "Scope not found!")
		case there:
			return refused(http.StatusConflict, "DataIdentifierAlreadyExists", "Data Identifier Already Exists: %s", w.fakeName)
		}
		return nil
	}
	d := c.f.newDID(w.fakeName, kind, c.account.name)
	d.monotonic = w.Statuses["monotonic"]
	if w.Lifetime != 0 {
		d.expires = c.f.now().Add(time.Duration(w.Lifetime * float64(time.Second)))
	}
	for _, k := range slices.Sorted(maps.Keys(w.Meta)) {
		if a := c.set(d, k, w.Meta[k]); a != nil {
			return a
		}
	}
	if len(w.DIDs) > 0 {
		if a := c.attach(d, w.DIDs, w.RSE, false); a != nil {
			return a
		}
	}
	for _, r := range w.Rules {
		r["dids"] = []fakeName{d.fakeName}
		if a := c.ruleOf(encode(r)); a.status != http.StatusCreated {
			return &a
		}
	}
	return nil
}

func (c *call) setStatus() answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	var w struct {
		Open *bool `json:"open"`
	}
	if no := c.into(&w, nil, "open"); no != nil {
		return *no
	}
	if d.kind == "FILE" || d.closed || w.Open == nil || *w.Open {
		return refuse(http.StatusConflict, "UnsupportedOperation", "The status of the data identifier '%s' cannot be changed", d)
	}
	d.closed = true
	d.columns["closed_at"] = c.f.now().UTC().Format(rucioTime)
	return done()
}

func (d *fakeDID) entry() map[string]any {
	w := map[string]any{"scope": d.Scope, "name": d.Name, "type": d.kind, "bytes": nil, "adler32": orNull(d.adler32), "md5": orNull(d.md5)}
	if d.kind == "FILE" {
		w["bytes"] = d.bytes
	}
	return w
}

func (c *call) contents() answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	var all []any
	for _, m := range c.f.sortedDIDs(func(m *fakeDID) bool { return d.children[m.fakeName] }) {
		all = append(all, m.entry())
	}
	return lines(all)
}

func (c *call) parents() answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	var all []any
	for _, p := range c.f.sortedDIDs(func(p *fakeDID) bool { return p.children[d.fakeName] }) {
		all = append(all, map[string]any{"scope": p.Scope, "name": p.Name, "type": p.kind})
	}
	return lines(all)
}

func (c *call) files() answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	var all []any
	for _, m := range c.f.below(d) {
		guid, _ := m.columns["guid"].(string)
		w := map[string]any{"scope": m.Scope, "name": m.Name, "bytes": m.bytes, "adler32": orNull(m.adler32), "guid": orNull(strings.ToUpper(guid)), "events": m.columns["events"]}
		if c.q.Has("long") {
			w["lumiblocknr"] = m.columns["lumiblocknr"]
		}
		all = append(all, w)
	}
	return lines(all)
}

// search takes plain filters alone.
func (c *call) search() answer {
	if c.q.Get("type") == "" && c.f.major <= 37 {
		return refuse(http.StatusBadRequest, "KeyError", "'type not defined'")
	}
	kinds := map[string][]string{"": {"DATASET", "CONTAINER"}, "collection": {"DATASET", "CONTAINER"}, "dataset": {"DATASET"}, "container": {"CONTAINER"},
		"file": {"FILE"}, "all": {"FILE", "DATASET", "CONTAINER"}}[c.q.Get("type")]
	found := c.f.sortedDIDs(func(d *fakeDID) bool {
		if d.Scope != c.args[0] || !slices.Contains(kinds, d.kind) {
			return false
		}
		for k, v := range c.q {
			switch k {
			case "type", "long", "recursive", "limit", "filters":
				continue
			}
			have := fmt.Sprint(d.columns[k])
			if k == "name" {
				have = d.Name
			}
			if ok, err := path.Match(v[0], have); err != nil || !ok {
				return false
			}
		}
		return true
	})
	if n, err := strconv.Atoi(c.q.Get("limit")); err == nil && n < len(found) {
		found = found[:n]
	}
	var all []any
	for _, d := range found {
		if c.q.Get("long") != "True" && c.q.Get("long") != "1" {
			all = append(all, d.Name)
			continue
		}
		w := map[string]any{"scope": d.Scope, "name": d.Name, "did_type": d.kind, "bytes": nil, "length": nil}
		if d.kind == "FILE" {
			w["bytes"] = d.bytes
		} else if d.closed {
			w["bytes"], w["length"] = c.f.measure(d)
		}
		all = append(all, w)
	}
	return lines(all)
}
