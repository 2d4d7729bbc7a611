package codec

import (
	"errors"
	"net/rpc"
	"time"
)

// PingMethod is the method of the pings of package rpcx. Stock net/rpc servers reply that
// they do not have it, which is proof of life, too. A connection that limits the number
// of requests in flight must not delay a ping.
const PingMethod = "rpcx.Ping"

// An Answer says how a peer has reacted to a request that got no JSON-RPC reply.
type Answer uint8

const (
	// NoAnswer: nothing was received. The peer may be down.
	NoAnswer Answer = iota
	// Rejected: the peer works but does not accept this request. Its replicas would not
	// accept the request either.
	Rejected
	// Busy: the peer works but asks for fewer or later requests.
	Busy
	// Failed: the peer, or a proxy before it, reports a failure or sends an invalid
	// reply.
	Failed
)

// An ExchangeError is the error of one call that gets no reply. It comes from a
// connection whose requests are independent of each other, such as jsonhttp.Conn: Read
// returns it between two replies, and can be called again. A JSON client codec makes it
// the error of the call: its text is in rpc.Response.Error, and ErrorReader returns it.
type ExchangeError struct {
	// Seq is the call's number, rpc.Request.Seq.
	Seq uint64
	// NotRun says that the method certainly has not run and will not run.
	NotRun bool
	// Answer says how the peer has reacted.
	Answer Answer
	// RetryAfter is how long the peer asks the client to wait; 0 if it does not say.
	RetryAfter time.Duration
	// Err is the cause. A *DecodeError means that the method has run, but its reply
	// cannot be decoded.
	Err error
}

// Error returns the text of the cause.
func (e *ExchangeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ExchangeError) Unwrap() error { return e.Err }

// exchangeError returns the *ExchangeError that err is or wraps, or nil.
func exchangeError(err error) *ExchangeError {
	if err == nil {
		return nil
	}
	var end *ExchangeError
	errors.As(err, &end)
	return end
}

// A Carrier is a connection that carries the messages of some codecs only, such as
// jsonhttp.Conn. Package rpcx asks it when it has made the codec of a connection.
type Carrier interface {
	// Carries returns an error if the connection cannot carry the codec's messages. The
	// error says which codec can be used. It is nil for an unknown codec.
	Carries(client rpc.ClientCodec) error
}

// A Canceler is a connection that can cancel one call without an effect on others. The
// JSON client codecs implement it by means of their connection.
type Canceler interface {
	// Cancel cancels the call with the number seq: its request is not sent any more, and
	// its reply is not waited for. The call ends with an *ExchangeError, unless its reply
	// has arrived before. Cancel reports whether the method certainly has not run and
	// will not run; it returns false for the number of a call that has ended. It does not
	// block. It may be called concurrently with any method, and after Close.
	Cancel(seq uint64) (notRun bool)
}
