package transport

import (
	"errors"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/wire"
)

// This file is the end of requests that their codec did not take, or not as a whole.

// notWritten ends an exchange whose request the connection or its codec did not take. The
// connection takes no more requests if the codec says so, or if it may have written a part
// of this one.
func (c *Conn) notWritten(x *Exchange, err error, untouched bool) {
	c.mu.Lock()
	held := c.inflight[x.seq] != x // by the goroutine that ends the connection
	if !held {
		c.forget(x)
	}
	c.mu.Unlock()
	out := c.notTaken(err, untouched)
	if out.Sent == MaybeSent {
		out.Sent = c.doubt(x)
	}
	c.finish(x, out, held || err == errExited) //nolint:errorlint // it is never wrapped
	if c.hasRetired() || !untouched && !(c.whole && isEncodeError(err)) {
		c.Retire()
	}
	c.closeIfIdle()
}

// notTaken is the outcome of a request or notification that the codec did not take. Untouched
// says that it has written nothing; of a codec that the user gave, that is believed only if
// the error says so, too.
func (c *Conn) notTaken(err error, untouched bool) Outcome {
	unencodable := isEncodeError(err)
	certain := untouched && c.wire != nil
	if unencodable {
		certain = untouched || c.whole
	}
	sent := MaybeSent
	if certain {
		sent = NotSent
	}
	c.mu.Lock()
	over, cause := c.state == closed, c.cause
	c.mu.Unlock()
	switch {
	case over:
		return Outcome{Cause: ConnectionLost, Err: cause, Sent: sent}
	case errors.Is(err, codec.ErrRetired), untouched && errors.Is(err, wire.ErrClosed):
		return Outcome{Cause: NotTaken, Err: err}
	case unencodable:
		return Outcome{Cause: ArgsUnencodable, Err: err, Sent: sent}
	case untouched: // a foreign codec does not like the argument
		return Outcome{Cause: ArgsUnencodable, Err: &codec.EncodeError{Err: err}, Sent: sent}
	}
	return Outcome{Cause: ConnectionLost, Err: err, Sent: sent} // it has written a part of the request, or all of it
}

func isEncodeError(err error) bool {
	var unencodable *codec.EncodeError
	return errors.As(err, &unencodable)
}

// hasRetired reports whether the codec takes no more requests, as gob's does after it
// has failed within an interface.
func (c *Conn) hasRetired() bool {
	if r, ok := c.codec.(interface{ Retired() bool }); ok {
		c.writing.Lock()
		defer c.writing.Unlock()
		if r.Retired() {
			c.mute.Store(true)
		}
	}
	return c.mute.Load()
}

// errExited is the error of a request whose encoding has ended the goroutine. What its codec
// has left behind is not known.
var errExited error = &codec.EncodeError{Err: errors.New("rpcx: the codec has ended its goroutine")}

// exited does what the goroutine that was to write a request has no more time for.
func (c *Conn) exited(x *Exchange) {
	if x.reader {
		c.passOn()
	}
	if x.Owner != nil {
		c.Release(x)
	}
}
