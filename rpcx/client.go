package rpcx

import (
	"context"
	"errors"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

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
	attempts attemptPool
	roster   *roster

	ctx    context.Context // done when the client is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup // probers, flushers and the first dials

	isolated atomic.Int64 // when most peers were last silent together, since born; 0 never

	mu   sync.Mutex // protects following
	over bool       // Close was called: nothing is added to wg

	underway                 drain
	calls, failures, retries atomic.Uint64
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
	return c.invoke(ctx, serviceMethod, args, reply, func() {})
}

// Go calls the named method asynchronously, with all that Call does. It returns
// the Call that is sent on done when the call ends; if done is nil, a new channel
// is made, and one without a buffer panics as in net/rpc. When Go returns, the
// request was written, or waits for a connection or for a peer that does not
// read. Each call in flight occupies a goroutine. Unlike in net/rpc, args must not
// be changed before the call is done: it may be sent again.
func (c *Client) Go(serviceMethod string, args, reply any, done chan *Call) *Call {
	if done == nil {
		done = make(chan *Call, 10)
	} else if cap(done) == 0 {
		log.Panic("rpc: done channel is unbuffered")
	}
	call := &Call{ServiceMethod: serviceMethod, Args: args, Reply: reply, Done: done}
	launched := make(chan struct{})
	launch := sync.OnceFunc(func() { close(launched) })
	go func() {
		call.Error = ErrShutdown
		if c.begin() {
			defer c.end() // after it is delivered
			call.Error = c.invoke(context.Background(), serviceMethod, args, reply, launch)
		}
		launch()
		select {
		case done <- call:
		default: // net/rpc drops it too: the channel is the caller's to size
		}
	}()
	<-launched
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

// run is one call on its way through its attempts.
type run struct {
	client   *Client
	method   string
	args     any
	reply    any
	options  callOptions
	pick     balancer.PickInfo
	launched func() // for Go: the request was written, or has to wait

	attempts int // that were given an endpoint, whose breaker may have refused
	rounds   int // that count against Retry.MaxAttempts
	moved    int // to another endpoint at once
	backoff  backoff.BackOff
	endpoint string           // of the last attempt
	sent     Sent             // the doubt over all attempts
	last     error            // the last error that says something of a server
	outcome  balancer.Outcome // of the last attempt
	at       time.Time        // when it ended
}

// invoke is the life of one call: attempt, judge, and again or return.
func (c *Client) invoke(ctx context.Context, method string, args, reply any, launched func()) error {
	o := c.options(ctx, method)
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	c.calls.Add(1)
	started := time.Now()
	r := &run{client: c, method: method, args: args, reply: reply, options: o, launched: launched}
	if o.hasKey {
		r.pick.Key, r.pick.HasKey = balancer.KeyOf(o.key), true
	}
	trace := c.dialer.Trace
	if hook := trace.CallStart; hook != nil {
		ctx = hook(ctx, CallInfo{Method: method, Started: started})
	}
	err := r.limited(ctx, started)
	if err != nil {
		c.failures.Add(1)
	}
	if hook := trace.CallDone; hook != nil {
		ended := r.at
		if err != nil { // which may have waited since
			ended = time.Now()
		}
		hook(ctx, CallInfo{Method: method, Attempts: r.attempts, Started: started, Duration: ended.Sub(started), Err: err})
	}
	return err
}

func (r *run) loop(ctx context.Context, now time.Time) error {
	for {
		if err := ctx.Err(); err != nil {
			return r.fail(result{err: err, own: true})
		}
		res := r.attempt(ctx, now)
		if res.err == nil {
			return nil
		}
		r.sent = max(r.sent, res.sent)
		if !mayRepeat(ctx, res, r.options.idempotent) {
			return r.fail(res)
		}
		wait, ok := r.next(ctx, res)
		if !ok {
			return r.fail(res)
		}
		r.note(res)
		if hook := r.client.dialer.Trace.Retry; hook != nil {
			hook(ctx, RetryInfo{Method: r.method, Attempt: r.attempts, Wait: wait, Err: res.err})
		}
		if err := r.sleep(ctx, wait); err != nil {
			return r.fail(result{err: err, own: true})
		}
		now = time.Now()
	}
}

// attempt picks an endpoint and tries the call there.
func (r *run) attempt(ctx context.Context, now time.Time) result {
	trace := r.client.dialer.Trace
	ticket, now, err := r.choose(ctx, now)
	if err != nil {
		if hook := trace.Pick; hook != nil {
			hook(ctx, PickInfo{Method: r.method, Attempt: r.attempts + 1, Err: err})
		}
		return result{err: err, sent: NotSent, own: true, at: now}
	}
	e := r.client.roster.use(now, ticket.Node())
	r.pick.Try(ticket.Node())
	r.attempts++
	r.endpoint = e.addr
	r.outcome = balancer.NotSent
	if hook := trace.Pick; hook != nil {
		hook(ctx, PickInfo{Method: r.method, Attempt: r.attempts, Endpoint: e.addr})
	}
	if hook := trace.AttemptStart; hook != nil {
		ctx = hook(ctx, AttemptInfo{Method: r.method, Endpoint: e.addr, Attempt: r.attempts, Started: now})
	}
	res := e.call(ctx, now, r)
	r.at = res.at
	ticket.Done(res.at, r.outcome)
	r.client.room.poke()
	if t := r.client.throttle; t != nil && (r.outcome == balancer.Success || r.outcome == balancer.AppError) {
		t.Accept(res.at)
	}
	if hook := trace.AttemptDone; hook != nil {
		hook(ctx, AttemptInfo{
			Method: r.method, Endpoint: e.addr, Attempt: r.attempts,
			Started: now, Duration: res.at.Sub(now), Sent: res.sent, Err: res.err,
		})
	}
	return res
}

// choose asks the balancer for an endpoint, and then the throttle: a call that we
// have no room for says nothing of servers.
func (r *run) choose(ctx context.Context, now time.Time) (balancer.Ticket, time.Time, error) {
	ticket, now, err := r.place(ctx, now)
	if t := r.client.throttle; t != nil && err == nil {
		if err = t.Allow(now); err != nil {
			ticket.Done(now, balancer.NotSent)
			r.client.room.poke()
		}
	}
	return ticket, now, err
}

// next decides whether another attempt is allowed and when. A call that was not
// sent goes on at once, as often as there are endpoints; all else waits, and is
// paid for.
func (r *run) next(ctx context.Context, res result) (time.Duration, bool) {
	if res.sent == NotSent && !errors.Is(res.err, ErrUnavailable) && r.moved < len(r.client.balancer.Nodes()) {
		r.moved++
		return 0, true
	}
	r.rounds++
	retry := r.client.dialer.Retry
	if r.options.retry || r.rounds >= retry.MaxAttempts {
		return 0, false
	}
	if !r.client.budget.withdraw() {
		if hook := r.client.dialer.Trace.BudgetExhausted; hook != nil {
			hook(ctx, RetryInfo{Method: r.method, Attempt: r.attempts, Err: res.err})
		}
		return 0, false
	}
	if r.backoff == nil {
		if r.backoff = retry.BackOff(); r.backoff == nil {
			return 0, false
		}
		r.backoff.Reset()
	}
	wait := r.backoff.NextBackOff()
	if wait == backoff.Stop {
		return 0, false
	}
	r.client.retries.Add(1)
	return max(wait, untilProbe(res.err)), true
}

// untilProbe is how long it takes, if not long, until an endpoint that is away is
// tried again, and a little for the ping: to ask before would be in vain.
func untilProbe(err error) time.Duration {
	var open *breaker.OpenError
	if errors.As(err, &open) && open.RetryAfter <= worthWaiting {
		return open.RetryAfter + 20*time.Millisecond
	}
	return 0
}

// worthWaiting is the longest time for which a call waits for an endpoint that is
// away, before it fails.
const worthWaiting = 500 * time.Millisecond

// note keeps the last error that tells of a server, so that a later refusal of
// our own does not hide it.
func (r *run) note(res result) {
	if !res.own || r.last == nil {
		r.last = res.err
	}
}

// sleep waits, but not past the deadline: then it says at once that time is up.
func (r *run) sleep(ctx context.Context, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	r.launched()
	if d, ok := ctx.Deadline(); ok && time.Until(d) <= wait {
		return context.DeadlineExceeded
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.client.ctx.Done():
		return ErrShutdown
	}
}

// fail is the error that the caller gets.
func (r *run) fail(res result) error {
	switch {
	case errors.Is(res.err, ErrShutdown) || r.client.closed() && res.own:
		return ErrShutdown
	case isServerError(res.err):
		return res.err
	}
	cause := res.err
	if res.own && r.last != nil && !errors.Is(cause, r.last) {
		cause = &lastError{cause, r.last}
	}
	return &CallError{Method: r.method, Endpoint: r.endpoint, Attempts: r.attempts, Sent: r.sent, Err: cause}
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

// lastError is an end on our side, with the last error of a server behind it.
type lastError struct{ err, last error }

func (e *lastError) Error() string   { return e.err.Error() + " (last: " + e.last.Error() + ")" }
func (e *lastError) Unwrap() []error { return []error{e.err, e.last} }
