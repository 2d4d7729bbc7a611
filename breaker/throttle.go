package breaker

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// ErrThrottled is the error of a call that a Throttle turned away.
var ErrThrottled = errors.New("breaker: throttled by the client: too few of its calls are accepted")

// A ThrottleConfig describes a throttle. The zero ThrottleConfig is the
// recommended one.
type ThrottleConfig struct {
	// K is how many calls may be tried for each that is accepted before calls
	// are turned away. Lower is stricter. 0 means 2; at least 1.
	K float64
	// Window is how far back calls count, in ten slices. 0 means 2 minutes; at
	// least 1 ms.
	Window time.Duration
	// Floor is the share of calls, over 0 up to 1, that are let through however
	// bad it looks, so that a recovery is seen. 0 means 0.05.
	Floor float64
	// Rand returns a number in [0, 1). It may be called concurrently. Nil means
	// math/rand/v2.Float64.
	Rand func() float64
}

// A Throttle is the adaptive throttle of "Site Reliability Engineering",
// chapter 21: a client that sees its calls refused turns a share of them away
// itself, with probability
//
//	max(0, (requests - K*accepts) / (requests + 1))
//
// It belongs to a whole client rather than to one endpoint, and where a
// Breaker is all or nothing it sheds in proportion. Requests include those
// turned away here: that is what makes K*accepts the rate of calls that are
// sent. The memory is bounded by Window and the probability by Floor, so a
// throttle cannot lock itself in. It is slow by design: an outage of seconds
// does not rouse it, and after one longer than Window it takes two Windows or
// so until every call passes again. All methods may be called concurrently; none
// blocks or reads the clock.
type Throttle struct {
	cfg   ThrottleConfig // with defaults
	slice time.Duration
	calls atomic.Pointer[throttled]
}

// throttled is what a throttle has counted since the first time it was given.
type throttled struct {
	start time.Time
	window
}

// accepted counts in a window whose total is requests and whose bad is accepts.
const accepted = bad - good

// NewThrottle returns a throttle, or an error that names the field of cfg that
// makes no sense.
func NewThrottle(cfg ThrottleConfig) (*Throttle, error) {
	setDefault(&cfg.K, 2)
	setDefault(&cfg.Window, 2*time.Minute)
	setDefault(&cfg.Floor, 0.05)
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	switch {
	case !(cfg.K >= 1): // written so that NaN fails
		return nil, &fieldError{"ThrottleConfig", "K", cfg.K, "at least 1"}
	case cfg.Window < time.Millisecond:
		return nil, &fieldError{"ThrottleConfig", "Window", cfg.Window, "at least 1ms"}
	case !(cfg.Floor > 0 && cfg.Floor <= 1):
		return nil, &fieldError{"ThrottleConfig", "Floor", cfg.Floor, "a value from 0 to 1"}
	}
	return &Throttle{cfg: cfg, slice: cfg.Window / slices}, nil
}

// Allow counts a request and returns nil, or ErrThrottled if it should not be
// sent. An accepted call is reported by Accept; any other needs no report.
func (t *Throttle) Allow(now time.Time) error {
	w, tick := t.at(now)
	p := t.reject(w.sum(tick))
	w.add(tick, good)
	if p > 0 && t.cfg.Rand() < p {
		return ErrThrottled
	}
	return nil
}

// Accept reports that a call was accepted: that the other side took it up,
// whatever the result, rather than refused it, timed out or was not there.
func (t *Throttle) Accept(now time.Time) {
	w, tick := t.at(now)
	w.add(tick, accepted)
}

// reject returns the probability, from 0 to 1-Floor, with which a call is turned away.
func (t *Throttle) reject(c counts) float64 {
	requests, accepts := float64(c.total), float64(c.bad)
	return min(max(0, (requests-t.cfg.K*accepts)/(requests+1)), 1-t.cfg.Floor)
}

func (t *Throttle) at(now time.Time) (*window, uint64) {
	c := t.calls.Load()
	for c == nil {
		t.calls.CompareAndSwap(nil, &throttled{start: now})
		c = t.calls.Load()
	}
	return &c.window, uint64(max(0, now.Sub(c.start)) / t.slice)
}
