package rpcx

import (
	"context"
	"math"
	"slices"
	"time"

	"resilientrpc/rpcx/internal/wire"
)

// patient is how long a silence must last to convict a peer that may have a reason for
// it, in multiples of what the detector asks for: one that owes more than it has ever
// owed beside an answer, or what it may need long for, and that answers over another
// connection or cannot be asked. It may be a server that handles one request, or four,
// at a time.
const patient = 12

// usualPatience is the silence that convicts a peer of net/rpc.
func (p *prober) usualPatience(now time.Time) time.Duration { return p.detector.Stats(now).Timeout }

func times(n, d time.Duration) time.Duration {
	if d > math.MaxInt64/n {
		return d
	}
	return n * d
}

// patience is the silence that convicts this peer now.
func (p *prober) patience(now time.Time) time.Duration {
	usual, conns := p.usualPatience(now), p.pool.all()
	explained := slices.ContainsFunc(conns, (*conn).explained)
	switch s := p.support(); {
	case s.stopped(), explained && (p.fixed || p.refused || s == PingsUnknown && !p.presumed()):
		return times(patient, usual)
	}
	return usual // of a peer that may have a reason, the scout would have heard
}

// presumed reports whether the peer, which has not answered a ping, may be taken for one
// that does, since another endpoint of the same service has.
func (p *prober) presumed() bool {
	return slices.ContainsFunc(p.client.endpoints(), func(e *endpoint) bool { return e.support() == PingsAnswered })
}

// connPatience is the silence that ends one connection of a peer that may live. One
// whose encoder is retired cannot ask for a sign of life.
func (p *prober) connPatience(c *conn, usual time.Duration) time.Duration {
	if c.Mute() {
		return math.MaxInt64
	}
	if p.support().stopped() || c.explained() {
		return times(patient, usual)
	}
	return usual
}

// scoutLives reports whether the scout has heard from the peer in the last slot or so.
func (p *prober) scoutLives(now time.Time) bool {
	s := p.scout
	return s != nil && !s.conn.Dead() && s.conn.replies.Load() > 0 && s.conn.silentFor(now) < 2*p.slot
}

// keepScout sends a scout where one is needed: to ask how the peer takes pings, or
// whether it lives although a connection is silent. One that is needed no more ends.
func (p *prober) keepScout(ctx context.Context, now time.Time, silent bool) {
	unknown := p.support() == PingsUnknown && !p.pool.empty()
	p.refused = p.refused && (unknown || silent) // a refusal explains the silence in which it came
	switch {
	case p.fixed || p.support() == PingsFatal,
		p.support() == PingsIgnored && p.scout != nil && now.Sub(p.client.born)-p.scout.started >= p.usualPatience(now):
		p.dropScout(wire.ErrClosed)
	case p.support().stopped(): // a late answer to the scout would be welcome
	case p.scout == nil && (unknown || silent):
		p.sendScout(ctx)
	case p.scout != nil && !unknown && !silent:
		p.dropScout(wire.ErrClosed)
	case p.scout != nil:
		p.scout.conn.watch(now, p.slot)
	}
}

// lookEarlyAt looks at what the peer owes an eighth of a slot after an attempt asked for
// it, once in a slot. A ping at that time shows what the peer does before it matters. It
// returns at, or when to look.
func (p *prober) lookEarlyAt(ctx context.Context, now, at time.Time) time.Time {
	switch {
	case !p.lookEarly.Load() || p.looked:
		return at
	case p.look.IsZero():
		p.look = now.Add(p.slot / 8)
	case !now.Before(p.look):
		p.look, p.looked = time.Time{}, true
		p.lookNow(ctx, now)
		return at
	}
	return earlier(at, p.look)
}

// lookNow asks the peer for an answer beside those that it has owed for some time.
func (p *prober) lookNow(ctx context.Context, now time.Time) {
	for _, c := range p.pool.all() {
		c.doubt()
		switch {
		case p.fixed || c.ping != nil || !c.owesMore() || c.silentFor(now) < p.slot/8:
		case p.mayPing(c) && !c.Wire().Full():
			c.sendPing(now)
		case p.support() == PingsUnknown:
			p.sendScout(ctx)
		}
	}
}
