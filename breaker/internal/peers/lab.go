package main

import (
	"container/heap"
	"time"
)

// A gate is a breaker in two steps: it admits a call or not, and done reports the result. It
// may read the clock.
type gate func() (done func(result), admitted bool)

// A lab plays events in the virtual time of the bubble it runs in, so that
// breakers that read the clock see the time it is in the story.
type lab struct {
	begin  time.Time
	events events
	seq    int
}

type event struct {
	at  time.Duration
	seq int // order among those of the same moment
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newLab() *lab { return &lab{begin: time.Now()} }

// now returns the time since the lab began.
func (l *lab) now() time.Duration { return time.Since(l.begin) }

// after plans do for d from now.
func (l *lab) after(d time.Duration, do func()) {
	l.seq++
	heap.Push(&l.events, event{l.now() + d, l.seq, do})
}

// run plays all events before the given time.
func (l *lab) run(until time.Duration) {
	for len(l.events) > 0 && l.events[0].at < until {
		e := heap.Pop(&l.events).(event)
		time.Sleep(e.at - l.now())
		e.do()
	}
}

// A server serves one call at a time, first come first served, and like a
// net/rpc server it also serves canceled calls. It is stopped from stall.from to stall.to.
type server struct {
	service time.Duration
	stall   struct{ from, to time.Duration }
	free    time.Duration // when all that has come in is served
}

// reply returns when a call that comes in now will have been served.
func (s *server) reply(now time.Duration) time.Duration {
	start := max(now, s.free)
	if start >= s.stall.from && start < s.stall.to {
		start = s.stall.to
	}
	s.free = start + s.service
	if start < s.stall.from && s.free > s.stall.from {
		s.free += s.stall.to - s.stall.from
	}
	return s.free
}

// A budget is a client's allowance of retries: each fresh call earns a tenth of one.
type budget struct{ tokens float64 }

const budgetBurst = 10

func newBudget() *budget { return &budget{budgetBurst} }

func (b *budget) earn() {
	if b != nil {
		b.tokens = min(b.tokens+0.1, budgetBurst)
	}
}

// spend reports whether a retry is allowed. A nil budget allows all.
func (b *budget) spend() bool {
	if b == nil {
		return true
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
