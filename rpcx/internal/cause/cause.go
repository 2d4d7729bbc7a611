// Package cause has the errors of contexts that have ended, with the causes that their owners
// have given.
//
// Such an error matches both. The package holds no state, starts no goroutine, and imports
// nothing but the standard library.
package cause

import (
	"context"
	"errors"
	"time"
)

// Error is the end of a context with the cause that its owner has given
// (context.WithCancelCause and the like). It matches both.
type Error struct{ err, cause error }

func (e *Error) Error() string   { return e.err.Error() + ": " + e.cause.Error() }
func (e *Error) Unwrap() []error { return []error{e.err, e.cause} }

// Timeout reports whether a deadline has passed, whatever the cause is.
func (e *Error) Timeout() bool { return errors.Is(e.err, context.DeadlineExceeded) }

// Of is the error of a context that has ended, with its cause; nil if it has
// not ended.
func Of(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && cause != err { //nolint:errorlint // no cause was given if it is the same
		return &Error{err, cause}
	}
	return err
}

// deadlineGrace is how much later than an attempt's timer a context's may be.
const deadlineGrace = 50 * time.Millisecond

// AwaitDeadline waits for a context whose time is up: an attempt has a timer of its own,
// which may be faster. It waits for 50 ms at most.
func AwaitDeadline(ctx context.Context) {
	deadline, ok := ctx.Deadline()
	if !ok || ctx.Err() != nil || time.Now().Before(deadline) {
		return
	}
	timer := time.NewTimer(deadlineGrace)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
