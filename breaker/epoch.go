package breaker

import (
	"sync/atomic"
	"time"
)

// An epoch is one stay in one state. All that may change during the stay is
// here, so leaving the state leaves all of it behind. Times are durations
// since start.
type epoch struct {
	// Fixed when the epoch is made.
	b       *Breaker
	state   State
	level   int           // open intervals used up since the last proof of recovery
	openFor time.Duration // Open: length of the interval
	given   bool          // Open: by Trip
	start   time.Time
	since   time.Time // when state began; before start in a later round of the same state
	down    time.Time // when the breaker was Closed or Disabled last; zero while it is
	seq     uint64    // number of the event that announced state
	trips   uint64
	cause   error   // Open, HalfOpen: why
	slow    *window // Closed: slow calls; nil unless Config.SlowCall is on

	_ [64]byte // keeps the counters off the cache line that every Allow reads

	calls       window                // Closed
	consecutive atomic.Uint64         // Closed: failures since the last success
	failure     atomic.Pointer[error] // Closed: of the last failed call that had an error; nil if none had
	proven      atomic.Bool           // Closed: a call succeeded a whole Window after start
	probes      atomic.Uint64         // HalfOpen: a probeWord
	rejection   atomic.Pointer[rejection]
}

// elapsed returns the time since start, never negative.
func (e *epoch) elapsed(now time.Time) time.Duration { return max(0, now.Sub(e.start)) }

// growth returns the level that an epoch after e inherits.
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
// used counts permits in flight and those that succeeded, so no more are
// granted than can still be of use, and one failure leaves too few for the
// successes to close the breaker. lease is in microseconds since start.
type probeWord uint64

const (
	maxProbes    = 1<<8 - 1
	oneSucceeded = probeWord(1)
	oneUsed      = probeWord(1 << 8)

	maxProbeTimeout = 365 * 24 * time.Hour // a lease has room for nearly nine years
)

func (w probeWord) used() int      { return int(w >> 8 & maxProbes) }
func (w probeWord) succeeded() int { return int(w & maxProbes) }
func (w probeWord) inFlight() int  { return w.used() - w.succeeded() }

func (w probeWord) lease() time.Duration { return time.Duration(w>>16) * time.Microsecond }

// grant returns w with one more permit used and the lease running from at.
func (w probeWord) grant(at, timeout time.Duration) probeWord {
	end := max(w>>16, probeWord((at+timeout+time.Microsecond-1)/time.Microsecond))
	return end<<16 | (w+oneUsed)&(1<<16-1)
}

// A rejection is an OpenError with what it was computed from, kept so that
// a storm of rejections does not become a storm of allocations.
type rejection struct {
	at, until time.Duration
	err       OpenError
}

// reject returns the error for a call turned away at the given time by a
// state that lasts until the given time.
func (e *epoch) reject(at, until time.Duration) error {
	r := e.rejection.Load()
	if r == nil || r.until != until || at < r.at || at-r.at > min(r.err.RetryAfter>>8, time.Millisecond) {
		r = &rejection{at: at, until: until}
		r.err = OpenError{State: e.state, RetryAfter: until - at, Cause: e.cause}
		e.rejection.Store(r)
	}
	return &r.err
}
