package cax

import "time"

// A Clock tells the time. It is a value so that tests can turn it.
type Clock struct {
	// Now is the wall clock, for what people read. nil: time.Now.
	Now func() time.Time

	// Elapsed is the time since an arbitrary point, never set back, and going on
	// while the machine sleeps: it measures leases. nil: the kernel's
	// CLOCK_BOOTTIME where there is one, else the monotonic clock.
	Elapsed func() time.Duration
}

func (c Clock) now() time.Time {
	if c.Now != nil {
		return c.Now().UTC()
	}
	return time.Now().UTC()
}

func (c Clock) elapsed() time.Duration {
	if c.Elapsed != nil {
		return c.Elapsed()
	}
	return bootTime()
}
