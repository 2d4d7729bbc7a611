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
	// lost is the connection whose end this is, nil if it is not one's. All attempts
	// on it have the same end.
	lost *conn
}

// judgment is what an attempt's end means to the endpoint's breaker and to the balancer.
type judgment struct {
	breaker  breaker.Outcome
	balancer balancer.Outcome
}

// ignored is the judgment of an end that says nothing of the endpoint.
func ignored(o balancer.Outcome) judgment {
	return judgment{breaker.Ignored, o}
}

// accepted reports whether the throttle is to take the attempt for one that the server
// took up: those that a lost connection took along with the first are no news.
func (v judgment) accepted(r result) bool {
	return v.balancer == balancer.Success || v.balancer == balancer.AppError ||
		r.lost != nil && v.breaker == breaker.Ignored
}

// classify is the one place where an attempt's end is judged; its rows are those
// of the table in the package documentation. overdue judges a deadline.
func classify(r result, overdue func() judgment) judgment {
	switch {
	case r.err == nil:
		return judgment{breaker.Success, balancer.Success}
	case isServerError(r.err):
		// The server works; it is the method that failed (gobreaker#112).
		return judgment{breaker.Success, balancer.AppError}
	case answerOf(r.err) == codec.Rejected:
		// The server works; whoever asks it so is refused.
		return judgment{breaker.Success, balancer.AppError}
	case answerOf(r.err) == codec.Busy:
		// It works, for less than we ask of it: the load has to go elsewhere.
		return ignored(balancer.Failure)
	case answerOf(r.err) == codec.Failed:
		return judgment{breaker.Failure, balancer.Failure}
	case r.own && r.sent == NotSent:
		// Our own refusals must never feed the statistics (go-zero#5551).
		return ignored(balancer.NotSent)
	case r.own || errors.Is(r.err, context.Canceled):
		// A caller who gave up says nothing of the server (rubyist/circuitbreaker#42).
		return ignored(balancer.Canceled)
	case errors.Is(r.err, context.DeadlineExceeded):
		if r.sent == NotSent {
			return ignored(balancer.NotSent)
		}
		return overdue()
	case isDecodeError(r.err):
		// The server answered; caller and server disagree on a type.
		return judgment{breaker.Success, balancer.AppError}
	case isUnreached(r.err) && isLocal(r.err):
		// The fault is on this side, and the same with any server.
		return ignored(balancer.NotSent)
	case r.lost != nil && r.lost.counted.Swap(true):
		// It is one event, however many calls were on the connection.
		return ignored(balancer.NotSent)
	case r.sent == NotSent:
		return judgment{breaker.Failure, balancer.NotSent}
	}
	return judgment{breaker.Failure, balancer.Failure}
}

// fairPatience is the deadline from which on a timeout of a method that was never
// answered counts against the method.
const fairPatience = 100 * time.Millisecond

// overdue decides whose fault a deadline was that passed without an answer: that of a
// caller who allowed less than the method takes (cep21/circuit#94), or the endpoint's.
// What a method takes is what it takes at the endpoint or, if that is less, at another:
// an endpoint that has become slow is not excused by it. A method of which that is not
// known, since it was never answered, says nothing of the endpoint while other calls are
// answered. Whatever the patience of the callers, a silence that lasts does.
func (e *endpoint) overdue(a *attempt, now time.Time) judgment {
	patience := now.Sub(a.started)
	usual := e.client.fastest(a.method)
	if own := e.paces.of(a.method); usual == 0 || own > 0 && own < usual {
		usual = own
	}
	failure, long := judgment{breaker.Failure, balancer.Failure}, 2*e.client.slot()
	switch {
	case usual > 0 && patience >= enough(usual), e.silence(now) >= max(long, 4*usual):
		return failure
	case usual > 0 || patience < fairPatience:
		return ignored(balancer.Canceled)
	case e.client.unanswered(now) >= long:
		return failure
	}
	return ignored(balancer.Failure)
}

// unanswered is for how long deadlines have passed, of which this is one, with no answer to
// any call of the client in between.
func (c *core) unanswered(now time.Time) time.Duration {
	at := int64(now.Sub(c.born)) + 1 // 0 is none
	c.unmet.CompareAndSwap(0, at)
	return time.Duration(at - c.unmet.Load())
}

// enough is the patience with which most calls of a sound method are answered, whose
// mean latency is usual: twice that, however its latencies are spread, and more where
// they are so short that chance is most of them.
func enough(usual time.Duration) time.Duration {
	if usual < fairPatience/2 {
		return min(4*usual, fairPatience)
	}
	return 2 * usual
}

// silence is for how long the endpoint has owed an answer and given no sign of life.
func (e *endpoint) silence(now time.Time) time.Duration {
	since := e.detector.Stats(now).OwedSince
	if since.IsZero() {
		return 0
	}
	return now.Sub(since)
}

// The checks below are made of every call, and a target for errors.As costs an
// allocation: nil has none of them.

// isServerError reports whether err is the method's own, or its server's.
func isServerError(err error) bool {
	if err == nil || exchangeError(err) != nil { // which may have an error object in it
		return false
	}
	var text rpc.ServerError
	var object *codec.Error
	return errors.As(err, &text) || errors.As(err, &object)
}

// exchangeError returns what ended a call without a reply and left its connection
// alone, or nil.
func exchangeError(err error) *codec.ExchangeError {
	if err == nil {
		return nil
	}
	var end *codec.ExchangeError
	errors.As(err, &end)
	return end
}

// answerOf is what the peer did in place of a reply, if that is known.
func answerOf(err error) codec.Answer {
	if end := exchangeError(err); end != nil {
		return end.Answer
	}
	return codec.NoAnswer
}

// ran says whether a call that ended with an error of its own was run.
func ran(err error) Sent {
	switch end := exchangeError(err); {
	case end == nil, isDecodeError(err):
		return Executed
	case end.NotRun:
		return NotSent
	}
	return MaybeSent
}

// isUnreached reports whether a call ended because its exchange found no connection.
func isUnreached(err error) bool {
	end := exchangeError(err)
	return end != nil && end.Answer == codec.NoAnswer && end.NotRun
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
