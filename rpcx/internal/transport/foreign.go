package transport

import (
	"context"
	"reflect"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/wire"
)

// This file is what codecs need that are not of this module: they may block while they
// write, if they write to a connection of their own, and while they decode.

// reserve waits for the codec.
func (c *Conn) reserve(ctx context.Context) error {
	select {
	case c.sem <- struct{}{}:
		return nil
	case <-c.done:
		return c.cause
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Conn) tryReserve() bool {
	select {
	case c.sem <- struct{}{}:
		return true
	default:
		return false
	}
}

// doForeign is Do for a codec that the user gave, which is reserved. A caller that may
// leave writes in another goroutine.
func (c *Conn) doForeign(ctx context.Context, x *Exchange) Outcome {
	x.shared = true // the writer may still hold it
	x.prepare(c)
	if ctx.Done() == nil {
		if err := c.writeForeign(x); err != nil {
			return c.NotStarted(err)
		}
		return c.await(ctx, x)
	}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		if err := c.writeForeign(x); err != nil {
			c.finish(x, c.NotStarted(err), true)
		}
	}()
	out := c.await(ctx, x)
	wire.EndsBy(time.Now().Add(wire.LeaveWithin), wrote)
	return out
}

// writeForeign has the codec write a request, for which it was reserved. As with net/rpc,
// an error of it ends this exchange only: it cannot be seen whether the stream is in
// disorder. It returns an error only if nothing has happened.
func (c *Conn) writeForeign(x *Exchange) error {
	c.cfg.Observer.Writing(x)
	if _, err := c.issue(x, false); err != nil {
		<-c.sem
		return err
	}
	err := errExited
	defer func() {
		<-c.sem
		if err != nil {
			c.notWritten(x, err, true)
		}
		if err == errExited { //nolint:errorlint // it is never wrapped
			c.exited(x)
		}
	}()
	err = c.encode(x)
	return nil
}

// notifyForeign is doForeign for a notification.
func (c *Conn) notifyForeign(ctx context.Context, notifier codec.Notifier, x *Exchange) Outcome {
	method, args := x.Method, x.Args // the writer may outlast x
	out := Outcome{Cause: ArgsUnencodable, Err: errExited}
	notify := func() {
		defer func() { <-c.sem }()
		out = c.notify(notifier, method, args, func() bool { return true })
	}
	if ctx.Done() == nil {
		notify()
		return out
	}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		notify()
	}()
	left := Outcome{Cause: ConnectionLost, Sent: MaybeSent}
	select {
	case <-wrote:
		return out
	case <-c.done:
		left.Err = c.cause
	case <-ctx.Done():
		left.Cause, left.Err = Abandoned, ctx.Err()
	}
	wire.EndsBy(time.Now().Add(wire.LeaveWithin), wrote)
	return left
}

// decodeAside reads the body into a new value, since a foreign codec may wait for
// the network in the middle and the caller must be free to leave. Only decoding
// into what a reply holds already is done in place, and then the caller waits: a
// copy would share its slices and maps.
func (c *Conn) decodeAside(x *Exchange, r *reply) (mine bool, err error) {
	if x.state.Load() != pending {
		return false, c.discard()
	}
	if x.aside == nil {
		return c.decodeInPlace(x, r)
	}
	aside := reflect.New(x.aside)
	err = c.readBody(aside.Interface())
	if err != nil && c.wire != nil && c.wire.ReadFailed() {
		r.cut = true
		return false, err
	}
	if mine = x.answer(); mine {
		if err == nil {
			reflect.ValueOf(x.Reply).Elem().Set(aside.Elem())
		}
		x.outcome = decoded(r, err)
	}
	return mine, err
}
