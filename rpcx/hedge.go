package rpcx

import (
	"context"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/rpcx/internal/config"
	"resilientrpc/rpcx/internal/latency"
	"resilientrpc/rpcx/internal/retry"
	"resilientrpc/rpcx/internal/transport"
)

// Hedge says when a call is sent to a second endpoint because the first one takes
// long, which cuts the tail of latencies (Dean and Barroso, "The Tail at Scale",
// 2013). The call gets the answer that comes first. An error of the second attempt, of any
// kind, counts only if the first one fails, too: otherwise hedges would add the errors of
// one bad replica to calls that a good one serves. The zero value is the default.
//
// With or without a Hedge, a call that waits on an endpoint that becomes suspect is sent to
// another one at once, under the same conditions and charged to the same budgets.
//
// Only calls of idempotent methods are hedged, at most once each, except those that
// [MethodOptions].Hedge or [AsRetry] exclude. The second attempt goes to another endpoint
// that is connected, has room and is permitted by its breaker; if there is none, the call
// is not hedged. To a server of [Serve], the client sends a cancellation for the slower
// attempt. Until the server answers or the deadline of the call passes, this attempt counts
// against Dialer.MaxInFlight, and its end counts for breaker and balancer.
// [Client.CloseContext] does not wait for it. (If Dialer.Hedge is nil, CallContext abandons
// the slower attempt at once.)
//
// The reply of each attempt is decoded into a value of its own, which then is assigned. A
// call is not hedged if its reply is nil or not empty, because net/rpc decodes into a
// reply that is not empty without clearing it.
type Hedge struct {
	// Delay is the time from the first attempt to the second. Zero means the recent
	// 95th-percentile latency of successful attempts of such calls; before there have been
	// 100 of them, nothing is hedged. Negative is an error.
	Delay time.Duration
	// Budget is the share of such calls that may be hedged, up to 1, for the whole client:
	// each call adds this share of a hedge to a stock, which is limited like that of
	// Retry.Budget. Zero means 0.05; negative is an error. A hedge is charged to Retry.Budget
	// as well, so that hedges and retries together stay within that.
	Budget float64
}

const (
	defaultHedgeBudget = 0.05
	// hedgeSample is how many attempts must have been seen before their 95th percentile
	// is used.
	hedgeSample = 100
)

func (h *Hedge) check() error {
	switch {
	case h.Delay < 0:
		return config.FieldError("Hedge.Delay", h.Delay, "a positive duration, or 0 for what 95 in 100 attempts take; for no hedges leave Dialer.Hedge nil")
	case !(h.Budget >= 0 && h.Budget <= 1): // written so that NaN fails
		return config.FieldError("Hedge.Budget", h.Budget, "a share of calls up to 1, or 0 for 0.05; for no hedges leave Dialer.Hedge nil")
	}
	return nil
}

// hedger decides on the hedges of a client.
type hedger struct {
	delay     time.Duration // 0 for the 95th percentile of latencies
	budget    *retry.Budget
	latencies latency.Histogram // of successful attempts that could be hedged, since core.born
}

// newHedger returns nil for nil: then there are no hedges.
func newHedger(h *Hedge) *hedger {
	if h == nil {
		return nil
	}
	share := h.Budget
	if share == 0 {
		share = defaultHedgeBudget
	}
	return &hedger{delay: h.Delay, budget: retry.NewBudget(share), latencies: latency.Histogram{MinCount: hedgeSample}}
}

// learn takes a successful attempt into account. Losers are among them: else hedges
// would hide the very latencies that say when to hedge.
func (c *core) learn(a *attempt, at time.Time) {
	if h := c.hedger; h != nil && h.delay == 0 && a.hedgeable {
		h.latencies.Add(at.Sub(c.born), at.Sub(a.Started))
	}
}

// mayHedge reports whether the call may have a second attempt beside its next one.
func (cl *call) mayHedge() bool {
	return cl.options.hedge && !cl.hedged && len(cl.client.balancer.Nodes()) > 1 && transport.IsFresh(cl.reply)
}

// hedgeAfter is how long the next attempt has before it is hedged, 0 if it is not.
func (cl *call) hedgeAfter() time.Duration {
	h := cl.client.hedger
	if h == nil || !cl.mayHedge() {
		return 0
	}
	if h.delay > 0 {
		return h.delay
	}
	return h.latencies.P95(cl.started.Sub(cl.client.born))
}

// raced sends an attempt that is hedged if it takes long, and waits for the end. It
// returns false if the attempt cannot be sent at once: then nothing was sent.
func (cl *call) raced(ctx context.Context, a *attempt, delay time.Duration) (result, bool) {
	lent := new(call) // cl itself would be allocated for every call, hedged or not
	*lent = *cl
	end := make(chan result, 1)
	deadline, _ := a.ctx.Deadline() // which AttemptStart may have set
	x := &race{call: lent, ctx: ctx, delay: delay, deadline: deadline, done: func(res result) { end <- res }}
	patience := a.ctx
	if !x.start(a) {
		cl.paid = lent.paid
		return result{}, false
	}
	var res result
	select {
	case res = <-end:
	case <-patience.Done():
		x.leave(patience.Err())
		res = <-end
	}
	*cl = *lent
	return res, true
}

// payHedge charges a hedge to the budgets, or to none.
func (c *core) payHedge() bool {
	h := c.hedger
	if h != nil && !h.budget.Withdraw() {
		return false
	}
	if !c.budget.Withdraw() {
		if h != nil {
			h.budget.Refund()
		}
		return false
	}
	return true
}

// refundHedge takes payHedge back: the hedge was not sent.
func (c *core) refundHedge() {
	if h := c.hedger; h != nil {
		h.budget.Refund()
	}
	c.budget.Refund()
}

// announce counts and reports a hedge, which has been sent. The first attempt, at another
// endpoint, began at a given time.
func (cl *call) announce(ctx context.Context, hedge *attempt, first string, began time.Time) {
	cl.hedged = true
	cl.client.hedges.Add(1)
	if hook := cl.client.dialer.Trace.Hedge; hook != nil {
		hook(ctx, HedgeInfo{
			Method: hedge.Method, Attempt: hedge.number, Endpoint: hedge.endpoint.addr, First: first, Delay: hedge.Started.Sub(began),
		})
	}
}

// secondAttempt begins an attempt at another endpoint than that of first, with the
// connection for it, or returns nil if none takes one now: a hedge waits for nothing. The
// connection is chosen before an attempt is counted or reported.
func (cl *call) secondAttempt(ctx context.Context, first *balancer.Node) (*attempt, *conn) {
	now := time.Now()
	ticket, err := cl.pickNow(now)
	if err != nil {
		return nil, nil
	}
	var c *conn
	if e := ticket.Node().Value().(*replica).live.Load(); e != nil && ticket.Node() != first && ticket.Node().State() == balancer.Ready {
		c = e.ready(now)
	}
	if c == nil {
		cl.client.release(now, ticket, balancer.NotSent)
		return nil, nil
	}
	a, _ := cl.allow(ctx, now, ticket, nil, true)
	if a == nil {
		return nil, nil
	}
	return a, c
}
