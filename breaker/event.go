package breaker

import (
	"sync"
	"time"
)

// An Event is one change of a breaker's state.
type Event struct {
	// Seq numbers the changes of one breaker from 1, without gaps.
	Seq uint64
	// From and To are the states left and entered; they differ.
	From, To State
	// At is when the change took effect. For the end of an open interval that
	// is when the interval was over, which may be before it was noticed.
	At time.Time
	// Cause is why the breaker opened. It is nil if To is Closed or Disabled.
	Cause error
	// OpenFor is the length of the open interval if To is Open, else 0.
	OpenFor time.Duration
}

// A feed delivers events in the order of their numbers. Racing transitions
// may hand them in out of order; the call that closes the gap delivers the rest.
type feed struct {
	fn func(Event)

	mu      sync.Mutex // protects following; not held while fn runs
	waiting []Event
	last    uint64 // Seq of the last event taken for delivery
	busy    bool   // a goroutine is in drain
}

func (f *feed) publish(e Event) {
	f.mu.Lock()
	f.waiting = append(f.waiting, e)
	f.mu.Unlock()
	f.drain()
}

// drain delivers what is due, unless another goroutine or an outer call of
// this one is at it and will do so.
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
		// fn panicked or called Goexit: deliver the rest on the way out.
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

// next takes the event that follows the last one, if it has come in.
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
