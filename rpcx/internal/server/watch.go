package server

import (
	"os"
	"time"

	"resilientrpc/rpcx/internal/wire"
)

// The watch looks once a second at every connection, so that requests need no timers.
const (
	watchEvery = time.Second
	// minRate is how many bytes of a request have to come in a second for its connection
	// to be busy.
	minRate = 1 << 10
	// enoughIdle is after how many seconds without anything to do a connection may be
	// retired to make room for another one.
	enoughIdle = 5
	// maxPause is how many seconds a request that has begun may take without minRate.
	maxPause = 30
	// maxStall is for how many seconds the connection may take no piece of a reply before
	// its write is ended, and goes on only if it has taken some of it; stuck is for how
	// many if it does not end.
	maxStall = 10
	stuck    = maxStall + 5
)

// watch looks at the connections until the serving has ended.
func (s *serving) watch(ended <-chan struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ended:
			s.logRefused()
			return
		}
		for _, c := range s.all() {
			c.look()
		}
		s.memory.sweep(time.Now())
		s.logRefused()
	}
}

// logRefused writes one line for all connections that were refused since the last one.
func (s *serving) logRefused() {
	s.mu.Lock()
	r := s.surplus
	s.surplus = refusedConns{}
	s.mu.Unlock()
	if r.n > 0 {
		s.log.Warn("connections refused: there are as many as ServeConfig.MaxConns", "max", s.cfg.MaxConns, "refused", r.n, "last", r.last)
	}
}

// A sight is what was seen of a connection at one look. It belongs to the watch.
type sight struct {
	requests, received, sent int64
	stalled                  int // looks in a row that saw nothing taken of what waits to be written
	paused                   int // looks in a row that saw a request begun, and less than minRate of it come
}

// look notes what the connection has done since the last look, and closes it if its
// client does not go on.
func (c *conn) look() {
	now := sight{requests: c.requests.Load(), received: c.stream.Received(), sent: c.stream.Sent()}
	slow := now.received-c.seen.received < minRate
	if slow && c.stream.insideRequest() {
		now.paused = c.seen.paused + 1
	}
	if now.sent == c.seen.sent && c.stream.Busy() {
		now.stalled = c.seen.stalled + 1
	}
	c.setIdle(slow && now.requests == c.seen.requests && !c.busy())
	c.seen = now
	switch {
	case now.stalled == maxStall:
		c.nc.SetWriteDeadline(time.Now()) //nolint:errcheck // then it is stuck
	case now.stalled == stuck:
		c.fail(os.ErrDeadlineExceeded)
	case now.paused == maxPause:
		c.log.Warn("connection closed: a request has begun and does not go on", "remote", c.nc.RemoteAddr())
		c.abort(wire.ErrClosed)
	}
}

// setIdle notes whether the last look saw nothing to do.
func (c *conn) setIdle(idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idleLooks++
	if !idle {
		c.idleLooks = 0
	}
}
