package rpcx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/rpc"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/wire"
)

// conn is one connection to an endpoint: net/rpc's own Client over our tap.
// Its goroutines: net/rpc's reader, started by rpc.NewClientWithCodec, which ends
// with the stream; at times one flusher, which the wire starts; and in the end one that
// closes the codec. Calls do not depend on them: who ends the connection ends its
// attempts.
type conn struct {
	ep    *endpoint
	born  time.Time // when it was made
	rc    *rpc.Client
	codec *tap
	// canceler gives up one request; nil if the codec cannot.
	canceler codec.Canceler
	wire     *wire.Wire // nil if the user gave a codec rather than a connection
	// slot is taken while the codec writes a request, so that it is not closed
	// meanwhile. Where there is no wire it is taken before net/rpc's locks, so that a
	// caller who waits behind a stalled one can leave. It has room for one.
	slot chan struct{}

	inflight atomic.Int64
	retired  atomic.Bool
	mute     atomic.Bool  // its codec takes no more requests
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
	ping      *attempt        // on its way, nil if none
	said      protocol.Health // the reply to it
	owing     bool            // the peer owes a sign of life
	unreached bool            // the exchange of a ping found no connection
	asked     time.Duration   // since when, since core.born

	mu    sync.Mutex // protects following
	first *attempt   // of those with an owner that are on their way: a ring

	over   sync.Once
	shut   sync.Once
	lost   atomic.Bool   // the endpoint was told; no sync.Once, which would be locked while hooks run
	done   chan struct{} // closed when the connection is over
	cause  error         // why; written before done is closed
	closed chan struct{} // closed when the codec has been
	err    error         // what closing it returned; written before closed is closed
}

// newConn starts a connection over rwc with the given codec.
func newConn(ep *endpoint, rwc io.ReadWriteCloser, codec func(io.ReadWriteCloser) rpc.ClientCodec) *conn {
	c := makeConn(ep)
	c.wire = wire.New(rwc, wire.Config{
		Go: func(f func()) { go f() }, Fail: c.fail, Heard: c.proof, Stall: wire.WriteStall,
	})
	c.start(codec(c.wire))
	return c
}

// newCodecConn starts a connection over a codec that the user made.
func newCodecConn(ep *endpoint, codec rpc.ClientCodec) *conn {
	c := makeConn(ep)
	c.start(codec)
	return c
}

func makeConn(ep *endpoint) *conn {
	return &conn{
		ep: ep, born: time.Now(), slot: make(chan struct{}, 1),
		done: make(chan struct{}), closed: make(chan struct{}),
	}
}

func (c *conn) start(codec rpc.ClientCodec) {
	c.codec = newTap(codec, c)
	c.rc = rpc.NewClientWithCodec(c.codec)
}

// do sends an attempt and waits for its end.
func (c *conn) do(ctx context.Context, now time.Time, a *attempt) result {
	if !c.enter() {
		return result{err: wire.ErrClosed, own: true}
	}
	defer c.release()
	for {
		if err := c.room(ctx, now); err != nil {
			return result{err: err, own: true}
		}
		c.prepare(a)
		wrote := c.hand(a, ctx.Done() != nil)
		res := c.await(ctx, a)
		if wrote != nil {
			wire.EndsBy(time.Now().Add(wire.LeaveWithin), wrote)
		}
		if res.err != errFull { //nolint:errorlint // made by our tap, never wrapped
			return res
		}
	}
}

// room waits until a request may be written.
func (c *conn) room(ctx context.Context, now time.Time) error {
	c.expect(now)
	if c.wire != nil {
		return c.wire.Wait(ctx)
	}
	select {
	case c.slot <- struct{}{}:
		if c.dead() {
			<-c.slot
			return c.cause
		}
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
		return !c.wire.Full()
	}
	select {
	case c.slot <- struct{}{}:
		return true
	default:
		return false
	}
}

// prepare decides how the reply is decoded, while the attempt is the caller's alone.
func (c *conn) prepare(a *attempt) {
	if !c.codec.whole && isFresh(a.reply) {
		a.aside = reflect.TypeOf(a.reply).Elem()
	}
}

// hand has the attempt written, for which there must be room. A foreign codec may
// block for as long as it likes; a caller who may leave need not. If it is written in
// another goroutine, the channel is closed when that has ended.
func (c *conn) hand(a *attempt, mayLeave bool) <-chan struct{} {
	a.borrowed = true
	done := a.announced(c.ep.client.nobody)
	if c.wire != nil || !mayLeave {
		c.write(a, done)
		return nil
	}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		c.write(a, done)
	}()
	return wrote
}

// write gives the attempt to net/rpc, and thereby to the codec.
func (c *conn) write(a *attempt, done chan *rpc.Call) {
	c.rc.Go(a.method, a, a, done)
	if c.wire != nil {
		c.wire.Flush(c.inflight.Load() > 1)
	} else {
		<-c.slot
	}
}

func (c *conn) await(ctx context.Context, a *attempt) result {
	select {
	case call := <-a.done:
		return c.settle(a, call.Error)
	case <-c.done:
		return c.give(a, c.cause)
	case <-ctx.Done():
		return c.give(a, ctx.Err())
	}
}

// give ends the attempt for cause before an answer has come, unless the answer
// is here already.
func (c *conn) give(a *attempt, cause error) result {
	select {
	case call := <-a.done:
		return c.settle(a, call.Error)
	default:
	}
	if !a.finish(abandoned) {
		return c.settle(a, (<-a.done).Error)
	}
	a.giveUp(cause)
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
	case protocol.IsRefusal(a.err): // it did not run; nor would another one
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
	if c.wire.UnsentFrom(max(a.start, a.end-2)) {
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
		c.fail(wire.ErrClosed)
	}
}

// fail ends the connection once, with cause for all who wait on it, whatever its
// codec does. A connection that was given to the client belongs to its owner: it is
// closed by Client.Close only, but read no further. fail must be called with no lock
// held: the owners of attempts are told.
func (c *conn) fail(cause error) {
	c.over.Do(func() {
		c.cause = cause
		if c.wire != nil {
			c.wire.Halt(wire.ErrClosed)
		}
		c.ep.drop(c) // before those who wait on it look for another
		close(c.done)
		c.ep.drop(c) // and after: see adopt
		switch {
		case !c.ep.fixed:
			c.close()
		case c.wire != nil:
			go c.wire.Dismiss()
		}
	})
	c.sweep()
	if !c.lost.Swap(true) {
		c.ep.lost(c)
	}
}

// close begins to close the codec of a connection that is over. That may take as long
// as it likes: nothing waits for it but Client.Close.
func (c *conn) close() {
	c.shut.Do(func() { go c.closeCodec() })
}

// closeCodec closes the codec when it writes nothing, or has not come to an end of that
// within wire.LeaveWithin: then nothing else can free the writer. A panic is an error of it:
// in this goroutine its owner could not recover.
func (c *conn) closeCodec() {
	defer close(c.closed)
	defer func() {
		if p := recover(); p != nil {
			c.err = fmt.Errorf("rpcx: Close of the codec or its connection panicked: %v", p)
		}
	}()
	select {
	case c.slot <- struct{}{}: // for good
	case <-time.After(wire.LeaveWithin):
	}
	if c.wire != nil && !c.ep.fixed { // whose Close would return the reader's error
		c.wire.Dismiss()
	}
	c.err = c.codec.Close()
}
