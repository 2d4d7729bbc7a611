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

// queue holds calls that wait for room, first come first served. Only the first waiter
// looks for room: when it becomes the first, and whenever it is notified that something may
// have become free. So no notification is lost with a waiter that leaves, and the code that
// frees room need not know for which waiter.
//
// A call looks for room before it joins only if the queue is empty. Room that comes between
// that look and the joining notifies no one, hence the first look of a waiter that is first.
type queue struct {
	limit    string        // the field that says how much room there is
	patience time.Duration // how long a call may wait
	waiting  atomic.Int64  // the length of waiters; changed under mu

	mu      sync.Mutex    // protects following
	waiters list.List     // of waiter
	looking *list.Element // the first while it looks, and may have found room; else nil
}

// waiter is one place in a queue. It has room for one notification.
type waiter chan struct{}

func (w waiter) notify() {
	select {
	case w <- struct{}{}:
	default: // it is about to look
	}
}

// empty reports whether no call waits. A nil queue is always empty.
func (q *queue) empty() bool { return q == nil || q.waiting.Load() == 0 }

// notify lets the first waiter look for room.
func (q *queue) notify() {
	if q.empty() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.notifyFirst()
}

// notifyFirst is notify for a caller that holds mu.
func (q *queue) notifyFirst() {
	if first := q.waiters.Front(); first != nil {
		first.Value.(waiter).notify()
	}
}

// enqueue adds a waiter at the end, unless capacity others wait.
func (q *queue) enqueue(capacity int) (*list.Element, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.waiters.Len()
	if q.looking != nil {
		before--
	}
	if q.patience < 0 || before >= capacity {
		return nil, fmt.Errorf("%w: %s is reached, and %d wait", ErrOverloaded, q.limit, before)
	}
	place := q.waiters.PushBack(make(waiter, 1))
	q.waiting.Add(1)
	if q.waiters.Len() == 1 {
		q.notifyFirst()
	}
	return place, nil
}

func (q *queue) leave(place *list.Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.looking == place {
		q.looking = nil
	}
	q.waiters.Remove(place)
	q.waiting.Add(-1)
	q.notifyFirst()
}

func (q *queue) setLooking(place *list.Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.looking = place
}

// wait is enqueue and waitAt.
func (q *queue) wait(ctx, client context.Context, capacity int, look func() bool) error {
	place, err := q.enqueue(capacity)
	if err != nil {
		return err
	}
	return q.waitAt(ctx, client, place, look)
}

// waitAt waits at a place in the queue until look finds room, and no longer than patience,
// ctx and the client last. It calls look with no lock held, for one caller at a time.
func (q *queue) waitAt(ctx, client context.Context, place *list.Element, look func() bool) error {
	defer q.leave(place)
	timer := time.NewTimer(q.patience)
	defer timer.Stop()
	for {
		select {
		case <-place.Value.(waiter):
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

// capacity is how many calls may wait: as many as may be under way, and those for which
// there is room, but whose waiters have not run yet.
func (l *limiter) capacity() int { return int(2*l.most - l.taken.Load()) }

func (l *limiter) give() {
	l.taken.Add(-1)
	l.notify()
}

// admit waits until the call may be one of those under way. It returns the time, which
// then has gone on.
func (cl *call) admit(ctx context.Context) (now time.Time, err error) {
	if cl.tryAdmit() {
		return cl.started, nil
	}
	l := cl.client.limit
	if err := l.wait(ctx, cl.client.ctx, l.capacity(), l.take); err != nil {
		return time.Time{}, err
	}
	cl.admitted()
	return time.Now(), nil
}

// tryAdmit makes the call one of those under way, if there is room for it and the
// queue is empty.
func (cl *call) tryAdmit() bool {
	if l := cl.client.limit; l != nil && (!l.empty() || !l.take()) {
		return false
	}
	cl.admitted()
	return true
}

// admitted notes that the call is one of those under way, until finish.
func (cl *call) admitted() {
	cl.counted = cl.client.limit != nil
	if !cl.options.retry {
		cl.client.budget.deposit()
	}
	if h := cl.client.hedger; h != nil && cl.options.hedge {
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

// pickEndpoint picks an endpoint, and waits for one if all are full. It returns the time,
// which then has gone on.
func (cl *call) pickEndpoint(ctx context.Context, now time.Time) (balancer.Ticket, time.Time, error) {
	ticket, err := cl.pickNow(now)
	if !errors.Is(err, balancer.ErrAllFull) {
		return ticket, now, err
	}
	place, err := cl.client.room.enqueue(cl.client.capacity())
	if err != nil {
		return ticket, now, err
	}
	return cl.pickAt(ctx, place)
}

// pickNow is pickEndpoint without the wait: it returns balancer.ErrAllFull if all are full,
// or others wait for one.
func (cl *call) pickNow(now time.Time) (balancer.Ticket, error) {
	c := cl.client
	if !c.room.empty() {
		return balancer.Ticket{}, balancer.ErrAllFull
	}
	ticket, err := c.balancer.Pick(now, cl.pick)
	if err != nil && !errors.Is(err, balancer.ErrAllFull) {
		err = c.unavailable(now)
	}
	return ticket, err
}

// pickAt waits for an endpoint at a place in line.
func (cl *call) pickAt(ctx context.Context, place *list.Element) (balancer.Ticket, time.Time, error) {
	var ticket balancer.Ticket
	var now time.Time
	var picked error
	c := cl.client
	err := c.room.waitAt(ctx, c.ctx, place, func() bool {
		now = time.Now()
		ticket, picked = c.balancer.Pick(now, cl.pick)
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
