package breaker

import (
	"errors"
	"fmt"
	"time"
)

// ErrOpen matches every *OpenError, by errors.Is.
var ErrOpen = errors.New("breaker: open")

var (
	errTripped   = errors.New("tripped by hand")
	errProbe     = errors.New("the probe failed")
	errSlowProbe = errors.New("the probe was slow")
)

// An OpenError is the error for a call that a breaker rejects. Several rejections may
// share one value: do not modify it.
type OpenError struct {
	// State is the breaker's state: Open, ForcedOpen, or HalfOpen with all permits
	// taken.
	State State
	// RetryAfter is the time until the breaker may admit a call: the rest of the open
	// interval or, in HalfOpen, the time until the probes' permits time out. It may be
	// too long by 1/256 or 1 ms, whichever is less, and by more if Breaker.Hasten
	// shortens the interval later. It is 0 in ForcedOpen, which has no end.
	RetryAfter time.Duration
	// Cause is why the breaker opened: the rule that was met, with the text of the
	// last failure, or the cause passed to Trip or ForceOpen. It is nil if ForceOpen was
	// called without one.
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

// A ruleError is the rule that opened a breaker, with the text of the last failure. That
// failure is the error of another call, not of the rejected one, so Unwrap does not
// return it.
type ruleError struct{ rule, last error }

func (r *ruleError) Error() string { return fmt.Sprintf("%v, last: %v", r.rule, r.last) }

func withLast(rule, last error) error {
	if last == nil {
		return rule
	}
	return &ruleError{rule, last}
}

// withFailure adds the epoch's last failure to a rule.
func (e *epoch) withFailure(rule error) error {
	if last := e.failure.Load(); last != nil {
		return withLast(rule, *last)
	}
	return rule
}

// A reopening is why a half-open breaker opened again, with the cause of the first
// opening. It does not include those in between, which could be many.
type reopening struct {
	why   error
	first error
}

func (r *reopening) Error() string { return fmt.Sprintf("%v (first opened: %v)", r.why, r.first) }
func (r *reopening) Unwrap() error { return r.first }

func reopened(why, cause error) error {
	if r, ok := cause.(*reopening); ok { //nolint:errorlint // it is never wrapped
		cause = r.first
	}
	if cause == nil {
		return why
	}
	return &reopening{why: why, first: cause}
}
