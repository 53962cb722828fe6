package ruciotest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

type listBody struct {
	DIDs       []fakeName `json:"dids"`
	Schemes    []string   `json:"schemes"`
	Any        bool       `json:"ignore_availability"`
	AllStates  bool       `json:"all_states"`
	Expression string     `json:"rse_expression"`
	Sort       string     `json:"sort"`
	Domain     string     `json:"domain"`
	Parents    bool       `json:"resolve_parents"`
	Location   struct {
		Site string `json:"site"`
	} `json:"client_location"`
}

func (c *call) listReplicas() answer {
	var w listBody
	if no := c.into(&w, []string{"dids"}, "ignore_availability", "all_states", "resolve_archives", "resolve_parents", "unavailable"); no != nil {
		return *no
	}
	if len(w.DIDs) > 1000 {
		return refuse(http.StatusBadRequest, "InvalidObject", "Provided object does not match schema: too long")
	}
	allowed := map[string]bool{}
	if w.Expression == "" {
		for _, r := range c.f.rses {
			allowed[r.Name] = true
		}
	} else {
		names, no := c.expression(w.Expression, http.StatusInternalServerError)
		if no != nil {
			return *no
		}
		for _, n := range names {
			allowed[n] = true
		}
	}
	seen := map[fakeName]bool{}
	var all []any
	for _, n := range w.DIDs {
		d, ok := c.f.dids[n]
		if !ok {
			continue // it is a join
		}
		for _, file := range c.f.below(d) {
			if seen[file.fakeName] {
				continue
			}
			seen[file.fakeName] = true
			e := c.replicasOf(file, w, allowed)
			if d.kind != "FILE" && len(e["states"].(map[string]string)) == 0 {
				continue // only files that are named themselves are told of without a replica
			}
			all = append(all, e)
		}
	}
	if w.Sort != "" && !slices.Contains([]string{"geoip", "custom_table", "random"}, w.Sort) && len(all) > 0 {
		status := http.StatusBadRequest
		if c.f.major <= 34 {
			status = http.StatusNotFound
		}
		return refuse(status, "SortingAlgorithmNotSupported", "%s", w.Sort)
	}
	return lines(all)
}

// replicasOf is one element of the list.
func (c *call) replicasOf(d *fakeDID, w listBody, allowed map[string]bool) map[string]any {
	pfns, rses, states := map[string]any{}, map[string][]string{}, map[string]string{}
	priority := 0
	for _, domain := range []string{"lan", "wan"} {
		for _, r := range c.f.rses {
			rep := d.replicas[r.Name]
			near := "wan"
			if fmt.Sprint(r.Attributes["site"]) == w.Location.Site {
				near = "lan"
			}
			if near != domain || rep == nil || !allowed[r.Name] || rep.state != "AVAILABLE" && !w.AllStates || r.NoRead && !w.Any {
				continue
			}
			states[r.Name] = rep.state
			for _, p := range r.Protocols {
				if len(w.Schemes) > 0 && !slices.Contains(w.Schemes, p.Scheme) {
					continue
				}
				priority++
				url := r.pfn(p, d.fakeName, rep.pfn)
				pfns[url] = map[string]any{"rse_id": r.id, "rse": r.Name, "type": r.Type, "volatile": false, "domain": domain, "priority": priority, "client_extract": false}
				rses[r.Name] = append(rses[r.Name], url)
				if len(w.Schemes) == 0 {
					break // the best one alone
				}
			}
		}
	}
	out := map[string]any{"scope": d.Scope, "name": d.Name, "bytes": d.bytes, "md5": orNull(d.md5), "adler32": orNull(d.adler32), "pfns": pfns, "rses": rses, "states": states}
	if w.Parents {
		above := []string{}
		for _, p := range c.f.above(d.fakeName) {
			above = append(above, p.String())
		}
		out["parents"] = above
	}
	return out
}

// above are all collections that a DID is in.
func (f *Fake) above(n fakeName) []*fakeDID {
	in := map[fakeName]bool{n: true}
	for grown := true; grown; {
		grown = false
		for _, p := range f.dids {
			for ch := range p.children {
				if in[ch] && !in[p.fakeName] {
					in[p.fakeName], grown = true, true
				}
			}
		}
	}
	return f.sortedDIDs(func(d *fakeDID) bool { return in[d.fakeName] && d.fakeName != n })
}

func (c *call) datasetReplicas() answer {
	d, ok := c.f.dids[fakeName{c.args[0], c.args[1]}]
	if !ok || c.q.Get("deep") == "" { // without it a daemon would have counted
		return lines([]any{})
	}
	var all []any
	for _, r := range c.f.rses {
		var bytes, n, available, have int64
		for _, file := range c.f.below(d) {
			bytes += file.bytes
			n++
			if rep := file.replicas[r.Name]; rep != nil && rep.state == "AVAILABLE" {
				available += file.bytes
				have++
			}
		}
		if have == 0 {
			continue
		}
		state := "UNAVAILABLE"
		if have == n {
			state = "AVAILABLE"
		}
		float := func(n int64) json.RawMessage { return json.RawMessage(fmt.Sprintf("%d.0", n)) }
		now := c.f.now().UTC().Format(rucioTime)
		all = append(all, map[string]any{"scope": d.Scope, "name": d.Name, "rse": r.Name, "rse_id": r.id, "bytes": float(bytes), "length": n,
			"available_bytes": float(available), "available_length": have, "state": state, "created_at": now, "updated_at": now, "accessed_at": nil})
	}
	return lines(all)
}
