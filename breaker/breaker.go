package breaker

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A Breaker is a circuit breaker for one endpoint. Make it with New. All
// methods may be called concurrently.
type Breaker struct {
	cfg   Config // with defaults
	slice time.Duration
	feed  *feed // nil without OnChange
	cur   atomic.Pointer[epoch]
}

// New returns a breaker in state Closed, or Disabled if cfg.Disabled is set. The
// error names the invalid field.
func New(cfg Config) (*Breaker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Breaker{cfg: cfg, slice: cfg.Window / slices}
	if cfg.OnChange != nil {
		b.feed = &feed{fn: cfg.OnChange}
	}
	b.cur.Store(&epoch{b: b, state: notStarted})
	return b, nil
}

// A Permit allows one call. Call Done once, when the call has ended. A copy is the same
// permit: call Done on one of the two only, because a Done on each may count twice. Done must
// not be called concurrently. On the zero Permit it does nothing.
type Permit struct {
	epoch *epoch
	start time.Duration
	done  bool
}

// Allow returns a permit to make a call now, or an *OpenError, which matches ErrOpen.
// It does not change the counts of calls.
func (b *Breaker) Allow(now time.Time) (Permit, error) {
	if e := b.cur.Load(); e.state == Closed && e.slow == nil {
		return Permit{epoch: e}, nil
	}
	return b.allow(now)
}

func (b *Breaker) allow(now time.Time) (Permit, error) {
	for {
		e, at := b.at(now)
		switch e.state {
		case Closed:
			return Permit{epoch: e, start: at}, nil
		case Disabled:
			return Permit{}, nil
		case ForcedOpen:
			return Permit{}, e.reject(0, 0)
		case Open:
			return Permit{}, e.reject(at, e.openFor)
		}
		w := probeWord(e.probes.Load())
		switch {
		case w.used() < b.cfg.Probes:
			if e.probes.CompareAndSwap(uint64(w), uint64(w.grant(at, b.cfg.ProbeTimeout))) {
				return Permit{epoch: e, start: at}, nil
			}
		case at < w.lease():
			return Permit{}, e.reject(at, w.lease())
		default: // the probes have timed out: grant new permits
			b.move(e, b.follow(e, HalfOpen, now))
		}
	}
}

// Ready reports whether Allow would grant a permit now.
func (b *Breaker) Ready(now time.Time) bool {
	e, at := b.at(now)
	switch e.state {
	case Closed, Disabled:
		return true
	case HalfOpen:
		w := probeWord(e.probes.Load())
		return w.used() < b.cfg.Probes || at >= w.lease()
	}
	return false
}

// Done reports the outcome of the call. If the outcome is Failure, err is the call's
// error, or nil if it has none; the cause of an opening includes its text. The first Done
// counts, unless since the permit was granted the breaker has changed its state or was reset,
// or the probes have timed out and new permits were granted.
func (p *Permit) Done(now time.Time, o Outcome, err error) {
	e := p.epoch
	if e == nil || p.done {
		return
	}
	p.done = true
	if e.b.cur.Load() != e {
		return // the permit is of an earlier epoch
	}
	if e.state == HalfOpen {
		e.doneProbe(now, p.start, o, err)
		return
	}
	switch o {
	case Success:
		e.succeed(now, p.start)
	case Failure:
		e.fail(now, p.start, err)
	}
}

// succeed counts a success in a closed epoch.
func (e *epoch) succeed(now time.Time, start time.Duration) {
	at := e.elapsed(now)
	tick := uint64(at / e.b.slice)
	e.calls.add(tick, good)
	if e.consecutive.Load() != 0 {
		e.consecutive.Store(0) // a concurrent failure may be lost from the run
	}
	if e.level != 0 && tick >= slices && !e.proven.Load() {
		e.proven.Store(true)
	}
	if e.slow != nil && e.countSlow(tick, at-start) {
		e.judge(now, tick)
	}
}

// fail counts a failure in a closed epoch.
func (e *epoch) fail(now time.Time, start time.Duration, err error) {
	if err != nil {
		e.failure.Store(&err)
	}
	at := e.elapsed(now)
	tick := uint64(at / e.b.slice)
	e.calls.add(tick, bad)
	e.consecutive.Add(1)
	if e.slow != nil {
		e.countSlow(tick, at-start)
	}
	e.judge(now, tick)
}

// countSlow counts a call's duration and reports whether it was slow.
func (e *epoch) countSlow(tick uint64, took time.Duration) bool {
	if took < e.b.cfg.SlowCall {
		e.slow.add(tick, good)
		return false
	}
	e.slow.add(tick, bad)
	return true
}

// judge opens the breaker if a rule is met.
func (e *epoch) judge(now time.Time, tick uint64) {
	if cause := e.verdict(tick); cause != nil {
		e.b.open(e, now, 0, cause)
	}
}

// verdict returns the rule that the calls counted so far meet, or nil.
func (e *epoch) verdict(tick uint64) error {
	cfg := &e.b.cfg
	c, run := e.calls.sum(tick), e.consecutive.Load()
	switch {
	case cfg.ConsecutiveFailures > 0 && run >= uint64(cfg.ConsecutiveFailures) && c.recentGood == 0:
		return e.withFailure(fmt.Errorf("%s", plural(run, "consecutive failure")))
	case cfg.FailureRatio > 0 && c.reaches(cfg.FailureRatio, cfg.MinCalls):
		return e.withFailure(fmt.Errorf("%d of %d calls failed within %v", c.bad, c.total, cfg.Window))
	case cfg.FailuresInWindow > 0 && c.bad >= cfg.FailuresInWindow:
		return e.withFailure(fmt.Errorf("%s within %v", plural(c.bad, "failure"), cfg.Window))
	}
	if e.slow == nil {
		return nil
	}
	if c := e.slow.sum(tick); c.reaches(cfg.SlowRatio, cfg.MinCalls) {
		return fmt.Errorf("%d of %d calls took %v or longer within %v", c.bad, c.total, cfg.SlowCall, cfg.Window)
	}
	return nil
}

func plural[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c counts) reaches(ratio float64, least int) bool {
	return c.total >= least && float64(c.bad) >= ratio*float64(c.total)
}

// doneProbe counts the outcome of a probe in a half-open epoch.
func (e *epoch) doneProbe(now time.Time, start time.Duration, o Outcome, err error) {
	b := e.b
	switch {
	case o == Failure:
		b.open(e, now, 0, reopened(withLast(errProbe, err), e.cause))
		return
	case o == Success && b.cfg.SlowCall > 0 && e.elapsed(now)-start >= b.cfg.SlowCall:
		b.open(e, now, 0, reopened(errSlowProbe, e.cause))
		return
	}
	for {
		w := probeWord(e.probes.Load())
		if w.inFlight() == 0 {
			return // Done was called on a copy of the permit
		}
		next := w - oneUsed // Ignored: the permit is free again
		if o == Success {
			next = w + oneSucceeded
		}
		if !e.probes.CompareAndSwap(uint64(w), uint64(next)) {
			continue
		}
		if next.succeeded() == b.cfg.Probes {
			b.move(e, b.follow(e, Closed, now))
		}
		return
	}
}
