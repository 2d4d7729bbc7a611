package server

import (
	"slices"
	"sync"
	"time"
)

// watchdogPeriod is how often the watchdog looks. A run that is unexpectedly long holds up the
// requests behind it for one to two times as long.
const watchdogPeriod = time.Millisecond

// A kept reading belongs to a worker that runs a method meanwhile. Either its worker goes
// on with it after the run, or the watchdog gives it to another worker before.
type kept struct {
	mu      sync.Mutex // protects following
	by      *request   // nil if no method runs on the worker with the reading
	seen    bool       // the watchdog has seen this run
	used    bool       // since the watchdog looked last
	watched bool       // by the watchdog
}

// keepReading keeps the reading with q's worker while its method runs.
func (c *conn) keepReading(q *request) {
	c.stream.pause()
	k := &c.kept
	k.mu.Lock()
	watched := k.watched
	k.by, k.seen, k.used, k.watched = q, false, true, true
	k.mu.Unlock()
	if !watched {
		c.watchReading(c)
	}
}

// resumeReading reports whether q's worker still has the reading that it kept.
func (c *conn) resumeReading(q *request) bool {
	c.kept.mu.Lock()
	defer c.kept.mu.Unlock()
	if c.kept.by != q {
		return false
	}
	c.kept.by = nil
	return true
}

// checkReading gives the reading to another worker if it is kept by a run that was seen before.
// It returns false if the connection has not kept it since the last look, and need not be
// watched until it does.
func (c *conn) checkReading() (watched bool) {
	k := &c.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watched = k.used || k.by != nil
	k.used = false
	if k.by != nil && k.seen {
		k.by.times.record(watchdogPeriod)
		k.by = nil
		c.handOver()
	}
	k.seen = true
	return k.watched
}

// watchdog looks every millisecond at the connections that have kept their reading recently.
// It has a goroutine as long as there are any, so that a request costs neither a timer nor
// a system call.
type watchdog struct {
	mu    sync.Mutex // protects following; locked before a kept's
	conns []*conn
}

// watchReading adds c to the watchdog.
func (s *serving) watchReading(c *conn) {
	w := &s.watchdog
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns = append(w.conns, c); len(w.conns) == 1 {
		s.wg.Go(w.run) // it ends soon after c
	}
}

func (w *watchdog) run() {
	for more := true; more; more = w.look() {
		nap(watchdogPeriod)
	}
}

// look returns false if there is nothing more to look at.
func (w *watchdog) look() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = slices.DeleteFunc(w.conns, func(c *conn) bool { return !c.checkReading() })
	return len(w.conns) > 0
}
