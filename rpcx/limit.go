package rpcx

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"resilientrpc/balancer"
)

// queue is a line of calls that wait for room. The first in line alone looks for
// it, whenever it is poked: when something may have become free, and when it has
// become the first. So those who came first go first, no wake-up is lost with one
// who gives up, and whoever makes room does not need to know for whom.
//
// Its users look for room before they join only if the line is empty. Between that
// look and joining room may come that nobody is poked for, hence the first look of
// one who is first on joining.
type queue struct {
	limit    string        // the field that says how much room there is
	patience time.Duration // how long one may wait
	waiting  atomic.Int64  // the length of line; changed under mu

	mu      sync.Mutex    // protects following
	line    list.List     // of turns
	looking *list.Element // the first while it looks, and may have found room; else nil
}

// turn is one place in line. It has room for one poke.
type turn chan struct{}

func (t turn) poke() {
	select {
	case t <- struct{}{}:
	default: // it is about to look
	}
}

// empty reports whether nobody waits. A nil queue is always empty.
func (q *queue) empty() bool { return q == nil || q.waiting.Load() == 0 }

// poke lets the first in line look for room.
func (q *queue) poke() {
	if q.empty() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pokeFirst()
}

// pokeFirst is poke for who holds mu.
func (q *queue) pokeFirst() {
	if first := q.line.Front(); first != nil {
		first.Value.(turn).poke()
	}
}

// join goes to the end of the line, unless capacity others stand there.
func (q *queue) join(capacity int) (*list.Element, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.line.Len()
	if q.looking != nil {
		before--
	}
	if q.patience < 0 || before >= capacity {
		return nil, fmt.Errorf("%w: %s is reached, and %d wait", ErrOverloaded, q.limit, before)
	}
	place := q.line.PushBack(make(turn, 1))
	q.waiting.Add(1)
	if q.line.Len() == 1 {
		q.pokeFirst()
	}
	return place, nil
}

func (q *queue) leave(place *list.Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.looking == place {
		q.looking = nil
	}
	q.line.Remove(place)
	q.waiting.Add(-1)
	q.pokeFirst()
}

func (q *queue) setLooking(place *list.Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.looking = place
}

// wait joins the line and stands in it.
func (q *queue) wait(ctx, client context.Context, capacity int, look func() bool) error {
	place, err := q.join(capacity)
	if err != nil {
		return err
	}
	return q.stand(ctx, client, place, look)
}

// stand waits at a place in line until look finds room, and no longer than patience,
// ctx and the client last. It calls look with no lock held, for one caller at a time.
func (q *queue) stand(ctx, client context.Context, place *list.Element, look func() bool) error {
	defer q.leave(place)
	timer := time.NewTimer(q.patience)
	defer timer.Stop()
	for {
		select {
		case <-place.Value.(turn):
			q.setLooking(place)
			if look() {
				return nil
			}
			q.setLooking(nil)
		case <-timer.C:
			return fmt.Errorf("%w: %s is reached, for %v", ErrOverloaded, q.limit, q.patience)
		case <-ctx.Done():
			return ctx.Err()
		case <-client.Done():
			return ErrShutdown
		}
	}
}

// limiter bounds the calls under way: Dialer.MaxCalls. A nil limiter does not.
type limiter struct {
	queue
	most  int64
	taken atomic.Int64
}

func newLimiter(most int, patience time.Duration) *limiter {
	if most <= 0 {
		return nil
	}
	return &limiter{
		most:  int64(most),
		queue: queue{limit: fmt.Sprintf("Dialer.MaxCalls (%d)", most), patience: patience},
	}
}

// take makes one of the calls under way of the caller's, if there is room. It never
// exceeds the limit for a moment: another would be refused in that.
func (l *limiter) take() bool {
	for {
		n := l.taken.Load()
		if n >= l.most {
			return false
		}
		if l.taken.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// capacity is how many may wait: as many as may be under way, and those for whom
// there is room, who just have not been told.
func (l *limiter) capacity() int { return int(2*l.most - l.taken.Load()) }

func (l *limiter) give() {
	l.taken.Add(-1)
	l.poke()
}

// limited is the call with all its attempts, once there is room for it.
func (r *run) limited(ctx context.Context, now time.Time) error {
	if !r.admit() {
		l := r.client.limit
		if err := l.wait(ctx, r.client.ctx, l.capacity(), l.take); err != nil {
			return r.fail(result{err: err, own: true})
		}
		r.admitted()
		now = time.Now()
	}
	return r.loop(ctx, now)
}

// admit makes the call one of those under way, if there is room for it and nobody
// waits for that.
func (r *run) admit() bool {
	if l := r.client.limit; l != nil && (!l.empty() || !l.take()) {
		return false
	}
	r.admitted()
	return true
}

// admitted notes that the call is one of those under way, until over.
func (r *run) admitted() {
	r.counted = r.client.limit != nil
	if !r.options.retry {
		r.client.budget.deposit()
	}
	if h := r.client.hedger; h != nil && r.options.hedge {
		h.budget.deposit()
	}
}

// newRoom is the line for an endpoint that has room: Dialer.MaxInFlight, which the
// balancer keeps. It is nil if there is no bound.
func newRoom(most int, patience time.Duration) *queue {
	if most <= 0 {
		return nil
	}
	return &queue{limit: fmt.Sprintf("Dialer.MaxInFlight (%d) of every endpoint", most), patience: patience}
}

// place picks an endpoint, and waits for one if all are full. It returns the time,
// which then has gone on.
func (r *run) place(ctx context.Context, now time.Time) (balancer.Ticket, time.Time, error) {
	ticket, err := r.placeNow(now)
	if !errors.Is(err, balancer.ErrAllFull) {
		return ticket, now, err
	}
	place, err := r.client.room.join(r.client.capacity())
	if err != nil {
		return ticket, now, err
	}
	return r.placeAt(ctx, place)
}

// placeNow is place without the wait: it returns balancer.ErrAllFull if all are full,
// or others wait for one.
func (r *run) placeNow(now time.Time) (balancer.Ticket, error) {
	c := r.client
	if !c.room.empty() {
		return balancer.Ticket{}, balancer.ErrAllFull
	}
	ticket, err := c.balancer.Pick(now, r.pick)
	if err != nil && !errors.Is(err, balancer.ErrAllFull) {
		err = c.unavailable(now)
	}
	return ticket, err
}

// placeAt waits for an endpoint at a place in line.
func (r *run) placeAt(ctx context.Context, place *list.Element) (balancer.Ticket, time.Time, error) {
	var ticket balancer.Ticket
	var now time.Time
	var picked error
	c := r.client
	err := c.room.stand(ctx, c.ctx, place, func() bool {
		now = time.Now()
		ticket, picked = c.balancer.Pick(now, r.pick)
		return !errors.Is(picked, balancer.ErrAllFull)
	})
	if err == nil && picked != nil {
		err = c.unavailable(now)
	}
	return ticket, now, err
}

// capacity is how many may wait for an endpoint, as that of a limiter is.
func (c *core) capacity() int {
	sum, most := 0, c.dialer.MaxInFlight
	for _, n := range c.balancer.Nodes() {
		sum += most
		if n.State() <= balancer.Suspect {
			sum += max(most-n.InFlight(), 0)
		}
	}
	return sum
}
