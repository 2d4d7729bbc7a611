package rpcx

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"

	"resilientrpc/breaker"
	"resilientrpc/rpcx/internal/transport"
)

// Retry says how often a call is tried, and how long to wait in between. The zero
// value is the default.
//
// Which calls are tried again cannot be configured: a call that provably was not sent may
// go to another endpoint; one that may have run is retried only if it is idempotent.
type Retry struct {
	// MaxAttempts is the number of attempts of a call, the first included. An attempt for
	// which there is no endpoint counts; moving a call that was not sent to an endpoint not
	// yet tried does not. Zero means 3, or, if BackOff is set, as many as BackOff and the
	// call's deadline allow, so that a call can outlast an outage; negative means 1. A call
	// for which there is no endpoint waits for the next probe before another attempt, if the
	// probe is due within half a second.
	MaxAttempts int
	// BackOff makes the policy of one call; a policy is not shared by calls. Nil means
	// exponential with full jitter, at most 50 ms at first, doubled up to 1 s. The call is not
	// retried if the policy is nil or returns backoff.Stop, if the context of a policy of
	// backoff.WithContext ends, or if an error of NetDial or of a codec is a
	// *backoff.PermanentError. A call that was not sent waits for 5 ms at least.
	//
	// A policy is reset when its call starts. If it was not used for a pause, another call may
	// get it. The function may be called concurrently. A panic of the function or of a policy
	// reaches the caller of CallContext, and becomes the error of a call of Go.
	BackOff func() backoff.BackOff
	// Budget is the number of retries allowed per call, up to 1, for the whole client, so
	// that retries do not make an overload worse: 0.1 means one for ten calls. Each call adds
	// this share to a stock of up to 10 retries, or up to what the calls of 10 s add if that is
	// more: the calls that wait when a server dies are all retried at once. Zero means 0.1;
	// negative means no limit. A retry is charged when it is sent, if an earlier attempt was
	// given to a server; so is a hedge. Waiting for an endpoint and attempts that were not
	// sent are free. First attempts do not depend on the budget.
	Budget float64
}

const (
	defaultAttempts = 3
	defaultBudget   = 0.1
)

func (r Retry) withDefaults() Retry {
	switch {
	case r.MaxAttempts < 0:
		r.MaxAttempts = 1
	case r.MaxAttempts == 0 && r.BackOff != nil:
		r.MaxAttempts = math.MaxInt
	case r.MaxAttempts == 0:
		r.MaxAttempts = defaultAttempts
	}
	if r.Budget == 0 {
		r.Budget = defaultBudget
	}
	return r
}

// pay charges an attempt, which has a connection, to Retry.Budget if it repeats one that
// a server was given. What repeats nothing but refusals of our own is free, however often
// it is refused.
func (cl *call) pay() bool {
	if !cl.owes || cl.paid {
		return true
	}
	if cl.paid = cl.client.budget.Withdraw(); cl.paid {
		cl.client.retries.Add(1)
	}
	return cl.paid
}

// isLate reports whether the caller is gone or the attempt took all the time there
// was, which its own timer may have seen before that of the context.
func isLate(ctx context.Context, res result) bool {
	d, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !res.at.Before(d)
}

// isFinal reports whether the call ends with an attempt that failed, whatever the
// policy and the budget would say. Gone says that the caller is, or that its time is up.
func (cl *call) isFinal(res result, gone bool) bool {
	cl.sent = max(cl.sent, res.sent)
	cl.spent = res.final
	return gone || !res.mayRepeat(cl.options.idempotent)
}

// again decides whether the call is tried again after an attempt that failed; wait
// then says when. If it is not, the call ends with the error returned.
func (cl *call) again(ctx context.Context, res result, deadline time.Time) (err error, ok bool) { //nolint:staticcheck // ok says whether there is an error
	if res.err == errSpent { //nolint:errorlint // it is never wrapped
		cl.exhausted(ctx, cl.last)
		return cl.failure(cl.last), false
	}
	cl.wait, cl.unready = 0, false
	switch {
	case cl.moves(res):
	case cl.awaits(res):
		cl.wait, cl.unready = cl.pauseBeforeReady(res), true
	default:
		if err, ok = cl.waits(ctx, res, deadline); !ok {
			return err, false
		}
	}
	cl.note(res)
	if hook := cl.client.dialer.Trace.Retry; hook != nil {
		hook(ctx, RetryInfo{Method: cl.method, Attempt: cl.attempts, Wait: cl.wait, Err: res.err})
	}
	return nil, true
}

// moves reports whether the call goes on at once: one that was not sent does, as often
// as there are other endpoints, and once more if it was a connection that was lost, unless
// there is but one that was given.
func (cl *call) moves(res result) bool {
	most := len(cl.client.balancer.Nodes()) - 1
	if res.lost != nil {
		most++ // its endpoint may take another connection
	}
	if cl.client.fixed || res.sent != NotSent || errors.Is(res.err, ErrUnavailable) || cl.moved >= most {
		return false
	}
	cl.moved++
	return true
}

// waits decides whether there is another attempt after a while, and how long that is.
// The policy is asked first, so that the budget is blamed for nothing else; it is
// charged only when the attempt is sent.
func (cl *call) waits(ctx context.Context, res result, deadline time.Time) (err error, ok bool) { //nolint:staticcheck // as above
	cl.rounds++
	cl.owes = cl.owes || cl.sent != NotSent || res.wasGiven()
	asked := askedToWait(res.err)
	if cl.options.retry || asked > worthWaiting {
		return cl.fail(res), false
	}
	wait := backoff.Stop
	if cl.rounds < cl.client.dialer.Retry.MaxAttempts {
		wait = cl.nextBackOff()
	}
	if wait == backoff.Stop {
		cl.spent = true
		return cl.fail(res), false
	}
	cl.wait = max(wait, asked, untilProbe(res.err))
	if res.sent == NotSent {
		cl.wait = max(cl.wait, leastWait)
	}
	if !deadline.IsZero() && time.Until(deadline) <= cl.wait {
		cl.note(res)
		return cl.refuse(context.DeadlineExceeded), false
	}
	if cl.owes && cl.client.budget.IsSpent() {
		cl.exhausted(ctx, res.err)
		return cl.fail(res), false
	}
	return nil, true
}

// nextBackOff asks the policy of the call how long to wait.
func (cl *call) nextBackOff() time.Duration {
	cl.policy = cl.client.policies.Ensure(cl.policy)
	if cl.policy == nil {
		return backoff.Stop
	}
	cl.asked = true
	return cl.policy.NextBackOff()
}

// policyEnds returns when the policy itself is over, as one with a context may be.
func (cl *call) policyEnds() <-chan struct{} {
	if p, ok := cl.policy.(backoff.BackOffContext); ok {
		return p.Context().Done()
	}
	return nil
}

// exhausted notes that the call ends because Retry.Budget is spent.
func (cl *call) exhausted(ctx context.Context, err error) {
	cl.unpaid = true
	if hook := cl.client.dialer.Trace.BudgetExhausted; hook != nil {
		hook(ctx, RetryInfo{Method: cl.method, Attempt: cl.attempts, Err: err})
	}
}

// leastWait is how long a call that was not sent waits at least, whatever its policy
// says: no server slows it down.
const leastWait = 5 * time.Millisecond

// untilProbe is how long it takes, if not long, until an endpoint that is away is
// tried again, and a little for the ping: to ask before would be in vain.
func untilProbe(err error) time.Duration {
	var open *breaker.OpenError
	if errors.As(err, &open) && open.RetryAfter <= worthProbing {
		return open.RetryAfter + 20*time.Millisecond
	}
	return 0
}

// askedToWait is for how long a server that did not answer the call asks to be spared.
func askedToWait(err error) time.Duration {
	if end := transport.ExchangeError(err); end != nil {
		return end.RetryAfter
	}
	return 0
}

const (
	// worthProbing is the longest time for which a call waits for the next probe of an
	// endpoint. In the first seconds of an outage, each is probed more often than that; so a
	// replica that is back in time serves the call. Later, a call fails fast.
	worthProbing = 500 * time.Millisecond
	// worthWaiting is the longest time that a server may ask a call to wait; beyond it, the
	// call fails.
	worthWaiting = 500 * time.Millisecond
)

// note keeps the last error that tells of a server, so that a later refusal of
// our own does not hide it.
func (cl *call) note(res result) {
	if !res.ours() || cl.last == nil {
		cl.last = res.err
	}
}

// sleep waits for the next attempt. If that is not to come, the call ends with the
// error returned.
func (cl *call) sleep(ctx context.Context) (err error, ok bool) { //nolint:staticcheck // as above
	if cl.wait > 0 {
		t := time.NewTimer(cl.wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-cl.policyEnds():
			return cl.failure(cl.last), false
		case <-ctx.Done():
			return cl.refuse(ctx.Err()), false
		case <-cl.client.ctx.Done():
			return ErrShutdown, false
		}
	}
	if cl.unready {
		if err := cl.client.untilReady(ctx); err != nil {
			return cl.refuse(err), false
		}
	}
	return nil, true
}

// readyPauseMost is the longest pause before a call that waits for an endpoint tries again
// one that seemed to take calls, and did not.
const readyPauseMost = time.Second

// awaits reports whether the call, which no endpoint has taken, waits until one does.
func (cl *call) awaits(res result) bool {
	if !cl.options.wait || cl.client.fixed {
		return false
	}
	switch res.end { // none of them sent
	case turnedAway, notSent, draining, faultHere:
		return true
	}
	return false
}

// pauseBeforeReady is how long the call leaves the endpoints alone before it waits for one:
// not at all if none of them takes calls.
func (cl *call) pauseBeforeReady(res result) time.Duration {
	if errors.Is(res.err, ErrUnavailable) {
		return 0
	}
	pause := min(leastWait<<min(cl.waited, 10), readyPauseMost)
	cl.waited++
	return pause/2 + rand.N(pause/2)
}

// untilReady waits until an endpoint takes calls, or the context or the client ends.
func (c *core) untilReady(ctx context.Context) error {
	return c.ready.Wait(ctx, c.ctx, func() bool {
		up, _ := c.balancer.Up(time.Now())
		return up > 0
	})
}

// isPermanent reports whether NetDial or a codec has marked an error as one not to be
// tried again.
func isPermanent(err error) bool {
	var permanent *backoff.PermanentError
	return errors.As(err, &permanent) && !isTurnedAway(err) // for it may be why an endpoint takes no calls
}

// errSpent ends an attempt that Retry.Budget does not allow any more: others have spent
// it since the decision to repeat the call.
var errSpent = errors.New("rpcx: the retry budget is spent")
