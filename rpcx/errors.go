package rpcx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/cause"
	"resilientrpc/rpcx/internal/dialing"
	"resilientrpc/rpcx/internal/errtext"
	"resilientrpc/rpcx/internal/mismatch"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/queue"
	"resilientrpc/rpcx/internal/transport"
	"resilientrpc/rpcx/internal/wire"
)

// Sent says whether a server may have run a call that failed.
type Sent uint8

const (
	// NotSent is proof that no server ran the call: the end of its request did not leave
	// this process, or a server refused it, for example because the server is being stopped.
	NotSent Sent = iota
	// MaybeSent means that the request was sent and no answer came: it may have run. With a
	// server of [Serve], [CallError].Recall says why the server could not tell.
	MaybeSent
	// Executed means that the server answered, so the method ran, but the reply could not
	// be used.
	Executed
)

// String returns "no", "maybe" or "yes".
func (s Sent) String() string {
	switch s {
	case NotSent:
		return "no"
	case MaybeSent:
		return "maybe"
	case Executed:
		return "yes"
	}
	return fmt.Sprintf("Sent(%d)", uint8(s))
}

// CallError is the error of a call that failed. [Client.CallContext] and [Invoke] return
// only two other errors: that of the method, a [ServerError] or the [*codec.Error] of a
// JSON-RPC error object, and [ErrShutdown].
//
// Its text has the method, the endpoint, the cause, the number of attempts, and whether the
// method may have run. errors.Is and errors.As find the cause: [ErrUnavailable],
// [breaker.ErrOpen], [ErrOverloaded], [ErrUnresponsive], context.DeadlineExceeded,
// context.Canceled (and the cause given to context.WithCancelCause), [codec.EncodeError], the
// errors of package net, and over HTTP [codec.ExchangeError] and jsonhttp.StatusError. It is
// a net.Error.
//
// [Client.Call] and [Client.Go] return the errors of net/rpc, for programs that compare
// errors by == or by type: they do not wrap the error of a connection, a dial or a codec,
// such as io.ErrUnexpectedEOF, a *net.OpError, or the error of package gob for an argument.
// For failures that net/rpc does not have, they return a *CallError, too: a deadline, a
// refusal or a conviction by this package, a dial that failed because of a fault on this
// side, a failed exchange over HTTP, and bytes of another protocol. To know for each failure
// whether the call may have run, use CallContext with context.Background() in place of Call.
type CallError struct {
	Method   string // the service method that was called
	Endpoint string // of the last attempt; empty if there was none
	Attempts int    // how many times an endpoint was tried, 0 if none was available
	// Sent is that of all attempts together: NotSent only if none of them was sent.
	Sent Sent
	// Recall is what the server of the last attempt answered when the client asked it about
	// the call; NotRecalled unless Sent is MaybeSent.
	Recall Recall
	Err    error // the cause; the last error of a server or connection, if there was one

	unpaid bool // Retry.Budget did not allow a further attempt
}

// Error returns, for example,
//
//	rpcx: Arith.Sleep at 127.0.0.1:7001: context deadline exceeded (1 attempt, may have run)
func (e *CallError) Error() string {
	at := ""
	if e.Endpoint != "" {
		at = " at " + e.Endpoint
	}
	return "rpcx: " + e.Method + at + ": " + errtext.Bare(e.Err) + " (" + e.story() + ")"
}

// story says how often the call was tried, and what that came to.
func (e *CallError) story() string {
	var ran string
	switch e.Sent {
	case NotSent:
		ran = "did not run"
	case MaybeSent:
		ran = "may have run" + e.Recall.why()
	default:
		ran = "ran"
	}
	if e.unpaid {
		ran += "; the retry budget is spent"
	}
	switch e.Attempts {
	case 0:
		return ran
	case 1:
		return "1 attempt, " + ran
	}
	return fmt.Sprintf("%d attempts, %s", e.Attempts, ran)
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }

// Timeout reports whether a deadline ended the call: that of the caller, of a dial, or of a
// connection.
func (e *CallError) Timeout() bool {
	if isTurnedAway(e.end()) {
		return false // whatever made the breaker open
	}
	var t interface{ Timeout() bool }
	return errors.As(e.end(), &t) && t.Timeout()
}

// Temporary reports whether a later call may succeed: this side refused the call, as with
// [ErrUnavailable] and [ErrOverloaded], or the cause is temporary, as a deadline is.
func (e *CallError) Temporary() bool {
	if isTurnedAway(e.end()) {
		return true
	}
	var t interface{ Temporary() bool }
	return errors.As(e.end(), &t) && t.Temporary()
}

// end is what ended the call, without the error of an earlier attempt.
func (e *CallError) end() error {
	var both *lastError
	if errors.As(e.Err, &both) {
		return both.err
	}
	return e.Err
}

// lastError is an end on this side, with the last error of a server, or the last refusal,
// behind it.
type lastError struct{ err, last error }

// Error leaves the last error out if the other has its text, as a refusal has that of the
// endpoint's breaker.
func (e *lastError) Error() string {
	err, last := errtext.Of(e.err), errtext.Bare(e.last)
	if strings.Contains(err, last) {
		return err
	}
	return err + "; last error: " + last
}

func (e *lastError) Unwrap() []error { return []error{e.err, e.last} }

// isTurnedAway reports whether this side did not let the call through.
func isTurnedAway(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOverloaded) ||
		errors.Is(err, breaker.ErrOpen) || errors.Is(err, breaker.ErrThrottled)
}

// asNetRPC returns the error of CallContext as Call and Go have it: what was made by
// the connection, a dial or a codec comes bare, as net/rpc returns it. What this package
// has made stays a *CallError.
func asNetRPC(err error) error {
	e, ok := err.(*CallError) //nolint:errorlint // it is never wrapped
	if !ok {
		return err
	}
	cause := e.Err
	switch c := cause.(type) { //nolint:errorlint // it is what comes next that counts
	case *dialError:
		if c.blameless {
			return err // it was for want of something on this side
		}
		cause = c.err
	case *codec.EncodeError:
		cause = c.Err
	case *mismatch.Error:
		if !c.Seen { // it may be no more than the end of the connection
			cause = c.Err
		}
	}
	if isOurs(cause) {
		return err
	}
	return cause
}

// isOurs reports whether an error was made by this package, or by the module's own
// codecs in a place where net/rpc's have no limit and so no error.
func isOurs(err error) bool {
	switch err.(type) { //nolint:errorlint // these are never wrapped
	case *lastError, *cause.Error, *mismatch.Error, *codec.FrameError, *codec.ExchangeError, *protocol.Refusal:
		return true
	}
	switch err { //nolint:errorlint // a net.Error of a dial's may match them, and is none of ours
	case context.DeadlineExceeded, context.Canceled:
		return true
	}
	for _, own := range [...]error{
		wire.ErrClosed, errLeft, errPanicked, errSpent, errDisorder, transport.ErrWithdrawn, transport.ErrStrayReply, dialing.ErrStray, codec.ErrRetired, ErrUnresponsive,
	} {
		if errors.Is(err, own) {
			return true
		}
	}
	return isTurnedAway(err)
}

// ErrUnavailable is the cause if no endpoint takes calls: the breaker of each is open, or no
// endpoint is known. The text of the error says why, and when the next probe is.
var ErrUnavailable = errors.New("rpcx: no endpoint is available")

// ErrUnresponsive is the cause if the failure detector convicted a peer that had stopped
// answering, which fails the calls in flight on its connections.
var ErrUnresponsive = errors.New("rpcx: peer does not respond")

// ErrOverloaded is the cause if a call waited for longer than Dialer.QueueTimeout because of
// Dialer.MaxCalls or Dialer.MaxInFlight, or if too many calls waited already. The call was not
// sent and is not tried again, and no breaker counts it.
var ErrOverloaded = queue.ErrOverloaded

// unavailableError tells why no endpoint could be picked. It matches
// ErrUnavailable, and through open also breaker.ErrOpen.
type unavailableError struct {
	used     int                // endpoints in use
	open     *breaker.OpenError // of the one that may be back first; nil if none is known
	at       string             // its address
	resolver error              // why the resolver has named none; nil if that is not known
}

func (e *unavailableError) Error() string {
	text := fmt.Sprintf("rpcx: none of %d endpoints is available", e.used)
	switch {
	case e.used == 0 && e.resolver != nil:
		return "rpcx: no endpoint is known: " + errtext.Bare(e.resolver)
	case e.used == 0:
		return "rpcx: no endpoint is known yet"
	case e.used == 1:
		text = "rpcx: the only endpoint is not available"
	}
	if e.open == nil {
		return text
	}
	switch {
	case e.open.State == breaker.HalfOpen:
		text += " (a probe is under way)"
	case e.open.RetryAfter > 0:
		text += " (next probe in " + errtext.Brief(e.open.RetryAfter) + ")"
	}
	if e.open.Cause == nil {
		return text + "; " + e.at + ": " + e.open.State.String()
	}
	return text + "; " + e.at + ": " + errtext.Bare(e.open.Cause)
}

func (e *unavailableError) Is(target error) bool { return target == ErrUnavailable }

func (e *unavailableError) Unwrap() error {
	if e.open == nil {
		return nil
	}
	return e.open
}

// unresponsiveError is a conviction: how sure the detector was, and after how
// long a silence.
type unresponsiveError struct {
	phi     float64 // 0 if it was not what convicted
	silence time.Duration
	conn    bool // it is one connection, of several
}

func (e *unresponsiveError) Error() string {
	text := ErrUnresponsive.Error()
	if e.conn {
		text = "rpcx: the connection does not respond"
	}
	text += ": silent for " + e.silence.Round(time.Millisecond).String()
	if e.phi > 0 {
		text += fmt.Sprintf(", phi %.1f", e.phi)
	}
	return text
}

func (e *unresponsiveError) Is(target error) bool { return target == ErrUnresponsive }

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
		cause.AwaitDeadline(ctx)
	}
	switch {
	case end != ctx.Err(): //nolint:errorlint // likewise
	case last != nil:
		e.Err = &lastError{cause.Of(ctx), last.last}
	default:
		e.Err = cause.Of(ctx)
	}
	return err
}

// dialError is a connection that could not be made.
type dialError struct {
	err       error
	blameless bool // it says nothing of the endpoint: see dialFailed
}

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dialCause is the error that a dial returned, without our wrapping.
func dialCause(err error) error {
	var dial *dialError
	if errors.As(err, &dial) {
		return dial.err
	}
	return err
}

// errPanicked ends a call for which a function of the Dialer's, or a policy, panics.
var errPanicked = errors.New("rpcx: a function of the Dialer panicked")
