package breaker

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// ErrThrottled is the error for a call that a Throttle rejects.
var ErrThrottled = errors.New("breaker: throttled by the client: too few of its calls are accepted")

// A ThrottleConfig describes a throttle. The zero ThrottleConfig is the
// recommended one.
type ThrottleConfig struct {
	// K is the ratio of requests to accepted calls above which calls are rejected.
	// A lower K rejects more. 0 means 2; at least 1.
	K float64
	// Window is the time over which calls are counted, in ten slices. 0 means 2
	// minutes; at least 1 ms.
	Window time.Duration
	// Floor is the share of calls that are always admitted, so that a recovery is
	// noticed. Up to 1; 0 means 0.05.
	Floor float64
	// Rand returns a number in [0, 1). It may be called concurrently. Nil means
	// math/rand/v2.Float64.
	Rand func() float64
}

// A Throttle is the adaptive throttle of "Site Reliability Engineering", chapter 21. If
// the service refuses a client's calls, the client rejects a share of them before it
// sends them, with the probability
//
//	max(0, (requests - K*accepts) / (requests + 1))
//
// Requests include rejected calls, so that about K*accepts calls are sent. A Throttle is
// for a whole client, not for one endpoint.
//
// It reacts slowly. An outage of a few seconds has no effect, and after an outage longer
// than Window it admits all calls again only after about two Windows. It always recovers,
// because Window bounds the counts and Floor the probability.
//
// All methods may be called concurrently. None blocks or reads the clock.
type Throttle struct {
	cfg   ThrottleConfig // with defaults
	slice time.Duration
	calls atomic.Pointer[throttleCounts]
}

// throttleCounts is the window of a throttle. Its ticks begin at start, the time of the
// first method call.
type throttleCounts struct {
	start time.Time
	window
}

// accepted adds one to the accepts in a throttle's window, where total is the requests and
// bad the accepts.
const accepted = bad - good

// NewThrottle returns a throttle. The error names the invalid field.
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

// Allow counts a request and returns nil, or ErrThrottled if it must not be sent. Call
// Accept if the service accepts the call, and nothing otherwise.
func (t *Throttle) Allow(now time.Time) error {
	w, tick := t.at(now)
	p := t.rejectProbability(w.sum(tick))
	w.add(tick, good)
	if p > 0 && t.cfg.Rand() < p {
		return ErrThrottled
	}
	return nil
}

// Accept reports that the service accepted a call, whatever its result. A call that was
// refused, timed out or did not reach a server was not accepted.
func (t *Throttle) Accept(now time.Time) {
	w, tick := t.at(now)
	w.add(tick, accepted)
}

// rejectProbability returns the probability, from 0 to 1-Floor, with which a call is
// rejected.
func (t *Throttle) rejectProbability(c counts) float64 {
	requests, accepts := float64(c.total), float64(c.bad)
	return min(max(0, (requests-t.cfg.K*accepts)/(requests+1)), 1-t.cfg.Floor)
}

func (t *Throttle) at(now time.Time) (*window, uint64) {
	c := t.calls.Load()
	for c == nil {
		t.calls.CompareAndSwap(nil, &throttleCounts{start: now})
		c = t.calls.Load()
	}
	return &c.window, uint64(max(0, now.Sub(c.start)) / t.slice)
}
