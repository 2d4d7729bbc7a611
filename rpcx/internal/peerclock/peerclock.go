// Package peerclock tells a deadline in a server's time, of one connection, without clocks
// that agree: see codec.RequestMeta.
//
// It guarantees that a deadline is never too early for the server, unless the clocks of the
// two machines run apart by more than one part in a thousand. It holds no goroutine and
// reads no clock, and imports nothing but the standard library.
package peerclock

import (
	"sync"
	"time"
)

// drift is by what part of a second the two clocks may run apart in a second: twice what the
// correction by NTP may, and more than a bad crystal does.
const drift = 1000

// A Clock estimates the server's time of one connection. The server's begins when it has read the
// first request, and ours just before that is written, so that the server's is behind by at least
// nothing; by how much more, each of its replies shows:
//
//	ours      written ----------------------- answered
//	server's             read ---- replied
//
// The server read the request after it was written. So it was behind by at least our time of the
// writing less the server's of the reading; and the largest such number counts, less what the
// clocks may have run apart since. What a request waits for, in the network or since its server
// is stopped, makes the number smaller, so that it does not count, and no deadline too early.
//
// A Clock may be used concurrently. Its zero value has not begun.
type Clock struct {
	mu     sync.Mutex // protects following
	began  time.Time  // zero before the first request
	behind time.Duration
	at     time.Time // when behind was found
}

// Begin notes that a request is about to be written, if it is the first.
func (c *Clock) Begin(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.began.IsZero() {
		c.began, c.at = now, now
	}
}

// Observe notes the server's time in a reply, codec.ResponseMeta.Clock, to a request that was
// about to be written at the given time. A time of 0 says nothing.
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

// least is by how much the server's time is behind at least. The caller holds mu.
func (c *Clock) least(now time.Time) time.Duration {
	return c.behind - max(0, now.Sub(c.at))/drift
}

// Deadline is a deadline in the server's time, to be sent as codec.RequestMeta.Deadline; it is
// at least the shortest that can be sent. The first request must have begun.
func (c *Clock) Deadline(deadline time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The clocks run apart until the deadline.
	return max(time.Microsecond, deadline.Sub(c.began)-c.least(deadline))
}
