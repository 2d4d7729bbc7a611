package rpcx

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// readiness lets calls wait until an endpoint may take them.
type readiness struct {
	waiting atomic.Int64 // calls that wait

	mu     sync.Mutex    // protects following
	change chan struct{} // closed at the next change; nil if no call waits for that
}

// next returns what is closed when an endpoint may have begun to take calls from now on.
func (r *readiness) next() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.change == nil {
		r.change = make(chan struct{})
	}
	return r.change
}

// announce lets the calls that wait look again.
func (r *readiness) announce() {
	if r.waiting.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.change != nil {
		close(r.change)
		r.change = nil
	}
}

const (
	// readyPauseMost is the longest pause before a call that waits for an endpoint tries
	// again one that seemed to take calls, and did not.
	readyPauseMost = time.Second
	// readyLook is how often a call that waits looks for an endpoint unasked: of a large
	// fleet, the client may begin to use another part, which is not announced.
	readyLook = 250 * time.Millisecond
)

// awaits reports whether the call, which no endpoint has taken, waits until one does.
func (cl *call) awaits(res result) bool {
	if !cl.options.wait || cl.client.fixed {
		return false
	}
	switch res.end { // none of them sent
	case turnedAway, notSent, draining, faultHere:
		return true
	}
	return false
}

// pauseBeforeReady is how long the call leaves the endpoints alone before it waits for one:
// not at all if none of them takes calls.
func (cl *call) pauseBeforeReady(res result) time.Duration {
	if errors.Is(res.err, ErrUnavailable) {
		return 0
	}
	pause := min(leastWait<<min(cl.waited, 10), readyPauseMost)
	cl.waited++
	return pause/2 + rand.N(pause/2)
}

// untilReady waits until an endpoint takes calls, or the context or the client ends.
func (c *core) untilReady(ctx context.Context) error {
	c.ready.waiting.Add(1)
	defer c.ready.waiting.Add(-1)
	look := time.NewTicker(readyLook)
	defer look.Stop()
	for {
		change := c.ready.next()
		if up, _ := c.balancer.Up(time.Now()); up > 0 {
			return nil
		}
		select {
		case <-change:
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return ErrShutdown
		}
	}
}
