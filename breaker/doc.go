// Package breaker is a circuit breaker that is given the time, never blocks,
// and cannot be moved by results that belong to an earlier state.
//
// The contract of a caller is three lines:
//
//	permit, err := b.Allow(now) // *OpenError while the breaker is open
//	// make the call
//	permit.Done(now, breaker.Success, nil) // or Failure, or Ignored, and the call's error
//
// Everything a breaker knows about one stay in one state (its window, its
// probe permits, its deadline) lives in one object, an epoch, and the breaker
// is a pointer to the current one. A permit remembers the epoch that granted
// it. A result counts if and only if that epoch is still current, and every
// transition is one compare-and-swap of the pointer. Hence a late result can
// neither decide a newer state nor hand back a newer state's permit, and of any
// number of racing transitions exactly one happens.
//
// # When it opens
//
// Three rules are on by default or by choice; each is judged only when a call
// has failed, so a success never opens the breaker:
//
//   - at least Config.ConsecutiveFailures failed in a row and no call succeeded
//     in the current or the previous slice of the window. The second half is
//     what keeps the rule quiet under partial failure, where runs of failures
//     are a matter of chance;
//   - at least Config.FailureRatio of at least Config.MinCalls calls failed
//     within Config.Window;
//   - Config.FailuresInWindow calls failed within Config.Window (off unless set).
//
// A fourth, Config.SlowCall, judges duration rather than outcome. Failures are
// counted when they are reported, so calls that take longer than the window
// to fail are seen.
//
// # How it closes
//
// After an open interval, jittered so that clients do not return in step, the
// breaker is half-open and lets Config.Probes calls in. It closes when as many
// have succeeded and opens again on the first failure, for longer. A probe
// whose result does not come within Config.ProbeTimeout loses its permit. The
// interval starts from Config.OpenFor again once a call has succeeded a whole
// Config.Window after the breaker closed; one lucky probe is not enough.
//
// # Time
//
// Methods take the current time and use its monotonic reading; a time before
// one already seen counts as no time passed. Values without a monotonic
// reading (from time.Date, or after Round(0)) work as long as they come from
// a clock that is not set back. The state advances whenever a method is given
// the time, so there is no timer and no goroutine. Only Do reads the clock.
//
// # Beside it
//
// A Breaker is all or nothing and guards one endpoint. A Throttle sheds load in
// proportion and guards what lies behind a whole client.
package breaker
