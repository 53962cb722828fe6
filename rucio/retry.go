package rucio

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// again reports whether a request is sent once more after it failed. What the
// server surely did not carry out is, and of the rest what may be done twice.
func again(repeatable, sent bool, e *Error) bool {
	if !errors.Is(e, ErrTransient) {
		return false
	}
	if !sent || surelyNot(e) {
		return true
	}
	switch e.Status {
	case 0, http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout:
		return repeatable
	}
	return false
}

// surelyNot reports whether an answer says that nothing was done: 502 and 504
// come from a server in between that had sent the request on already.
func surelyNot(e *Error) bool {
	return e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests
}

// pause is how long to wait after so many failures: doubled each time up to ten
// seconds, and up to a quarter more so that many clients do not come together.
func pause(first time.Duration, failures int) time.Duration {
	d := min(first<<min(failures-1, 10), 10*time.Second)
	return d + time.Duration(rand.Int64N(int64(d)/4+1))
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
