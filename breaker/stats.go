package breaker

import "time"

// State returns the state at now.
func (b *Breaker) State(now time.Time) State {
	e, _ := b.at(now)
	return e.state
}

// Stats is what a breaker knows at one moment. Counts that belong to another
// state than the current one are 0.
type Stats struct {
	// State is the state, and Since when it began. Since is the first time
	// given to the breaker if the state never changed.
	State State
	Since time.Time
	// DownSince is when the breaker left Closed or Disabled, however often it was Open,
	// HalfOpen or ForcedOpen since. It is zero while the breaker is Closed or Disabled.
	DownSince time.Time
	// Calls, Failures and Slow count, while Closed, the calls that ended within
	// Config.Window: all that were not Ignored, the failed ones and the slow
	// ones (if Config.SlowCall is on; a failed call may be slow too).
	Calls, Failures, Slow int
	// Window is Config.Window, also if that was 0 for the default.
	Window time.Duration
	// ConsecutiveFailures counts, while Closed, failures since a success.
	ConsecutiveFailures int
	// Probes counts, while HalfOpen, the probes in flight.
	Probes int
	// RetryAfter is the time until Allow may grant a permit, as in OpenError;
	// 0 if it would now.
	RetryAfter time.Duration
	// Trips counts how often the breaker has opened. Reset does not clear it.
	Trips uint64
	// Cause is, while Open, HalfOpen or ForcedOpen, why the breaker opened.
	Cause error
}

// Stats returns the statistics at now. Racing calls may be counted in one
// field and not yet in another.
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
