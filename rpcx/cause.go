package rpcx

import (
	"context"
	"errors"
	"time"
)

// causeError is the end of a context with the cause that its owner has given
// (context.WithCancelCause and the like). It matches both.
type causeError struct{ err, cause error }

func (e *causeError) Error() string   { return e.err.Error() + ": " + e.cause.Error() }
func (e *causeError) Unwrap() []error { return []error{e.err, e.cause} }

// Timeout reports whether a deadline has passed, whatever the cause is.
func (e *causeError) Timeout() bool { return errors.Is(e.err, context.DeadlineExceeded) }

// contextError is the error of a context that has ended, with its cause.
func contextError(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && cause != err { //nolint:errorlint // no cause was given if it is the same
		return &causeError{err, cause}
	}
	return err
}

// withCause returns the error of a call, which has become the caller's, with the cause if
// the end of its context is what ended it.
func withCause(ctx context.Context, err error) error {
	e, ok := err.(*CallError) //nolint:errorlint // it is never wrapped
	if !ok {
		return err
	}
	last, _ := e.Err.(*lastError) //nolint:errorlint // likewise
	end := e.Err
	if last != nil {
		end = last.err
	}
	if end == context.DeadlineExceeded { //nolint:errorlint // as a context returns it
		awaitDeadline(ctx)
	}
	switch {
	case end != ctx.Err(): //nolint:errorlint // likewise
	case last != nil:
		e.Err = &lastError{contextError(ctx), last.last}
	default:
		e.Err = contextError(ctx)
	}
	return err
}

// deadlineGrace is how much later than an attempt's timer a context's may be.
const deadlineGrace = 50 * time.Millisecond

// awaitDeadline waits for a context whose time is up: an attempt has a timer of its own,
// which may be faster.
func awaitDeadline(ctx context.Context) {
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
