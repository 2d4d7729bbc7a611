package rpcx

import (
	"math/rand/v2"
	"sync"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/rpcx/internal/dialing"
)

const (
	// redialFirst is the pause after a dial that has failed. It doubles with each
	// further one, up to redialMost, or to redialLocal where the fault was on this
	// side: then the peer is not burdened.
	redialFirst = 100 * time.Millisecond
	redialMost  = 5 * time.Second
	redialLocal = time.Second
)

// redials paces the dials to an endpoint that have failed and did not open its breaker.
type redials struct {
	mu     sync.Mutex // protects following
	failed int        // in a row
	newest *conn      // the endpoint's newest connection when the last one failed
	next   time.Time  // no dial before
	cause  *dialError // why the last one failed, if that was on this side; else nil
}

// fail notes a failed dial, or a connection that ended before it had answered anything.
// Failures count from the last connection that has answered.
func (r *redials) fail(now time.Time, newest *conn, local *dialError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if newest != r.newest && newest != nil && newest.answered.Load() {
		r.failed = 0
	}
	most := redialMost
	if local != nil {
		most = redialLocal
	}
	pause := min(redialFirst<<min(r.failed, 10), most)
	r.failed++
	r.newest, r.cause = newest, local
	r.next = now.Add(pause/2 + rand.N(pause/2))
}

// succeed ends the pause.
func (r *redials) succeed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next, r.cause = time.Time{}, nil
}

// due is when a dial may be tried again that no call waits for.
func (r *redials) due() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// refuse returns why a dial at now would fail, if the last one did for want of something
// on this side: calls fail at once rather than each with a dial of its own.
func (r *redials) refuse(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause == nil || !now.Before(r.next) {
		return nil
	}
	return r.cause
}

// dialFailed judges a dial that has failed. It is evidence enough that the peer is not
// there, so that the breaker opens without waiting for more; but not if another
// connection works, as behind a virtual address of several servers, or if the fault was
// on this side.
func (e *endpoint) dialFailed(now time.Time, err error) *dialError {
	ours := dialing.IsLocal(err)
	d := &dialError{err: err, blameless: ours || e.pool.connected()}
	var local *dialError
	if ours {
		local = d
	}
	e.redials.fail(now, e.last.Load(), local)
	if !d.blameless {
		e.breaker.Trip(now, 0, d)
	}
	return d
}

// mend replaces lost connections before a call needs them, but within a quarter of a
// slot rather than at once: a server that goes away leaves all its clients together.
// It does not wait for the dials. Without pings, which would keep a connection up, it is
// for calls only that have passed over the endpoint.
func (p *prober) mend(now time.Time) {
	called := p.called() || p.pings
	switch {
	case p.fixed || p.left.Load() || !p.dials(now) || !p.pool.lacking():
		p.redial = time.Time{}
		return
	case p.redial.IsZero() && !called:
		return
	case p.redial.IsZero():
		p.redial = now.Add(rand.N(min(p.slot/4, rejoinSpread)))
	}
	if due := p.redials.due(); due.After(p.redial) {
		p.redial = due
	}
	if now.Before(p.redial) {
		return
	}
	p.redial = time.Time{}
	for i := range p.pool.slots {
		p.connectLater(&p.pool.slots[i])
	}
}

// called reports whether the client has made calls since it was last asked.
func (p *prober) called() bool {
	before := p.calls
	p.calls = p.client.calls.Load()
	return p.calls != before
}

// dials reports whether connections are to be made now. Of a half-open breaker that is
// part of the try.
func (p *prober) dials(now time.Time) bool {
	switch p.breaker.State(now) {
	case breaker.Closed, breaker.Disabled:
		return true
	case breaker.HalfOpen:
		return !p.probing()
	}
	return false
}

// connectLater connects a pool slot in a goroutine of its own, unless that is being done.
func (e *endpoint) connectLater(l *poolSlot) {
	if l.conn.Load() != nil || l.mending.Swap(true) {
		return
	}
	e.client.background(func() {
		defer e.kick()
		defer l.mending.Store(false)
		e.connect(e.client.ctx, l) //nolint:errcheck // dialFailed has seen it
	})
}
