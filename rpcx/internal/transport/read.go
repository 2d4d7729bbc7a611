package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resilientrpc/rpcx/internal/wire"
)

// readToken is the holder of the read token.
type readToken uint8

const (
	byNone   readToken = iota
	byCaller           // a caller that waits for its own reply
	byReader           // the reader goroutine
)

// aloneAfter is how many exchanges in a row must have been started alone for a caller to
// read its own reply: under concurrency the reader goroutine is faster.
const aloneAfter = 8

// chooseReader decides on the reader as an exchange is issued. Alone says that its caller
// waits, and that there is no other exchange. The caller holds mu.
func (c *Conn) chooseReader(x *Exchange, alone bool) {
	c.active = true
	if alone {
		c.alone++
	} else {
		c.alone = 0
	}
	if c.reading != byNone {
		return
	}
	if c.alone > aloneAfter {
		c.reading, x.reader = byCaller, true
		return
	}
	c.toReader()
}

// toReader gives the token to the reader goroutine. The caller holds mu.
func (c *Conn) toReader() {
	c.reading = byReader
	if c.parked {
		c.parked = false
		c.wake <- true // has room: one is sent for each time it has parked
		return
	}
	c.served = false
	go c.read()
}

// read is the reader goroutine. A panic of the codec or of the connection is its end: their
// owner could not recover in this goroutine. So is that they end it.
func (c *Conn) read() {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			c.Fail(fmt.Errorf("rpcx: the codec or its connection panicked: %v", p))
		} else if !returned {
			c.Fail(errReaderExited)
		}
	}()
	c.readReplies()
	returned = true
}

// errReaderExited ends a connection whose codec has ended the goroutine that reads.
var errReaderExited = errors.New("rpcx: the codec or its connection has ended its goroutine")

// readReplies reads until the connection ends, or the reader goroutine is not needed.
func (c *Conn) readReplies() {
	for {
		if c.peeks && !c.prefetch.ReadAhead() {
			if err := c.awaitReply(); err == errRested { //nolint:errorlint // it is never wrapped
				return
			} else if err != nil {
				c.Fail(readError(err))
				return
			}
		}
		if err := c.readReply(nil); err != nil {
			c.Fail(readError(err))
			return
		}
		switch c.rest() {
		case reads:
			continue
		case ends:
			return
		}
		select {
		case more := <-c.wake:
			if !more {
				return
			}
		case <-c.done:
			return
		}
	}
}

// errRested is the error of awaitReply if Tick has ended the wait.
var errRested = errors.New("rpcx: the reader rests")

// awaitReply waits for bytes. Until they come, Tick may end the wait.
func (c *Conn) awaitReply() error {
	for {
		c.mu.Lock()
		c.waiting = true
		c.mu.Unlock()
		err := c.prefetch.Prefetch()
		c.mu.Lock()
		c.waiting = false
		rested := c.rested
		if rested {
			c.rested = false
			c.wire.ReadBy(time.Time{})
		}
		if err != nil && rested && wire.IsTimeout(err) {
			if len(c.inflight) > 0 { // a request was faster
				c.mu.Unlock()
				continue
			}
			c.prefetch.Rest()
			c.reading = byNone
			err = errRested
		}
		c.mu.Unlock()
		return err
	}
}

// What the reader goroutine does next.
type next uint8

const (
	reads next = iota
	parks
	ends
)

// rest puts the token back if there is nothing to read and the calls are made one by one:
// their callers read from then on. Under concurrency the reader goroutine is faster, and
// goes on. If it has served nothing but pings, it ends.
func (c *Conn) rest() next {
	if !c.peeks {
		return reads
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.inflight) > 0 || c.prefetch.ReadAhead() || c.served && c.alone < aloneAfter && !c.cfg.Given {
		return reads
	}
	c.prefetch.Rest()
	c.reading, c.parked = byNone, c.served
	if !c.served {
		return ends
	}
	return parks
}

// Tick ends a reader goroutine that has had nothing to do since the last Tick, or at all
// if the connection will not be used.
func (c *Conn) Tick(unused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch idle := unused || !c.active; {
	case !idle || c.state == closed:
	case c.parked:
		c.parked = false
		c.wake <- false
	case c.waiting && len(c.inflight) == 0 && !c.cfg.Given: // whose deadlines are its owner's
		c.rested = true
		c.wire.ReadBy(past)
	}
	c.active = false
}

// readOwn has the caller read replies until its own is among them, or its alarm is closed.
func (c *Conn) readOwn(ctx context.Context, x *Exchange) (out Outcome, alarmed bool) {
	returned := false
	defer func() {
		if !returned { // a decoder of the user's has panicked, or ended the goroutine
			c.Fail(wire.ErrClosed)
		}
	}()
	if ctx.Done() == nil && x.alarm == nil {
		c.readUntil(x)
	} else {
		alarmed = c.readOrLeave(ctx, x)
	}
	returned = true
	if alarmed {
		return Outcome{}, true
	}
	return x.outcome, false
}

// readUntil reads until the exchange has ended.
func (c *Conn) readUntil(x *Exchange) {
	for x.state.Load() == pending {
		if err := c.readReply(x); err != nil {
			c.Fail(readError(err))
		}
	}
	c.passOn()
	if x.state.Load() == ended { // by another goroutine, or by the end of the connection
		<-x.done
	}
}

// mostPrefetches is how often a caller that may leave reads for a reply that comes in
// pieces, before it leaves that to the reader goroutine.
const mostPrefetches = 4

// watchAfter is how long a caller reads before it has its context watched, which costs as
// much as a part of a short call.
const watchAfter = time.Millisecond

// readOrLeave is readUntil for a caller that may leave while it waits for the network. What
// it cannot tell to be its reply, or comes in many pieces, it leaves to the reader goroutine.
// It reports whether the caller leaves because of its alarm.
func (c *Conn) readOrLeave(ctx context.Context, x *Exchange) (alarmed bool) {
	watched := ctx.Done() == nil
	if watched {
		c.mayLeave(x) // by Disturb alone
	} else {
		c.wire.ReadBy(watchTime(ctx))
	}
	for tries := mostPrefetches; x.state.Load() == pending && tries > 0 && !(watched && x.alarmed()); {
		has, certain := c.prefetch.HasReply()
		if !certain {
			break // it may be there, or not: the reader goroutine may wait for it
		}
		if has {
			if err := c.readReply(x); err != nil {
				c.Fail(readError(err))
			}
			continue
		}
		switch err := c.prefetch.Prefetch(); {
		case err == nil:
			tries--
		case ctx.Err() != nil && wire.IsTimeout(err):
			tries = 0
		case !watched && wire.IsTimeout(err):
			watched = true
			defer c.watchContext(ctx, x)()
		case !c.wasInterrupted(err):
			c.Fail(readError(err))
		}
	}
	if watched {
		c.mayLeave(nil)
	}
	if ctx.Done() != nil {
		c.wire.ReadBy(time.Time{})
	}
	own := x.state.Load() == answered // by this goroutine, while it holds the token
	c.passOn()
	if !own {
		_, alarmed = c.watch(ctx, x)
	}
	return alarmed
}

// watchTime is when a caller that has begun to read has its context watched.
func watchTime(ctx context.Context) time.Time {
	at := time.Now().Add(watchAfter)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(at) {
		return deadline
	}
	return at
}

// watchContext has the end of a context interrupt the caller that reads.
func (c *Conn) watchContext(ctx context.Context, x *Exchange) (stop func() bool) {
	c.wire.ReadBy(time.Time{})
	c.mayLeave(x)
	return context.AfterFunc(ctx, func() { c.interrupt(x) })
}

// mayLeave lets interrupt end the wait of an exchange's caller for the network, and of no
// other.
func (c *Conn) mayLeave(x *Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaver = x
	if c.interrupted {
		c.interrupted = false
		c.wire.ReadBy(time.Time{})
	}
}

// interrupt ends the wait of the caller for the network, if it is at it.
func (c *Conn) interrupt(x *Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaver == x {
		c.interrupted = true
		c.wire.ReadBy(past)
	}
}

var past = time.Unix(1, 0)

// wasInterrupted reports whether interrupt is why a read has failed, and lets reads go on:
// an earlier use of the exchange was meant.
func (c *Conn) wasInterrupted(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.interrupted || !wire.IsTimeout(err) {
		return false
	}
	c.interrupted = false
	c.wire.ReadBy(time.Time{})
	return true
}

// passOn puts the token of a caller back, or gives it to the reader goroutine.
func (c *Conn) passOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == closed:
	case len(c.inflight) == 0 && !c.prefetch.ReadAhead():
		c.prefetch.Rest()
		c.reading = byNone
	default:
		c.toReader()
	}
}
