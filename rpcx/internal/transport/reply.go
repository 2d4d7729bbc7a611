package transport

import (
	"errors"
	"fmt"
	"net/rpc"
	"reflect"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
)

// reply is what is known of the reply that is being read.
type reply struct {
	head     rpc.Response
	at       time.Time
	failure  error // nil if it is none
	refused  bool  // failure is the peer's own refusal
	retires  bool  // of this and of all further requests
	nothing  bool  // nothing has come: it is the end of an exchange
	canceled bool  // the server was told that the reply is of no use
	noRetry  bool  // the server asks not to repeat the request
	cut      bool  // the connection has ended within it
}

// ErrStrayReply is why a connection ends on which a reply has a number that no request had.
var ErrStrayReply = errors.New("rpcx: a reply came to a request that was not made; the stream is in disorder")

// readReply reads one reply and ends its exchange. Own is the exchange of the goroutine
// that reads, to which its end need not be announced. An error is the end of the stream.
func (c *Conn) readReply(own *Exchange) error {
	c.reply = reply{} // it may be large, and the next one long in coming
	r := &c.reply
	if err := c.codec.ReadResponseHeader(&r.head); err != nil {
		return err
	}
	if r.head.Error != "" {
		r.failure = c.failure(r)
	} else if c.cut != nil {
		if err := c.cut.CutShort(); err != nil {
			return err // there is no reply: the exchange ends with the connection
		}
	}
	c.arrived(r)
	x, last, err := c.take(r.head.Seq)
	if err != nil {
		return err
	}
	if x == nil { // it comes again
		return c.discard()
	}
	c.heardMeta(x, r)
	mine, err := c.decode(x, r)
	if r.cut {
		c.takeBack(x)
		return err
	}
	refused := r.refused
	c.cfg.Observer.Received(x, r.at, !r.nothing, !mine && !refused && !r.nothing && !r.canceled)
	if mine && x != own {
		c.announce(x)
	}
	switch {
	case err != nil:
	case r.retires:
		c.Retire()
	case last:
		c.closeIfIdle()
	}
	return err
}

// failure is the error of a reply.
func (c *Conn) failure(r *reply) error {
	if c.marked(&r.head) {
		if err := protocol.RefusalOf(r.head.Error); err != nil {
			r.refused, r.retires = true, err.Retires()
			return err
		}
	}
	if c.errors != nil {
		if err := c.errors.ReadError(); err != nil {
			return err
		}
	}
	return rpc.ServerError(r.head.Error)
}

// marked reports whether an error reply has the mark of the peer itself. A method can
// write neither of the two.
func (c *Conn) marked(r *rpc.Response) bool {
	if c.refusals != nil {
		return c.refusals.Refused()
	}
	return r.ServiceMethod == protocol.RefusedMethod
}

// arrived notes when the reply came, and that the peer lives. An end of an exchange for
// which the peer has sent nothing proves nothing, and no bytes of it came.
func (c *Conn) arrived(r *reply) {
	end := ExchangeError(r.failure)
	r.nothing = end != nil && end.Answer == codec.NoAnswer
	if c.whole && c.wire != nil && end == nil {
		r.at = c.wire.LastRead() // when the bytes came, which was proof of life
		return
	}
	r.at = time.Now()
	if !r.nothing {
		c.cfg.Observer.Heard(r.at)
	}
}

// take removes the exchange with a number from those in flight. It is nil if its reply has
// come before. Last says that the connection may have to close.
func (c *Conn) take(seq uint64) (x *Exchange, last bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seq >= c.seq && c.whole {
		// The number is wrong, and the exchange that it should have would wait for ever.
		return nil, false, ErrStrayReply
	}
	if x = c.inflight[seq]; x != nil {
		c.forget(x)
		c.reply.canceled = x.canceled
		c.served = c.served || !x.Background
		if c.wire != nil {
			c.wire.HasRead(x.from)
		}
	}
	return x, c.state == retiring && c.live == 0, nil
}

// takeBack makes an exchange whose reply was cut short one in flight again, which ends with the
// connection.
func (c *Conn) takeBack(x *Exchange) {
	c.mu.Lock()
	over := c.state == closed
	if !over {
		c.inflight[x.seq] = x
	}
	c.mu.Unlock()
	if over {
		c.lose(x)
	}
}

// discard reads the body of a reply that is not wanted.
func (c *Conn) discard() error { return c.readBody(nil) }

// readBody has the codec read a body. A panic of it is an error of the stream: the exchange
// has an owner no more, and would never end.
func (c *Conn) readBody(into any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rpcx: the codec panicked: %v", p)
		}
	}()
	return c.codec.ReadResponseBody(into)
}

// decode reads the body of the reply to an exchange. It reports whether the reader is the
// one that ends it. An unmarshaler of the user's may end the goroutine: then the exchange
// ends, which has no other owner, and the connection.
func (c *Conn) decode(x *Exchange, r *reply) (mine bool, err error) {
	returned := false
	defer func() {
		if !returned {
			c.undecoded(x, r)
		}
	}()
	mine, err = c.decodeBody(x, r)
	returned = true
	return mine, err
}

func (c *Conn) undecoded(x *Exchange, r *reply) {
	c.Fail(errReaderExited) // before the caller looks for a connection again
	if x.answer() || r.failure == nil && x.state.Load() == answered {
		x.outcome = decoded(r, errReaderExited)
	}
	if x.state.Load() == answered {
		x.shared = true
		c.cfg.Observer.Received(x, r.at, !r.nothing, false)
		c.announce(x)
	}
}

func (c *Conn) decodeBody(x *Exchange, r *reply) (mine bool, err error) {
	switch {
	case r.failure != nil:
		if mine = x.answer(); mine {
			x.outcome = failed(r)
		}
		return mine, c.discard()
	case c.whole:
		return c.decodeInPlace(x, r)
	}
	return c.decodeAside(x, r)
}

// answer makes the reader the owner of the caller's reply.
func (x *Exchange) answer() bool { return x.state.CompareAndSwap(pending, answered) }

// decodeInPlace reads the body into the caller's reply. The caller waits meanwhile.
func (c *Conn) decodeInPlace(x *Exchange, r *reply) (mine bool, err error) {
	if !x.answer() {
		return false, c.discard()
	}
	err = c.readBody(x.Reply)
	x.outcome = decoded(r, err)
	if x.outcome.Cause == ReplyUnreadable && IsDecodeError(err) {
		err = nil // of this exchange alone
	}
	return true, err
}

// failed is the outcome of an exchange that was answered by an error.
func failed(r *reply) Outcome {
	out := Outcome{Cause: MethodFailed, Err: r.failure, Sent: Executed, At: r.at, Canceled: r.canceled, NoRetry: r.noRetry}
	switch end := ExchangeError(r.failure); {
	case r.refused:
		out.Cause, out.Sent = Refused, NotSent
	case end == nil:
	case IsDecodeError(end):
		out.Cause = ExchangeEnded
	case end.NotRun:
		out.Cause, out.Sent = ExchangeEnded, NotSent
	default:
		out.Cause, out.Sent = ExchangeEnded, MaybeSent
	}
	return out
}

// decoded is the outcome of an exchange whose reply came, with the error of reading it: of
// this reply, or of the stream, if a foreign codec was decoding in place, or it is too large.
func decoded(r *reply, err error) Outcome {
	if err != nil {
		return Outcome{Cause: ReplyUnreadable, Err: &BodyError{readError(err)}, Sent: Executed, At: r.at}
	}
	return Outcome{At: r.at} // without an error, Sent says nothing
}

// BodyError is a reply that came and could not be decoded. Its text has net/rpc's prefix.
type BodyError struct{ err error }

// Error returns the text of the cause, with the prefix.
func (e *BodyError) Error() string { return "reading body " + e.err.Error() }

// Unwrap returns the cause.
func (e *BodyError) Unwrap() error { return e.err }

// asideOf decides, on the caller's goroutine, into what a foreign codec decodes.
func (x *Exchange) asideOf(r any) {
	if IsFresh(r) {
		x.aside = reflect.TypeOf(r).Elem()
	}
}
