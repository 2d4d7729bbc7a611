package rpcx

import (
	"context"
	"errors"
	"syscall"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/detector"
)

// pingMethod is registered nowhere. A net/rpc server answers a call of it with
// "can't find service", which is as good a sign of life as any.
const pingMethod = "rpcx.Ping"

// newPing returns an attempt that is nobody's call.
func newPing(reply *health) *attempt {
	return &attempt{method: pingMethod, args: struct{}{}, reply: reply}
}

// grayErrors is the share of failed calls from which on an endpoint is failing in
// the eyes of those who call it.
const grayErrors = 0.5

// suspectPhi is the level from which on the balancer prefers other endpoints.
const suspectPhi = 1

// levels are those at which the balancer hears of it between two slots: the node
// costs more and more before it is suspect, and of several suspect ones the one
// that is the most likely to live is called first.
var levels = [...]float64{.5, .75, suspectPhi, 1.5, 2, 3, 4}

// prober keeps one endpoint under watch: it pings in slots without a sign of
// life, acts on the detector's level, and while the breaker is open it is the one
// who tries. roster.probe starts it, Close stops it and waits for it, and it ends
// with the last connection of an endpoint that has left.
type prober struct {
	*endpoint
	wait     time.Duration // before it connects for the first time; negative if Dial does that
	slot     time.Duration // Dialer.Heartbeat
	next     time.Time     // when the current slot ends
	redial   time.Time     // when lost connections are made again; zero if there are none
	phi      float64       // as the balancer knows it
	guard    detector.Guard
	gray     detector.Gray
	compared uint64 // endpoint.judged when compare last looked
	calls    uint64 // of the client, when mend last looked
}

func newProber(e *endpoint, wait time.Duration) *prober {
	slot := e.client.slot()
	return &prober{endpoint: e, wait: wait, slot: slot, guard: detector.Guard{Tolerance: slot / 4}}
}

func (p *prober) run(ctx context.Context) {
	p.begin(ctx)
	now := time.Now()
	p.next = now.Add(p.slot)
	due := p.next
	timer := time.NewTimer(p.slot)
	defer timer.Stop()
	for !p.left.Load() || !p.pool.empty() {
		planned := due
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			planned = time.Time{}
		case <-timer.C:
		}
		now = time.Now()
		if fault := p.guard.Wake(now, planned); fault.Excuses() {
			p.excuse(now, fault)
		}
		due = p.step(ctx, now)
		timer.Reset(time.Until(due))
	}
}

// begin connects an endpoint that came at run time, when its turn has come or a
// call has done so. Pings or not, no call is to wait for it.
func (p *prober) begin(ctx context.Context) {
	if p.wait < 0 {
		return
	}
	timer := time.NewTimer(p.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.wake:
	case <-ctx.Done():
		return
	}
	p.reconnect(ctx)
}

// excuse blames ourselves: a process that wakes late was paused, and has not
// read the answers that wait for it.
func (p *prober) excuse(now time.Time, fault detector.Fault) {
	if phi := p.detector.Phi(now); phi >= suspectPhi {
		p.suspicion(SuspicionInfo{Endpoint: p.addr, Verdict: LocalFault, Phi: phi, Fault: fault})
	}
	p.detector.Excuse(now)
	for _, c := range p.pool.all() {
		c.excuse(now)
	}
}

// step does what is due now and returns when to wake next.
func (p *prober) step(ctx context.Context, now time.Time) time.Time {
	at := p.next
	s := p.breaker.Stats(now)
	if s.State == breaker.Open && p.pings && (isRefused(s.Cause) || p.client.short(now)) {
		p.breaker.Hasten(now)
		s = p.breaker.Stats(now)
	}
	switch s.State {
	case breaker.Open:
		at = now.Add(s.RetryAfter)
	case breaker.HalfOpen:
		at = p.tryAgain(ctx, now)
	case breaker.ForcedOpen:
	default:
		if p.pings {
			p.judge(now)
			at = p.wakeup()
		}
	}
	if p.mend(now); !p.redial.IsZero() {
		at = earlier(at, p.redial)
	}
	if !now.Before(p.next) {
		p.endSlot(ctx, now)
		p.next = now.Add(p.slot)
	}
	return earlier(at, p.next)
}

// isRefused reports whether the peer's host has said that nobody listens: a process that
// is being restarted, to which it is no burden to be asked often. Windows has another
// number for it: there such a peer waits like any other.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// endSlot pings where the slot saw no sign of life, whatever the breaker says:
// calls may wait on connections that take no others.
func (p *prober) endSlot(ctx context.Context, now time.Time) {
	if p.pings {
		p.ping(ctx, now)
		p.compare(now)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// wakeup is when the detector reaches its next level, or the end of the next slot.
func (p *prober) wakeup() time.Time {
	next := p.client.phiLimit
	for _, level := range levels {
		if level > p.phi {
			next = min(next, level)
			break
		}
	}
	if d := p.detector.Deadline(next); !d.IsZero() {
		return d
	}
	return p.next.Add(p.slot)
}

// judge acts on the detector's level.
func (p *prober) judge(now time.Time) {
	p.setPhi(p.detector.Phi(now))
	if p.detector.Suspect(now) {
		p.convict(now, p.phi)
		return
	}
	if suspect := p.phi >= suspectPhi; p.setSuspect(now, suspect) {
		verdict := Trusted
		if suspect {
			verdict = Suspected
		}
		p.suspicion(SuspicionInfo{Endpoint: p.addr, Verdict: verdict, Phi: p.phi})
	}
}

// setPhi tells the balancer of the level.
func (p *prober) setPhi(phi float64) {
	p.phi = phi
	p.setSuspicion(phi)
}

// convict ends the connections, and with them every call that waits on the peer,
// and opens the breaker unless the fault is more likely ours.
func (p *prober) convict(now time.Time, phi float64) {
	cause := &unresponsiveError{addr: p.addr, phi: phi, silence: now.Sub(p.detector.Stats(now).OwedSince)}
	info := SuspicionInfo{Endpoint: p.addr, Verdict: Spared, Phi: phi, Silence: cause.silence}
	info.Fault = p.client.crowd(now, p.slot)
	gated := p.breaker.State(now) != breaker.Disabled
	if gated && info.Fault == detector.NoFault && p.suspend(now) {
		info.Verdict = Convicted
		p.breaker.Trip(now, 0, cause)
	}
	p.setSuspect(now, false)
	p.setPhi(0)
	p.suspicion(info)
	for _, c := range p.pool.all() {
		c.fail(cause)
	}
}

func (p *prober) suspicion(info SuspicionInfo) {
	if hook := p.client.dialer.Trace.Suspicion; hook != nil {
		hook(info)
	}
}

func (p *prober) reconnect(ctx context.Context) {
	for i := range p.pool.lanes {
		if l := &p.pool.lanes[i]; l.conn.Load() == nil {
			if _, err := p.connect(ctx, l); err != nil {
				return // a failed dial has tripped the breaker
			}
		}
	}
}

// ping asks for a sign of life where the slot that ends now saw none, and ends a
// connection that stays silent although the peer is trusted: its other
// connections live.
func (p *prober) ping(ctx context.Context, now time.Time) {
	timeout := p.detector.Stats(now).Timeout
	for _, c := range p.pool.all() {
		if owed := c.watch(ctx, now, p.slot); owed > 0 && owed >= timeout {
			c.fail(&unresponsiveError{addr: p.addr, silence: owed, conn: true})
		}
	}
}

// compare lays the detector's view beside that of the calls, of which there is one only
// while the endpoint takes calls, and some have ended since it was last asked.
func (p *prober) compare(now time.Time) {
	judged := p.judged.Load()
	used := judged != p.compared
	p.compared = judged
	if s := p.breaker.State(now); !used || s != breaker.Closed && s != breaker.Disabled {
		return
	}
	failing := p.node.Stats(now).ErrorRate >= grayErrors
	verdict, changed := p.gray.Observe(now, p.suspect, failing)
	if hook := p.client.dialer.Trace.ViewsDiffer; changed && hook != nil {
		hook(ViewsInfo{Endpoint: p.addr, Verdict: verdict})
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
	outcome := breaker.Success
	if err = p.try(ctx); err != nil {
		outcome = breaker.Failure
	}
	var d *dialError
	blameless := errors.As(err, &d) && d.blameless
	if blameless {
		outcome = breaker.Ignored
	}
	ended := time.Now()
	if hook := p.client.dialer.Trace.Ping; hook != nil {
		hook(PingInfo{Endpoint: p.addr, Probe: true, Started: now, Duration: ended.Sub(now), Err: err})
	}
	permit.Done(ended, outcome)
	if blameless {
		return p.redials.due()
	}
	now = ended
	return now.Add(max(p.breaker.Stats(now).RetryAfter, time.Millisecond))
}

// try connects, unless it is connected, and pings. A connection on which no answer
// comes is not tried again.
func (p *prober) try(ctx context.Context) error {
	c, err := p.connect(ctx, p.pool.pick())
	if err != nil {
		return err
	}
	var said health
	r := c.do(ctx, time.Now(), newPing(&said))
	p.running.Store(int64(said.Running))
	if r.err == nil || isServerError(r.err) {
		return nil
	}
	c.fail(&unresponsiveError{addr: p.addr, silence: p.slot})
	return r.err
}
