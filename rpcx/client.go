package rpcx

import (
	"context"
	"errors"
	"log"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/detector"
)

// Client calls the methods of a service that one or more replicas serve. It is
// safe for concurrent use, and must be closed to release its connections.
type Client struct {
	dialer   Dialer // with its defaults filled in
	network  string
	balancer *balancer.Balancer
	born     time.Time // when the client was made: times of its own count from there
	budget   *budget
	throttle *breaker.Throttle // nil unless Dialer.Throttle
	patterns *methodTable      // nil unless Dialer.Methods
	limit    *limiter          // nil unless Dialer.MaxCalls
	room     *queue            // for an endpoint below Dialer.MaxInFlight; nil without
	hedger   *hedger           // nil unless Dialer.Hedge
	attempts attemptPool
	nobody   chan *rpc.Call // full for ever: where net/rpc announces what nobody waits for
	roster   *roster
	journal  *journal
	phiLimit float64 // the phi that convicts

	ctx    context.Context // done when the client is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup // probers, flushers and the first dials

	isolated atomic.Int64 // when most peers were last silent together, since born; 0 never

	mu   sync.Mutex // protects following
	over bool       // Close was called: nothing is added to wg

	underway                 drain
	calls, failures, retries atomic.Uint64
	hedges, hedgesWon        atomic.Uint64
}

// Caller is what [Invoke] needs of a client.
type Caller interface {
	CallContext(ctx context.Context, serviceMethod string, args, reply any) error
}

// Invoke calls a method and returns its reply, with the errors of CallContext. With
// an error, the reply is what was decoded before it, the zero value as a rule.
func Invoke[Reply any](ctx context.Context, c Caller, serviceMethod string, args any) (Reply, error) {
	var reply Reply
	err := c.CallContext(ctx, serviceMethod, args, &reply)
	return reply, err
}

// Call calls the named method, waits for it to end, and returns its error. It is
// [Client.CallContext] without a context.
func (c *Client) Call(serviceMethod string, args, reply any) error {
	return c.CallContext(context.Background(), serviceMethod, args, reply)
}

// CallContext calls the named method and waits for it to end, for ctx, or for
// Dialer.CallTimeout. Once it has returned, reply is not touched again. A
// [ServerError], or the [*codec.Error] of a JSON-RPC error object, and
// [ErrShutdown] come bare, any other error as a [*CallError].
func (c *Client) CallContext(ctx context.Context, serviceMethod string, args, reply any) error {
	if !c.begin() {
		return ErrShutdown
	}
	defer c.end()
	return c.invoke(ctx, serviceMethod, args, reply)
}

// Go calls the named method asynchronously, with all that Call does. It returns
// the Call that is sent on done when the call ends; if done is nil, a new channel
// is made, and one without a buffer panics as in net/rpc. When Go returns, the
// request was written, or it waits: for room under a cap, for a connection, for a peer
// that does not read, or to be tried again. A call in flight costs memory, but no
// goroutine. Unlike in net/rpc, args must not be changed before the call is done: it
// may be sent again.
func (c *Client) Go(serviceMethod string, args, reply any, done chan *Call) *Call {
	if done == nil {
		done = make(chan *Call, 10)
	} else if cap(done) == 0 {
		log.Panic("rpc: done channel is unbuffered")
	}
	call := &Call{ServiceMethod: serviceMethod, Args: args, Reply: reply, Done: done}
	c.launch(call)
	return call
}

// Close ends all calls in flight with [ErrShutdown], closes the connections, and
// waits for the client's probers and writers. Calls end on their own soon after, and a
// dial when it looks at its context. It returns the error of closing the
// connection that was given to [NewClient] or the codec given to
// [NewClientWithCodec], and ErrShutdown if the client is closed already.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return ErrShutdown
	}
	c.over = true
	c.mu.Unlock()
	c.cancel()
	var errs []error
	for _, e := range c.roster.all() {
		for _, conn := range e.pool.all() {
			conn.fail(ErrShutdown)
		}
		if e.fixed {
			conn := e.last.Load()
			conn.fail(ErrShutdown) // it may be failing: then this waits until it has closed
			errs = append(errs, conn.err)
		}
	}
	c.wg.Wait()
	return errors.Join(errs...)
}

func (c *Client) closed() bool { return c.ctx.Err() != nil }

// background runs f in a goroutine that Close waits for, or not at all once the
// client is closed.
func (c *Client) background(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.wg.Go(f)
}

// endpoints returns those in use.
func (c *Client) endpoints() []*endpoint {
	var out []*endpoint
	for _, n := range c.balancer.InUse(time.Now()) {
		if e := n.Value().(*replica).live.Load(); e != nil {
			out = append(out, e)
		}
	}
	return out
}

// short reports whether at most half of the endpoints take calls: then those that
// do not are tried more often.
func (c *Client) short(now time.Time) bool {
	up, used := c.balancer.Up(now)
	return 2*up <= used
}

// crowd reports whether most peers have fallen silent together, now or in the last
// slot: those that were spared first are asked nothing any more.
func (c *Client) crowd(now time.Time, slot time.Duration) detector.Fault {
	var all []*detector.Detector
	for _, e := range c.endpoints() {
		all = append(all, e.detector)
	}
	at := int64(now.Sub(c.born))
	if detector.Crowd(now, suspectPhi, all...) == detector.Isolated {
		c.isolated.Store(at)
	}
	if last := c.isolated.Load(); last > 0 && at-last < int64(slot) {
		return detector.Isolated
	}
	return detector.NoFault
}

// invoke is the life of a call that somebody waits for.
func (c *Client) invoke(ctx context.Context, method string, args, reply any) error {
	r := c.newRun(ctx, method, args, reply)
	if t := r.options.timeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	ctx = r.start(ctx)
	return r.over(ctx, r.limited(ctx, r.started))
}

// newRun is the beginning of every call.
func (c *Client) newRun(ctx context.Context, method string, args, reply any) run {
	c.calls.Add(1)
	r := run{client: c, method: method, args: args, reply: reply, options: c.options(ctx, method), started: time.Now()}
	if o := &r.options; o.hasKey {
		r.pick.Key, r.pick.HasKey = balancer.KeyOf(o.key), true
	}
	return r
}

// unavailable says which endpoint may be back first, and why it is away.
func (c *Client) unavailable(now time.Time) error {
	u := &unavailableError{}
	for _, e := range c.endpoints() {
		s := e.breaker.Stats(now)
		if s.State != breaker.Closed && (u.open == nil || s.RetryAfter < u.open.RetryAfter) {
			u.open, u.at = &breaker.OpenError{State: s.State, RetryAfter: s.RetryAfter, Cause: s.Cause}, e.addr
		}
	}
	return u
}
