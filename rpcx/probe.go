package rpcx

import (
	"context"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx/internal/wire"
)

// grayErrors is the share of failed calls from which on an endpoint is failing in
// the view of its callers.
const grayErrors = 0.5

// suspectPhi is the level from which on the balancer prefers other endpoints.
const suspectPhi = 1

// levels are those at which the balancer hears of it between two slots: the node
// costs more and more before it is suspect, and of several suspect ones the one
// that is the most likely to live is called first.
var levels = [...]float64{.5, .75, suspectPhi, 1.5, 2, 3, 4}

// prober keeps one endpoint under watch: it pings in slots without a sign of
// life, acts on the detector's level, and while the breaker is open it tries
// the endpoint. membership.probe starts it, Close stops it and waits for it, and it ends
// with the last connection of an endpoint that has left.
type prober struct {
	*endpoint
	wait   time.Duration // before it connects for the first time; negative if Dial does that
	slot   time.Duration // Dialer.Heartbeat
	next   time.Time     // when the current slot ends
	look   time.Time     // when to look early at what is owed; zero if that was not asked for
	looked bool          // that was done in this slot
	redial time.Time     // when lost connections are made again; zero if there are none
	phi    float64       // as the balancer knows it
	guard  detector.Guard
	gray   detector.Gray

	excused time.Time // when the silence was first excused; zero if it was not
	replied int64     // replies until then

	compared uint64 // endpoint.judged when compare last looked

	introduced time.Time // when the first scout is sent; zero once it is

	scout    *scout       // nil if there is none
	scouting bool         // one is being connected
	scouts   chan scouted // to this prober
	side     poolSlot     // of scouts; it has no connection
	refused  bool         // the last scout was refused: the peer takes no further connections

	outage     outage
	trying     bool       // a trial is under way
	trials     chan trial // to this prober
	tryAfter   time.Time  // a local fault kept the last one from being made
	unanswered int        // trials in a row on which nothing came

	calls   uint64 // of the client, when mend last looked
	counted uint64 // of the client, when the last slot ended
	quiet   int    // slots in a row without one
}

func newProber(e *endpoint, wait time.Duration) *prober {
	slot := e.client.slot()
	return &prober{
		endpoint: e, wait: wait, slot: slot, guard: detector.Guard{Tolerance: slot / 4},
		scouts: make(chan scouted), trials: make(chan trial),
	}
}

func (p *prober) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer p.dropScout(wire.ErrClosed)
	p.begin(ctx)
	now := time.Now()
	p.next = now.Add(p.slot)
	p.introduced = now.Add(p.slot / 8)
	due := p.introduced
	timer := time.NewTimer(p.slot / 8)
	defer timer.Stop()
	for !p.left.Load() || !p.pool.empty() {
		planned := due
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			planned = time.Time{}
		case s := <-p.scouts:
			planned = time.Time{}
			p.scoutArrived(ctx, time.Now(), s)
		case <-p.scoutEnded():
			planned = time.Time{}
		case t := <-p.trials:
			planned = time.Time{}
			p.concludeTrial(t)
		case <-timer.C:
		}
		now = time.Now()
		fault := p.guard.Wake(now, planned)
		if fault.Excuses() && (fault != detector.Paused || p.isExcused(now, now.Sub(planned))) {
			p.excuse(now, fault)
		}
		due = p.step(ctx, now)
		// Not at once: in a synctest bubble, Go's race detector may crash over a timer
		// that is due when it is selected.
		timer.Reset(max(time.Until(due), time.Microsecond))
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

// isExcused reports whether a pause of this process that ended late by the given time still
// explains the silence. A process with too little processor time is paused again and again.
// Between many short pauses, an answer would have been read.
func (p *prober) isExcused(now time.Time, late time.Duration) bool {
	usual := p.usualPatience(now)
	if p.detector.Stats(now).OwedSince.IsZero() {
		p.excused = time.Time{}
		return true
	}
	if replies := p.replies(); p.excused.IsZero() || replies != p.replied {
		p.excused, p.replied = now, replies
	}
	return late > usual || now.Sub(p.excused) <= times(4, usual)
}

// step does what is due now and returns when to wake next.
func (p *prober) step(ctx context.Context, now time.Time) time.Time {
	at := p.next
	at = p.introduce(ctx, now, p.checkScout(ctx, now, at))
	s := p.hasten(now, p.breaker.Stats(now))
	switch s.State {
	case breaker.Open:
		at = now.Add(s.RetryAfter)
	case breaker.HalfOpen:
		at = p.tryAgain(ctx, now)
	case breaker.ForcedOpen:
	default:
		if p.pings {
			if !p.judgeSilence(now) {
				at = earlier(at, p.wakeup())
			}
			at = p.lookEarlyAt(ctx, now, at)
		}
	}
	if p.pings {
		at = p.lookBehindPings(now, at)
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

// lookBehindPings looks whether connections have ended behind the answer to a ping: while
// no call is in flight, there may be no reader. It returns when to look again, or at.
func (p *prober) lookBehindPings(now, at time.Time) time.Time {
	for _, c := range p.pool.all() {
		pong := time.Duration(c.pong.Load())
		if due := p.client.born.Add(pong + p.aftermath()); pong == 0 || now.Sub(due) > p.aftermath() {
			continue
		} else if now.Before(due) {
			at = earlier(at, due)
			continue
		}
		c.Check(now)
	}
	return at
}

// endSlot pings where the slot saw no sign of life, whatever the breaker says:
// calls may wait on connections that take no others.
func (p *prober) endSlot(ctx context.Context, now time.Time) {
	p.noteUse()
	for _, c := range p.pool.all() {
		c.Check(now)
		c.Tick(false)
	}
	if p.looked {
		p.looked = false
		p.lookEarly.Store(false)
	}
	if p.pings && !p.forgotten() {
		p.doubtPings(now)
		p.ping(ctx, now)
		p.compare(now)
	}
}

// A client that makes no calls for forgottenAfter slots watches its endpoints in every
// forgottenEvery-th slot only.
const (
	forgottenAfter = 60
	forgottenEvery = 10
)

// noteUse notes whether the slot that ends saw a call.
func (p *prober) noteUse() {
	calls := p.client.calls.Load()
	if calls != p.counted || p.client.underway.calls.Load() > 0 {
		p.quiet = 0
	} else {
		p.quiet++
	}
	p.counted = calls
}

// forgotten reports whether this slot is one that is left out because the client makes no calls.
func (p *prober) forgotten() bool { return p.quiet >= forgottenAfter && p.quiet%forgottenEvery != 0 }

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

// judgeSilence acts on the detector's level. It reports whether the peer is suspect, and not
// yet convicted.
func (p *prober) judgeSilence(now time.Time) (waits bool) {
	for _, c := range p.pool.all() {
		if c.Decoding() {
			p.detector.Excuse(now)
		}
	}
	p.setPhi(p.detector.Phi(now))
	waits = p.detector.Suspect(now)
	if waits && now.Sub(p.detector.Stats(now).OwedSince) >= p.patience(now) {
		p.convict(now, p.phi)
		return false
	}
	if suspect := p.phi >= suspectPhi; p.setSuspect(now, suspect) {
		verdict := Trusted
		if suspect {
			verdict = Suspected
		}
		p.suspicion(SuspicionInfo{Endpoint: p.addr, Verdict: verdict, Phi: p.phi})
	}
	return waits
}

// setPhi tells the balancer of the level.
func (p *prober) setPhi(phi float64) {
	p.phi = phi
	p.setSuspicion(phi)
}

// convict ends the connections, and with them every call that waits on the peer,
// and opens the breaker unless the fault is more likely ours.
func (p *prober) convict(now time.Time, phi float64) {
	cause := &unresponsiveError{phi: phi, silence: now.Sub(p.detector.Stats(now).OwedSince)}
	info := SuspicionInfo{Endpoint: p.addr, Verdict: Spared, Phi: phi, Silence: cause.silence}
	info.Fault = p.client.isIsolated(now, p.slot)
	gated := p.breaker.State(now) != breaker.Disabled
	if gated && info.Fault == detector.NoFault && p.suspend(now) {
		info.Verdict = Convicted
		p.breaker.Trip(now, 0, cause)
	}
	p.setSuspect(now, false)
	p.setPhi(0)
	p.suspicion(info)
	p.dropScout(cause)
	for _, c := range p.pool.all() {
		c.Fail(cause)
	}
}

func (p *prober) suspicion(info SuspicionInfo) {
	if hook := p.client.dialer.Trace.Suspicion; hook != nil {
		hook(info)
	}
}

func (p *prober) reconnect(ctx context.Context) {
	for i := range p.pool.slots {
		if l := &p.pool.slots[i]; l.conn.Load() == nil {
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
	usual, silent, conns := p.usualPatience(now), false, p.pool.all()
	for _, c := range conns {
		owed := c.watch(now, p.slot)
		silent = silent || owed >= p.slot/2 && c.explained()
		if owed > 0 && owed >= p.connPatience(c, usual) {
			c.Fail(&unresponsiveError{silence: owed, conn: len(conns) > 1})
		} else if owed >= usual && p.scoutLives(now) {
			p.relieve(c)
		}
	}
	p.keepScout(ctx, now, silent)
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
	comparison, changed := p.gray.Observe(now, p.suspect, failing)
	if hook := p.client.dialer.Trace.ViewsDiffer; changed && hook != nil {
		hook(ViewsInfo{Endpoint: p.addr, Comparison: comparison})
	}
}
