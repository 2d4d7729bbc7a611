// Package peerclock converts a deadline to the connection time of a server (see
// codec.RequestMeta). The clocks of client and server need not agree.
//
// It guarantees that the converted deadline is not too early, unless the rates of the two
// clocks differ by more than one part in a thousand. It starts no goroutine, reads no
// clock, and imports only the standard library.
package peerclock

import (
	"math"
	"sync"
	"time"
)

// drift is the reciprocal of the largest difference of the clocks' rates. One part in a
// thousand is twice the largest correction by NTP, and more than the error of a bad quartz.
const drift = 1000

// A Clock estimates how far the server's connection time is behind the client's. The
// client's begins just before it writes the first request, and the server's when it has
// read it. So the server is behind by 0 or more. Each reply gives a better lower bound:
//
//	client   written ----------------------- received
//	server              read ---- replied
//
// The server reads a request after the client has written it. So the server is behind by at
// least the client's time of the write less the server's time of the read. The largest such
// bound counts, less the possible drift since then. A delay between write and read makes
// the bound smaller, so it cannot make a deadline too early.
//
// A Clock may be used concurrently. The zero Clock has not begun.
type Clock struct {
	mu     sync.Mutex // protects following
	began  time.Time  // zero before the first request
	behind time.Duration
	at     time.Time // the time at which behind was valid
}

// Begin begins the client's connection time, unless it has begun. Call it just before a
// request is written.
func (c *Clock) Begin(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.began.IsZero() {
		c.began, c.at = now, now
	}
}

// Observe records the server's time in a reply, codec.ResponseMeta.Clock, and the time just
// before its request was written. A clock of 0 is ignored.
func (c *Clock) Observe(written time.Time, clock time.Duration) {
	if clock <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if behind := written.Sub(c.began) - clock; !c.began.IsZero() && behind >= c.least(written) {
		c.behind, c.at = behind, written
	}
}

// least returns the lower bound at now of how far the server is behind. The caller holds mu.
func (c *Clock) least(now time.Time) time.Duration {
	return c.behind - max(0, now.Sub(c.at))/drift
}

// Deadline converts a deadline to the server's time, for codec.RequestMeta.Deadline. It
// returns at least 1 µs, the least deadline that can be sent. One that is too far away for a
// time.Duration becomes the largest, which is none on the wire. Begin must have been called.
func (c *Clock) Deadline(deadline time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	left, least := deadline.Sub(c.began), c.least(deadline) // the clocks drift until the deadline
	if least < 0 && left > math.MaxInt64+least {
		return math.MaxInt64
	}
	return max(time.Microsecond, max(0, left)-least)
}
