package rpcx

import (
	"context"
	"io"
	"math"
	"net"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"
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
	wire  *wire // nil if the user gave a codec rather than a connection
	// slot orders writes where there is no wire, so that a caller who waits
	// behind a stalled one can leave. It has room for one.
	slot chan struct{}
	// prompt says that closing the connection ends its reader, and thereby every
	// attempt on it.
	prompt bool

	inflight atomic.Int64
	retired  atomic.Bool
	answered atomic.Bool  // a reply has come
	heard    atomic.Int64 // when the last one came, since core.born
	pong     atomic.Int64 // when the last answer to a ping came, likewise

	// The prober's.
	ping    *attempt      // on its way, nil if none
	said    health        // the reply to it
	blocked bool          // there was no room for one
	asked   time.Duration // since when the peer owes a sign of life, since core.born

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
	c.ep.detector.Expect(now)
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
	c.ep.detector.Expect(now)
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
		go c.write(a)
		return
	}
	c.write(a)
}

// write gives the attempt to net/rpc, and thereby to the codec.
func (c *conn) write(a *attempt) {
	c.rc.Go(a.method, a, a, a.announced(c.ep.client.nobody))
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
	if a.state.Load() == abandoned {
		if a.unseen {
			return result{err: a.cause}
		}
		return result{err: a.cause, sent: c.doubt(a)}
	}
	r := result{err: err, at: a.at}
	switch {
	case isRefusal(a.err): // it did not run; nor would another one
		r.err, r.own = a.err, true
		c.retire()
	case a.err != nil: // the method's error, or a reply that could not be decoded
		r.err, r.sent = a.err, Executed
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
// JSON apart. Of a foreign codec's frames nothing is known but where they began.
func (c *conn) doubt(a *attempt) Sent {
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

// proof notes a sign of life from the peer.
func (c *conn) proof(now time.Time) {
	c.heard.Store(int64(now.Sub(c.ep.client.born)))
	c.ep.detector.Heartbeat(now)
}

// watch asks the peer for a sign of life if the last slot saw none on this
// connection, and reports for how long it owes an answer. Other connections to
// the same peer may be alive meanwhile, and so the endpoint's detector content.
// One whose encoder is retired cannot ask; it ends with the others when the peer
// is convicted, or by TCP's keep-alive.
func (c *conn) watch(ctx context.Context, now time.Time, slot time.Duration) (owed time.Duration) {
	at, heard := now.Sub(c.ep.client.born), time.Duration(c.heard.Load())
	if c.ping != nil {
		select {
		case <-c.ping.done:
			if isRefusal(c.ping.err) {
				c.retire()
			}
			c.ping = nil
			c.ep.running.Store(int64(c.said.Running))
			c.tellPing()
		default:
			c.ep.detector.Expect(now) // bytes that came were life, and no answer
			return at - max(c.asked, heard)
		}
	}
	if at-heard < slot/2 {
		c.blocked = false
		return 0
	}
	if c.wire != nil && c.wire.full.Load() { // a ping must not wait, and what waits asks enough
		if !c.blocked {
			c.blocked, c.asked = true, at
		}
		c.ep.detector.Expect(now)
		return at - max(c.asked, heard)
	}
	if c.room(ctx, now) == nil {
		c.said = health{}
		c.ping, c.asked, c.blocked = newPing(&c.said), at, false
		c.hand(c.ping, false)
	}
	return 0
}

// tellPing reports the last ping, which is over, if it was answered. If not, so is
// the connection.
func (c *conn) tellPing() {
	took := time.Duration(c.pong.Load()) - c.asked
	if hook := c.ep.client.dialer.Trace.Ping; hook != nil && took >= 0 {
		hook(PingInfo{Endpoint: c.ep.addr, Started: c.ep.client.born.Add(c.asked), Duration: took})
	}
}

// excuse lets the answer to a ping be owed only since now.
func (c *conn) excuse(now time.Time) { c.asked = now.Sub(c.ep.client.born) }

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
