package rucio

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// An Account owns data and rules.
type Account struct {
	Name      string
	Type      string // "USER", "GROUP" or "SERVICE"
	Email     string
	Status    string    // "ACTIVE", "SUSPENDED" or "DELETED"; "" in lists, which hold active ones
	CreatedAt time.Time // zero in lists
}

type accountWire struct {
	Account     string `json:"account"`
	Type        string `json:"type"`
	AccountType string `json:"account_type"`
	Email       string `json:"email"`
	Status      string `json:"status"`
	CreatedAt   stamp  `json:"created_at"`
}

func (w accountWire) account() Account {
	if w.Type == "" {
		w.Type = w.AccountType
	}
	return Account{w.Account, w.Type, w.Email, w.Status, w.CreatedAt.Time}
}

// Whoami tells the account of our token.
func (c *Client) Whoami(ctx context.Context) (Account, error) {
	var w accountWire
	err := c.read(ctx, request{op: "ask who we are", path: "/accounts/whoami"}, &w)
	return w.account(), err
}

// AccountInfo looks up an account. The kind is ErrNotExist if there is none.
func (c *Client) AccountInfo(ctx context.Context, account string) (Account, error) {
	var w accountWire
	err := c.read(ctx, request{op: "look up account", thing: account, path: "/accounts/" + url.PathEscape(account)}, &w)
	return w.account(), err
}

// Accounts lists the active accounts, those whose name matches a pattern with * if
// that is not "".
func (c *Client) Accounts(ctx context.Context, pattern string) iter.Seq2[Account, error] {
	r := request{op: "list accounts", path: "/accounts/"}
	if pattern != "" {
		r.query = url.Values{"account": {pattern}}
	}
	return stream(ctx, c, r, accountWire.account)
}

// AccountAttributes gives the attributes of an account, as "admin".
func (c *Client) AccountAttributes(ctx context.Context, account string) (map[string]any, error) {
	type pair struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	}
	var list []pair
	r := request{op: "get attributes of account", thing: account, path: "/accounts/" + url.PathEscape(account) + "/attr/"}
	if err := c.read(ctx, r, &list); err != nil {
		return nil, err
	}
	all := make(map[string]any, len(list))
	for _, p := range list {
		all[p.Key] = p.Value
	}
	return all, nil
}

// Unlimited is the limit of an account that may use all there is.
const Unlimited int64 = -1

// Limits gives the limits of an account in bytes, by RSE. Where it has none
// there is no entry, and rules of that account are refused for lack of quota.
func (c *Client) Limits(ctx context.Context, account string) (map[string]int64, error) {
	var w map[string]*number
	r := request{op: "list limits of account", thing: account, path: "/accounts/" + url.PathEscape(account) + "/limits/local"}
	if err := c.read(ctx, r, &w); err != nil {
		return nil, err
	}
	limits := make(map[string]int64, len(w))
	for rse, l := range w {
		if l != nil {
			limits[rse] = int64(*l)
		}
	}
	return limits, nil
}

// SetLimit sets how many bytes an account may have at an RSE; [Unlimited] is any.
func (c *Client) SetLimit(ctx context.Context, account, rse string, bytes int64) error {
	tail := url.PathEscape(account) + "/"
	r := request{op: "set limit of account", thing: account + " at " + rse, method: http.MethodPost, body: map[string]int64{"bytes": bytes}, repeat: true}
	r.path = "/accounts/" + tail + "limits/local/" + url.PathEscape(rse)
	err := c.do(ctx, r)
	var e *Error
	if errors.As(err, &e) && e.Class == "" && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed) {
		r.path = "/accountlimits/local/" + tail + url.PathEscape(rse) // before 40
		return c.do(ctx, r)
	}
	return err
}

// An AccountUsage is what an account has at an RSE, as the server has counted it last.
type AccountUsage struct {
	RSE, RSEID   string
	Bytes, Files int64
	Limit        int64 // Unlimited, or 0 where it has none
	Left         int64 // of the limit; Unlimited where that is
}

// AccountUsage lists what an account has at each RSE.
func (c *Client) AccountUsage(ctx context.Context, account string) iter.Seq2[AccountUsage, error] {
	type wire struct {
		RSE   string `json:"rse"`
		RSEID string `json:"rse_id"`
		Bytes number `json:"bytes"`
		Files number `json:"files"`
		Limit number `json:"bytes_limit"`
		Left  number `json:"bytes_remaining"`
	}
	r := request{op: "list usage of account", thing: account, path: "/accounts/" + url.PathEscape(account) + "/usage/local"}
	return stream(ctx, c, r, func(w wire) AccountUsage {
		return AccountUsage{w.RSE, w.RSEID, int64(w.Bytes), int64(w.Files), int64(w.Limit), int64(w.Left)}
	})
}
