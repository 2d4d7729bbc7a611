package rpcx

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/protocol"
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
	owes     bool          // the next attempt that is sent repeats one that a server was given
	paid     bool          // the attempt under way is charged to the budget
	wait     time.Duration // before the next attempt
	policy   backoff.BackOff
	asked    bool      // the policy was, how long to wait
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
	if !r.asked {
		r.client.policies.put(r.policy)
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
		if r.isFinal(res, isLate(ctx, res)) {
			return r.fail(res)
		}
		deadline, _ := ctx.Deadline()
		end, ok := r.again(ctx, res, deadline)
		if ok {
			end, ok = r.sleep(ctx)
		}
		if !ok {
			return r.fail(end)
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
	r.ended(res)
	return res
}

// ended notes the end of an attempt, and takes back the charge for one that no server
// was given.
func (r *run) ended(res result) {
	r.at = res.at
	if r.paid && !wasGiven(res) {
		r.client.budget.refund()
	}
	r.paid = false
}

// wasGiven reports whether an attempt can have come to a server, be it that the server
// refused it: that is load.
func wasGiven(res result) bool {
	switch {
	case res.err == nil || res.sent != NotSent:
		return true
	case isTurnedAway(res.err):
		return false
	}
	return protocol.IsRefusal(res.err) || answerOf(res.err) != codec.NoAnswer
}

// send sends an attempt, and another if it takes long, and waits for the end.
func (r *run) send(ctx context.Context, now time.Time, a *attempt) result {
	if delay := r.hedgeAfter(); delay > 0 {
		if res, ok := r.raced(ctx, a, delay); ok {
			return res
		}
	}
	return r.client.conclude(a, r.exchange(now, a))
}

// exchange sends an attempt and waits for its end.
func (r *run) exchange(now time.Time, a *attempt) result {
	c, now, err := a.endpoint.connection(a.ctx, now)
	switch {
	case err != nil:
		return unconnected(err)
	case !r.pay():
		return result{err: errSpent, own: true}
	}
	return c.do(a.ctx, now, a)
}

// pay charges an attempt, which has a connection, to Retry.Budget if it repeats one that
// a server was given. What repeats nothing but refusals of our own is free, however often
// it is refused.
func (r *run) pay() bool {
	if !r.owes || r.paid {
		return true
	}
	if r.paid = r.client.budget.withdraw(); r.paid {
		r.client.retries.Add(1)
	}
	return r.paid
}

// isLate reports whether the caller is gone or the attempt took all the time there
// was, which its own timer may have seen before that of the context.
func isLate(ctx context.Context, res result) bool {
	d, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !res.at.Before(d)
}

// begin begins an attempt at the endpoint that was picked, if the throttle and the
// endpoint's breaker let it in: a call that we have no room for says nothing of
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
	if a.permit, err = e.allow(now); err != nil {
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

// isFinal reports whether the call ends with an attempt that failed, whatever the
// policy and the budget would say. Gone says that the caller is, or that its time is up.
func (r *run) isFinal(res result, gone bool) bool {
	r.sent = max(r.sent, res.sent)
	return gone || !mayRepeat(res, r.options.idempotent)
}

// again decides whether the call is tried again after an attempt that failed; wait
// then says when. If it is not, the call ends with the result returned.
func (r *run) again(ctx context.Context, res result, deadline time.Time) (end result, ok bool) {
	if res.err == errSpent { //nolint:errorlint // it is never wrapped
		return r.exhausted(ctx, result{err: r.last})
	}
	r.wait = 0
	if !r.moves(res) {
		if end, ok = r.waits(ctx, res, deadline); !ok {
			return end, false
		}
	}
	r.note(res)
	if hook := r.client.dialer.Trace.Retry; hook != nil {
		hook(ctx, RetryInfo{Method: r.method, Attempt: r.attempts, Wait: r.wait, Err: res.err})
	}
	return result{}, true
}

// moves reports whether the call goes on at once: one that was not sent does, as often
// as there are endpoints, unless there is but a connection that was given.
func (r *run) moves(res result) bool {
	if r.client.fixed || res.sent != NotSent || errors.Is(res.err, ErrUnavailable) || r.moved >= len(r.client.balancer.Nodes()) {
		return false
	}
	r.moved++
	return true
}

// waits decides whether there is another attempt after a while, and how long that is.
// The policy is asked first, so that the budget is blamed for nothing else; it is
// charged only when the attempt is sent.
func (r *run) waits(ctx context.Context, res result, deadline time.Time) (end result, ok bool) {
	r.rounds++
	r.owes = r.owes || r.sent != NotSent || wasGiven(res)
	asked := askedToWait(res.err)
	if r.options.retry || r.rounds >= r.client.dialer.Retry.MaxAttempts || asked > worthWaiting {
		return res, false
	}
	wait := r.nextBackOff()
	if wait == backoff.Stop {
		return res, false
	}
	r.wait = max(wait, asked, untilProbe(res.err))
	if res.sent == NotSent {
		r.wait = max(r.wait, leastWait)
	}
	if !deadline.IsZero() && time.Until(deadline) <= r.wait {
		r.note(res)
		return result{err: context.DeadlineExceeded, own: true}, false
	}
	if r.owes && r.client.budget.isSpent() {
		return r.exhausted(ctx, res)
	}
	return result{}, true
}

// exhausted ends the call because Retry.Budget is spent.
func (r *run) exhausted(ctx context.Context, res result) (end result, ok bool) {
	if hook := r.client.dialer.Trace.BudgetExhausted; hook != nil {
		hook(ctx, RetryInfo{Method: r.method, Attempt: r.attempts, Err: res.err})
	}
	return res, false
}

// leastWait is how long a call that was not sent waits at least, whatever its policy
// says: no server slows it down.
const leastWait = 5 * time.Millisecond

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

// sleep waits for the next attempt. If that is not to come, the call ends with the
// result returned.
func (r *run) sleep(ctx context.Context) (end result, ok bool) {
	if r.wait == 0 {
		return result{}, true
	}
	t := time.NewTimer(r.wait)
	defer t.Stop()
	select {
	case <-t.C:
		return result{}, true
	case <-r.policyEnds():
		return result{err: r.last}, false
	case <-ctx.Done():
		return result{err: ctx.Err(), own: true}, false
	case <-r.client.ctx.Done():
		return result{err: ErrShutdown, own: true}, false
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
