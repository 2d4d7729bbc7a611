package rpcx

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
)

// run is one call on its way through its attempts. Each begins, is sent, and is
// concluded; where somebody waits for the call (loop), that is done in one
// goroutine, and otherwise (flight) in whatever goroutine the attempt ends in.
type run struct {
	client  *core
	method  string
	args    any
	reply   any
	options callOptions
	pick    balancer.PickInfo
	started time.Time
	counted bool // against Dialer.MaxCalls

	attempts int           // that were given an endpoint, whose breaker may have refused
	rounds   int           // that count against Retry.MaxAttempts
	moved    int           // to another endpoint at once
	hedged   bool          // one of them was a hedge
	wait     time.Duration // before the next attempt
	backoff  backoff.BackOff
	endpoint string    // of the last attempt
	sent     Sent      // the doubt over all attempts
	last     error     // the last error that says something of a server
	at       time.Time // when the last attempt ended
}

// start tells that the call begins, and returns its context from then on.
func (r *run) start(ctx context.Context) context.Context {
	if hook := r.client.dialer.Trace.CallStart; hook != nil {
		return hook(ctx, CallInfo{Method: r.method, Started: r.started})
	}
	return ctx
}

// over is the end of every call.
func (r *run) over(ctx context.Context, err error) error {
	if r.counted {
		r.client.limit.give()
	}
	if err != nil {
		r.client.failures.Add(1)
	}
	if hook := r.client.dialer.Trace.CallDone; hook != nil {
		ended := r.at
		if err != nil { // which may have waited since
			ended = time.Now()
		}
		hook(ctx, CallInfo{Method: r.method, Attempts: r.attempts, Started: r.started, Duration: ended.Sub(r.started), Err: err})
	}
	return err
}

// loop is the way of a call that somebody waits for.
func (r *run) loop(ctx context.Context, now time.Time) error {
	for {
		if err := ctx.Err(); err != nil {
			return r.fail(result{err: err, own: true})
		}
		res := r.attempt(ctx, now)
		if res.err == nil {
			return nil
		}
		if !r.again(ctx, res, isLate(ctx, res)) {
			return r.fail(res)
		}
		if err := r.sleep(ctx); err != nil {
			return r.fail(result{err: err, own: true})
		}
		now = time.Now()
	}
}

func (r *run) attempt(ctx context.Context, now time.Time) (res result) {
	ticket, now, err := r.place(ctx, now)
	a, res := r.begin(ctx, now, ticket, err, false)
	if a != nil {
		res = r.send(ctx, now, a)
	}
	r.at = res.at
	return res
}

// send sends an attempt, and another if it takes long, and waits for the end.
func (r *run) send(ctx context.Context, now time.Time, a *attempt) result {
	if delay := r.hedgeAfter(); delay > 0 {
		if res, ok := r.raced(ctx, a, delay); ok {
			return res
		}
	}
	return r.client.conclude(a, a.endpoint.call(now, a))
}

// isLate reports whether the caller is gone or the attempt took all the time there
// was, which its own timer may have seen before that of the context.
func isLate(ctx context.Context, res result) bool {
	d, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !res.at.Before(d)
}

// begin begins an attempt at the endpoint that was picked, if the throttle and the
// endpoint's breakers let it in: a call that we have no room for says nothing of
// servers, so the throttle is asked last. If there is no attempt, the result says who
// refused.
func (r *run) begin(ctx context.Context, now time.Time, ticket balancer.Ticket, err error, hedge bool) (*attempt, result) {
	if t := r.client.throttle; t != nil && err == nil {
		if err = t.Allow(now); err != nil {
			r.client.release(now, ticket, balancer.NotSent)
		}
	}
	trace := r.client.dialer.Trace
	if err != nil {
		if hook := trace.Pick; hook != nil {
			hook(ctx, PickInfo{Method: r.method, Attempt: r.attempts + 1, Err: err})
		}
		return nil, result{err: err, own: true, at: now}
	}
	e := r.client.roster.use(now, ticket.Node())
	r.pick.Try(ticket.Node())
	r.attempts++
	r.endpoint = e.addr
	if hook := trace.Pick; hook != nil {
		hook(ctx, PickInfo{Method: r.method, Attempt: r.attempts, Endpoint: e.addr})
	}
	a := r.client.attempts.take(r.args, r.reply)
	a.ctx, a.method, a.number, a.started, a.ticket, a.endpoint = ctx, r.method, r.attempts, now, ticket, e
	a.hedge, a.hedgeable = hedge, r.options.hedge
	if hook := trace.AttemptStart; hook != nil {
		a.ctx = hook(ctx, a.info())
	}
	if err := e.admit(a); err != nil {
		return nil, r.client.conclude(a, result{err: err, own: true, at: now})
	}
	return a, result{}
}

// conclude tells all who learn from an attempt what came of it, and lets go of it.
func (c *core) conclude(a *attempt, res result) result {
	if res.at.IsZero() {
		res.at = time.Now()
	}
	e := a.endpoint
	v := classify(res, func() judgment { return e.overdue(a, res.at) })
	if v.breaker == breaker.Success { // an answer of any kind
		e.answered(a, res.at)
	}
	if e.methods != nil {
		v.breaker = v.besides(&a.inner, res.at)
	}
	if v.balancer <= balancer.Failure {
		e.judged.Add(1)
	}
	a.permit.Done(res.at, v.breaker)
	c.release(res.at, a.ticket, v.balancer)
	if res.err == nil {
		e.took.add(res.at.Sub(c.born), res.at.Sub(a.started))
		c.learn(a, res.at)
	}
	if t := c.throttle; t != nil && v.accepted(res) {
		t.Accept(res.at)
	}
	if hook := c.dialer.Trace.AttemptDone; hook != nil {
		info := a.info()
		info.Duration, info.Sent, info.Err = res.at.Sub(a.started), res.sent, res.err
		hook(a.ctx, info)
	}
	c.attempts.put(a)
	return res
}

// release gives an endpoint back to the balancer: somebody may wait for it.
func (c *core) release(now time.Time, ticket balancer.Ticket, o balancer.Outcome) {
	ticket.Done(now, o)
	c.room.poke()
}

// again decides whether the call is tried again after an attempt that failed; wait
// then says when. Gone says that the caller is, or that its time is up.
func (r *run) again(ctx context.Context, res result, gone bool) bool {
	r.sent = max(r.sent, res.sent)
	if gone || !mayRepeat(res, r.options.idempotent) || !r.next(ctx, res) {
		return false
	}
	r.note(res)
	if hook := r.client.dialer.Trace.Retry; hook != nil {
		hook(ctx, RetryInfo{Method: r.method, Attempt: r.attempts, Wait: r.wait, Err: res.err})
	}
	return true
}

// next decides whether another attempt is allowed and when. A call that was not
// sent goes on at once, as often as there are endpoints; all else waits, and is
// paid for.
func (r *run) next(ctx context.Context, res result) bool {
	r.wait = 0
	if res.sent == NotSent && !errors.Is(res.err, ErrUnavailable) && r.moved < len(r.client.balancer.Nodes()) {
		r.moved++
		return true
	}
	r.rounds++
	retry := r.client.dialer.Retry
	asked := askedToWait(res.err)
	if r.options.retry || r.rounds >= retry.MaxAttempts || asked > worthWaiting {
		return false
	}
	if !r.client.budget.withdraw() {
		if hook := r.client.dialer.Trace.BudgetExhausted; hook != nil {
			hook(ctx, RetryInfo{Method: r.method, Attempt: r.attempts, Err: res.err})
		}
		return false
	}
	if r.backoff == nil {
		if r.backoff = retry.BackOff(); r.backoff == nil {
			return false
		}
		r.backoff.Reset()
	}
	wait := r.backoff.NextBackOff()
	if wait == backoff.Stop {
		return false
	}
	r.client.retries.Add(1)
	r.wait = max(wait, asked, untilProbe(res.err))
	return true
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

// askedToWait is for how long a server that did not answer the call asks to be spared.
func askedToWait(err error) time.Duration {
	if end := exchangeError(err); end != nil {
		return end.RetryAfter
	}
	return 0
}

// worthWaiting is the longest time for which a call waits for an endpoint that is
// away, or asks to be spared, before it fails.
const worthWaiting = 500 * time.Millisecond

// note keeps the last error that tells of a server, so that a later refusal of
// our own does not hide it.
func (r *run) note(res result) {
	if !res.own || r.last == nil {
		r.last = res.err
	}
}

// sleep waits for the next attempt, but not past the deadline: then it says at once
// that time is up.
func (r *run) sleep(ctx context.Context) error {
	if r.wait == 0 {
		return nil
	}
	if d, ok := ctx.Deadline(); ok && time.Until(d) <= r.wait {
		return context.DeadlineExceeded
	}
	t := time.NewTimer(r.wait)
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

// lastError is an end on our side, with the last error of a server behind it.
type lastError struct{ err, last error }

func (e *lastError) Error() string   { return e.err.Error() + " (last: " + e.last.Error() + ")" }
func (e *lastError) Unwrap() []error { return []error{e.err, e.last} }
