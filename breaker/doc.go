// Package breaker is a circuit breaker. It never blocks, the caller passes the
// time, and a result that arrives late does not change a newer state.
//
// Each call takes three lines:
//
//	permit, err := b.Allow(now) // *OpenError while the breaker is open
//	// make the call
//	permit.Done(now, breaker.Success, nil) // or Failure, or Ignored, and the call's error
//
// # States
//
//	from               event                                     to
//	Closed             a rule opens the breaker; Trip            Open
//	Open               the open interval ends                    HalfOpen
//	HalfOpen           Config.Probes probes have succeeded       Closed
//	HalfOpen           a probe failed or was slow; Trip          Open, for longer
//	HalfOpen           all permits taken, ProbeTimeout is over   HalfOpen, new permits
//	any                Reset                                     Closed
//	any                ForceOpen                                 ForcedOpen
//
// Config.Disabled makes a breaker that begins as Disabled instead of Closed. Trip
// does not change ForcedOpen or Disabled.
//
// The data of one period in one state (window, probe permits, end of the interval)
// is one object, an epoch. The breaker is a pointer to the current epoch, and a
// transition is one compare-and-swap of that pointer: if several race, exactly one
// happens. A permit refers to the epoch that granted it. Its result counts only
// while that epoch is current.
//
// # When it opens
//
// A failed call opens the breaker if one of these rules is met:
//
//   - Config.ConsecutiveFailures calls have failed in a row, and no call succeeded in
//     the current or the previous slice of the window. The second condition matters
//     under partial failure, where runs of failures occur by chance.
//   - A share of Config.FailureRatio of the calls within Config.Window failed, and
//     there were Config.MinCalls or more.
//   - Config.FailuresInWindow calls failed within Config.Window. Off by default.
//
// Config.SlowCall adds a rule for slow calls, successful ones included. Off by default.
//
// A failure counts at the time at which it is reported. So calls that take longer
// than the window to fail count, too.
//
// # How it closes
//
// When the open interval ends, the breaker is half-open and admits Config.Probes calls.
// It closes when all of them have succeeded. The first failure opens it again, and each
// open interval is twice as long as the one before, up to Config.MaxOpenFor. Intervals
// have jitter, so that clients do not probe in step. The interval falls back to
// Config.OpenFor when a call succeeds at least Config.Window after the breaker closed.
// A caller that knows when a probe is worthwhile shortens an interval with Hasten.
//
// # Time
//
// Methods take the current time and use its monotonic reading. If a time is earlier
// than a previous one, no time has passed. Times without a monotonic reading (from
// time.Date, or after Round(0)) work if their clock is not set back. The state
// advances when a method is called: there is no timer and no goroutine. Only Do
// reads the clock.
//
// # Throttle
//
// A Breaker admits all calls to one endpoint or none. A Throttle rejects a share of
// a whole client's calls.
package breaker
