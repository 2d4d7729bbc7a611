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
	// Cause is why the breaker opened: the rule that tripped it, with the text of
	// the last failure, or the error given to Trip or ForceOpen.
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

// A ruleError is the rule that opened a breaker, and the last failure of those that it
// counted. That is another call's error: errors.Is does not reach it, lest a caller take it
// for the error of the call that was turned away.
type ruleError struct{ rule, last error }

func (r *ruleError) Error() string { return fmt.Sprintf("%v, last: %v", r.rule, r.last) }

func withLast(rule, last error) error {
	if last == nil {
		return rule
	}
	return &ruleError{rule, last}
}

// withFailure returns the rule that opens a closed epoch's breaker, with the last failure.
func (e *epoch) withFailure(rule error) error {
	if last := e.failure.Load(); last != nil {
		return withLast(rule, *last)
	}
	return rule
}

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
