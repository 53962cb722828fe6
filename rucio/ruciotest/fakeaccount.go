package ruciotest

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

type fakeAccount struct {
	name, password, kind string
	admin                bool
	limits               map[string]int64 // by RSE; -1 is none
}

type fakeToken struct {
	account string
	expires time.Time
}

// rucioTime is how dates are written, accountTime how those of accounts are.
const (
	rucioTime   = "Mon, 02 Jan 2006 15:04:05 UTC"
	accountTime = "2006-01-02T15:04:05"
)

func (f *Fake) addAccount(name, password, kind string, admin bool) Login {
	f.accounts[name] = &fakeAccount{name: name, password: password, kind: kind, admin: admin, limits: map[string]int64{}}
	return Login{Account: name, Username: name, Password: password}
}

// AddAccount makes an account of a kind (USER, GROUP, SERVICE) that logs in with a
// password. It has neither rights nor quota.
func (f *Fake) AddAccount(account, kind string) Login {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addAccount(account, account+"-secret", kind, false)
}

// SetLimit sets how many bytes an account may have on a storage; -1 is no limit.
func (f *Fake) SetLimit(account, rse string, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accounts[account].limits[rse] = bytes
}

// RemoveLimit takes away what an account may have on a storage: all of it.
func (f *Fake) RemoveLimit(account, rse string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.accounts[account].limits, rse)
}

// ExpireTokens ends all tokens that were given out.
func (f *Fake) ExpireTokens() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens = map[string]fakeToken{}
}

func (c *call) logIn() answer {
	a, ok := c.f.accounts[c.header.Get("X-Rucio-Username")]
	account := c.header.Get("X-Rucio-Account")
	if !ok || a.password != c.header.Get("X-Rucio-Password") || account != "" && account != a.name {
		return refuse(http.StatusUnauthorized, "CannotAuthenticate", "Cannot authenticate to account %s with given credentials", account)
	}
	token := a.name + "-" + a.name + "-unknown-" + c.f.id()
	expires := c.f.now().Add(time.Hour)
	c.f.tokens[token] = fakeToken{a.name, expires}
	out := done()
	out.kind = "application/octet-stream"
	out.header = map[string]string{"X-Rucio-Auth-Token": token, "X-Rucio-Auth-Token-Expires": expires.UTC().Format(rucioTime), "X-Rucio-Auth-Account": a.name}
	return out
}

// admit finds out whose a token is. The answer is a refusal, or nil.
func (c *call) admit(token string) *answer {
	if token == "" {
		a := refuse(http.StatusBadRequest, "ValueError", "Token must be set.")
		if c.f.major < 38 {
			a = refuse(http.StatusUnauthorized, "CannotAuthenticate", "Cannot authenticate with given credentials")
		}
		return &a
	}
	t, ok := c.f.tokens[token]
	if !ok || !c.f.now().Before(t.expires) {
		a := refuse(http.StatusUnauthorized, "CannotAuthenticate", "Cannot authenticate with given credentials")
		return &a
	}
	c.account = c.f.accounts[t.account]
	return nil
}

func denied(c *call, what string) answer {
	return refuse(http.StatusUnauthorized, "AccessDenied", "Account %s can not %s", c.account.name, what)
}

func (a *fakeAccount) wire(long bool) map[string]any {
	w := map[string]any{"account": a.name, "type": a.kind, "email": a.name + "@localhost"}
	if long {
		delete(w, "type")
		w["account_type"], w["status"] = a.kind, "ACTIVE"
		w["created_at"], w["updated_at"] = "2026-01-02T03:04:05", "2026-01-02T03:04:05"
		w["suspended_at"], w["deleted_at"] = nil, nil
	}
	return w
}

func (c *call) whoami() answer {
	a := answer{status: http.StatusSeeOther, kind: "text/html", header: map[string]string{"Location": c.account.name}}
	return a
}

func (c *call) listAccounts() answer {
	var all []map[string]any
	for _, name := range slices.Sorted(maps.Keys(c.f.accounts)) {
		if p := c.q.Get("account"); p != "" {
			if ok, err := path.Match(p, name); err != nil || !ok {
				continue
			}
		}
		all = append(all, c.f.accounts[name].wire(false))
	}
	return lines(all)
}

// theAccount looks up the account of the path.
func (c *call) theAccount() (*fakeAccount, *answer) {
	a, ok := c.f.accounts[c.args[0]]
	if !ok {
		r := refuse(http.StatusNotFound, "AccountNotFound", "Account with ID '%s' cannot be found", c.args[0])
		return nil, &r
	}
	return a, nil
}

func (c *call) showAccount() answer {
	a, no := c.theAccount()
	if no != nil {
		return *no
	}
	return object(a.wire(true))
}

func (c *call) accountAttributes() answer {
	a, no := c.theAccount()
	if no != nil {
		return *no
	}
	attrs := []any{}
	if a.admin {
		attrs = append(attrs, map[string]any{"key": "admin", "value": true})
	}
	return object(attrs)
}

func (c *call) accountScopes() answer {
	a, no := c.theAccount()
	if no != nil {
		return *no
	}
	var all []string
	for _, s := range slices.Sorted(maps.Keys(c.f.scopes)) {
		if c.f.scopes[s] == a.name {
			all = append(all, s)
		}
	}
	if all == nil {
		return refuse(http.StatusNotFound, "ScopeNotFound", "no scopes found for account ID '%s'", a.name)
	}
	return object(all)
}

func (c *call) listScopes() answer { return object(slices.Sorted(maps.Keys(c.f.scopes))) }

func (c *call) addScope() answer {
	a, no := c.theAccount()
	scope := c.args[1]
	_, there := c.f.scopes[scope]
	switch {
	case !c.account.admin:
		return denied(c, "add scope")
	case no != nil:
		return *no
	case !isScope(scope):
		return refuse(http.StatusBadRequest, "InvalidObject", "Provided object does not match schema: Problem with SCOPE : %s", scope)
	case there:
		return refuse(http.StatusConflict, "Duplicate", "Scope '%s' already exists!", scope)
	}
	c.f.scopes[scope] = a.name
	return created()
}

func isScope(s string) bool {
	return s != "" && len(s) <= 25 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}

// limitWire writes a limit: -1 is no limit.
func limitWire(n int64) any {
	if n < 0 {
		return infinity
	}
	return n
}

func (c *call) limits() answer {
	a, no := c.theAccount()
	if no != nil {
		return *no
	}
	all := map[string]any{}
	for rse, n := range a.limits {
		all[rse] = limitWire(n)
	}
	return object(all)
}

func (c *call) setLimit() answer {
	a, no := c.theAccount()
	if no != nil {
		return *no
	}
	r, no := c.theRSE(c.args[1])
	if no != nil {
		return *no
	}
	if !c.account.admin {
		return denied(c, "set account limits")
	}
	var w struct {
		Bytes int64 `json:"bytes"`
	}
	if no := c.into(&w, []string{"bytes"}); no != nil {
		return *no
	}
	a.limits[r.Name] = w.Bytes
	return created()
}

func (c *call) accountUsage() answer {
	a, no := c.theAccount()
	if no != nil {
		return *no
	}
	var all []map[string]any
	for _, r := range c.f.rses {
		used, files := c.f.usage(a.name, r.Name)
		limit, ok := a.limits[r.Name]
		if !ok && files == 0 {
			continue
		}
		left := any(limit - used)
		if limit < 0 {
			left = infinity
		}
		all = append(all, map[string]any{"rse": r.Name, "rse_id": r.id, "bytes": used, "files": files, "bytes_limit": limitWire(limit), "bytes_remaining": left})
	}
	return lines(all)
}

func (c *call) trace() answer {
	c.f.traces++
	return created()
}

// Traces is how many traces came.
func (f *Fake) Traces() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.traces
}
