package ruciotest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

type fakeRule struct {
	fakeName
	id, kind   string
	account    string
	expression string
	copies     int
	created    time.Time
	expires    time.Time
	lockedIt   bool
	inject     bool
	purge      bool
	body       ruleBody
	locks      map[fakeLock]*lockState
}

type fakeLock struct {
	fakeName
	rse string
}

type lockState struct {
	state string // OK, REPLICATING or STUCK
	err   string
}

type ruleBody struct {
	DIDs       []fakeName `json:"dids"`
	Account    string     `json:"account"`
	Copies     int        `json:"copies"`
	Expression string     `json:"rse_expression"`
	Lifetime   *float64   `json:"lifetime"`
	Grouping   string     `json:"grouping"`
	Activity   string     `json:"activity"`
	Comment    string     `json:"comment"`
	Meta       string     `json:"meta"`
	Locked     bool       `json:"locked"`
	Purge      bool       `json:"purge_replicas"`
	Any        bool       `json:"ignore_availability"`
}

func (c *call) addRule() answer { return c.ruleOf(c.body) }

// ruleOf makes the rules that a body asks for.
func (c *call) ruleOf(body []byte) answer {
	sub := *c
	sub.body = body
	var w ruleBody
	if no := sub.into(&w, []string{"dids", "account", "copies", "rse_expression"}, "locked", "purge_replicas", "ignore_availability", "ask_approval", "asynchronous"); no != nil {
		return *no
	}
	if w.Account == "" {
		w.Account = c.account.name
	}
	owner, known := c.f.accounts[w.Account]
	switch {
	case w.Account != c.account.name && !c.account.admin, w.Locked && !c.account.admin:
		return refuse(http.StatusInternalServerError, "AccessDenied", "Account %s can not add replication rule", c.account.name)
	case !known:
		return refuse(http.StatusNotFound, "AccountNotFound", "Account with ID '%s' cannot be found", w.Account)
	case w.Copies < 1:
		return refuse(http.StatusInternalServerError, "InvalidValueForKey", "The number of copies for a replication rule should be greater than 0.")
	case len([]rune(w.Comment)) > 250:
		return refuse(http.StatusConflict, "InvalidObject", "Provided object does not match schema: Problem with COMMENT")
	}
	names, no := c.expression(w.Expression, http.StatusConflict)
	if no != nil {
		return *no
	}
	var targets []*fakeRSE
	for _, n := range names {
		if r := c.f.rse(n); !r.NoWrite || w.Any {
			targets = append(targets, r)
		}
	}
	switch {
	case len(targets) == 0:
		return refuse(http.StatusInternalServerError, "RSEWriteBlocked", "RSE excluded; not available for writing.")
	case len(targets) < w.Copies:
		return refuse(http.StatusConflict, "InsufficientTargetRSEs", "Target RSE set not sufficient for number of copies.")
	}
	ids := []string{}
	for _, n := range w.DIDs {
		id, no := c.oneRule(n, w, owner, targets)
		if no != nil {
			return *no
		}
		ids = append(ids, id)
	}
	a := object(ids)
	a.status, a.kind = http.StatusCreated, "text/html"
	return a
}

func (c *call) oneRule(n fakeName, w ruleBody, owner *fakeAccount, targets []*fakeRSE) (string, *answer) {
	refused := func(status int, class, format string, args ...any) (string, *answer) {
		a := refuse(status, class, format, args...)
		return "", &a
	}
	d, ok := c.f.dids[n]
	if !ok {
		return refused(http.StatusNotFound, "DataIdentifierNotFound", "Data identifier %s is not valid.", n)
	}
	for _, r := range c.f.rules {
		if r.fakeName == n && r.account == owner.name && r.expression == w.Expression && r.copies == w.Copies {
			return refused(http.StatusConflict, "DuplicateRule", "A duplicate rule for this account, did, rse_expression, copies already exists.")
		}
	}
	// What is there already comes first, then what has quota.
	files := c.f.below(d)
	var need int64
	for _, file := range files {
		need += file.bytes
	}
	var chosen []*fakeRSE
	slices.SortStableFunc(targets, func(a, b *fakeRSE) int { return c.f.have(files, b.Name) - c.f.have(files, a.Name) })
	for _, t := range targets {
		limit, has := owner.limits[t.Name]
		used, _ := c.f.usage(owner.name, t.Name)
		if owner.name == "root" {
			limit, has = -1, true // who needs none
		}
		if has && (limit < 0 || used+need <= limit) && len(chosen) < w.Copies {
			chosen = append(chosen, t)
		}
	}
	if len(chosen) < w.Copies {
		return refused(http.StatusConflict, "InsufficientAccountLimit", "There is insufficient quota on any of the target RSE's to fulfill the operation.")
	}
	r := &fakeRule{fakeName: n, id: c.f.id(), kind: d.kind, account: owner.name, expression: w.Expression, copies: w.Copies, created: c.f.now(), body: w,
		lockedIt: w.Locked, purge: w.Purge, inject: len(files)*w.Copies >= 10000, locks: map[fakeLock]*lockState{}}
	if w.Lifetime != nil {
		r.expires = r.created.Add(time.Duration(*w.Lifetime * float64(time.Second)))
	}
	c.f.rules = append(c.f.rules, r)
	if !r.inject {
		c.f.lock(r, files, chosen)
	}
	return r.id, nil
}

// have is how many of some files a storage has.
func (f *Fake) have(files []*fakeDID, rse string) (n int) {
	for _, d := range files {
		if d.replicas[rse] != nil {
			n++
		}
	}
	return n
}

// lock makes the locks of a rule, and replicas that are to be copied where there are none.
func (f *Fake) lock(r *fakeRule, files []*fakeDID, at []*fakeRSE) {
	for _, d := range files {
		for _, t := range at {
			key := fakeLock{d.fakeName, t.Name}
			if r.locks[key] != nil {
				continue
			}
			rep := d.replicas[t.Name]
			if rep == nil {
				rep = &fakeReplica{state: "COPYING"}
				d.replicas[t.Name] = rep
			}
			rep.released = false
			state := "REPLICATING"
			if rep.state == "AVAILABLE" {
				state = "OK"
			}
			r.locks[key] = &lockState{state: state}
		}
	}
}

// usage is what an account's rules keep at a storage.
func (f *Fake) usage(account, rse string) (bytes, files int64) {
	seen := map[fakeName]bool{}
	for _, r := range f.rules {
		for l := range r.locks {
			if r.account == account && l.rse == rse && !seen[l.fakeName] {
				seen[l.fakeName] = true
				bytes += f.dids[l.fakeName].bytes
				files++
			}
		}
	}
	return bytes, files
}

// count gives how many locks are in each state.
func (r *fakeRule) count() map[string]int {
	n := map[string]int{}
	for _, l := range r.locks {
		n[l.state]++
	}
	return n
}

func (r *fakeRule) state() string {
	n := r.count()
	switch {
	case r.inject:
		return "INJECT"
	case n["STUCK"] > 0:
		return "STUCK"
	case n["REPLICATING"] > 0:
		return "REPLICATING"
	}
	return "OK"
}

func (r *fakeRule) wire() map[string]any {
	n := r.count()
	activity, grouping := r.body.Activity, r.body.Grouping
	if activity == "" {
		activity = "User Subscriptions"
	}
	if grouping == "" {
		grouping = "DATASET"
	}
	w := map[string]any{"id": r.id, "account": r.account, "scope": r.Scope, "name": r.Name, "did_type": r.kind, "state": r.state(), "rse_expression": r.expression,
		"copies": r.copies, "expires_at": dateOrNull(r.expires), "weight": nil, "locked": r.lockedIt, "locks_ok_cnt": n["OK"], "locks_replicating_cnt": n["REPLICATING"],
		"locks_stuck_cnt": n["STUCK"], "error": nil, "comments": orNull(r.body.Comment), "source_replica_expression": nil, "activity": activity, "grouping": grouping,
		"notification": "NO", "purge_replicas": r.purge, "ignore_availability": r.body.Any, "ignore_account_limit": false, "priority": 3, "split_container": false,
		"child_rule_id": nil, "subscription_id": nil, "eol_at": nil, "stuck_at": nil, "deleted_at": nil, "meta": orNull(r.body.Meta), "bytes": nil,
		"created_at": dateOrNull(r.created), "updated_at": dateOrNull(r.created)}
	for _, l := range r.locks {
		if l.err != "" {
			w["error"], w["stuck_at"] = l.err, dateOrNull(r.created)
		}
	}
	return w
}

func wires(rules []*fakeRule) answer {
	var all []any
	for _, r := range rules {
		all = append(all, r.wire())
	}
	return lines(all)
}

// rulesWhere are those that a condition holds for.
func (f *Fake) rulesWhere(want func(*fakeRule) bool) []*fakeRule {
	var all []*fakeRule
	for _, r := range f.rules {
		if want(r) {
			all = append(all, r)
		}
	}
	return all
}

func (c *call) rulesOf() answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	return wires(c.f.rulesWhere(func(r *fakeRule) bool { return r.fakeName == d.fakeName }))
}

func (c *call) rulesAbove() answer {
	d, no := c.theDID()
	if no != nil {
		return *no
	}
	in := map[fakeName]bool{d.fakeName: true}
	for _, p := range c.f.above(d.fakeName) {
		in[p.fakeName] = true
	}
	return wires(c.f.rulesWhere(func(r *fakeRule) bool { return in[r.fakeName] }))
}

func (c *call) accountRules() answer {
	return wires(c.f.rulesWhere(func(r *fakeRule) bool { return r.account == c.args[0] }))
}

func (c *call) listRules() answer {
	var bad bool
	found := c.f.rulesWhere(func(r *fakeRule) bool {
		w := r.wire()
		for k, v := range c.q {
			have := fmt.Sprint(w[k])
			date := func(limit string, before bool) bool {
				t, err := time.Parse(rucioTime, limit)
				return err == nil && (before && !r.created.After(t) || !before && !r.created.Before(t))
			}
			switch k {
			case "state", "did_type", "grouping":
				have = have[:1]
			case "created_before", "updated_before", "created_after", "updated_after":
				if !date(v[0], strings.HasSuffix(k, "before")) {
					return false
				}
				continue
			default:
				if _, ok := w[k]; !ok {
					bad = true
				}
			}
			if have != v[0] {
				return false
			}
		}
		return true
	})
	if bad {
		return crash("Internal Server Error")
	}
	return wires(found)
}

// theRule looks up the rule of the path.
func (c *call) theRule() (*fakeRule, *answer) {
	id := strings.ReplaceAll(c.args[0], "-", "")
	for _, r := range c.f.rules {
		if r.id == id {
			return r, nil
		}
	}
	a := refuse(http.StatusNotFound, "RuleNotFound", "No rule with the id %s found", id)
	if len(id) != 32 {
		a = refuse(http.StatusInternalServerError, "RucioException", "An unknown exception occurred.")
	}
	return nil, &a
}

func (c *call) showRule() answer {
	r, no := c.theRule()
	if no != nil {
		return *no
	}
	w := r.wire()
	delete(w, "bytes")
	return object(w)
}

func (c *call) updateRule() answer {
	r, no := c.theRule()
	if no != nil {
		return *no
	}
	var w struct {
		Options map[string]json.RawMessage `json:"options"`
	}
	if no := c.into(&w, []string{"options"}); no != nil {
		return *no
	}
	if !c.account.admin {
		return denied(c, "update rule")
	}
	for k, v := range w.Options {
		switch k {
		case "lifetime":
			var seconds *float64
			if json.Unmarshal(v, &seconds) != nil {
				return refuse(http.StatusBadRequest, "ValueError", "lifetime")
			}
			if r.expires = (time.Time{}); seconds != nil {
				r.expires = c.f.now().Add(time.Duration(*seconds * float64(time.Second)))
			}
		case "locked":
			r.lockedIt = string(v) == "true"
		case "comment":
			_ = json.Unmarshal(v, &r.body.Comment)
		default:
			return refuse(http.StatusConflict, "InputValidationError", "Unsupported option: %s", k)
		}
	}
	return done()
}

func (c *call) deleteRule() answer {
	r, no := c.theRule()
	var w struct {
		Purge *bool `json:"purge_replicas"`
	}
	if no := c.into(&w, nil); no != nil { // a body there must be
		return *no
	}
	switch {
	case no != nil:
		return *no
	case !c.account.admin:
		return denied(c, "delete rule")
	case r.lockedIt:
		return refuse(http.StatusUnauthorized, "UnsupportedOperation", "The replication rule is locked and has to be unlocked before it can be deleted.")
	}
	if soon := c.f.now().Add(time.Hour); r.expires.IsZero() || r.expires.After(soon) {
		r.expires = soon // it is there until a daemon comes
	}
	if w.Purge != nil {
		r.purge = *w.Purge
	}
	return done()
}

// sortedLocks are the locks of a rule, by DID and storage.
func (r *fakeRule) sortedLocks() []fakeLock {
	var all []fakeLock
	for l := range r.locks {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b fakeLock) int { return strings.Compare(a.String()+" "+a.rse, b.String()+" "+b.rse) })
	return all
}

func (c *call) locks() answer {
	r, no := c.theRule()
	if no != nil {
		return *no
	}
	var all []any
	for _, l := range r.sortedLocks() {
		all = append(all, map[string]any{"scope": l.Scope, "name": l.Name, "rse_id": c.f.rse(l.rse).id, "rse": l.rse, "state": r.locks[l].state, "rule_id": r.id})
	}
	return lines(all)
}

func (c *call) analysis() answer {
	r, no := c.theRule()
	if no != nil {
		return *no
	}
	text, transfers := "This replication rule is "+r.state(), []any{}
	for _, l := range r.sortedLocks() {
		if s := r.locks[l]; s.state == "STUCK" {
			text = s.err
			transfers = append(transfers, map[string]any{"scope": l.Scope, "name": l.Name, "rse_id": c.f.rse(l.rse).id, "rse": l.rse, "attempts": 3,
				"last_error": "FAILED", "last_source": nil, "sources": []any{}, "last_time": dateOrNull(r.created)})
		}
	}
	return object(map[string]any{"rule_error": text, "transfers": transfers})
}
