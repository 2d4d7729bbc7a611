package rpcx

import (
	"context"
	"net/rpc"
	"time"
)

// What follows is the half of a conn for attempts that nobody waits for. Each has
// an owner, who is told of its end by the goroutine that brings it: the reader
// with the answer, a timer at the deadline, whoever ends the connection, or the
// writer, if the codec refuses it.

// ready returns a connection on which an attempt can be sent without a wait, in use
// for it, or nil.
func (e *endpoint) ready(now time.Time) *conn {
	c := e.pool.pick().conn.Load()
	if c == nil || !c.enter() {
		return nil
	}
	if !c.hasRoom(now) {
		c.release()
		return nil
	}
	return c
}

// unready undoes ready: there is nothing to be sent.
func (c *conn) unready() {
	if c.wire == nil {
		<-c.slot
	}
	c.release()
}

// post sends such an attempt, for which there must be room. If it returns an error,
// the attempt was not sent, and its owner is told nothing; after errFull, when
// others have outrun it to the room, it may be posted again.
func (c *conn) post(a *attempt, deadline time.Time) error {
	if err := c.submit(a, deadline); err != nil {
		return err
	}
	c.meet(a)
	return nil
}

// submit is post but for the last step, meet, which is left to the caller. Until then
// the owner is told of no end, and the attempt is the caller's.
func (c *conn) submit(a *attempt, deadline time.Time) error {
	c.prepare(a)
	if !c.enlist(a, deadline) {
		if c.wire == nil {
			<-c.slot
		}
		return c.cause
	}
	c.hand(a, false)
	c.refuse(a)
	//nolint:errorlint // made by our tap, never wrapped
	if c.wire != nil && a.refusal == errFull && c.delist(a) {
		a.refusal = nil
		return errFull
	}
	return nil
}

// refuse ends an attempt that net/rpc or the codec did not take; others it leaves
// alone.
func (c *conn) refuse(a *attempt) {
	if a.refusal == nil && a.state.Load() == queued {
		a.refusal = rpc.ErrShutdown // net/rpc's word: the codec has not seen it
	}
	//nolint:errorlint // made by our tap, never wrapped
	if a.refusal != nil && a.refusal != errFull && a.finish(refused) {
		c.meet(a)
	}
}

// drop gives up an attempt, unless it has ended.
func (c *conn) drop(a *attempt, cause error) {
	if a.finish(abandoned) {
		a.giveUp(cause)
		c.meet(a)
	}
}

// meet is called by who has written the attempt and by who has ended it. To the
// second nobody else has anything to do with it: he tells the owner.
func (c *conn) meet(a *attempt) {
	if a.met.Add(1) < 2 {
		return
	}
	res := c.settle(a, a.reason())
	if !c.delist(a) {
		a.borrowed = true
	}
	a.owner.landed(a, res)
	c.release()
}

// reason is the error with which net/rpc would have announced the end.
func (a *attempt) reason() error {
	if a.state.Load() == refused {
		return a.refusal
	}
	return a.broken
}

// enlist makes the attempt known, to the end of the connection and to a timer for
// its deadline. It returns false if the connection is over.
func (c *conn) enlist(a *attempt, deadline time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead() {
		return false
	}
	if first := c.first; first == nil {
		a.prev, a.next, c.first = a, a, a
	} else {
		a.prev, a.next = first.prev, first
		a.prev.next, first.prev = a, a
	}
	if !deadline.IsZero() {
		a.timer = time.AfterFunc(time.Until(deadline), func() { c.drop(a, context.DeadlineExceeded) })
	}
	return true
}

// delist undoes enlist. It returns false if a timer or the end of the connection
// has got hold of the attempt: then it must not be used again.
func (c *conn) delist(a *attempt) bool {
	stopped := a.timer == nil || a.timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.next == nil {
		return false
	}
	c.unlink(a)
	return stopped
}

// unlink takes an attempt from the ring. The caller holds mu.
func (c *conn) unlink(a *attempt) {
	a.prev.next, a.next.prev = a.next, a.prev
	if c.first == a {
		c.first = a.next
	}
	if c.first == a {
		c.first = nil
	}
	a.prev, a.next = nil, nil
}

// sweep gives up all attempts that have an owner. The connection is over.
func (c *conn) sweep() {
	for {
		c.mu.Lock()
		a := c.first
		if a == nil {
			c.mu.Unlock()
			return
		}
		c.unlink(a)
		c.mu.Unlock()
		c.drop(a, c.cause)
	}
}
