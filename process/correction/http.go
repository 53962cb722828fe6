package correction

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An HTTP is slow control behind a web service, which answers a GET with what
// [ReadValues] reads.
type HTTP struct {
	// URL is asked, after {variable}, {from} and {to} (seconds since 1970), {from_iso},
	// {to_iso} and {secret} are replaced in it.
	URL string

	// Path is where in the answer the values are, as [ReadValues] takes it.
	Path string

	// Secret is the key of the service; it stands in no error. If URL has no place for
	// it, it is sent as a bearer token. "": none is needed.
	Secret string

	// Timeout is how long one answer may take; 0: [DefaultTimeout].
	Timeout time.Duration

	// Client asks; nil: [http.DefaultClient].
	Client *http.Client
}

// Values implements [SlowControl].
func (h HTTP) Values(ctx context.Context, variable string, from, to time.Time) ([]float64, error) {
	place, _, _ := strings.Cut(h.URL, "?")
	fail := func(kind, err error, hint string) ([]float64, error) {
		return nil, &Error{Op: "ask", What: "slow control (" + place + ") for " + variable, Kind: kind, Err: err, Hint: hint}
	}
	timeout := cmp.Or(h.Timeout, DefaultTimeout)
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// A space as %20 is right in a path as well as behind the question mark.
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	req, err := http.NewRequestWithContext(limited, http.MethodGet, fill(h.URL, variable, from, to, h.Secret, escape), nil)
	if err != nil || req.URL.Host == "" {
		return fail(ErrInvalid, errors.New("its URL cannot be read"), `write for example "https://host/values?name={variable}&from={from}&to={to}"`)
	}
	req.Header.Set("Accept", "application/json")
	if h.Secret != "" && !strings.Contains(h.URL, "{secret}") {
		req.Header.Set("Authorization", "Bearer "+h.Secret)
	}
	client := h.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err == nil {
		defer resp.Body.Close()
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return fail(ErrUnavailable, fmt.Errorf("no answer within %v", timeout), "raise timeout, or see why it takes so long")
	case err != nil:
		return fail(ErrUnavailable, hushed(err), "see whether the service runs, and can be reached from here")
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return fail(ErrUnavailable, errors.New(resp.Status), "see whether the service is well")
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return fail(ErrRefused, errors.New(resp.Status), "set secret_file, or correct the key in it")
	case resp.StatusCode != http.StatusOK:
		return fail(ErrRefused, errors.New(resp.Status), "correct url, or the name of the variable")
	}
	vs, err := ReadValues(resp.Body, h.Path)
	var bad *Error
	switch {
	case err == nil:
		return vs, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &bad):
		return fail(nil, err, "")
	}
	return fail(ErrUnavailable, hushed(err), "see whether the service is well")
}

// hushed takes the URL, which may hold a secret, out of an error.
func hushed(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
