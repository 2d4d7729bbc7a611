package rpcx

import (
	"context"
	"net/rpc"
	"time"

	"resilientrpc/breaker"
)

// pingMethod is registered nowhere. A net/rpc server answers a call of it with
// "can't find service", which is as good a sign of life as any.
const pingMethod = "rpcx.Ping"

// suspectPhi is the level from which on the balancer prefers other endpoints.
const suspectPhi = 1

// prober keeps one endpoint under watch: it pings in slots without a sign of
// life, acts on the detector's level, and while the breaker is open it is the one
// who tries. Client.start starts it, Close stops it and waits for it.
type prober struct {
	*endpoint
	slot time.Duration // Dialer.Heartbeat
	next time.Time     // when the current slot ends
	due  time.Time     // when the prober meant to wake
	ping *attempt      // on its way, nil if none
}

func (p *prober) run(ctx context.Context) {
	now := time.Now()
	p.next = now.Add(p.slot)
	p.due = p.next
	timer := time.NewTimer(p.slot)
	defer timer.Stop()
	for {
		kicked := false
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			kicked = true
		case <-timer.C:
		}
		now = time.Now()
		if late := now.Sub(p.due); !kicked && late > p.slot/4 {
			p.excuse(now)
		}
		p.due = p.step(ctx, now)
		timer.Reset(time.Until(p.due))
	}
}

// excuse blames ourselves: a process that wakes late was paused, and has not
// read the answers that wait for it.
func (p *prober) excuse(now time.Time) {
	if phi := p.detector.Phi(now); phi >= suspectPhi {
		p.client.dialer.Trace.suspicion(SuspicionInfo{Endpoint: p.addr, Verdict: LocalFault, Phi: phi})
	}
	p.detector.Excuse(now)
}

// step does what is due now and returns when to wake next.
func (p *prober) step(ctx context.Context, now time.Time) time.Time {
	switch s := p.breaker.Stats(now); s.State {
	case breaker.Open:
		return now.Add(max(s.RetryAfter, time.Millisecond))
	case breaker.HalfOpen:
		return p.tryAgain(ctx, now)
	case breaker.ForcedOpen:
		return now.Add(p.slot)
	}
	if !p.pings {
		return now.Add(p.slot)
	}
	p.judge(now)
	p.reconnect(ctx)
	if !now.Before(p.next) {
		p.pingIfSilent(ctx, now)
		p.next = now.Add(p.slot)
	}
	return p.wakeup()
}

// wakeup is the end of the slot, or the next deadline of the detector before it.
func (p *prober) wakeup() time.Time {
	at := p.next
	phi := float64(suspectPhi)
	if p.suspect {
		phi = p.detector.Stats(at).Threshold
	}
	if d := p.detector.Deadline(phi); !d.IsZero() && d.Before(at) {
		at = d
	}
	return at
}

// judge acts on the detector's level.
func (p *prober) judge(now time.Time) {
	phi := p.detector.Phi(now)
	if p.detector.Suspect(now) {
		p.convict(now, phi)
		return
	}
	if suspect := phi >= suspectPhi; p.setSuspect(now, suspect) {
		verdict := Trusted
		if suspect {
			verdict = Suspected
		}
		p.client.dialer.Trace.suspicion(SuspicionInfo{Endpoint: p.addr, Verdict: verdict, Phi: phi})
	}
}

// convict ends the connection, and with it every call that waits on the peer, and
// opens the breaker unless too many are out on suspicion already.
func (p *prober) convict(now time.Time, phi float64) {
	cause := &unresponsiveError{p.addr, phi, now.Sub(p.detector.Stats(now).OwedSince)}
	info := SuspicionInfo{Endpoint: p.addr, Verdict: Spared, Phi: phi, Silence: cause.silence}
	if p.client.balancer.Suspend(now, p.node) {
		info.Verdict = Convicted
		p.breaker.Trip(now, 0, cause)
	}
	p.setSuspect(now, false)
	p.client.dialer.Trace.suspicion(info)
	if log := p.client.dialer.Logger; log != nil {
		log.Warn("peer does not respond", "endpoint", p.addr, "verdict", info.Verdict, "phi", phi, "silence", cause.silence)
	}
	p.ping = nil
	if c := p.conn.Load(); c != nil {
		c.fail(cause)
	}
}

// reconnect replaces a lost connection before the next call needs it.
func (p *prober) reconnect(ctx context.Context) {
	if p.conn.Load() == nil && !p.fixed {
		p.connect(ctx) //nolint:errcheck // a failed dial trips the breaker
	}
}

// pingIfSilent asks for a sign of life if the slot that ends now saw none.
func (p *prober) pingIfSilent(ctx context.Context, now time.Time) {
	if p.ping != nil {
		select {
		case <-p.ping.done:
			p.ping = nil
		default:
			return // still owed
		}
	}
	c := p.conn.Load()
	if c == nil || now.Sub(p.detector.Stats(now).LastProof) < p.slot/2 {
		return
	}
	a := &attempt{args: struct{}{}, reply: &struct{}{}, done: make(chan *rpc.Call, 1)}
	if c.send(ctx, now, pingMethod, a) == nil {
		p.ping = a
	}
}

// tryAgain is a half-open breaker's probe: a connection and an answered ping, on
// which no user's call depends. With pings off, users' calls are the probes.
func (p *prober) tryAgain(ctx context.Context, now time.Time) time.Time {
	if !p.pings {
		return now.Add(p.slot)
	}
	permit, err := p.breaker.Allow(now)
	if err != nil {
		return now.Add(p.slot / 4)
	}
	ctx, cancel := context.WithTimeout(ctx, p.slot)
	defer cancel()
	outcome := breaker.Failure
	if p.answers(ctx) {
		outcome = breaker.Success
	}
	now = time.Now()
	permit.Done(now, outcome)
	p.next = now.Add(p.slot)
	if outcome == breaker.Failure {
		if c := p.conn.Load(); c != nil {
			c.fail(&unresponsiveError{addr: p.addr, silence: p.slot})
		}
	}
	return now.Add(max(p.breaker.Stats(now).RetryAfter, time.Millisecond))
}

func (p *prober) answers(ctx context.Context) bool {
	c, err := p.connect(ctx)
	if err != nil {
		return false
	}
	r := c.do(ctx, time.Now(), pingMethod, p.client.attempts.take(struct{}{}, &struct{}{}), func() {})
	return r.err == nil || isServerError(r.err)
}
