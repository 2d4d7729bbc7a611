package breaker

import (
	"errors"
	"fmt"
	"time"
)

// ErrOpen is what every rejection matches: errors.Is(err, ErrOpen).
var ErrOpen = errors.New("breaker: open")

var (
	errTripped   = errors.New("tripped by hand")
	errProbe     = errors.New("the probe failed")
	errSlowProbe = errors.New("the probe was slow")
)

// An OpenError is a rejection by a breaker that is Open, ForcedOpen, or
// HalfOpen with all probe permits taken. Rejections of the same moment may
// share one value: do not modify it.
type OpenError struct {
	// State is the state that rejected the call: Open, HalfOpen or ForcedOpen.
	State State
	// RetryAfter is the time until a call may be let in: what is left of the
	// open interval, or in HalfOpen of the lease of the probes. It is never
	// too short, unless Breaker.Hasten ends the interval, and too long by at
	// most 1/256 of itself and 1 ms. It is 0 in ForcedOpen, which time does not
	// end.
	RetryAfter time.Duration
	// Cause is why the breaker opened: the rule that tripped it or the error
	// given to Trip. It is nil in ForcedOpen.
	Cause error
}

// Error describes the rejection.
func (e *OpenError) Error() string {
	s := "breaker: " + e.State.String()
	if e.RetryAfter > 0 {
		s += ", retry after " + e.RetryAfter.String()
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is reports whether target is ErrOpen.
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// Unwrap returns Cause.
func (e *OpenError) Unwrap() error { return e.Cause }

// A reopening is the cause of a half-open breaker's return to Open. It keeps
// the cause of the first opening in sight without growing with each probe.
type reopening struct {
	why   error
	first error
}

func (r *reopening) Error() string { return fmt.Sprintf("%v (first opened: %v)", r.why, r.first) }
func (r *reopening) Unwrap() error { return r.first }

func reopened(why, cause error) error {
	if r, ok := cause.(*reopening); ok { //nolint:errorlint // made here, never wrapped
		cause = r.first
	}
	if cause == nil {
		return why
	}
	return &reopening{why: why, first: cause}
}
