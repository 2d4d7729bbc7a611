package rpcx

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/dialing"
	"resilientrpc/rpcx/internal/latency"
	"resilientrpc/rpcx/internal/mismatch"
	"resilientrpc/rpcx/internal/wire"
)

// endpoint is one replica: its breaker, its detector and its connections. The
// breaker is the only gate; all else trips it or asks it.
type endpoint struct {
	client   *core
	replica  *replica // what it is the endpoint of
	addr     string
	fixed    bool // lives on one given connection and never dials
	pings    bool
	node     *balancer.Node
	breaker  *breaker.Breaker
	detector *detector.Detector

	pool        *pool
	redials     redials
	pingSupport atomic.Uint32 // a PingSupport
	concluded   atomic.Int64  // when that changed, since core.born
	told        atomic.Bool   // whether the hooks know that pings have stopped
	strikes     atomic.Int64  // connections in a row that ended right behind a ping
	struck      atomic.Int64  // when the last one did, since core.born
	// beside is the largest number of older requests that were unanswered while a ping was
	// answered. A silence in which the peer owes no more than that is a bad sign; beyond it,
	// the peer may be one that handles so many requests at a time.
	beside    atomic.Int64
	lookEarly atomic.Bool       // the prober is to look soon, or about to
	running   atomic.Int64      // how many requests the server has said last that it runs, and one; 0 if it does not say
	takesMeta atomic.Bool       // metadata, as the server has said in its last answer to a ping
	remembers atomic.Int32      // positive if it may keep answers, as far as it has said: see greet
	latencies latency.Histogram // of successful attempts, since core.born
	paces     latency.Paces     // likewise
	judged    atomic.Uint64     // attempts whose end has told something of the endpoint

	understood atomic.Bool // it has answered, and so speaks the client's protocol

	last atomic.Pointer[conn] // the newest, which may be over or retired
	wake chan struct{}        // has room for one; wakes the prober
	left atomic.Bool          // it takes no calls, and ends with those that it has

	// The membership's.
	round  uint64    // the last one in which it was in use
	unused time.Time // since when it has not been; zero while it is

	alarm alarm // rings when suspect is set

	mu      sync.Mutex    // protects following, and the order in which the balancer learns
	gate    breaker.State // as of the breaker's last event
	suspect bool
}

// allow asks the endpoint's breaker. Where pings are answered they are what lets an
// endpoint back in, so that no user's call has to be the guinea pig.
func (e *endpoint) allow(now time.Time) (breaker.Permit, error) {
	if e.probing() && e.breaker.State(now) == breaker.HalfOpen {
		return breaker.Permit{}, &breaker.OpenError{State: breaker.HalfOpen, Cause: e.breaker.Stats(now).Cause}
	}
	return e.breaker.Allow(now)
}

// connection returns the connection for an attempt and the time, which may have
// passed while it was made.
func (e *endpoint) connection(ctx context.Context, now time.Time) (*conn, time.Time, error) {
	if c := e.pool.pick().conn.Load(); c != nil && c.Check(now) {
		return c, now, nil
	}
	for {
		arrived := e.pool.arrival()
		c, err := e.connectUnless(ctx, e.pool.pick(), arrived)
		if err != errArrived { //nolint:errorlint // made by poolSlot.get
			return c, time.Now(), err
		}
	}
}

// connect returns the connection of a pool slot, and makes it if there is none.
func (e *endpoint) connect(ctx context.Context, l *poolSlot) (*conn, error) {
	return e.connectUnless(ctx, l, nil)
}

// connectUnless is connect for a caller that takes any slot of the pool: it ends with errArrived once
// another one is connected.
func (e *endpoint) connectUnless(ctx context.Context, l *poolSlot, arrived <-chan struct{}) (*conn, error) {
	if c := l.conn.Load(); c != nil {
		return c, nil
	}
	if e.fixed {
		return nil, ErrShutdown
	}
	if e.left.Load() {
		return nil, errLeft
	}
	if err := e.redials.refuse(time.Now()); err != nil {
		return nil, err
	}
	return l.get(ctx, e.client.ctx, arrived, func() (*conn, error) { return e.dial(l) })
}

// dial makes the connection of a pool slot.
func (e *endpoint) dial(l *poolSlot) (*conn, error) {
	trace, started := e.client.dialer.Trace, time.Now()
	if hook := trace.ConnStart; hook != nil {
		hook(ConnInfo{Endpoint: e.addr})
	}
	c, err := e.open(l)
	e.client.panics.Note(err)
	if hook := trace.ConnDone; hook != nil {
		hook(ConnInfo{Endpoint: e.addr, Duration: time.Since(started), Err: err})
	}
	if err != nil {
		if e.client.closed() {
			return nil, ErrShutdown
		}
		return nil, e.dialFailed(time.Now(), err)
	}
	c = e.adopt(l, c)
	switch { // Close or leave may have looked before adopt
	case e.client.closed():
		c.Fail(ErrShutdown)
		return nil, ErrShutdown
	case e.left.Load():
		return nil, errLeft
	}
	return c, nil
}

// open makes a connection.
func (e *endpoint) open(l *poolSlot) (*conn, error) {
	d := &e.client.dialer
	ctx, cancel := context.WithTimeoutCause(e.client.ctx, d.DialTimeout, mismatch.DialTimeout(d.DialTimeout))
	defer cancel()
	how := dialing.Options{NetDial: d.NetDial, TLSConfig: d.TLSConfig, HTTPPath: d.HTTPPath}
	rwc, err := l.dialing.Within(ctx, e.addr, func() (net.Conn, error) {
		return how.Connect(ctx, e.client.network, e.addr, e.replica.listed.Load().Metadata[MetadataHost])
	})
	if err != nil {
		return nil, err
	}
	c, err := newConn(e, rwc)
	if err != nil {
		dialing.Discard(rwc)
		return nil, &net.OpError{Op: "dial", Net: e.client.network, Addr: rwc.RemoteAddr(), Err: err}
	}
	return c, nil
}

// adopt makes c the connection of a pool slot, unless it has ended already or the slot has
// got another one meanwhile: then c ends. It returns the connection for calls.
func (e *endpoint) adopt(l *poolSlot, c *conn) *conn {
	if e.pool.add(c) {
		e.detector.Forget(time.Now())
	}
	e.last.Store(c)
	if e.takesMeta.Load() {
		c.EnableMeta()
	}
	e.client.whole.Store(c.Whole())
	if e.left.Load() {
		c.Retire() // it would have no prober
		return c
	}
	e.redials.succeed()
	if other := l.fill(c); other != c {
		e.last.Store(other)
		c.Retire()
		return other
	}
	if c.Dead() {
		e.drop(c)
		e.pool.remove(c)
	} else if !c.Takes() {
		e.drop(c)
	}
	e.pool.arrive()
	e.publish(time.Now())
	e.kick() // the prober need not connect any more
	return c
}

// drop takes c away from further calls; other connections stay.
func (e *endpoint) drop(c *conn) {
	had := false
	for i := range e.pool.slots {
		had = e.pool.slots[i].conn.CompareAndSwap(c, nil) || had
	}
	if had {
		e.publish(time.Now())
	}
}

// lost is called once, after c has ended.
func (e *endpoint) lost(c *conn, cause error) {
	if e.pool.remove(c) {
		e.detector.Forget(time.Now())
		e.takesMeta.Store(false) // it may be another server that comes back
	}
	if c.scout.Load() {
		return
	}
	if e.pings && !e.fixed && c.endedByPing(cause) {
		e.strike(time.Now())
	}
	if hook := e.client.dialer.Trace.ConnClosed; hook != nil {
		hook(ConnInfo{Endpoint: e.addr, Duration: time.Since(c.born), Err: cause})
	}
	if !c.answered.Load() && !e.left.Load() && !errors.Is(cause, wire.ErrClosed) {
		e.redials.fail(time.Now(), c, nil)
	}
	e.kick()
}

// kick wakes the prober.
func (e *endpoint) kick() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// breakerChanged publishes and reports a change of the breaker.
func (e *endpoint) breakerChanged(ev breaker.Event) {
	e.mu.Lock()
	e.gate = ev.To // not asked of the breaker, whose answer may be the next event
	e.mu.Unlock()
	e.publish(ev.At)
	if hook := e.client.dialer.Trace.BreakerChanged; hook != nil {
		hook(BreakerInfo{Endpoint: e.addr, Event: ev})
	}
	e.kick()
	e.client.membership.kick() // others may have to take its place
}

// publish tells the balancer what the breaker and the detector think, and whether there
// is a connection. An endpoint that has left tells nothing: the node may have another
// one by now.
func (e *endpoint) publish(now time.Time) {
	e.mu.Lock()
	if !e.left.Load() {
		e.client.balancer.SetState(now, e.node, e.state())
	}
	e.mu.Unlock()
	e.client.room.Notify() // it may be back
	e.client.ready.Announce()
}

// state is the endpoint's state for the balancer. Without a connection, others are
// preferred: a call would wait for the dial. The caller holds mu.
func (e *endpoint) state() balancer.State {
	switch s := e.gate; {
	case s == breaker.Open, s == breaker.ForcedOpen, s == breaker.HalfOpen && e.probing():
		return balancer.Down
	case e.suspect, !e.fixed && !e.pool.connected():
		return balancer.Suspect
	}
	return balancer.Ready // half-open, too: calls are to try it
}

// suspend tells the balancer to use others, unless it is short of them.
func (e *endpoint) suspend(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.left.Load() && e.client.balancer.Suspend(now, e.node)
}

// setSuspicion tells the balancer of the detector's level.
func (e *endpoint) setSuspicion(phi float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.left.Load() {
		e.node.SetSuspicion(phi)
	}
}

// setSuspect notes a change of the detector's level and reports whether it is one.
func (e *endpoint) setSuspect(now time.Time, suspect bool) bool {
	e.mu.Lock()
	changed := e.suspect != suspect
	e.suspect = suspect
	e.mu.Unlock()
	if !changed {
		return false
	}
	e.publish(now)
	if !suspect {
		e.alarm.arm()
		return true
	}
	e.alarm.ring()
	for _, c := range e.pool.all() {
		c.Disturb()
	}
	return true
}

// leave takes the endpoint out of service: calls in flight have their answers, and
// then the connections close, and last the prober ends.
func (e *endpoint) leave(now time.Time) {
	e.mu.Lock()
	if !e.left.Swap(true) {
		e.client.balancer.SetState(now, e.node, balancer.Suspect) // it is not connected
		e.node.SetSuspicion(0)
	}
	e.mu.Unlock()
	for _, c := range e.pool.all() {
		c.Retire()
	}
	e.kick()
}
