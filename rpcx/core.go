package rpcx

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/queue"
	"resilientrpc/rpcx/internal/rescue"
	"resilientrpc/rpcx/internal/retry"
	"resilientrpc/rpcx/internal/wire"
)

// core is what a [Client] and its goroutines share. It does not refer to the Client,
// which can therefore be collected while the goroutines run.
type core struct {
	dialer     Dialer // with its defaults filled in
	network    string
	fixed      bool        // it has one given connection for life
	codec      bool        // that is a codec rather than a connection
	whole      atomic.Bool // the codec of the last connection is of this module
	balancer   *balancer.Balancer
	born       time.Time // when the client was made: times of its own count from there
	budget     *retry.Budget
	policies   retry.Policies
	throttle   *breaker.Throttle // nil unless Dialer.Throttle
	patterns   *methodTable      // nil unless Dialer.Methods
	limit      *queue.Limiter    // nil unless Dialer.MaxCalls
	room       *queue.Queue      // for an endpoint below Dialer.MaxInFlight; nil without
	ready      queue.Readiness   // for an endpoint that takes calls
	hedger     *hedger           // nil unless Dialer.Hedge
	next       CallFunc          // of Dialer.Intercept
	attempts   attemptPool
	membership *membership
	journal    *journal
	panics     *rescue.Log
	phiLimit   float64 // the phi that convicts

	ctx    context.Context // done when the client is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup // what background has started

	isolated atomic.Int64 // when most peers were last silent together, since born; 0 never

	// unmet is when the first deadline passed since the last answer to any call;
	// since born, 0 if none has.
	unmet atomic.Int64

	mu   sync.Mutex // protects following
	over bool       // Close was called: nothing is added to wg

	underway                 drain
	calls, failures, retries atomic.Uint64
	hedges, hedgesWon        atomic.Uint64
	resolved, unresolved     atomic.Uint64 // doubts about calls, by their servers' answers
}

// drain counts the calls under way, so that a graceful close can wait for them. A
// call counts itself before it looks whether it still may; closing looks at the
// count after having said so. One of the two sees the other.
type drain struct {
	calls atomic.Int64
	over  atomic.Bool   // no call may begin
	idle  chan struct{} // has room for one: the count may be zero
}

// begin counts a call, which then must end, or reports that it may not be made.
func (c *core) begin() bool {
	c.underway.calls.Add(1)
	if c.underway.over.Load() || c.closed() {
		c.end()
		return false
	}
	return true
}

func (c *core) end() {
	if c.underway.calls.Add(-1) == 0 && c.underway.over.Load() {
		select {
		case c.underway.idle <- struct{}{}:
		default: // CloseContext is about to look
		}
	}
}

// closeWithin is how long Client.Close waits for connections to close, which a foreign
// one need not do.
const closeWithin = 2 * time.Second

var errStillClosing = errors.New("rpcx: Close of the connection or codec has not returned in time; the client no longer waits for it")

// close is [Client.Close].
func (c *core) close() error {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return ErrShutdown
	}
	c.over = true
	c.mu.Unlock()
	c.cancel()
	var conns []*conn
	for _, e := range c.membership.all() {
		if e.fixed {
			conns = append(conns, e.last.Load()) // it may be over, and is closed here only
		} else {
			conns = append(conns, e.pool.all()...)
		}
	}
	for _, conn := range conns {
		conn.Fail(ErrShutdown)
		conn.Close()
	}
	c.wg.Wait()
	c.logUnmatched()
	var err error
	late := time.Now().Add(closeWithin)
	for _, conn := range conns {
		switch closed := wire.EndsBy(late, conn.CloseDone()); {
		case !conn.ep.fixed:
		case closed:
			err = conn.CloseErr()
		default:
			err = errStillClosing
		}
	}
	return err
}

// abandon closes a client that was dropped without Close. What was given to it belongs
// to its owner, and only the watching ends.
func (c *core) abandon() {
	for _, e := range c.membership.all() {
		if e.fixed {
			c.cancel()
			e.last.Load().Tick(true)
			return
		}
	}
	c.close() //nolint:errcheck // there is no caller
}

func (c *core) closed() bool { return c.ctx.Err() != nil }

// background runs f in a goroutine that Close waits for, or not at all once the
// client is closed.
func (c *core) background(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.wg.Go(f)
}

// endpoints returns those in use.
func (c *core) endpoints() []*endpoint {
	var out []*endpoint
	for _, n := range c.balancer.InUse(time.Now()) {
		if e := n.Value().(*replica).live.Load(); e != nil {
			out = append(out, e)
		}
	}
	return out
}

// mostlyDown reports whether at most half of the endpoints take calls: then those that
// do not are tried more often.
func (c *core) mostlyDown(now time.Time) bool {
	up, used := c.balancer.Up(now)
	return 2*up <= used
}

// slot is Dialer.Heartbeat, or what stands for it where there are no pings.
func (c *core) slot() time.Duration {
	if c.dialer.Heartbeat < 0 {
		return time.Second
	}
	return c.dialer.Heartbeat
}

// isIsolated reports whether most peers have fallen silent together, now or in the last
// slot: those that were spared first are asked nothing any more.
func (c *core) isIsolated(now time.Time, slot time.Duration) detector.Fault {
	var all []*detector.Detector
	for _, e := range c.endpoints() {
		all = append(all, e.detector)
	}
	at := int64(now.Sub(c.born))
	if detector.CheckIsolation(now, suspectPhi, all...) == detector.Isolated {
		c.isolated.Store(at)
	}
	if last := c.isolated.Load(); last > 0 && at-last < int64(slot) {
		return detector.Isolated
	}
	return detector.NoFault
}

// unavailable says which endpoint may be back first, and why it is away.
func (c *core) unavailable(now time.Time) error {
	all := c.endpoints()
	u := &unavailableError{used: len(all), resolver: c.membership.failure()}
	for _, e := range all {
		s := e.breaker.Stats(now)
		if s.State != breaker.Closed && (u.open == nil || isSooner(s, u.open)) {
			u.open, u.at = &breaker.OpenError{State: s.State, RetryAfter: s.RetryAfter, Cause: s.Cause}, e.addr
		}
	}
	return u
}

// isSooner reports whether a breaker may close before the one of an error. One that was opened
// by hand has no next probe.
func isSooner(a breaker.Stats, b *breaker.OpenError) bool {
	if forced := b.State == breaker.ForcedOpen; forced != (a.State == breaker.ForcedOpen) {
		return forced
	}
	return a.RetryAfter < b.RetryAfter
}
