package rpcx

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx/internal/argcopy"
	"resilientrpc/rpcx/internal/transport"
)

// call is one call on its way through its attempts. It goes
//
//	admit → pick → allow → exchange → conclude → again?
//
// If a goroutine waits for the call, it takes all these steps itself, in do. The steps of
// a call of Go, in asynccall.go, are the same: there each is taken by the goroutine that
// ends the one before.
type call struct {
	client  *core
	method  string
	args    any
	reply   any
	notify  bool // a notification: it ends once it is written
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
	unready  bool          // it waits for an endpoint that takes calls, too
	waited   int           // how often it has, and found one that did not
	policy   backoff.BackOff
	asked    bool      // the policy was, how long to wait
	unpaid   bool      // it ends because Retry.Budget is spent
	spent    bool      // all the attempts that there may be were made, here or behind the server
	endpoint string    // of the last attempt
	sent     Sent      // the doubt over all attempts
	recalled Recall    // what the server of the last one that was lost has said of it
	last     error     // the last error that says something of a server
	at       time.Time // when the last attempt ended
}

// newCall is the beginning of every call.
func (c *core) newCall(method string, args, reply any) call {
	c.calls.Add(1)
	return call{client: c, method: method, args: args, reply: reply, started: time.Now()}
}

// invoke is the life of a call that a goroutine waits for.
func (c *core) invoke(ctx context.Context, method string, args, reply any) error {
	cl := c.newCall(method, args, reply)
	return cl.run(ctx)
}

// run is the life of a call from its beginning to its end.
func (cl *call) run(ctx context.Context) error {
	if c := cl.client; c.codec && ctx.Done() != nil { // the caller may leave while the codec reads args
		if kept, ok := argcopy.Copy(cl.args, !c.whole.Load()); ok {
			cl.args = kept
		}
	}
	cl.prepare(ctx)
	if t := cl.options.timeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	ctx = cl.begin(ctx)
	returned := false
	defer func() {
		if !returned { // a function of the user's panics, and the caller gets that
			cl.finish(ctx, cl.refuse(errPanicked)) //nolint:errcheck // likewise
		}
	}()
	err := cl.do(ctx)
	returned = true
	return cl.finish(ctx, err)
}

// prepare finds out what holds for the call. It calls functions of the user's.
func (cl *call) prepare(ctx context.Context) {
	cl.options = cl.client.options(ctx, cl.method)
	if cl.notify { // it may have been sent, and nothing tells
		cl.options.idempotent, cl.options.hedge = false, false
	}
	if o := &cl.options; o.hasKey {
		cl.pick.Key, cl.pick.HasKey = balancer.KeyOf(o.key), true
	}
	if !cl.options.retry && cl.client.dialer.Retry.MaxAttempts > 1 {
		cl.policy = cl.client.policies.Take()
	}
}

// begin reports that the call begins, and returns its context from then on.
func (cl *call) begin(ctx context.Context) context.Context {
	if hook := cl.client.dialer.Trace.CallStart; hook != nil {
		return hook(ctx, CallInfo{Method: cl.method, Started: cl.started})
	}
	return ctx
}

// do makes attempts until the call has ended, and returns its error.
func (cl *call) do(ctx context.Context) error {
	now, err := cl.admit(ctx)
	if err != nil {
		return cl.refuse(err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return cl.refuse(err)
		}
		res := cl.attempt(ctx, now)
		switch {
		case res.end == replied, res.end == notified:
			return nil
		case cl.isFinal(res, isLate(ctx, res)):
			return cl.fail(res)
		}
		deadline, _ := ctx.Deadline()
		if err, ok := cl.again(ctx, res, deadline); !ok {
			return err
		}
		if err, ok := cl.sleep(ctx); !ok {
			return err
		}
		now = time.Now()
	}
}

// attempt makes one attempt, and returns its result.
func (cl *call) attempt(ctx context.Context, now time.Time) (res result) {
	ticket, now, err := cl.pickEndpoint(ctx, now)
	a, res := cl.allow(ctx, now, ticket, err, false)
	if a != nil {
		limited := a.ctx // AttemptStart may have set a deadline
		res = cl.recall(ctx, limited, cl.exchangeHedged(ctx, now, a))
	}
	cl.attemptEnded(res)
	return res
}

// allow begins an attempt at the endpoint that was picked, if the throttle and the
// endpoint's breaker let it in. The throttle is asked only once there is an endpoint: a call
// that this side has no room for says nothing of servers. If there is no attempt, the result
// says why.
func (cl *call) allow(ctx context.Context, now time.Time, ticket balancer.Ticket, err error, hedge bool) (*attempt, result) {
	c := cl.client
	if t := c.throttle; t != nil && err == nil {
		if err = t.Allow(now); err != nil {
			c.release(now, ticket, balancer.NotSent)
		}
	}
	if err != nil {
		cl.picked(ctx, cl.attempts+1, "", err)
		res := refusedHere(err)
		res.at = now
		return nil, res
	}
	e := c.membership.use(now, ticket.Node())
	cl.pick.Try(ticket.Node())
	cl.attempts++
	cl.endpoint = e.addr
	cl.picked(ctx, cl.attempts, e.addr, nil)
	a := c.attempts.get(cl.args, cl.reply)
	a.ctx, a.Method, a.number, a.Started, a.ticket, a.endpoint = ctx, cl.method, cl.attempts, now, ticket, e
	a.hedge, a.hedgeable = hedge, cl.options.hedge
	a.Keep = !cl.options.idempotent && !cl.notify
	hook := c.dialer.Trace.AttemptStart
	if hook != nil {
		a.ctx = hook(ctx, a.info())
	}
	a.mark(cl, hook != nil)
	if a.permit, err = e.allow(now); err != nil {
		return nil, c.conclude(a, result{end: turnedAway, err: err, at: now})
	}
	return a, result{}
}

// picked reports which endpoint was picked, or why none was.
func (cl *call) picked(ctx context.Context, attempt int, endpoint string, err error) {
	if hook := cl.client.dialer.Trace.Pick; hook != nil {
		hook(ctx, PickInfo{Method: cl.method, Attempt: attempt, Endpoint: endpoint, Err: err})
	}
}

// exchangeHedged sends an attempt, and another one if it takes long, and waits for the end.
func (cl *call) exchangeHedged(ctx context.Context, now time.Time, a *attempt) result {
	if delay := cl.hedgeAfter(); delay > 0 {
		if res, ok := cl.raced(ctx, a, delay); ok {
			return res
		}
	}
	res, suspected := cl.exchange(now, a)
	if suspected {
		return cl.outrun(ctx, a)
	}
	return cl.client.conclude(a, res)
}

// exchange sends an attempt and waits for its end, or, if the call may be hedged, until the
// endpoint becomes suspect.
func (cl *call) exchange(now time.Time, a *attempt) (res result, suspected bool) {
	c, now, err := a.connection(a.ctx, now)
	switch {
	case err != nil:
		return unconnected(err), false
	case !cl.pay():
		return result{end: turnedAway, err: errSpent}, false
	}
	a.conn, a.Begun = c, now
	a.Deadline, _ = a.ctx.Deadline()
	returned := false
	defer func() {
		if !returned { // a marshaler of the user's has ended the goroutine
			c.Abandon(&a.Exchange, errPanicked)
			cl.client.conclude(a, c.result(a.Outcome()))
		}
	}()
	var out transport.Outcome
	if cl.notify {
		out = c.Notify(a.ctx, &a.Exchange)
	} else {
		out, suspected = c.Watch(a.ctx, &a.Exchange, cl.alarmOf(a))
	}
	returned = true
	return c.result(out), suspected
}

// conclude reports the result of an attempt to breaker, balancer, throttle and trace, and
// lets go of it.
func (c *core) conclude(a *attempt, res result) result {
	if res.at.IsZero() {
		res.at = time.Now()
	}
	e := a.endpoint
	if res.end == methodFailed && a.wasCut(res.at) {
		res.end, res.err = gaveUp, context.DeadlineExceeded
	}
	res.end = c.classified(a.Method, res)
	forBreaker, forBalancer := e.judge(a, res)
	if forBreaker == breaker.Success { // the server works
		e.answered(&a.Exchange, res.at)
	}
	if forBalancer <= balancer.Failure {
		e.judged.Add(1)
	}
	a.permit.Done(res.at, forBreaker, res.err)
	c.release(res.at, a.ticket, forBalancer)
	if res.end == replied {
		e.latencies.Add(res.at.Sub(c.born), res.at.Sub(a.Started))
		c.learn(a, res.at)
	}
	if t := c.throttle; t != nil && res.wasTaken(forBreaker, forBalancer) {
		t.Accept(res.at)
	}
	if hook := c.dialer.Trace.AttemptDone; hook != nil {
		info := a.info()
		info.Duration, info.Sent, info.Err = res.at.Sub(a.Started), res.sent, res.err
		hook(a.ctx, info)
	}
	c.attempts.put(a)
	return res
}

// release gives an endpoint back to the balancer: a call may wait for it.
func (c *core) release(now time.Time, ticket balancer.Ticket, o balancer.Outcome) {
	ticket.Done(now, o)
	c.room.Notify()
}

// attemptEnded notes the end of an attempt, and takes back the charge for one that no
// server was given.
func (cl *call) attemptEnded(res result) {
	cl.at = res.at
	if cl.paid && !res.wasGiven() {
		cl.client.budget.Refund()
	}
	cl.paid = false
}

// fail is the error of a call that ends with the last attempt.
func (cl *call) fail(res result) error {
	switch {
	case res.ours():
		return cl.refuse(res.err)
	case res.isAnswer() && isServerError(res.err):
		return res.err
	}
	return cl.failure(res.err)
}

// refuse is the error of a call that ends on this side: between attempts, or because the
// last one was refused. An earlier attempt tells more of the servers.
func (cl *call) refuse(err error) error {
	if errors.Is(err, ErrShutdown) || cl.client.closed() {
		return ErrShutdown
	}
	if cl.last != nil && !errors.Is(err, cl.last) && !(isTurnedAway(err) && isTurnedAway(cl.last)) {
		err = &lastError{err, cl.last}
	}
	return cl.failure(err)
}

func (cl *call) failure(err error) error {
	e := &CallError{Method: cl.method, Endpoint: cl.endpoint, Attempts: cl.attempts, Sent: cl.sent, Err: err, unpaid: cl.unpaid}
	if e.Sent == MaybeSent {
		e.Recall = cl.recalled
	}
	return e
}

// finish is the end of every call.
func (cl *call) finish(ctx context.Context, err error) error {
	if cl.counted {
		cl.client.limit.Give()
	}
	if !cl.asked {
		cl.client.policies.Put(cl.policy)
	}
	err = withCause(ctx, err)
	if err != nil {
		cl.client.failures.Add(1)
		cl.tellSpent()
	}
	if hook := cl.client.dialer.Trace.CallDone; hook != nil {
		ended := cl.at
		if err != nil { // which may have waited since
			ended = time.Now()
		}
		hook(ctx, CallInfo{Method: cl.method, Attempts: cl.attempts, Started: cl.started, Duration: ended.Sub(cl.started), Err: err})
	}
	return err
}

// tellSpent tells the request that the call was made for, if there is one, that its caller
// should not repeat it: the call has failed although it was tried as often as it may be.
func (cl *call) tellSpent() {
	if chain := cl.options.chain; cl.spent && chain != nil && chain.Spent != nil {
		chain.Spent.Store(true)
	}
}
