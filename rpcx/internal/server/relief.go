package server

import (
	"slices"
	"sync"
	"time"
)

// reliefEvery is how often the relief looks, and so how long a run that is unexpectedly
// long can hold up the requests behind it. An idle process has no finer timers.
const reliefEvery = time.Millisecond

// A kept reading belongs to a worker that runs a method meanwhile. Either its worker takes
// it back after the run, or the relief gives it to another worker before.
type kept struct {
	mu      sync.Mutex // protects following
	by      *request   // nil if the worker with the reading runs no method
	used    bool       // since the relief looked last
	watched bool       // by the relief
}

// keepReading keeps the reading with q's worker while its method runs.
func (c *conn) keepReading(q *request) {
	c.kept.mu.Lock()
	c.kept.by, c.kept.used = q, true
	watched := c.kept.watched
	c.kept.watched = true
	c.kept.mu.Unlock()
	if !watched {
		c.relief.watch(c)
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

// relieve gives the reading to another worker if a run that is long keeps it. It returns
// false if the connection need not be watched, for now.
func (c *conn) relieve() (watched bool) {
	k := &c.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	if q := k.by; q != nil {
		k.used = true
		if took := time.Duration(c.stream.now() - q.began); took > shortRun {
			q.times.record(took)
			k.by = nil
			c.handOver()
		}
	}
	k.watched, k.used = k.used, false
	return k.watched
}

// relief looks every millisecond at the connections that have kept their reading of late.
// With one timer for all of them, which stops when there are none, and which requests
// start only then, a request costs neither a timer nor a system call.
type relief struct {
	mu    sync.Mutex // protects following; locked before a kept's
	conns []*conn
	timer *time.Timer // runs if and only if there are conns
}

// watch adds a connection.
func (r *relief) watch(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, c)
	if len(r.conns) == 1 {
		r.start()
	}
}

// start has look called in a millisecond. The caller holds mu.
func (r *relief) start() {
	if r.timer == nil {
		r.timer = time.AfterFunc(reliefEvery, r.look)
		return
	}
	r.timer.Reset(reliefEvery)
}

func (r *relief) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = slices.DeleteFunc(r.conns, func(c *conn) bool { return !c.relieve() })
	if len(r.conns) > 0 {
		r.start()
	}
}
