package ruciotest

import (
	"crypto/md5"
	"encoding/hex"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
)

// A FakeRSE is a storage of a [Fake].
type FakeRSE struct {
	Name             string
	Folder           string         // where a file protocol keeps its files; "": a folder of its own
	Type             string         // "DISK" or "TAPE"; "": DISK
	NonDeterministic bool           // addresses are the uploader's choice
	Algorithm        string         // of addresses: "hash", "identity"; "": hash
	Attributes       map[string]any // "site": "TESTSITE" is there
	Protocols        []FakeProtocol // nil: one of scheme file
	NoRead, NoWrite  bool           // closed for it now
}

// A FakeProtocol is a way to the files of a FakeRSE. Of two the first is the better one.
type FakeProtocol struct {
	Scheme, Host string
	Port         int
	Prefix       string
	Impl         string
}

type fakeRSE struct {
	FakeRSE
	id string
}

// AddRSE adds a storage, further away than those there are, on which Admin has no limit
// and User a terabyte. It returns the folder.
func (f *Fake) AddRSE(r FakeRSE) string {
	f.t.Helper()
	if r.Folder == "" {
		r.Folder = f.t.TempDir()
	}
	if r.Type == "" {
		r.Type = "DISK"
	}
	if r.Algorithm == "" {
		r.Algorithm = "hash"
	}
	if r.Protocols == nil {
		r.Protocols = []FakeProtocol{{Scheme: "file", Host: "localhost", Prefix: r.Folder, Impl: "rucio.rse.protocols.posix.Default"}}
	}
	attrs := map[string]any{"site": "TESTSITE", r.Name: true}
	maps.Copy(attrs, r.Attributes)
	if r.Type == "TAPE" {
		attrs["istape"] = true
	}
	r.Attributes = attrs
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rses = append(f.rses, &fakeRSE{r, f.id()})
	f.accounts["ruciax"].limits[r.Name] = -1
	f.accounts["alice"].limits[r.Name] = 1 << 40
	return r.Folder
}

// ChangeRSE changes the settings of a storage.
func (f *Fake) ChangeRSE(name string, change func(*FakeRSE)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.rse(name).FakeRSE)
}

// Folder is where a storage with a file protocol keeps its files.
func (f *Fake) Folder(rse string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rse(rse).Folder
}

// File is where a storage with a file protocol has, or would have, a file.
func (f *Fake) File(rse, scope, name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rse(rse)
	return filepath.Join(r.Folder, r.path(fakeName{scope, name}))
}

// rse finds a storage; nil if there is none of that name.
func (f *Fake) rse(name string) *fakeRSE {
	for _, r := range f.rses {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// path is that of a file below the prefix.
func (r *fakeRSE) path(n fakeName) string {
	scope := n.Scope
	if strings.HasPrefix(scope, "user") || strings.HasPrefix(scope, "group") {
		scope = strings.ReplaceAll(scope, ".", "/")
	}
	if r.Algorithm == "identity" {
		return scope + "/" + n.Name
	}
	sum := md5.Sum([]byte(n.String()))
	m := hex.EncodeToString(sum[:])
	return scope + "/" + m[:2] + "/" + m[2:4] + "/" + n.Name
}

// base is what addresses by a protocol begin with.
func (p FakeProtocol) base() string {
	host := p.Host
	if p.Port != 0 {
		host += ":" + itoa(p.Port)
	}
	prefix := p.Prefix
	if !strings.HasPrefix(prefix, "/") {
		prefix = "/" + prefix
	}
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return p.Scheme + "://" + host + prefix
}

// pfn is the address of a replica by a protocol.
func (r *fakeRSE) pfn(p FakeProtocol, n fakeName, kept string) string {
	if r.NonDeterministic {
		return kept
	}
	return p.base() + r.path(n)
}

func (c *call) theRSE(name string) (*fakeRSE, *answer) {
	if r := c.f.rse(name); r != nil {
		return r, nil
	}
	a := refuse(http.StatusNotFound, "RSENotFound", "RSE '%s' cannot be found in vo 'def'", name)
	return nil, &a
}

func (r *fakeRSE) protocols(major int) []any {
	best := 1
	if major >= 39 {
		best = 0
	}
	all := []any{}
	for i, p := range r.Protocols {
		n := best + i
		d := map[string]any{"read": n, "write": n, "delete": n}
		wan := map[string]any{"read": n, "write": n, "delete": n, "third_party_copy_read": n, "third_party_copy_write": n}
		all = append(all, map[string]any{"scheme": p.Scheme, "hostname": p.Host, "port": p.Port, "prefix": p.Prefix, "impl": p.Impl,
			"extended_attributes": nil, "domains": map[string]any{"lan": d, "wan": wan}})
	}
	return all
}

func (c *call) showRSE() answer {
	r, no := c.theRSE(c.args[0])
	if no != nil {
		return *no
	}
	w := map[string]any{"id": r.id, "rse": r.Name, "rse_type": r.Type, "deterministic": !r.NonDeterministic, "volatile": false, "staging_area": false,
		"availability_read": !r.NoRead, "availability_write": !r.NoWrite, "availability_delete": true, "availability": 7, "domain": []string{"lan", "wan"},
		"lfn2pfn_algorithm": r.Algorithm, "verify_checksum": true, "sign_url": nil, "qos_class": nil, "credentials": nil, "protocols": r.protocols(c.f.major)}
	if c.f.major <= 38 {
		w["read_protocol"], w["write_protocol"], w["delete_protocol"] = 1, 1, 1
	}
	return object(w)
}

func (c *call) rseAttributes() answer {
	r, no := c.theRSE(c.args[0])
	if no != nil {
		return *no
	}
	return object(r.Attributes)
}

func (c *call) rseProtocols() answer {
	r, no := c.theRSE(c.args[0])
	if no != nil {
		return *no
	}
	return object(r.protocols(c.f.major))
}

func (c *call) rseUsage() answer {
	r, no := c.theRSE(c.args[0])
	if no != nil {
		return *no
	}
	var bytes, files int64
	for _, d := range c.f.dids {
		if _, ok := d.replicas[r.Name]; ok {
			bytes += d.bytes
			files++
		}
	}
	out := lines([]any{map[string]any{"rse_id": r.id, "rse": r.Name, "source": "rucio", "used": bytes, "free": nil, "total": bytes, "files": files,
		"updated_at": c.f.now().UTC().Format(rucioTime)}})
	out.kind = "application/json" // as the server says, wrongly
	return out
}

func (c *call) lfns() answer {
	r, no := c.theRSE(c.args[0])
	if no != nil {
		return *no
	}
	all := map[string]string{}
	for _, lfn := range c.q["lfn"] {
		scope, name, _ := strings.Cut(lfn, ":")
		n := fakeName{scope, name}
		for _, p := range r.Protocols {
			if s := c.q.Get("scheme"); s != "" && s != p.Scheme {
				continue
			}
			kept := ""
			if d := c.f.dids[n]; d != nil && d.replicas[r.Name] != nil {
				kept = d.replicas[r.Name].pfn
			}
			all[lfn] = r.pfn(p, n, kept)
			break
		}
	}
	return object(all)
}

func (c *call) listRSEs() answer {
	var all []map[string]any
	if e := c.q.Get("expression"); e != "" {
		names, no := c.expression(e, http.StatusBadRequest)
		if no != nil {
			return *no
		}
		for _, n := range names {
			all = append(all, map[string]any{"rse": n})
		}
		return lines(all)
	}
	for _, r := range c.f.rses {
		w := map[string]any{"id": r.id, "rse": r.Name, "vo": "def", "deterministic": !r.NonDeterministic, "volatile": false, "rse_type": r.Type, "staging_area": false,
			"availability": 7, "availability_read": !r.NoRead, "availability_write": !r.NoWrite, "availability_delete": true, "deleted": false,
			"created_at": c.f.now().UTC().Format(rucioTime), "updated_at": c.f.now().UTC().Format(rucioTime)}
		for _, k := range []string{"ASN", "ISP", "city", "continent", "country_name", "deleted_at", "latitude", "longitude", "qos_class", "region_code", "time_zone"} {
			w[k] = nil
		}
		all = append(all, w)
	}
	return lines(all)
}

// expression gives the storages that an expression selects, by name. None is an error.
func (c *call) expression(e string, status int) ([]string, *answer) {
	p := &expression{rses: c.f.rses, text: strings.ReplaceAll(e, " ", "")}
	set, ok := p.union()
	if !ok || p.text != "" || len(set) == 0 {
		a := refuse(status, "InvalidRSEExpression", "RSE Expression resulted in an empty set.")
		return nil, &a
	}
	return slices.Sorted(maps.Keys(set)), nil
}

// An expression is what is left of an RSE expression: operators &, | and \ from left to
// right, parentheses, names, attribute=value, *.
type expression struct {
	rses []*fakeRSE
	text string
}

func (e *expression) union() (map[string]bool, bool) {
	set, ok := e.term()
	for ok && e.text != "" && strings.ContainsRune(`&|\`, rune(e.text[0])) {
		op := e.text[0]
		e.text = e.text[1:]
		var other map[string]bool
		if other, ok = e.term(); !ok {
			break
		}
		switch op {
		case '|':
			maps.Copy(set, other)
		default:
			maps.DeleteFunc(set, func(n string, _ bool) bool { return other[n] != (op == '&') })
		}
	}
	return set, ok
}

func (e *expression) term() (map[string]bool, bool) {
	if strings.HasPrefix(e.text, "(") {
		e.text = e.text[1:]
		set, ok := e.union()
		if !ok || !strings.HasPrefix(e.text, ")") {
			return nil, false
		}
		e.text = e.text[1:]
		return set, true
	}
	n := strings.IndexAny(e.text, `&|\()`)
	if n < 0 {
		n = len(e.text)
	}
	word := e.text[:n]
	e.text = e.text[n:]
	key, value, isPair := strings.Cut(word, "=")
	set := map[string]bool{}
	for _, r := range e.rses {
		switch have, ok := r.Attributes[key]; {
		case word == "*", !isPair && r.Name == word:
			set[r.Name] = true
		case isPair && ok && sameText(have, value):
			set[r.Name] = true
		}
	}
	return set, word == "*" || len(set) > 0
}
