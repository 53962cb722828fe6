package rucio

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A Client speaks to one server as one account. It is safe for concurrent use.
type Client struct {
	cfg    Config
	http   *http.Client
	auth   *http.Client // shows the certificate of the authenticator
	tokens *tokens

	mu      sync.Mutex
	version Version
	asked   time.Time // when version was asked
}

// New makes a client. It sends nothing: the login happens with the first request
// that needs one.
func New(cfg Config) (*Client, error) {
	bad := func(what, why string, err error) error {
		return &Error{Op: "configure", Thing: what, Kind: ErrInvalid, Err: err, Hint: why}
	}
	hosts := []struct {
		name string
		url  *string
	}{{"rucio_host", &cfg.Host}, {"auth_host", &cfg.AuthHost}, {"trace_host", &cfg.TraceHost}}
	cfg.AuthHost = cmp.Or(cfg.AuthHost, cfg.Host)
	cfg.TraceHost = cmp.Or(cfg.TraceHost, cfg.Host)
	for _, h := range hosts {
		u, err := url.Parse(*h.url)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, bad(h.name+" "+strconv.Quote(*h.url), "write it as https://HOST[:PORT]", err)
		}
		*h.url = strings.TrimRight(*h.url, "/")
	}
	if cfg.Auth == nil {
		return nil, bad("auth_type", "say how to log in: userpass, x509, x509_proxy, ssh or oidc", nil)
	}
	cfg.VO = cmp.Or(cfg.VO, "def")
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "cax-rucio")
	cfg.Script = cmp.Or(cfg.Script, "cax")
	cfg.Site = cmp.Or(cfg.Site, "ROAMING")
	cfg.Location.Site = cmp.Or(cfg.Location.Site, cfg.Site)
	cfg.Backoff = cmp.Or(cfg.Backoff, 250*time.Millisecond)
	cfg.Stall = cmp.Or(cfg.Stall, 2*time.Minute)
	switch {
	case cfg.Retries == 0:
		cfg.Retries = 3
	case cfg.Retries < 0:
		cfg.Retries = 0
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	conf, err := cfg.TLSConfig()
	if err != nil {
		return nil, err
	}
	base := cfg.Transport
	if base == nil {
		base = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: 30 * time.Second,
			IdleConnTimeout:     90 * time.Second,
			MaxIdleConnsPerHost: 16,
		}
	}
	newClient := func(cert bool) *http.Client {
		t := base.Clone()
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = conf.Clone()
		} else if cfg.CA != "" {
			t.TLSClientConfig.RootCAs = conf.RootCAs
		}
		if t.TLSClientConfig.GetClientCertificate = conf.GetClientCertificate; !cert {
			t.TLSClientConfig.GetClientCertificate = nil
		}
		t.ForceAttemptHTTP2 = true
		return &http.Client{Transport: t, CheckRedirect: sameServer}
	}
	c := &Client{cfg: cfg, http: newClient(false), auth: newClient(true)}
	c.tokens = newTokens(c)
	return c, nil
}

// sameServer lets a redirect lead to another path only: our token is in a header
// that would go with it anywhere.
func sameServer(r *http.Request, via []*http.Request) error {
	first := via[0].URL
	if r.URL.Scheme != first.Scheme || r.URL.Host != first.Host {
		return errElsewhere
	}
	if len(via) >= 10 {
		return errors.New("too many redirects")
	}
	return nil
}

var errElsewhere = errors.New("the server sends us to another one")

// Close ends idle connections. The client must not be used afterwards.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	c.auth.CloseIdleConnections()
	return nil
}

// Account is the account that we are: the configured one, else what the server
// said at the login, "" as long as it has not.
func (c *Client) Account() string { return cmp.Or(c.cfg.Account, c.tokens.account()) }

// Site is the site that we are, "ROAMING" if none is configured.
func (c *Client) Site() string { return c.cfg.Site }

// A Version is a server's, as "41.0.0".
type Version struct {
	Text  string
	Major int // 0 if the text does not begin with a number
}

// parseVersion reads a version; releases before 32 are called "1.N".
func parseVersion(s string) Version {
	v := Version{Text: s}
	first, rest, _ := strings.Cut(s, ".")
	v.Major, _ = strconv.Atoi(first)
	if v.Major == 1 {
		second, _, _ := strings.Cut(rest, ".")
		v.Major, _ = strconv.Atoi(second)
	}
	return v
}

// String gives the version as the server wrote it.
func (v Version) String() string { return v.Text }

// Ping asks the server for its version. It needs no login.
func (c *Client) Ping(ctx context.Context) (Version, error) {
	var w struct {
		Version string `json:"version"`
	}
	if err := c.read(ctx, request{op: "ping", path: "/ping", open: true}, &w); err != nil {
		return Version{}, err
	}
	v := parseVersion(w.Version)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version, c.asked = v, c.cfg.Now()
	return v, nil
}

// ServerVersion is the server's version, asked once an hour.
func (c *Client) ServerVersion(ctx context.Context) (Version, error) {
	c.mu.Lock()
	v, asked := c.version, c.asked
	c.mu.Unlock()
	if !asked.IsZero() && c.cfg.Now().Sub(asked) < time.Hour {
		return v, nil
	}
	return c.Ping(ctx)
}
