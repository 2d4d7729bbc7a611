package queue

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A Limiter bounds the calls under way: Dialer.MaxCalls. Its queue has those that wait.
type Limiter struct {
	Queue
	most  int64
	taken atomic.Int64
}

// NewLimiter returns the limiter of most calls; nil for no bound, if most is not positive.
func NewLimiter(most int, patience time.Duration) *Limiter {
	if most <= 0 {
		return nil
	}
	return &Limiter{
		most:  int64(most),
		Queue: Queue{limit: fmt.Sprintf("Dialer.MaxCalls (%d)", most), patience: patience},
	}
}

// Take makes one of the calls under way of the caller's, if there is room. It never
// exceeds the limit for a moment: another would be refused in that.
func (l *Limiter) Take() bool {
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

// Capacity is how many calls may wait: as many as may be under way, and those for which
// there is room, but whose waiters have not run yet.
func (l *Limiter) Capacity() int { return int(2*l.most - l.taken.Load()) }

// Give ends one of the calls under way.
func (l *Limiter) Give() {
	l.taken.Add(-1)
	l.Notify()
}
