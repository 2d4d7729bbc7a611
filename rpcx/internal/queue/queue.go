// Package queue lets calls wait: in a [Queue] until there is room for them, first come first
// served, or for [Readiness], all at once.
//
// No call waits while there is what it waits for, or longer than it may; no lock is held
// while it looks. Nothing here starts a goroutine. The package knows no Client, endpoint or
// call, and imports nothing but the standard library. All of it is safe for concurrent use.
package queue

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"sync"
	"sync/atomic"
	"time"
)

// ErrOverloaded is the error of a call that finds no room in time.
var ErrOverloaded = errors.New("rpcx: too many calls under way")

// A Queue holds calls that wait for room, first come first served. Only the first waiter
// looks for room: when it becomes the first, and whenever it is notified that something may
// have become free. So no notification is lost with a waiter that leaves, and the code that
// frees room need not know for which waiter.
//
// A call looks for room before it joins only if the queue is empty. Room that comes between
// that look and the joining notifies no one, hence the first look of a waiter that is first.
type Queue struct {
	limit    string        // the field that says how much room there is
	patience time.Duration // how long a call may wait
	waiting  atomic.Int64  // the length of waiters; changed under mu

	mu      sync.Mutex    // protects following
	waiters list.List     // of waiter
	looking *list.Element // the first while it looks, and may have found room; else nil
}

// New returns a queue for the room that the field named limit says. Patience is how long a
// call may wait; if it is negative, none may.
func New(limit string, patience time.Duration) *Queue {
	return &Queue{limit: limit, patience: patience}
}

// A Place is where one call waits in a queue.
type Place struct{ at *list.Element }

// waiter is the value of a place. It has room for one notification.
type waiter chan struct{}

func (w waiter) notify() {
	select {
	case w <- struct{}{}:
	default: // it is about to look
	}
}

// Empty reports whether no call waits. A nil queue is always empty.
func (q *Queue) Empty() bool { return q == nil || q.waiting.Load() == 0 }

// Notify lets the first waiter look for room.
func (q *Queue) Notify() {
	if q.Empty() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.notifyFirst()
}

// notifyFirst is Notify for a caller that holds mu.
func (q *Queue) notifyFirst() {
	if first := q.waiters.Front(); first != nil {
		first.Value.(waiter).notify()
	}
}

// Enqueue adds a waiter at the end, unless capacity others wait.
func (q *Queue) Enqueue(capacity int) (Place, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.waiters.Len()
	if q.looking != nil {
		before--
	}
	if q.patience < 0 || before >= capacity {
		return Place{}, fmt.Errorf("%w: %s is reached, and %d wait", ErrOverloaded, q.limit, before)
	}
	at := q.waiters.PushBack(make(waiter, 1))
	q.waiting.Add(1)
	if q.waiters.Len() == 1 {
		q.notifyFirst()
	}
	return Place{at}, nil
}

func (q *Queue) leave(at *list.Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.looking == at {
		q.looking = nil
	}
	q.waiters.Remove(at)
	q.waiting.Add(-1)
	q.notifyFirst()
}

func (q *Queue) setLooking(at *list.Element) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.looking = at
}

// Wait is Enqueue and WaitAt.
func (q *Queue) Wait(ctx, client context.Context, capacity int, look func() bool) error {
	place, err := q.Enqueue(capacity)
	if err != nil {
		return err
	}
	return q.WaitAt(ctx, client, place, look)
}

// WaitAt waits at a place in the queue until look finds room, and no longer than patience,
// ctx and the client last: then the error is [ErrOverloaded], ctx's, or rpc.ErrShutdown. It
// calls look with no lock held, for one caller at a time.
func (q *Queue) WaitAt(ctx, client context.Context, place Place, look func() bool) error {
	defer q.leave(place.at)
	timer := time.NewTimer(q.patience)
	defer timer.Stop()
	for {
		select {
		case <-place.at.Value.(waiter):
			q.setLooking(place.at)
			if look() {
				return nil
			}
			q.setLooking(nil)
		case <-timer.C:
			return fmt.Errorf("%w: %s is reached, for %v", ErrOverloaded, q.limit, q.patience)
		case <-ctx.Done():
			return ctx.Err()
		case <-client.Done():
			return rpc.ErrShutdown
		}
	}
}
