package breaker

import (
	"sync/atomic"
	"time"
)

// An epoch is one period of a breaker in one state, with all that may change during
// the period. Times are durations since start.
type epoch struct {
	// Fixed when the epoch is made.
	b       *Breaker
	state   State
	level   int           // open intervals since the last one of length OpenFor
	openFor time.Duration // Open: length of the interval
	byTrip  bool          // Open: openFor is an argument of Trip
	start   time.Time
	since   time.Time // when state began; before start if the previous epoch had the same state
	down    time.Time // when the breaker left Closed or Disabled; zero while it is in one
	seq     uint64    // Seq of the event for state
	trips   uint64
	cause   error   // Open, HalfOpen: why the breaker opened
	slow    *window // Closed: slow calls; nil if Config.SlowCall is off

	_ [64]byte // keeps the counters off the cache line that every Allow reads

	calls       window                // Closed
	consecutive atomic.Uint64         // Closed: failures since the last success
	failure     atomic.Pointer[error] // Closed: the last non-nil error of a failed call
	proven      atomic.Bool           // Closed: a call succeeded at least Window after start
	probes      atomic.Uint64         // HalfOpen: a probeWord
	rejection   atomic.Pointer[rejection]
}

// elapsed returns the time since start, never negative.
func (e *epoch) elapsed(now time.Time) time.Duration { return max(0, now.Sub(e.start)) }

// growth returns the level of the epoch after e.
func (e *epoch) growth() int {
	if e.proven.Load() {
		return 0
	}
	return e.level
}

// A probeWord is the probes of a half-open epoch in one word:
//
//	lease:48 | used:8 | succeeded:8
//
// used is the number of probes in flight and succeeded; it never exceeds
// Config.Probes. lease is when the permits time out, in microseconds since start.
type probeWord uint64

const (
	maxProbes    = 1<<8 - 1
	oneSucceeded = probeWord(1)
	oneUsed      = probeWord(1 << 8)

	maxProbeTimeout = 365 * 24 * time.Hour // 48 bits of microseconds are nearly nine years
)

func (w probeWord) used() int      { return int(w >> 8 & maxProbes) }
func (w probeWord) succeeded() int { return int(w & maxProbes) }
func (w probeWord) inFlight() int  { return w.used() - w.succeeded() }

func (w probeWord) lease() time.Duration { return time.Duration(w>>16) * time.Microsecond }

// grant returns w with one more permit used and the lease extended to at+timeout.
func (w probeWord) grant(at, timeout time.Duration) probeWord {
	end := max(w>>16, probeWord((at+timeout+time.Microsecond-1)/time.Microsecond))
	return end<<16 | (w+oneUsed)&(1<<16-1)
}

// A rejection is an OpenError that is reused while it is accurate, so that most
// rejections allocate nothing.
type rejection struct {
	at, until time.Duration
	err       OpenError
}

// reject returns the error for a call rejected at a time, by a state that lasts until
// another time.
func (e *epoch) reject(at, until time.Duration) error {
	r := e.rejection.Load()
	if r == nil || r.until != until || at < r.at || at-r.at > min(r.err.RetryAfter>>8, time.Millisecond) {
		r = &rejection{at: at, until: until}
		r.err = OpenError{State: e.state, RetryAfter: until - at, Cause: e.cause}
		e.rejection.Store(r)
	}
	return &r.err
}
