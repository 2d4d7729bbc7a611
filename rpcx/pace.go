package rpcx

import (
	"math/rand/v2"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx/internal/transport"
)

// paceSample is how many endpoints are asked what they know of a method.
const paceSample = 16

// answered notes the answer to a call.
func (e *endpoint) answered(x *transport.Exchange, now time.Time) {
	e.paces.Add(x.Method, now.Sub(e.client.born), now.Sub(x.Started))
	if c := e.client; c.unmet.Load() != 0 {
		c.unmet.Store(0)
	}
}

// late notes an answer to an attempt that was given up: of a method that is never
// answered in time, nothing else tells how long it takes.
func (e *endpoint) late(x *transport.Exchange, now time.Time) {
	if !x.Background {
		e.answered(x, now)
	}
}

// usual is how long a method takes at the endpoint, or if that is not known, at the
// fastest of the others; 0 if it has not been answered anywhere. It is safe for
// concurrent use, and cheap enough to be asked for each call.
func (e *endpoint) usual(method string) time.Duration {
	if d := e.paces.Of(method); d > 0 {
		return d
	}
	return e.client.fastest(method)
}

// fastest is how long a method takes at the fastest of the endpoints in use, or of
// some of them if they are many; 0 if none knows.
func (c *core) fastest(method string) (least time.Duration) {
	nodes := c.balancer.InUse(time.Now())
	if len(nodes) == 0 {
		return 0
	}
	for i, n := rand.IntN(len(nodes)), min(len(nodes), paceSample); n > 0; i, n = i+1, n-1 {
		e := nodes[i%len(nodes)].Value().(*replica).live.Load()
		if e == nil {
			continue
		}
		if d := e.paces.Of(method); d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// fairPatience is the deadline from which on a timeout of a method that was never
// answered counts.
const fairPatience = 100 * time.Millisecond

// overdue decides whose fault a deadline was that passed without an answer: that of a
// caller that allowed less than the method takes (cep21/circuit#94), or the endpoint's.
// What a method takes is what it takes at the endpoint or, if that is less, at another:
// an endpoint that has become slow is not excused by it. A method of which that is not
// known, since it was never answered, says nothing of the endpoint while other calls are
// answered. Whatever the patience of the callers, a silence that lasts does.
func (e *endpoint) overdue(a *attempt, now time.Time) (breaker.Outcome, balancer.Outcome) {
	patience := now.Sub(a.Started)
	usual := e.client.fastest(a.Method)
	if own := e.paces.Of(a.Method); usual == 0 || own > 0 && own < usual {
		usual = own
	}
	long := 2 * e.client.slot()
	switch {
	case usual > 0 && patience >= enough(usual), e.silence(now) >= max(long, 4*usual):
		return breaker.Failure, balancer.Failure
	case usual > 0 || patience < fairPatience:
		return breaker.Ignored, balancer.Canceled
	case e.client.unanswered(now) >= long:
		return breaker.Failure, balancer.Failure
	}
	return breaker.Ignored, balancer.Failure
}

// unanswered is for how long deadlines have passed, of which this is one, with no answer to
// any call of the client in between.
func (c *core) unanswered(now time.Time) time.Duration {
	at := int64(now.Sub(c.born)) + 1 // 0 is none
	c.unmet.CompareAndSwap(0, at)
	return time.Duration(at - c.unmet.Load())
}

// enough is the patience with which most calls of a sound method are answered, whose
// mean latency is usual: twice that, however its latencies are spread, and more where
// they are so short that chance is most of them.
func enough(usual time.Duration) time.Duration {
	if usual < fairPatience/2 {
		return min(4*usual, fairPatience)
	}
	return 2 * usual
}

// silence is for how long the endpoint has owed an answer and given no sign of life.
func (e *endpoint) silence(now time.Time) time.Duration {
	since := e.detector.Stats(now).OwedSince
	if since.IsZero() {
		return 0
	}
	return now.Sub(since)
}
