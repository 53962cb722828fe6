package rucio

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// tokens keeps the token of a client. One login goes on at a time: who comes
// meanwhile waits for its result.
type tokens struct {
	c    *Client
	turn chan struct{} // holds one value while nobody logs in
	file tokenFile

	mu  sync.Mutex
	now Token
	got time.Time // when now was got; zero: from the file
}

func newTokens(c *Client) *tokens {
	t := &tokens{c: c, turn: make(chan struct{}, 1), file: tokenFile(c.cfg.TokenFile)}
	t.turn <- struct{}{}
	return t
}

func (t *tokens) account() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now.Account
}

// current is the token that we have, if it is another than the refused one and
// not about to expire.
func (t *tokens) current(refused string) (tok Token, good bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now, t.now.Value != "" && t.now.Value != refused && !t.ending()
}

// ending reports whether it is time for a new token: five minutes before the end,
// or in the last quarter of a short life.
func (t *tokens) ending() bool {
	if t.now.Expires.IsZero() {
		return false
	}
	early := 5 * time.Minute
	if r, ok := t.c.cfg.Auth.(refresher); ok && r.early() > 0 {
		early = r.early()
	}
	if !t.got.IsZero() {
		early = min(early, t.now.Expires.Sub(t.got)/4)
	}
	return t.c.cfg.Now().After(t.now.Expires.Add(-early))
}

// get gives a token that is not the one that the server has refused ("": none).
func (t *tokens) get(ctx context.Context, refused string) (string, error) {
	if tok, good := t.current(refused); good {
		return tok.Value, nil
	}
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	old, good := t.current(refused) // another caller may have renewed it
	if good {
		return old.Value, nil
	}
	tok, err := t.another(ctx, old, refused)
	if err != nil {
		// An old token that the server has not refused is good until its end. Set
		// again, it is not tried to be renewed with each request.
		if old.Value != "" && old.Value != refused && t.c.cfg.Now().Before(old.Expires) {
			t.c.cfg.Log.Warn("token could not be renewed yet", zap.Error(err))
			t.set(old, t.c.cfg.Now())
			return old.Value, nil
		}
		return "", err
	}
	return tok.Value, nil
}

// another gets a token in place of one that we do not have, that ends, or that was refused.
func (t *tokens) another(ctx context.Context, old Token, refused string) (Token, error) {
	first := old.Value == "" && refused == ""
	// A token for oidc is kept by whatever got it. The file is the last place to
	// look: the Python client leaves one there after a login in a browser.
	foreign := t.c.cfg.Auth.Method() == "oidc"
	if first && !foreign {
		if tok, ok := t.fromFile(); ok {
			return tok, nil
		}
	}
	l := &Login{c: t.c}
	if r, ok := t.c.cfg.Auth.(refresher); ok && old.Value != "" && old.Value != refused {
		if tok, ok := r.refresh(ctx, l, old); ok {
			t.set(tok, t.c.cfg.Now())
			return tok, nil
		}
	}
	tok, err := t.c.cfg.Auth.Login(ctx, l)
	if err != nil {
		if first && foreign {
			if tok, ok := t.fromFile(); ok {
				return tok, nil
			}
		}
		return Token{}, err
	}
	t.set(tok, t.c.cfg.Now())
	if !foreign {
		if err := t.file.write(tok.Value); err != nil {
			t.c.cfg.Log.Warn("token is not kept", zap.String("file", string(t.file)), zap.Error(err))
		}
	}
	return tok, nil
}

// fromFile takes the token that another program has left, if it has not ended.
func (t *tokens) fromFile() (Token, bool) {
	value, err := t.file.read()
	if err != nil {
		t.c.cfg.Log.Warn("kept token is not used", zap.String("file", string(t.file)), zap.Error(err))
	}
	if value == "" {
		return Token{}, false
	}
	tok := withClaims(Token{Value: value})
	if !tok.Expires.IsZero() && t.c.cfg.Now().After(tok.Expires) {
		return Token{}, false
	}
	t.set(tok, time.Time{})
	return tok, true
}

func (t *tokens) set(tok Token, got time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now, t.got = tok, got
}

// A refresher can exchange a token that still lives for one that lives longer.
type refresher interface {
	refresh(ctx context.Context, l *Login, old Token) (Token, bool)
	early() time.Duration // how long before the end; 0: as usual
}

// Token is the token that requests are sent with now; a JWT may be shown to
// storage too. It logs in if there is none or it is about to expire.
func (c *Client) Token(ctx context.Context) (Token, error) {
	if _, err := c.tokens.get(ctx, ""); err != nil {
		return Token{}, err
	}
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	return c.tokens.now, nil
}
