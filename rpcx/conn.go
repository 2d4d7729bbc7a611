package rpcx

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
)

// conn is one connection to an endpoint: net/rpc's own Client over our tap.
// Its goroutines: net/rpc's reader, started by rpc.NewClientWithCodec, which ends
// when the codec is closed; and at times one flusher, which the wire starts and
// the client waits for.
type conn struct {
	ep    *endpoint
	born  time.Time // when it was made
	rc    *rpc.Client
	codec *tap
	// canceler gives up one request; nil if the codec cannot.
	canceler codec.Canceler
	wire     *wire // nil if the user gave a codec rather than a connection
	// slot orders writes where there is no wire, so that a caller who waits
	// behind a stalled one can leave. It has room for one.
	slot chan struct{}
	// prompt says that closing the connection ends its reader, and thereby every
	// attempt on it.
	prompt bool

	inflight atomic.Int64
	retired  atomic.Bool
	scout    atomic.Bool  // it carries no calls: see scout
	counted  atomic.Bool  // its end was counted as a failure of the endpoint
	answered atomic.Bool  // a reply has come
	heard    atomic.Int64 // when the last one came, since core.born
	pinged   atomic.Int64 // when the last ping was sent, likewise; 0 if none was
	pong     atomic.Int64 // when the last answer to one came, likewise

	sent, replies atomic.Int64 // requests written, pings included, and answers to them
	before        atomic.Int64 // sent when the last ping was
	unsure        atomic.Int64 // requests of methods whose usual latency is no short one, or not known

	// The prober's.
	ping      *attempt      // on its way, nil if none
	said      health        // the reply to it
	owing     bool          // the peer owes a sign of life
	unreached bool          // the exchange of a ping found no connection
	asked     time.Duration // since when, since core.born

	mu    sync.Mutex // protects following
	first *attempt   // of those with an owner that are on their way: a ring

	over  sync.Once
	shut  sync.Once
	lost  atomic.Bool   // the endpoint was told; no sync.Once, which would be locked while hooks run
	done  chan struct{} // closed when the connection is over
	cause error         // why; written before done is closed
	err   error         // what closing it returned; likewise
}

// newConn starts a connection over rwc with the given codec.
func newConn(ep *endpoint, rwc io.ReadWriteCloser, codec func(io.ReadWriteCloser) rpc.ClientCodec) *conn {
	c := &conn{ep: ep, born: time.Now(), done: make(chan struct{})}
	c.wire = newWire(rwc, ep.client.background, c.fail)
	c.wire.heard, c.wire.stall = c.proof, writeStall
	if _, c.prompt = rwc.(net.Conn); !c.prompt {
		c.wire.start = func(f func()) { go f() } // Close may not end a write, so nobody waits for it
	}
	c.codec = newTap(codec(c.wire), c)
	c.rc = rpc.NewClientWithCodec(c.codec)
	return c
}

// newCodecConn starts a connection over a codec that the user made.
func newCodecConn(ep *endpoint, codec rpc.ClientCodec) *conn {
	c := &conn{ep: ep, born: time.Now(), done: make(chan struct{}), slot: make(chan struct{}, 1)}
	c.codec = newTap(codec, c)
	c.rc = rpc.NewClientWithCodec(c.codec)
	return c
}

// do sends an attempt and waits for its end.
func (c *conn) do(ctx context.Context, now time.Time, a *attempt) result {
	if !c.enter() {
		return result{err: errClosedWire, own: true}
	}
	defer c.release()
	for {
		if err := c.room(ctx, now); err != nil {
			return result{err: err, own: true}
		}
		c.hand(a, ctx.Done() != nil)
		if res := c.await(ctx, a); res.err != errFull { //nolint:errorlint // made by our tap, never wrapped
			return res
		}
	}
}

// room waits until a request may be written.
func (c *conn) room(ctx context.Context, now time.Time) error {
	c.expect(now)
	if c.wire != nil {
		return c.wire.wait(ctx)
	}
	select {
	case c.slot <- struct{}{}:
		return nil
	case <-c.done:
		return c.cause
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hasRoom is room without the wait.
func (c *conn) hasRoom(now time.Time) bool {
	c.expect(now)
	if c.wire != nil {
		return !c.wire.full.Load()
	}
	select {
	case c.slot <- struct{}{}:
		return true
	default:
		return false
	}
}

// hand has the attempt written, for which there must be room. A foreign codec may
// block for as long as it likes; a caller who may leave need not.
func (c *conn) hand(a *attempt, mayLeave bool) {
	a.borrowed = true
	if c.wire == nil && mayLeave {
		done := a.announced(c.ep.client.nobody) // before anyone waits for it
		go c.write(a, done)
		return
	}
	c.write(a, a.announced(c.ep.client.nobody))
}

// write gives the attempt to net/rpc, and thereby to the codec.
func (c *conn) write(a *attempt, done chan *rpc.Call) {
	c.rc.Go(a.method, a, a, done)
	if c.wire != nil {
		c.wire.flush(c.inflight.Load() > 1)
	} else {
		<-c.slot
	}
	if a.owner != nil {
		c.refuse(a)
	}
}

func (c *conn) await(ctx context.Context, a *attempt) result {
	left, over := ctx.Done(), c.done
	if c.prompt { // the end of the connection ends the attempt
		if left == nil { // a select costs twice as much
			return c.settle(a, (<-a.done).Error)
		}
		over = nil // and each case costs
	}
	select {
	case call := <-a.done:
		return c.settle(a, call.Error)
	case <-over:
		return c.give(a, c.cause)
	case <-left:
		return c.give(a, ctx.Err())
	}
}

// give ends the attempt for cause before an answer has come, unless the answer
// is here already.
func (c *conn) give(a *attempt, cause error) result {
	if !a.finish(abandoned) {
		return c.settle(a, (<-a.done).Error)
	}
	a.cause = cause
	return c.settle(a, nil)
}

// settle says what came of an attempt that has ended, with the error, if any, that
// ended it for net/rpc.
func (c *conn) settle(a *attempt, err error) result {
	r := c.outcome(a, err)
	if r.err != nil && !r.own && c.dead() && errors.Is(r.err, c.cause) {
		r.lost = c
	}
	return r
}

func (c *conn) outcome(a *attempt, err error) result {
	if a.state.Load() == abandoned {
		if a.unseen {
			return result{err: a.cause}
		}
		return result{err: a.cause, sent: c.doubt(a)}
	}
	r := result{err: err, at: a.at}
	switch {
	case isServerRefusal(a.err): // it did not run; nor would another one
		r.err, r.own = a.err, true
		c.retire()
	case a.err != nil: // the method's error, a reply that could not be decoded, or none
		r.err, r.sent = a.err, ran(a.err)
	case r.err == nil:
	case a.encode:
		r.own = true
	case a.unseen, a.state.Load() == queued:
		// net/rpc had shut down: the codec never saw it.
		r.err = c.why(r.err)
	case a.unsent:
		r.own = true
	case a.state.Load() == decoding: // the stream ended within the reply
		r.err, r.sent = &bodyError{c.why(r.err)}, Executed
	default:
		r.sent = c.doubt(a)
		r.err = c.why(r.err)
	}
	a.borrowed = c.wire == nil || a.state.Load() == refused // else the writer, or net/rpc, may still hold it
	return r
}

// why prefers the connection's own cause to what net/rpc made of it.
func (c *conn) why(err error) error {
	select {
	case <-c.done:
		return c.cause
	default:
		return readError(err)
	}
}

// doubt says whether an attempt without an answer can have run. What never left
// cannot; nor can a frame of our codecs whose end never left, the newline behind
// JSON apart. Of a foreign codec's frames nothing is known but where they began. Where
// one request can be given up alone, that is done, and it is known of each.
func (c *conn) doubt(a *attempt) Sent {
	if c.canceler != nil && c.canceler.Cancel(a.seq) {
		return NotSent
	}
	if c.wire == nil || !c.dead() {
		return MaybeSent
	}
	needed := a.start
	if c.codec.whole {
		needed = max(needed, a.end-2)
	}
	if c.wire.unsentFrom(needed) {
		return NotSent
	}
	return MaybeSent
}

func (c *conn) dead() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// hasAnswered notes that a reply has come.
func (c *conn) hasAnswered() {
	if !c.answered.Load() {
		c.answered.Store(true)
	}
}

// retire takes no further calls, lets those in flight have their answers, and
// closes.
func (c *conn) retire() {
	if c.retired.Swap(true) {
		return
	}
	c.ep.drop(c)
	c.closeIdle()
}

// enter begins one use. It returns false if a retired connection had its last.
func (c *conn) enter() bool {
	if c.inflight.Add(1) > 0 {
		return true
	}
	c.inflight.Add(-1)
	return false
}

// release ends one use, and with the last one a retired connection.
func (c *conn) release() {
	if c.inflight.Add(-1) == 0 && c.retired.Load() {
		c.closeIdle()
	}
}

// closeIdle closes the connection unless it is in use. After that it cannot be: a
// call that came in between could be sent and cut off.
func (c *conn) closeIdle() {
	if c.inflight.CompareAndSwap(0, math.MinInt64/2) {
		c.fail(errClosedWire)
	}
}

// fail ends the connection once, with cause for all who wait on it. It closes the
// codec before it returns, whoever calls it. It must be called with no lock held:
// the owners of attempts are told.
func (c *conn) fail(cause error) {
	c.over.Do(func() {
		c.cause = cause
		if c.wire != nil {
			c.wire.stop(errClosedWire)
		}
		close(c.done)
		c.ep.drop(c) // after: see adopt
	})
	if c.prompt { // at first, for it ends those who wait
		c.close()
	}
	c.sweep()
	c.close()
	if !c.lost.Swap(true) {
		c.ep.lost(c)
	}
}

func (c *conn) close() { c.shut.Do(func() { c.err = c.codec.Close() }) }
