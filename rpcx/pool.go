package rpcx

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"

	"resilientrpc/rpcx/internal/dialing"

	"golang.org/x/sync/singleflight"
)

// errArrived ends the wait for a connection: there is another one by now.
var errArrived = errors.New("rpcx: another connection was made")

// pool is the connections of one endpoint: those that take calls, one in each
// pool slot, and those that are retired and still owe answers.
type pool struct {
	slots []poolSlot // Dialer.Conns of them

	mu   sync.Mutex // protects following
	live map[*conn]struct{}
	gone traffic       // of connections that are over
	next chan struct{} // closed when a pool slot is connected; nil if that is not waited for
}

// traffic is the bytes of connections.
type traffic struct{ read, written uint64 }

func (t *traffic) add(c *conn) {
	if w := c.Wire(); w != nil {
		t.read += uint64(w.Received())  //nolint:gosec // it only grows
		t.written += uint64(w.Queued()) //nolint:gosec // likewise
	}
}

// poolSlot is the place of one connection that takes calls.
type poolSlot struct {
	conn    atomic.Pointer[conn] // nil while there is none
	dials   singleflight.Group
	dialing dialing.Slot // used in dials

	mending atomic.Bool // it is being connected, and no call waits for that
}

func newPool(slots int) *pool {
	return &pool{slots: make([]poolSlot, slots), live: make(map[*conn]struct{})}
}

// fill puts c into the slot, unless that has another connection that takes calls, and returns
// the one that the slot has. A dial and a scout may come for the same slot.
func (l *poolSlot) fill(c *conn) *conn {
	for {
		old := l.conn.Load()
		if old != nil && old.Takes() {
			return old
		}
		if l.conn.CompareAndSwap(old, c) {
			return c
		}
	}
}

// pick returns the pool slot with the fewest calls in flight, of those that are
// connected if any is.
func (p *pool) pick() *poolSlot {
	best := &p.slots[0]
	if len(p.slots) == 1 {
		return best
	}
	least := math.MaxInt
	for i := range p.slots {
		l := &p.slots[i]
		if c := l.conn.Load(); c != nil {
			if load := c.Load(); load < least {
				best, least = l, load
			}
		}
	}
	return best
}

// connected reports whether any pool slot is.
func (p *pool) connected() bool { return p.pick().conn.Load() != nil }

// arrival returns what is closed when a pool slot has been connected from now on.
func (p *pool) arrival() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = make(chan struct{})
	}
	return p.next
}

// arrive notes that a slot has been connected.
func (p *pool) arrive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != nil {
		close(p.next)
		p.next = nil
	}
}

// lacking reports whether there is a pool slot that is neither connected nor being mended.
func (p *pool) lacking() bool {
	for i := range p.slots {
		if l := &p.slots[i]; l.conn.Load() == nil && !l.mending.Load() {
			return true
		}
	}
	return false
}

// add makes c a live connection, and reports whether it is the only one.
func (p *pool) add(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live[c] = struct{}{}
	return len(p.live) == 1
}

// remove reports whether c was the last live connection.
func (p *pool) remove(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.live[c]; ok {
		delete(p.live, c)
		p.gone.add(c)
	}
	return len(p.live) == 0
}

// stats returns the number of live connections, and the traffic of all there were.
func (p *pool) stats() (conns int, all traffic) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all = p.gone
	for c := range p.live {
		all.add(c)
	}
	return len(p.live), all
}

// empty reports whether there is no live connection.
func (p *pool) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.live) == 0
}

// all returns the live connections.
func (p *pool) all() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*conn, 0, len(p.live))
	for c := range p.live {
		out = append(out, c)
	}
	return out
}

// get returns the pool slot's connection, and has it made by dial if there is none:
// once for all callers, with no lock held, and for the client's time rather than
// one caller's. It returns errArrived once another pool slot is connected.
func (l *poolSlot) get(ctx, client context.Context, arrived <-chan struct{}, dial func() (*conn, error)) (*conn, error) {
	dialed := l.dials.DoChan("", func() (any, error) {
		if c := l.conn.Load(); c != nil {
			return c, nil
		}
		return dial()
	})
	select {
	case d := <-dialed:
		if d.Err != nil {
			return nil, d.Err
		}
		return d.Val.(*conn), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-arrived:
		return nil, errArrived
	case <-client.Done(): // a dial may need a little longer to see it
		return nil, ErrShutdown
	}
}
