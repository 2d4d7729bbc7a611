package codec

import (
	"errors"
	"net/rpc"
	"time"
)

// PingMethod is the method that package rpcx calls to ask for a sign of life. No
// net/rpc server has it; rpcx.Serve answers it. A connection that lets requests wait for a place lets this one pass,
// since its answer says whether the others are worth waiting for.
const PingMethod = "rpcx.Ping"

// An Answer is what a peer did that sent no reply.
type Answer uint8

const (
	// NoAnswer: nothing came. The peer may be gone.
	NoAnswer Answer = iota
	// Rejected: the peer works, and does not accept this request, nor would another
	// peer of its kind.
	Rejected
	// Busy: the peer works, and asks for fewer requests or for later ones.
	Busy
	// Failed: the peer, or what stands before it, says that it does not work, or
	// answers nonsense.
	Failed
)

// An ExchangeError ends one call that gets no reply, and nothing else. It comes from
// connections whose requests do not depend on each other, such as
// jsonhttp.Conn. Their Read returns it between two replies and can be called again;
// the JSON client codecs make it the error of its call: a text for net/rpc's Client,
// and ErrorReader has it whole.
type ExchangeError struct {
	// Seq is the call's number, rpc.Request.Seq.
	Seq uint64
	// NotRun says that it is certain that the method has not run and will not.
	NotRun bool
	// Answer is what the peer did.
	Answer Answer
	// RetryAfter is for how long the peer asks to be spared; 0 if it does not say.
	RetryAfter time.Duration
	// Err is the cause. If it is a *DecodeError, the reply did come, so that the method
	// has run, and could not be used.
	Err error
}

// Error returns the text of the cause.
func (e *ExchangeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ExchangeError) Unwrap() error { return e.Err }

// exchangeError returns the *ExchangeError that err is, or nil.
func exchangeError(err error) *ExchangeError {
	if err == nil {
		return nil
	}
	var end *ExchangeError
	errors.As(err, &end)
	return end
}

// Carrier is implemented by connections that do not carry what every codec writes, such as
// jsonhttp.Conn. Package rpcx asks them when it has made the codec of a connection.
type Carrier interface {
	// Carries returns an error if the connection cannot carry what the codec writes, which
	// says which codec can be used. It returns nil for a codec that it does not know.
	Carries(client rpc.ClientCodec) error
}

// Canceler is implemented by connections that can end one call and leave the others
// alone, and by the JSON client codecs, which ask their connection.
type Canceler interface {
	// Cancel gives up the call with the number seq: its request does not leave any more,
	// and its reply is not waited for. It reports whether it is certain that the method
	// has not run and will not. It does not block, may be called at any time, also after
	// Close, and concurrently with everything. A call that is given up ends with an
	// ExchangeError, unless its reply was faster. Of numbers that are not known, such as
	// those of calls that have ended, nothing is certain.
	Cancel(seq uint64) (notRun bool)
}
