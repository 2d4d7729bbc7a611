package transport

import (
	"errors"
	"reflect"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
)

// Sent says whether a server can have run a request.
type Sent uint8

const (
	// NotSent is proof that no server ran it. It is zero, and says nothing of an exchange
	// that succeeded.
	NotSent Sent = iota
	// MaybeSent means that it left, and no answer came.
	MaybeSent
	// Executed means that the server answered.
	Executed
)

// Cause says what ended an exchange.
type Cause uint8

const (
	// Replied: the reply was decoded.
	Replied Cause = iota
	// MethodFailed: the server answered with an error.
	MethodFailed
	// ReplyUnreadable: a reply came and could not be decoded.
	ReplyUnreadable
	// ArgsUnencodable: the codec did not take the arguments.
	ArgsUnencodable
	// NotTaken: the connection takes no further requests.
	NotTaken
	// Refused: the server did not run the request, and proved it with its mark.
	Refused
	// ExchangeEnded: one exchange failed, and the connection lives: a
	// *codec.ExchangeError.
	ExchangeEnded
	// ConnectionLost: the connection ended.
	ConnectionLost
	// Abandoned: the caller left, or its deadline passed.
	Abandoned
	// Notified: a notification was written. There is nothing more to learn of it.
	Notified
)

// Outcome is the end of an exchange.
type Outcome struct {
	Cause Cause
	Err   error // nil if and only if Cause is Replied or Notified
	Sent  Sent
	At    time.Time // when the reply came; zero if none did
	// Call is the number by which the server remembers a request of which nothing else is
	// known; 0 if it does not.
	Call uint64
	// Canceled says that the server was told, before the reply came, that it is of no use.
	Canceled bool
	// NoRetry says that the server asks not to repeat the request: see codec.ResponseMeta.
	NoRetry bool
}

// ErrNoRoom is the error of a Start that others have outrun to the room in memory.
var ErrNoRoom = errors.New("rpcx: too much waits to be written")

// The states of an exchange.
const (
	pending uint32 = iota
	answered
	ended
)

// Exchange is one request and its reply. Its exported fields are set before it is started
// and must not be touched until it has ended. It must not be copied.
type Exchange struct {
	Method  string
	Args    any       // nil once it is encoded
	Reply   any       // nil once it is given up
	Owner   Owner     // is called at the end; nil if a goroutine waits for it
	Started time.Time // for the Observer
	Begun   time.Time // likewise: when it was handed to the connection
	// Deadline, Retry and Trace are for a server that understands them: from when on the
	// answer is of no use, whether the request repeats another one, and the trace that it
	// belongs to. Zero says nothing.
	Deadline time.Time
	Retry    bool
	Trace    *codec.Trace
	// Keep says that the server is to remember the request, and its answer until that has
	// come, if it does such a thing: see Conn.Remember.
	Keep bool
	// Background says that it is no call of a user: a ping.
	Background bool
	// Unsure is the Observer's.
	Unsure bool

	state   atomic.Uint32
	outcome Outcome // of the goroutine that moved state; valid once the end is announced
	done    chan struct{}
	alarm   <-chan struct{} // see Conn.Watch; nil if nothing is watched
	met     atomic.Uint32   // of an exchange with an owner: its end, and its Release
	timer   *time.Timer     // gives it up at its deadline; nil if it has none
	reader  bool            // its caller holds the read token; guarded by Conn.mu
	shared  bool            // it may still be referred to: it must not be used again
	aside   reflect.Type    // of what a foreign codec decodes into; nil for Reply itself
	raw     bool            // Reply is a codec.RawReply, which a foreign codec does not know

	seq       uint64 // guarded by Conn.mu, as the next five
	issued    bool   // seq is valid: the codec was given the request
	uncounted bool   // it is not one of Conn.live any more
	canceled  bool   // the server was told that its answer is of no use
	position  uint64 // among the requests written, from 1
	kept      bool   // the server remembers it

	from int64        // its offset in the wire
	to   atomic.Int64 // the end of that; 0 while it is unknown
}

// Owner learns of the end of an exchange that no goroutine waits for. Done is called
// once, with no lock held, by the goroutine that brings the end, and after Start's caller has
// called Release.
type Owner interface {
	Done(x *Exchange, out Outcome)
}

// Reset makes the exchange ready for use, unless it may still be referred to; then it
// reports false, and keeps nothing alive.
func (x *Exchange) Reset() bool {
	if x.shared {
		x.Owner = nil
		return false
	}
	*x = Exchange{done: x.done} //nolint:govet // nothing refers to it
	return true
}

// Share forbids that the exchange is used again.
func (x *Exchange) Share() { x.shared = true }

// Ended has a value once an exchange that was started without an owner has ended.
func (x *Exchange) Ended() <-chan struct{} { return x.done }

// Outcome is the end of an exchange, once that is announced.
func (x *Exchange) Outcome() Outcome { return x.outcome }

// IsFresh reports whether decoding into a new value and assigning that is the same
// as decoding into reply.
func IsFresh(reply any) bool {
	v := reflect.ValueOf(reply)
	return v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().IsZero()
}
