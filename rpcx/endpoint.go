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
	methods  *methods // nil unless Dialer.BreakerPerMethod
	detector *detector.Detector

	pool    *pool
	running atomic.Int64 // what the server said to the last ping: see health
	took    latencies    // since core.born
	paces   paces        // likewise

	last atomic.Pointer[conn] // the newest, which may be over or retired
	wake chan struct{}        // has room for one; wakes the prober
	left atomic.Bool          // it takes no calls, and ends with those that it has

	// The roster's.
	round  uint64    // the last one in which it was in use
	unused time.Time // since when it has not been; zero while it is

	mu      sync.Mutex    // protects following
	gate    breaker.State // as of the breaker's last event
	suspect bool
	fresh   bool // came at run time, and its first connection is on its way
}

// admit asks the breakers, the endpoint's and the method's, to let an attempt in.
func (e *endpoint) admit(a *attempt) error {
	var err error
	if a.permit, err = e.allow(a.started); err != nil {
		return err
	}
	a.inner, err = e.methods.allow(a.method, a.started)
	return err
}

// blame tells the method's breaker what is the method's doing, running out of time
// or not, and returns what is left for the endpoint's: its connections.
func blame(method *breaker.Permit, res result, o breaker.Outcome) breaker.Outcome {
	switch {
	case o != breaker.Failure:
		method.Done(res.at, o)
		return o
	case errors.Is(res.err, context.DeadlineExceeded):
		method.Done(res.at, o)
		return breaker.Ignored
	}
	method.Done(res.at, breaker.Ignored)
	return o
}

// allow asks the endpoint's breaker. While pings are on they are what lets an
// endpoint back in, so that no user's call has to be the guinea pig.
func (e *endpoint) allow(now time.Time) (breaker.Permit, error) {
	if e.pings && e.breaker.State(now) == breaker.HalfOpen {
		return breaker.Permit{}, &breaker.OpenError{State: breaker.HalfOpen, Cause: e.breaker.Stats(now).Cause}
	}
	return e.breaker.Allow(now)
}

// call makes an attempt and waits for its end.
func (e *endpoint) call(now time.Time, a *attempt) result {
	c, now, err := e.connection(a.ctx, now)
	if err != nil {
		return unconnected(err)
	}
	return c.do(a.ctx, now, a)
}

// connection returns the connection for an attempt and the time, which may have
// passed while it was made.
func (e *endpoint) connection(ctx context.Context, now time.Time) (*conn, time.Time, error) {
	l := e.pool.pick()
	if c := l.conn.Load(); c != nil {
		return c, now, nil
	}
	c, err := e.connect(ctx, l)
	return c, time.Now(), err
}

// unconnected is the end of an attempt that found no connection.
func unconnected(err error) result {
	return result{err: err, own: errors.Is(err, ErrShutdown) || errors.Is(err, errLeft)}
}

// connect returns the connection of a lane, and makes it if there is none.
func (e *endpoint) connect(ctx context.Context, l *lane) (*conn, error) {
	if c := l.conn.Load(); c != nil {
		return c, nil
	}
	if e.fixed {
		return nil, ErrShutdown
	}
	if e.left.Load() {
		return nil, errLeft
	}
	return l.get(ctx, e.client.ctx, func() (*conn, error) { return e.dial(l) })
}

// dial makes the connection. A dial that fails is evidence enough that nobody is
// there: the breaker opens without waiting for more.
func (e *endpoint) dial(l *lane) (*conn, error) {
	ctx, cancel := context.WithTimeout(e.client.ctx, e.client.dialer.DialTimeout)
	defer cancel()
	trace, started := e.client.dialer.Trace, time.Now()
	if hook := trace.ConnStart; hook != nil {
		hook(ConnInfo{Endpoint: e.addr})
	}
	rwc, err := l.within(ctx, e.addr, func() (net.Conn, error) {
		return e.client.dialer.connect(ctx, e.client.network, e.addr, e.replica.listed.Load().Metadata[MetadataHost])
	})
	if hook := trace.ConnDone; hook != nil {
		hook(ConnInfo{Endpoint: e.addr, Duration: time.Since(started), Err: err})
	}
	if err != nil {
		if e.client.closed() {
			return nil, ErrShutdown
		}
		err = &dialError{err}
		e.breaker.Trip(time.Now(), 0, err)
		return nil, err
	}
	c := newConn(e, rwc, e.client.dialer.Codec)
	e.adopt(l, c)
	switch { // Close or leave may have looked before adopt
	case e.client.closed():
		c.fail(ErrShutdown)
		return nil, ErrShutdown
	case e.left.Load():
		return nil, errLeft
	}
	return c, nil
}

// adopt makes c the connection of a lane, unless it has ended already.
func (e *endpoint) adopt(l *lane, c *conn) {
	if e.pool.add(c) {
		e.detector.Forget(time.Now())
	}
	e.last.Store(c)
	if e.left.Load() {
		c.retire() // it would have no prober
		return
	}
	l.conn.Store(c)
	if c.dead() {
		e.drop(c)
		e.pool.remove(c)
	} else if c.retired.Load() {
		e.drop(c)
	}
	e.met()
}

// drop takes c away from further calls; other connections stay.
func (e *endpoint) drop(c *conn) {
	for i := range e.pool.lanes {
		e.pool.lanes[i].conn.CompareAndSwap(c, nil)
	}
}

// lost is called once, after c has ended.
func (e *endpoint) lost(c *conn) {
	if e.pool.remove(c) {
		e.detector.Forget(time.Now())
	}
	if hook := e.client.dialer.Trace.ConnClosed; hook != nil {
		hook(ConnInfo{Endpoint: e.addr, Duration: time.Since(c.born), Err: c.cause})
	}
	if c.answered.Load() || e.left.Load() { // one that never did waits for the next slot
		e.kick()
	}
}

// kick wakes the prober.
func (e *endpoint) kick() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// breakerChanged publishes a change of the breaker.
func (e *endpoint) breakerChanged(ev breaker.Event) {
	e.mu.Lock()
	e.gate = ev.To // not asked of the breaker, whose answer may be the next event
	e.mu.Unlock()
	e.publish(ev.At)
	e.tell("", ev)
	e.kick()
	e.client.roster.kick() // others may have to take its place
}

// tell reports a change of the endpoint's breaker, or of a method's.
func (e *endpoint) tell(method string, ev breaker.Event) {
	if hook := e.client.dialer.Trace.BreakerChanged; hook != nil {
		hook(BreakerInfo{Endpoint: e.addr, Method: method, Event: ev})
	}
}

// publish tells the balancer what the breaker and the detector think. The balancer
// may call a user's policy, so no lock is held; whoever comes in between is seen
// afterwards.
func (e *endpoint) publish(now time.Time) {
	for state := e.state(); ; {
		e.client.balancer.SetNodeState(now, e.node, state)
		e.client.room.poke() // it may be back
		next := e.state()
		if next == state {
			return
		}
		state = next
	}
}

func (e *endpoint) state() balancer.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch s := e.gate; {
	case e.left.Load():
		return balancer.Ready // nothing is known of it any more
	case s == breaker.Open, s == breaker.ForcedOpen, s == breaker.HalfOpen && e.pings:
		return balancer.Down
	case s == breaker.HalfOpen, e.suspect, e.fresh:
		return balancer.Suspect
	}
	return balancer.Ready
}

// setSuspect notes a change of the detector's level and reports whether it is one.
func (e *endpoint) setSuspect(now time.Time, suspect bool) bool {
	e.mu.Lock()
	changed := e.suspect != suspect
	e.suspect = suspect
	e.mu.Unlock()
	if changed {
		e.publish(now)
	}
	return changed
}

// met says that the first connection was made, or could not be.
func (e *endpoint) met() {
	e.mu.Lock()
	fresh := e.fresh
	e.fresh = false
	e.mu.Unlock()
	if fresh {
		e.publish(time.Now())
		e.kick() // the prober waits for its turn to connect
	}
}

// leave takes the endpoint out of service: calls in flight have their answers, and
// then the connections close, and last the prober ends.
func (e *endpoint) leave(now time.Time) {
	e.left.Store(true)
	e.publish(now)
	for _, c := range e.pool.all() {
		c.retire()
	}
	e.kick()
}
