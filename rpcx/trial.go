package rpcx

import (
	"context"
	"errors"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/codec"
	"resilientrpc/rpcx/internal/dialing"
	"resilientrpc/rpcx/internal/protocol"
	"resilientrpc/rpcx/internal/transport"
)

// trial is what a half-open breaker's probe came to: a connection and a ping, on which
// no user's call depends.
type trial struct {
	permit  breaker.Permit
	started time.Time
	err     error // nil if the peer gave a sign of life
	silent  bool  // there was a connection, and nothing came
}

// maxTrial bounds the time that a trial waits for an answer.
const maxTrial = 10 * time.Second

// tryAgain begins a trial, unless one is under way. Where pings are stopped, or off, users'
// calls are the trials. It returns when to look again.
func (p *prober) tryAgain(ctx context.Context, now time.Time) time.Time {
	switch {
	case p.trying || !p.probing():
		return now.Add(p.slot)
	case now.Before(p.tryAfter):
		return p.tryAfter
	}
	permit, err := p.breaker.Allow(now)
	if err != nil {
		return now.Add(p.slot / 4)
	}
	p.trying = true
	wait := min(max(p.usualPatience(now), 4*p.node.Stats(now).Latency, p.slot), maxTrial)
	p.client.background(func() {
		t := trial{permit: permit, started: now}
		t.run(ctx, p.endpoint, wait)
		select {
		case p.trials <- t:
		case <-ctx.Done():
		}
	})
	return now.Add(p.slot)
}

// run connects, unless the endpoint is connected, and pings. A connection that ends
// right behind the ping is made once more.
func (t *trial) run(ctx context.Context, e *endpoint, wait time.Duration) {
	for range fatalAfter {
		c, err := e.connect(ctx, e.pool.pick())
		if err != nil {
			t.err = err
			return
		}
		if t.ping(ctx, c, wait) && t.survived(c) {
			return
		}
	}
}

// survived reports whether the connection lives on after the ping. It waits for that where
// it is not known yet what the endpoint does behind a ping.
func (t *trial) survived(c *conn) bool {
	if t.err != nil || c.ep.support() != PingsUnknown {
		return true
	}
	aftermath := time.NewTimer(c.ep.aftermath())
	defer aftermath.Stop()
	select {
	case <-c.Done():
		t.err = c.Cause()
		return false
	case <-aftermath.C:
		if !c.Check(time.Now()) && c.Dead() {
			t.err = c.Cause()
			return false
		}
		c.ep.answersPings(0)
		return true
	}
}

// ping sends a ping and waits for any sign of life, which need not be its answer: that
// may have to wait behind a large reply. It returns false if the connection ended
// first.
func (t *trial) ping(ctx context.Context, c *conn, wait time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var said protocol.Health
	sent, done := time.Now(), make(chan result, 1)
	c.pinged.Store(int64(sent.Sub(c.ep.client.born)))
	go func() { done <- c.ask(ctx, sent, newPing(&said)) }()
	look := time.NewTicker(max(c.ep.client.dialer.Heartbeat/2, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case r := <-done:
			c.ep.heardHealth(c, r, &said)
			return t.answer(c, r, sent)
		case now := <-look.C:
			if c.silentFor(now) < now.Sub(sent) {
				t.err = nil
				return true
			}
		}
	}
}

// answer judges the end of the ping. Any answer is life; one of a server that drains
// says that it takes no calls.
func (t *trial) answer(c *conn, r result, sent time.Time) bool {
	t.err = r.err
	switch end := transport.ExchangeError(r.err); {
	case end != nil && (end.Answer == codec.Rejected || end.Answer == codec.Busy):
		t.err = nil
	case end != nil: // there is no silence, and other calls on the connection may go on
	case r.end == draining:
	case r.err == nil || r.sent == Executed || isServerError(r.err):
		t.err = nil
	case c.silentFor(time.Now()) < time.Since(sent):
		t.err = nil
	case c.Dead() && !errors.Is(r.err, context.Canceled):
		return false
	default:
		t.silent = errors.Is(r.err, context.DeadlineExceeded)
		t.err = &unresponsiveError{silence: time.Since(sent)}
	}
	return true
}

// concludeTrial tells the breaker what a trial came to. If pings turn out to be of no use, it
// stays half-open, and lets calls try the endpoint.
func (p *prober) concludeTrial(t trial) {
	p.trying = false
	now := time.Now()
	if hook := p.client.dialer.Trace.Ping; hook != nil {
		hook(PingInfo{Endpoint: p.addr, Probe: true, Started: t.started, Duration: now.Sub(t.started), Err: t.err})
	}
	outcome := breaker.Success
	var d *dialError
	switch {
	case errors.As(t.err, &d) && d.blameless, isUnreached(t.err) && dialing.IsLocal(t.err):
		outcome, p.tryAfter = breaker.Ignored, p.redials.due()
	case p.support() == PingsFatal:
		outcome = breaker.Ignored
	case t.silent:
		outcome = breaker.Failure
		if p.unanswered++; p.support() == PingsUnknown && (p.node.Stats(now).Latency > 0 || p.unanswered >= unansweredTrials) {
			outcome = breaker.Ignored
			p.setSupport(PingsIgnored)
		}
	case t.err != nil:
		outcome = breaker.Failure
	default:
		p.unanswered = 0
	}
	t.permit.Done(now, outcome, t.err)
}

// unansweredTrials is after how many trials without an answer calls try an endpoint of
// which nothing is known.
const unansweredTrials = 3
