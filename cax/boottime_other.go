//go:build !linux

package cax

import "time"

// The monotonic reading of time.Now is all that is portable: a machine that
// sleeps may believe for too long that it holds a lease. The fencing token
// still refuses its writes.
func bootTime() time.Duration { return time.Since(time.Unix(0, 0)) }
