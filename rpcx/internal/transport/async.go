package transport

import (
	"context"
	"time"
)

// This file is the exchanges that no goroutine waits for. Each has an owner, which is
// called at its end by the goroutine that brings it: the reader with the reply, a timer at
// the deadline, the one that ends the connection, or the writer, if the codec refuses the
// request.

// Start sends a request, for which there must be room, and does not wait for its end. If
// it returns an error, nothing has happened: see NotStarted. Otherwise the owner
// is called once the exchange has ended and Release was called, the exchange being the
// caller's until then. The deadline is zero if there is none. Without an owner, Ended is
// filled, and Release is not called.
func (c *Conn) Start(x *Exchange, deadline time.Time) error {
	x.prepare(c)
	c.arm(x, deadline)
	if err := c.writeAny(x); err != nil && x.disarm() {
		x.timer = nil
		return err
	}
	return nil // with an error, it was given up meanwhile, or is about to be
}

func (c *Conn) writeAny(x *Exchange) error {
	if c.wire != nil {
		return c.write(x, false)
	}
	x.shared = true
	return c.writeForeign(x)
}

// arm has a timer give the exchange up.
func (c *Conn) arm(x *Exchange, deadline time.Time) {
	if !deadline.IsZero() {
		x.timer = time.AfterFunc(time.Until(deadline), func() { c.GiveUp(x, context.DeadlineExceeded) })
	}
}

// disarm stops the timer. It returns false if that is too late.
func (x *Exchange) disarm() bool { return x.timer == nil || x.timer.Stop() }

// GiveUp ends an exchange that has an owner, unless it has ended. The caller must see to
// it that the exchange is not used again meanwhile: see Share.
func (c *Conn) GiveUp(x *Exchange, cause error) {
	if x.state.CompareAndSwap(pending, ended) {
		x.outcome = c.givenUp(x, cause)
		c.announce(x)
		c.closeIfIdle()
	}
}

// Release says that the caller of Start will not touch the exchange any more.
func (c *Conn) Release(x *Exchange) { c.meet(x) }

// announce tells the caller or the owner of an exchange that it has ended.
func (c *Conn) announce(x *Exchange) {
	if x.Owner == nil {
		x.done <- struct{}{} // has room
		return
	}
	c.meet(x)
}

// meet is called when the exchange has ended, and when its caller has released it. After
// the second of the two nothing else refers to it, and its owner is called.
func (c *Conn) meet(x *Exchange) {
	if x.met.Add(1) < 2 {
		return
	}
	if !x.disarm() {
		x.shared = true
	}
	x.Owner.Done(x, x.outcome)
}
