package rpcx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"strings"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/codec"
)

// Sent says what is known of a failed call: whether its server can have run it.
type Sent uint8

const (
	// NotSent is proof: not one byte of the call left, so no server ran it.
	NotSent Sent = iota
	// MaybeSent means that the call left and no answer came: it may have run.
	MaybeSent
	// Executed means that the server answered, so the method ran; only its
	// reply could not be used.
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

// CallError is the error of a call that failed, but for the errors that net/rpc's
// users compare: a [ServerError], or in its place the [*codec.Error] of a JSON-RPC
// error object, and [ErrShutdown] come bare.
//
// Its text is that of its cause, as net/rpc's texts are; errors.Is and errors.As
// reach the cause: [ErrUnavailable], [breaker.ErrOpen], [ErrUnresponsive],
// context.DeadlineExceeded, context.Canceled, [codec.EncodeError] and the
// errors of package net.
type CallError struct {
	Method   string // the service method that was called
	Endpoint string // where the last attempt went; empty if there was none
	Attempts int    // how many times an endpoint was tried, 0 if none was available
	// Sent is the doubt over all attempts: NotSent only if no attempt left.
	Sent Sent
	Err  error // the cause: the last error that says something of a server
}

// Error returns the text of the cause.
func (e *CallError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }

// Timeout reports whether a deadline ended the call, as net.Error has it.
func (e *CallError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// ErrUnavailable is the cause when no endpoint takes calls: the breaker of each is
// open. The error that wraps it says for how long and why.
var ErrUnavailable = errors.New("rpcx: no endpoint is available")

// ErrUnresponsive is the cause when the failure detector convicted a peer that
// had stopped answering, and so ended the calls in flight on its connection.
var ErrUnresponsive = errors.New("rpcx: peer does not respond")

// unavailableError tells why no endpoint could be picked. It matches
// ErrUnavailable, and through open also breaker.ErrOpen.
type unavailableError struct {
	open *breaker.OpenError // of the endpoint that may be back first; nil if none is known
	at   string             // its address
}

func (e *unavailableError) Error() string {
	if e.open == nil {
		return ErrUnavailable.Error()
	}
	return fmt.Sprintf("%v; %s may be tried in %v: %v", ErrUnavailable, e.at, e.open.RetryAfter.Round(time.Millisecond), e.open)
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
	addr    string
	phi     float64
	silence time.Duration
	conn    bool // it is one connection, of several
}

func (e *unresponsiveError) Error() string {
	if e.conn {
		return fmt.Sprintf("rpcx: a connection to %s does not respond: silent for %v", e.addr, e.silence.Round(time.Millisecond))
	}
	return fmt.Sprintf("rpcx: %s does not respond: silent for %v (phi %.1f)", e.addr, e.silence.Round(time.Millisecond), e.phi)
}

func (e *unresponsiveError) Is(target error) bool { return target == ErrUnresponsive }

// bodyError is a reply that came and could not be decoded. net/rpc's text has the
// same prefix.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading body " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// dialError is a connection that could not be made.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// result is one attempt's end: what came of it, and when.
type result struct {
	err  error
	sent Sent
	at   time.Time
	// own is set when this side ended or refused the attempt, so that it says
	// nothing of the endpoint: our breaker, our Close, an argument that cannot
	// be encoded.
	own bool
}

// verdict is what an attempt's end means to the breaker and to the balancer.
type verdict struct {
	breaker  breaker.Outcome
	balancer balancer.Outcome
}

// classify is the one place where an attempt's end is judged; its rows are those
// of the table in the package documentation. patience is how long the attempt
// was given, if a deadline ended it: see judgeTimeout.
func classify(r result, patience time.Duration, usual func() time.Duration) verdict {
	switch {
	case r.err == nil:
		return verdict{breaker.Success, balancer.Success}
	case isServerError(r.err):
		// The server works; it is the method that failed (gobreaker#112).
		return verdict{breaker.Success, balancer.AppError}
	case r.own && r.sent == NotSent:
		// Our own refusals must never feed the statistics (go-zero#5551).
		return verdict{breaker.Ignored, balancer.NotSent}
	case r.own || errors.Is(r.err, context.Canceled):
		// A caller who gave up says nothing of the server (rubyist/circuitbreaker#42).
		return verdict{breaker.Ignored, balancer.Canceled}
	case errors.Is(r.err, context.DeadlineExceeded):
		return judgeTimeout(r, patience, usual())
	case isDecodeError(r.err):
		// The server answered; caller and server disagree on a type.
		return verdict{breaker.Success, balancer.AppError}
	case r.sent == NotSent:
		return verdict{breaker.Failure, balancer.NotSent}
	}
	return verdict{breaker.Failure, balancer.Failure}
}

// fairPatience is the deadline from which on a timeout is the endpoint's fault
// whatever its usual latency.
const fairPatience = 100 * time.Millisecond

// judgeTimeout decides whose fault a deadline was. A caller who allows less than
// a few usual latencies, and less than fairPatience, would open the breaker of a
// sound endpoint (cep21/circuit#94).
func judgeTimeout(r result, patience, usual time.Duration) verdict {
	switch {
	case r.sent == NotSent:
		return verdict{breaker.Ignored, balancer.NotSent}
	case patience < fairPatience && (usual == 0 || patience < 4*usual):
		return verdict{breaker.Ignored, balancer.Canceled}
	}
	return verdict{breaker.Failure, balancer.Failure}
}

// The checks below are made of every call, and a target for errors.As costs an
// allocation: nil has none of them.

// isServerError reports whether err is the method's own, or its server's.
func isServerError(err error) bool {
	if err == nil {
		return false
	}
	var text rpc.ServerError
	var object *codec.Error
	return errors.As(err, &text) || errors.As(err, &object)
}

func isDecodeError(err error) bool {
	if err == nil {
		return false
	}
	var decode *codec.DecodeError
	return errors.As(err, &decode)
}

func isEncodeError(err error) bool {
	if err == nil {
		return false
	}
	var encode *codec.EncodeError
	return errors.As(err, &encode)
}

// readError is the text and identity net/rpc gives to a connection that ended.
func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fieldError says which field of a Dialer is wrong, and what to write instead.
func fieldError(field string, value any, want string) error {
	return fmt.Errorf("rpcx: Dialer.%s is %v; want %s", field, value, want)
}

// splitAddresses returns the addresses that a list names, each of which may be a
// comma-separated list itself, unless it is the path of a Unix socket.
func splitAddresses(network string, addresses []string) ([]string, error) {
	var out []string
	seen := make(map[string]bool)
	paths := strings.HasPrefix(network, "unix")
	for _, list := range addresses {
		entries := []string{list}
		if !paths {
			entries = strings.Split(list, ",")
		}
		for _, a := range entries {
			if !paths {
				a = strings.TrimSpace(a)
			}
			switch {
			case a == "" && len(addresses) == 1 && list == "":
				// net.Dial's own error for an empty address says it best.
			case a == "":
				return nil, fmt.Errorf("rpcx: the address list %q has an empty entry; remove the stray comma", list)
			case seen[a]:
				return nil, fmt.Errorf("rpcx: the address %q is listed twice; name each replica once", a)
			}
			seen[a] = true
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("rpcx: no address given; name at least one")
	}
	return out, nil
}
