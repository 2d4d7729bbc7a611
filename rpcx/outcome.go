package rpcx

import (
	"context"
	"errors"
	"log/slog"
	"net/rpc"
	"sync"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/dialing"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/rescue"
	"resilientrpc/rpcx/internal/transport"
)

// end says what ended an attempt: it is a row of the table outcomes.
type end uint8

const (
	replied end = iota
	methodFailed
	endpointFailed
	misdirected
	replyUnreadable
	argsUnencodable
	rejected
	busy
	refusedForNow
	unusable
	turnedAway
	noRoom
	draining
	notSent
	faultHere
	connLost
	convicted
	timedOut
	gaveUp
	clientClosed
	notified
)

// repeat says whether a call is tried again.
type repeat uint8

const (
	never repeat = iota
	ifIdempotent
	elsewhere // no server has run it
)

// outcome is what an end means.
type outcome struct {
	end      string // as the package documentation has it
	breaker  breaker.Outcome
	balancer balancer.Outcome
	repeat   repeat
	// ours says that this side ended or refused the attempt, so that a call's error is
	// rather that of an earlier attempt.
	ours bool
}

// outcomes says what the end of an attempt means. The package documentation has the same
// table, and a test compares the two. Its notes 2 and 3 are in judge.
//
// A new end needs a constant, a row here and there, and a place in endOf, unconnected or
// refusedHere; one that is new to package transport needs a Cause there, and an error that
// this package makes needs to be known to isOurs.
var outcomes = [...]outcome{
	replied: {"a reply", breaker.Success, balancer.Success, never, false},
	// The server works; it is the method that failed (gobreaker#112).
	methodFailed: {"an error of the method (ServerError)", breaker.Success, balancer.AppError, never, false},
	// Dialer.Classify knows of servers more than this package can.
	endpointFailed: {"an error of the endpoint (Classify)", breaker.Failure, balancer.Failure, ifIdempotent, false},
	misdirected:    {"an error to try elsewhere (Classify)", breaker.Success, balancer.AppError, ifIdempotent, false},
	// The server answered; caller and server disagree on a type.
	replyUnreadable: {"a reply that cannot be decoded", breaker.Success, balancer.AppError, never, false},
	argsUnencodable: {"an argument that cannot be encoded", breaker.Ignored, balancer.NotSent, never, true},
	// The server works, and refuses this request from any client.
	rejected: {"refused for good (HTTP 3xx, 4xx)", breaker.Success, balancer.AppError, never, false},
	// It works, for less than we ask of it: the load has to go elsewhere.
	busy:          {"asked to go elsewhere (HTTP 429)", breaker.Ignored, balancer.Failure, elsewhere, false},
	refusedForNow: {"refused for a while (503, Retry-After)", breaker.Failure, balancer.Failure, elsewhere, false},
	unusable:      {"no usable answer (other HTTP statuses)", breaker.Failure, balancer.Failure, ifIdempotent, false},
	// Our own refusals must never feed the statistics (go-zero#5551).
	turnedAway: {"refused by our own breaker", breaker.Ignored, balancer.NotSent, elsewhere, true},
	// To try again would defeat the purpose.
	noRoom:   {"no room under our own caps", breaker.Ignored, balancer.NotSent, never, true},
	draining: {"refused by a server that drains", breaker.Ignored, balancer.NotSent, elsewhere, true},
	notSent:  {"no connection; or provably not sent", breaker.Failure, balancer.NotSent, elsewhere, false},
	// It is the same with any server.
	faultHere: {"a fault on this side", breaker.Ignored, balancer.NotSent, elsewhere, true},
	connLost:  {"sent, and the connection broke", breaker.Failure, balancer.Failure, ifIdempotent, false},
	convicted: {"sent, and the peer was convicted", breaker.Failure, balancer.Failure, ifIdempotent, false},
	timedOut:  {"the deadline passed without an answer", breaker.Failure, balancer.Failure, ifIdempotent, false},
	// A caller that gives up says nothing of the server (rubyist/circuitbreaker#42).
	gaveUp:       {"the caller gave up", breaker.Ignored, balancer.Canceled, never, false},
	clientClosed: {"the client was closed", breaker.Ignored, balancer.Canceled, never, true},
	// Nothing comes back that could tell how it went.
	notified: {"a notification was sent", breaker.Ignored, balancer.NotSent, never, false},
}

// result is the end of one attempt, and when it came.
type result struct {
	end  end
	err  error
	sent Sent
	at   time.Time
	// final says that the server asks not to repeat the call: those behind it have been tried
	// as often as they may be.
	final bool
	// lost is the connection whose end this is, nil if it is not one's. All attempts
	// on it have the same end.
	lost *conn
	// number is the one by which the server of lost remembers the attempt; 0 if it does not.
	number uint64
}

// isAnswer reports whether the method has returned an error.
func (r result) isAnswer() bool {
	return r.end == methodFailed || r.end == endpointFailed || r.end == misdirected
}

// ours reports whether this side ended the attempt or the call.
func (r result) ours() bool { return outcomes[r.end].ours }

// endOf is the end of an attempt that had a connection.
func endOf(out transport.Outcome) end {
	switch out.Cause {
	case transport.Replied:
		return replied
	case transport.MethodFailed:
		return methodFailed
	case transport.ReplyUnreadable:
		return replyUnreadable
	case transport.ArgsUnencodable:
		return argsUnencodable
	case transport.NotTaken:
		return turnedAway
	case transport.Refused:
		if out.Err == protocol.ErrLate { //nolint:errorlint // it is never wrapped
			return timedOut
		}
		return draining
	case transport.ExchangeEnded:
		return endOfExchange(out)
	case transport.Abandoned:
		return leftFor(out.Err)
	case transport.Notified:
		return notified
	}
	return lostFor(out)
}

// lostFor is the end of an attempt whose connection has ended.
func lostFor(out transport.Outcome) end {
	switch {
	case errors.Is(out.Err, ErrShutdown):
		return clientClosed
	case out.Sent == transport.NotSent:
		return notSent
	case errors.Is(out.Err, ErrUnresponsive):
		return convicted
	}
	return connLost
}

// leftFor is the end of an attempt whose context has ended, with the error of that.
func leftFor(err error) end {
	if errors.Is(err, context.DeadlineExceeded) {
		return timedOut
	}
	return gaveUp
}

// endOfExchange is the end of an attempt that failed without its connection.
func endOfExchange(out transport.Outcome) end {
	notRun := out.Sent == transport.NotSent
	switch answer := answerOf(out.Err); {
	case answer == codec.Rejected:
		return rejected
	case answer == codec.Busy && notRun:
		return busy
	case answer == codec.Failed && notRun:
		return refusedForNow
	case answer != codec.NoAnswer:
		return unusable
	case transport.IsDecodeError(out.Err):
		return replyUnreadable
	case notRun && dialing.IsLocal(out.Err):
		return faultHere
	case notRun:
		return notSent
	}
	return connLost
}

// unconnected is the end of an attempt that found no connection.
func unconnected(err error) result {
	var d *dialError
	switch {
	case errors.Is(err, ErrShutdown):
		return result{end: clientClosed, err: err}
	case errors.Is(err, errLeft):
		return result{end: turnedAway, err: err}
	case errors.As(err, &d) && d.blameless:
		return result{end: faultHere, err: err}
	case d != nil:
		return result{end: notSent, err: err}
	}
	return result{end: leftFor(err), err: err}
}

// refusedHere is the end of a call or an attempt that this side refused.
func refusedHere(err error) result {
	switch {
	case errors.Is(err, ErrShutdown):
		return result{end: clientClosed, err: err}
	case errors.Is(err, breaker.ErrThrottled), errors.Is(err, ErrOverloaded):
		return result{end: noRoom, err: err}
	}
	return result{end: turnedAway, err: err}
}

// mayRepeat reports whether a call may be tried again after an attempt with this end.
func (r result) mayRepeat(idempotent bool) bool {
	if r.final || isPermanent(r.err) { // the server says so, or NetDial or the codec
		return false
	}
	switch outcomes[r.end].repeat {
	case never:
		return false
	case elsewhere:
		return true
	}
	return idempotent || r.sent == NotSent
}

// wasGiven reports whether the attempt can have come to a server, be it that the server
// refused it: that is load.
func (r result) wasGiven() bool {
	return r.sent != NotSent || r.end == replied || r.end == draining || answerOf(r.err) != codec.NoAnswer
}

// judge is the meaning of an attempt's end to the breaker and to the balancer: that of its
// row, but for the notes 2 and 3 of the package documentation.
func (e *endpoint) judge(a *attempt, r result) (breaker.Outcome, balancer.Outcome) {
	switch {
	case r.end == timedOut && r.sent == NotSent:
		return breaker.Ignored, balancer.NotSent
	case r.end == timedOut:
		return e.overdue(a, r.at)
	case r.lost != nil && r.lost.counted.Swap(true):
		return breaker.Ignored, balancer.NotSent
	}
	row := &outcomes[r.end]
	return row.breaker, row.balancer
}

// wasTaken reports whether the throttle is to take the attempt for one that the server
// took up. A notification is, for want of an answer, and so are those that a lost connection
// took along with the first, which are no news.
func (r result) wasTaken(b breaker.Outcome, o balancer.Outcome) bool {
	return r.end == notified || o == balancer.Success || o == balancer.AppError || r.lost != nil && b == breaker.Ignored
}

// isServerError reports whether err is the method's own, or its server's.
func isServerError(err error) bool {
	if err == nil || transport.ExchangeError(err) != nil { // which may have an error object in it
		return false
	}
	var text rpc.ServerError
	var object *codec.Error
	return errors.As(err, &text) || errors.As(err, &object)
}

// answerOf is what the peer did in place of a reply, if that is known.
func answerOf(err error) codec.Answer {
	if end := transport.ExchangeError(err); end != nil {
		return end.Answer
	}
	return codec.NoAnswer
}

// Class is the meaning of an error that a method returned: see [Dialer].Classify. Other values
// than the constants count as AppError.
type Class uint8

const (
	// AppError says that the error is the method's answer: the endpoint works, and the call
	// fails with it.
	AppError Class = iota
	// EndpointFailure says that the endpoint is out of order, such as a replica that has
	// lost its database. Its breaker counts a failure, the balancer avoids it, and an
	// idempotent call is tried elsewhere, within the limits of Dialer.Retry. Do not use it for
	// the refusals of an overloaded replica: its breaker would open and move its load to the
	// others, whose breakers would open in turn.
	EndpointFailure
	// TryElsewhere says that the endpoint works, but not for this call, such as a replica
	// that is not the leader, or is overloaded. Its breaker counts a success, and an idempotent
	// call is tried elsewhere, within the limits of Dialer.Retry.
	TryElsewhere
)

// classified is the end of an attempt, of which the user may know more than its cause
// tells.
func (c *core) classified(method string, res result) end {
	if res.end != methodFailed || c.dialer.Classify == nil {
		return res.end
	}
	switch c.dialer.Classify(method, res.err) {
	case EndpointFailure:
		return endpointFailed
	case TryElsewhere:
		return misdirected
	}
	return methodFailed
}

// guardClassify returns a function that does not panic: it may run in a goroutine of the
// client's.
func guardClassify(log *slog.Logger, classify func(string, error) Class) func(string, error) Class {
	if classify == nil {
		return nil
	}
	told := new(sync.Once)
	return func(method string, err error) Class {
		defer rescue.Stop(log, told, "Dialer.Classify")
		return classify(method, err)
	}
}
