package breaker

import "time"

// State returns the state at now.
func (b *Breaker) State(now time.Time) State {
	e, _ := b.at(now)
	return e.state
}

// Stats describes a breaker at one moment. A count that does not apply to the state is 0.
type Stats struct {
	// State is the state.
	State State
	// Since is when State began: the time passed to the first method call, if the
	// state has never changed.
	Since time.Time
	// DownSince is when the breaker last left Closed or Disabled. It is zero while the
	// breaker is in one of them.
	DownSince time.Time
	// Calls is the number of calls that ended within Config.Window, without Ignored ones.
	// Failures is how many of them failed, and Slow how many were slow; a call may be both.
	// Closed only.
	Calls, Failures, Slow int
	// Window is the length of the window, with Config's default applied.
	Window time.Duration
	// ConsecutiveFailures is the number of failures since the last success. Closed only.
	ConsecutiveFailures int
	// Probes is the number of probes in flight. HalfOpen only.
	Probes int
	// RetryAfter is the time until Allow may grant a permit, as in OpenError; 0 if it
	// would grant one now.
	RetryAfter time.Duration
	// Trips is how often the breaker has changed to Open. Reset does not clear it, and
	// ForceOpen does not count.
	Trips uint64
	// Cause is why the breaker opened. It is nil in Closed and Disabled, and may be nil in
	// ForcedOpen.
	Cause error
}

// Stats returns the statistics at now. A concurrent call may be counted in one field
// and not yet in another.
func (b *Breaker) Stats(now time.Time) Stats {
	e, at := b.at(now)
	s := Stats{State: e.state, Since: e.since, DownSince: e.down, Window: b.cfg.Window, Trips: e.trips, Cause: e.cause}
	switch e.state {
	case Closed:
		tick := uint64(at / b.slice)
		c := e.calls.sum(tick)
		s.Calls, s.Failures = c.total, c.bad
		s.ConsecutiveFailures = int(e.consecutive.Load())
		if e.slow != nil {
			s.Slow = e.slow.sum(tick).bad
		}
	case Open:
		s.RetryAfter = e.openFor - at
	case HalfOpen:
		w := probeWord(e.probes.Load())
		s.Probes = w.inFlight()
		if w.used() == b.cfg.Probes {
			s.RetryAfter = max(0, w.lease()-at)
		}
	}
	return s
}
