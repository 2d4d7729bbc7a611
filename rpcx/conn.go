package rpcx

import (
	"context"
	"errors"
	"io"
	"net/rpc"
	"sync/atomic"
	"time"

	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/mismatch"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/rescue"
	"resilientrpc/rpcx/internal/transport"
	"resilientrpc/rpcx/internal/wire"
)

// conn is one connection of an endpoint: a transport.Conn, and what the endpoint learns
// from it. Its methods are here and, where they concern pings, in ping.go.
type conn struct {
	transport.Conn
	ep   *endpoint
	born time.Time // when it was made

	scout    atomic.Bool  // it carries no calls: see scout
	counted  atomic.Bool  // its end was counted as a failure of the endpoint
	answered atomic.Bool  // a reply has come
	heard    atomic.Int64 // when the last one came, since core.born
	pinged   atomic.Int64 // when the last ping was sent, likewise; 0 if none was
	pong     atomic.Int64 // when the last answer to one came, likewise

	sent, replies atomic.Int64 // requests written, pings included, and answers to them
	before        atomic.Int64 // sent when the last ping was
	unsure        atomic.Int64 // requests of methods whose usual latency is no short one, or not known

	greeting chan struct{}                    // has room for one: held while the server is asked for the session
	welcome  atomic.Pointer[protocol.Session] // what it has said, zero if it has none; nil before

	// The prober's.
	ping      *transport.Exchange // on its way, nil if none
	said      protocol.Health     // the reply to it
	owing     bool                // the peer owes a sign of life
	unreached bool                // the exchange of a ping found no connection
	asked     time.Duration       // since when, since core.born
	nudged    bool                // see doubt
}

// newConn starts a connection over rwc with Dialer.Codec. An error is that function's, and
// leaves rwc to the caller.
func newConn(ep *endpoint, rwc io.ReadWriteCloser) (*conn, error) {
	c := &conn{ep: ep, born: time.Now(), greeting: make(chan struct{}, 1)}
	makeCodec := func(w io.ReadWriteCloser) (rpc.ClientCodec, error) { return ep.client.dialer.newCodec(w, rwc) }
	if err := c.Open(rwc, makeCodec, c.config()); err != nil {
		return nil, err
	}
	return c, nil
}

// newCodec calls Codec, and asks the connection under rwc whether it carries what that has made.
func (d *Dialer) newCodec(rwc, under io.ReadWriteCloser) (client rpc.ClientCodec, err error) {
	defer func() {
		if p := recover(); p != nil {
			client, err = nil, rescue.Panicked("Codec", p)
		}
	}()
	client = d.Codec(rwc)
	if rescue.IsNil(client) {
		return nil, &rescue.Error{Field: "Codec", Fault: "returned no codec"}
	}
	if carrier, ok := under.(codec.Carrier); ok {
		if err := carrier.Carries(client); err != nil {
			return nil, &rescue.Error{Field: "Codec", Fault: "does not fit: " + err.Error()}
		}
	}
	return client, nil
}

// newCodecConn starts a connection over a codec that the user made.
func newCodecConn(ep *endpoint, codec rpc.ClientCodec) *conn {
	c := &conn{ep: ep, born: time.Now()}
	c.OpenCodec(codec, c.config())
	return c
}

func (c *conn) config() transport.Config {
	return transport.Config{Observer: c, Given: c.ep.fixed}
}

// ask sends a request and waits for its end.
func (c *conn) ask(ctx context.Context, now time.Time, x *transport.Exchange) result {
	x.Begun = now
	x.Deadline, _ = ctx.Deadline()
	return c.result(c.Do(ctx, x))
}

// ready returns a connection on which an attempt can be sent without a wait, or nil. On a
// codec that was given, it must be sent: the only attempt of a call there is free.
func (e *endpoint) ready(now time.Time) *conn {
	c := e.pool.pick().conn.Load()
	if c == nil || !c.Check(now) {
		return nil
	}
	if !c.HasRoom() {
		return nil
	}
	return c
}

// post sends, at now, an attempt that has an owner, for which there must be room. If it returns
// an error, the attempt was not sent, and its owner is not called: others have outrun it
// to the room. Otherwise the owner is called after Release. The deadline, zero for none, holds on
// both sides.
func (c *conn) post(a *attempt, now, deadline time.Time) error {
	a.conn, a.Owner, a.Begun, a.Deadline = c, a, now, deadline
	return c.Start(&a.Exchange, deadline)
}

// result is the end of an attempt on this connection.
func (c *conn) result(out transport.Outcome) result {
	r := result{end: endOf(out), err: out.Err, sent: Sent(out.Sent), at: out.At, final: out.NoRetry}
	if r.end == timedOut && out.Cause == transport.Refused { // the caller's own clock would have said so next
		r.err = context.DeadlineExceeded
	}
	if out.Canceled && r.end == methodFailed {
		r.end = gaveUp // the method was cut short, and its error says nothing
	}
	if out.Cause == transport.ConnectionLost && !c.Takes() {
		r.lost, r.number = c, out.Call
	}
	return r
}

// Heard implements transport.Observer.
func (c *conn) Heard(now time.Time) {
	c.heard.Store(int64(now.Sub(c.ep.client.born)))
	c.ep.detector.Heartbeat(now)
}

// Writing implements transport.Observer.
func (c *conn) Writing(x *transport.Exchange) { x.Unsure = c.mayTakeLong(x.Method) }

// Wrote implements transport.Observer.
func (c *conn) Wrote(x *transport.Exchange) {
	if !x.Begun.IsZero() { // as a ping's is
		c.expect(x.Begun)
	}
	c.sent.Add(1)
	if x.Unsure {
		c.unsure.Add(1)
	}
}

// Received implements transport.Observer. An exchange that ended without an answer counts
// as one that was not begun.
func (c *conn) Received(x *transport.Exchange, now time.Time, answered, late bool) {
	if x.Unsure {
		c.unsure.Add(-1)
	}
	if late {
		c.ep.late(x, now)
	}
	if !answered {
		c.sent.Add(-1)
		return
	}
	if !c.answered.Load() {
		c.answered.Store(true)
		c.understood()
	}
	if x.Method == pingMethod {
		c.ponged(now)
	}
	c.replies.Add(1)
	if c.scout.Load() {
		c.ep.kick() // the prober looks what comes behind the answer
	}
}

// Loaded implements transport.Observer.
func (c *conn) Loaded(running int, now time.Time) {
	c.ep.running.Store(int64(running) + 1)
	c.ep.node.Report(now, running)
}

// Retired implements transport.Observer.
func (c *conn) Retired() { c.ep.drop(c) }

// Closed implements transport.Observer.
func (c *conn) Closed(cause error) { c.ep.lost(c, cause) }

// heads is what is known of the connection's two protocols. The codec is not one that the
// user gave.
func (c *conn) heads() mismatch.Client {
	d := &c.ep.client.dialer
	m := mismatch.Client{Inner: !c.ep.fixed && (d.TLSConfig != nil || d.HTTPPath != "")}
	m.Sent, m.Received = c.Wire().Heads()
	return m
}

// understood notes that the two ends speak the same protocol.
func (c *conn) understood() {
	c.ep.understood.Store(true)
	if w := c.Wire(); w != nil {
		w.DropHeads()
	}
}

// Explain implements transport.Observer.
func (c *conn) Explain(cause error) error {
	if c.Wire() == nil || c.answered.Load() || errors.Is(cause, ErrShutdown) || errors.Is(cause, wire.ErrClosed) {
		return cause
	}
	return c.heads().Lost(cause, c.ep.understood.Load())
}

// errNoReply is a peer that has sent something that is no reply, and goes on waiting.
var errNoReply = errors.New("rpcx: what the peer has sent is no reply")

// doubt looks at a connection that has not answered its first request for some time. It
// ends it if the peer has sent something of another protocol; if it has sent nothing, it
// gets what a peer of another protocol answers, or hangs up on.
func (c *conn) doubt() {
	if c.Wire() == nil || c.answered.Load() || c.ep.understood.Load() || c.outstanding() == 0 {
		return
	}
	switch heads := c.heads(); {
	case heads.IsForeign():
		c.Fail(errNoReply)
	case len(heads.Received) == 0 && !c.nudged:
		c.nudged = true
		c.Interject(heads.Nudge())
	}
}
