package breaker

import (
	"sync"
	"time"
)

// An Event is one change of a breaker's state.
type Event struct {
	// Seq is the number of the change, from 1 and without gaps.
	Seq uint64
	// From and To are the states before and after the change. They differ.
	From, To State
	// At is when the change took effect. From Open to HalfOpen, this is the end of
	// the interval, which may be earlier than the method call that found it.
	At time.Time
	// Cause is why the breaker opened. It is nil if To is Closed, and may be nil if To is
	// ForcedOpen.
	Cause error
	// OpenFor is the length of the open interval if To is Open, else 0. Later, Breaker.Hasten
	// may shorten the interval and Breaker.Trip extend it, without an Event.
	OpenFor time.Duration
}

// A feed delivers events in the order of their numbers. Concurrent transitions may
// publish them in another order; an event then waits for the ones before it.
type feed struct {
	fn func(Event)

	mu      sync.Mutex // protects following; not held while fn runs
	waiting []Event
	last    uint64 // Seq of the last event returned by next
	busy    bool   // a goroutine is in drain
}

func (f *feed) publish(e Event) {
	f.mu.Lock()
	f.waiting = append(f.waiting, e)
	f.mu.Unlock()
	f.drain()
}

// drain delivers the events that are next in order. If drain is already running, in
// another goroutine or in a caller of this one, that call delivers them instead.
func (f *feed) drain() {
	f.mu.Lock()
	if f.busy {
		f.mu.Unlock()
		return
	}
	f.busy = true
	returned := false
	defer func() {
		if returned {
			return
		}
		// fn panicked or called Goexit: deliver the rest nevertheless.
		f.mu.Lock()
		f.busy = false
		f.mu.Unlock()
		f.drain()
	}()
	for {
		e, ok := f.next()
		if !ok {
			break
		}
		f.mu.Unlock()
		f.fn(e)
		f.mu.Lock()
	}
	f.busy = false
	returned = true
	f.mu.Unlock()
}

// next removes and returns the event after the last one, if it has been published.
// f.mu is held.
func (f *feed) next() (Event, bool) {
	for i, e := range f.waiting {
		if e.Seq == f.last+1 {
			f.last++
			f.waiting = append(f.waiting[:i], f.waiting[i+1:]...)
			return e, true
		}
	}
	return Event{}, false
}
