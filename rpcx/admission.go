package rpcx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resilientrpc/balancer"
	"resilientrpc/rpcx/internal/queue"
)

// admit waits until the call may be one of those under way. It returns the time, which
// then has gone on.
func (cl *call) admit(ctx context.Context) (now time.Time, err error) {
	if cl.tryAdmit() {
		return cl.started, nil
	}
	l := cl.client.limit
	if err := l.Wait(ctx, cl.client.ctx, l.Capacity(), l.Take); err != nil {
		return time.Time{}, err
	}
	cl.admitted()
	return time.Now(), nil
}

// tryAdmit makes the call one of those under way, if there is room for it and the
// queue is empty.
func (cl *call) tryAdmit() bool {
	if l := cl.client.limit; l != nil && (!l.Empty() || !l.Take()) {
		return false
	}
	cl.admitted()
	return true
}

// admitted notes that the call is one of those under way, until finish.
func (cl *call) admitted() {
	cl.counted = cl.client.limit != nil
	c := cl.client
	at := cl.started.Sub(c.born)
	if !cl.options.retry {
		c.budget.Deposit(at)
	}
	if h := c.hedger; h != nil && cl.options.hedge {
		h.budget.Deposit(at)
	}
}

// newRoom is the line for an endpoint that has room: Dialer.MaxInFlight, which the
// balancer keeps. It is nil if there is no bound.
func newRoom(most int, patience time.Duration) *queue.Queue {
	if most <= 0 {
		return nil
	}
	return queue.New(fmt.Sprintf("Dialer.MaxInFlight (%d) of every endpoint", most), patience)
}

// pickEndpoint picks an endpoint, and waits for one if all are full. It returns the time,
// which then has gone on.
func (cl *call) pickEndpoint(ctx context.Context, now time.Time) (balancer.Ticket, time.Time, error) {
	ticket, err := cl.pickNow(now)
	if !errors.Is(err, balancer.ErrAllFull) {
		return ticket, now, err
	}
	place, err := cl.client.room.Enqueue(cl.client.capacity())
	if err != nil {
		return ticket, now, err
	}
	return cl.pickAt(ctx, place)
}

// pickNow is pickEndpoint without the wait: it returns balancer.ErrAllFull if all are full,
// or others wait for one.
func (cl *call) pickNow(now time.Time) (balancer.Ticket, error) {
	c := cl.client
	if !c.room.Empty() {
		return balancer.Ticket{}, balancer.ErrAllFull
	}
	ticket, err := c.balancer.Pick(now, cl.pick)
	if err != nil && !errors.Is(err, balancer.ErrAllFull) {
		err = c.unavailable(now)
	}
	return ticket, err
}

// pickAt waits for an endpoint at a place in line.
func (cl *call) pickAt(ctx context.Context, place queue.Place) (balancer.Ticket, time.Time, error) {
	var ticket balancer.Ticket
	var now time.Time
	var picked error
	c := cl.client
	err := c.room.WaitAt(ctx, c.ctx, place, func() bool {
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
