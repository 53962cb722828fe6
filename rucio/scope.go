package rucio

import (
	"context"
	"net/http"
	"net/url"
)

// Scopes lists all scopes.
func (c *Client) Scopes(ctx context.Context) ([]string, error) {
	var all []string
	err := c.read(ctx, request{op: "list scopes", path: "/scopes/"}, &all)
	return all, err
}

// AccountScopes lists the scopes that an account owns; none is no error.
func (c *Client) AccountScopes(ctx context.Context, account string) ([]string, error) {
	var all []string
	err := c.read(ctx, request{op: "list scopes of account", thing: account, path: "/accounts/" + url.PathEscape(account) + "/scopes/"}, &all)
	if isClass(err, "ScopeNotFound") {
		return nil, nil
	}
	return all, err
}

// AddScope makes a scope. The kind is ErrExist if there is one of that name.
func (c *Client) AddScope(ctx context.Context, account, scope string) error {
	return c.do(ctx, request{op: "add scope", thing: scope, method: http.MethodPost,
		path: "/accounts/" + url.PathEscape(account) + "/scopes/" + escape(scope)})
}
