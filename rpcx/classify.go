package rpcx

import (
	"context"
	"errors"
	"net/rpc"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/codec"
)

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

// judgment is what an attempt's end means to the breaker and to the balancer.
type judgment struct {
	breaker  breaker.Outcome
	balancer balancer.Outcome
}

// classify is the one place where an attempt's end is judged; its rows are those
// of the table in the package documentation. patience is how long the attempt
// was given, if a deadline ended it: see judgeTimeout.
func classify(r result, patience time.Duration, usual func(string) time.Duration) judgment {
	switch {
	case r.err == nil:
		return judgment{breaker.Success, balancer.Success}
	case isServerError(r.err):
		// The server works; it is the method that failed (gobreaker#112).
		return judgment{breaker.Success, balancer.AppError}
	case r.own && r.sent == NotSent:
		// Our own refusals must never feed the statistics (go-zero#5551).
		return judgment{breaker.Ignored, balancer.NotSent}
	case r.own || errors.Is(r.err, context.Canceled):
		// A caller who gave up says nothing of the server (rubyist/circuitbreaker#42).
		return judgment{breaker.Ignored, balancer.Canceled}
	case errors.Is(r.err, context.DeadlineExceeded):
		return judgeTimeout(r, patience, usual(""))
	case isDecodeError(r.err):
		// The server answered; caller and server disagree on a type.
		return judgment{breaker.Success, balancer.AppError}
	case r.sent == NotSent:
		return judgment{breaker.Failure, balancer.NotSent}
	}
	return judgment{breaker.Failure, balancer.Failure}
}

// fairPatience is the deadline from which on a timeout is the endpoint's fault
// whatever its usual latency.
const fairPatience = 100 * time.Millisecond

// judgeTimeout decides whose fault a deadline was. A caller who allows less than
// a few usual latencies, and less than fairPatience, would open the breaker of a
// sound endpoint (cep21/circuit#94).
func judgeTimeout(r result, patience, usual time.Duration) judgment {
	switch {
	case r.sent == NotSent:
		return judgment{breaker.Ignored, balancer.NotSent}
	case patience < fairPatience && (usual == 0 || patience < 4*usual):
		return judgment{breaker.Ignored, balancer.Canceled}
	}
	return judgment{breaker.Failure, balancer.Failure}
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
