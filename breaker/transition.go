package breaker

import "time"

// at returns the current epoch and its age. It makes the two transitions that depend on
// the time only: the first state begins, and an open interval ends.
func (b *Breaker) at(now time.Time) (*epoch, time.Duration) {
	for {
		e := b.cur.Load()
		age := e.elapsed(now)
		switch {
		case e.state == notStarted:
			s := Closed
			if b.cfg.Disabled {
				s = Disabled
			}
			b.cur.CompareAndSwap(e, b.newEpoch(s, now))
		case e.state == Open && age >= e.openFor:
			b.move(e, b.follow(e, HalfOpen, e.start.Add(e.openFor)))
		default:
			return e, age
		}
	}
}

func (b *Breaker) newEpoch(s State, now time.Time) *epoch {
	e := &epoch{b: b, state: s, start: now, since: now}
	if s == Closed && b.cfg.SlowCall > 0 {
		e.slow = new(window)
	}
	return e
}

// follow returns a new epoch that may replace e.
func (b *Breaker) follow(e *epoch, s State, now time.Time) *epoch {
	if now.Before(e.start) {
		now = e.start
	}
	next := b.newEpoch(s, now)
	next.level, next.seq, next.trips = e.growth(), e.seq, e.trips
	if s == e.state {
		next.since = e.since
	} else {
		next.seq++
	}
	if s == HalfOpen {
		next.cause = e.cause
	}
	switch {
	case s == Closed:
	case e.down.IsZero():
		next.down = now
	default:
		next.down = e.down
	}
	return next
}

// move replaces e by next if e is still the current epoch, and reports whether it did.
// It publishes an event if the state changes.
func (b *Breaker) move(e, next *epoch) bool {
	if !b.cur.CompareAndSwap(e, next) {
		return false
	}
	if b.feed != nil && next.state != e.state {
		b.feed.publish(Event{
			Seq:     next.seq,
			From:    e.state,
			To:      next.state,
			At:      next.start,
			Cause:   next.cause,
			OpenFor: next.openFor,
		})
	}
	return true
}

// open moves the breaker from e to Open for d or, if d is 0 or less, for the next of the
// growing intervals.
func (b *Breaker) open(e *epoch, now time.Time, d time.Duration, cause error) bool {
	next := b.follow(e, Open, now)
	next.cause, next.openFor, next.byTrip = cause, d, d > 0
	if d <= 0 {
		next.openFor = b.cfg.interval(next.level)
		next.level++
	}
	if e.state != Open {
		next.trips++
	}
	return b.move(e, next)
}

// Trip opens the breaker for a reason that its rules do not cover, such as a failure
// detector's conviction. A nil cause means "tripped by hand".
//
// It opens for d or, if d is 0 or less, as long as after a failure. If the breaker is
// open, Trip extends the interval to d from now, and never shortens it. It does not
// change ForcedOpen or Disabled.
func (b *Breaker) Trip(now time.Time, d time.Duration, cause error) {
	if cause == nil {
		cause = errTripped
	}
	for {
		e, age := b.at(now)
		switch e.state {
		case ForcedOpen, Disabled:
			return
		case Open:
			if d <= e.openFor-age {
				return
			}
		}
		if b.open(e, now, d, cause) {
			return
		}
	}
}

// Hasten shortens the open interval to d, counted from its beginning. It is for a caller
// that knows more than the breaker of when to probe. It never extends an interval, does not
// change one that Trip set by d, and does nothing in other states.
func (b *Breaker) Hasten(now time.Time, d time.Duration) {
	for {
		e, _ := b.at(now)
		if e.state != Open || e.byTrip || d >= e.openFor {
			return
		}
		next := b.follow(e, Open, e.start)
		next.cause, next.openFor = e.cause, max(0, d)
		if b.move(e, next) {
			b.at(now) // the interval may be over
			return
		}
	}
}

// ForceOpen makes the breaker reject every call until Reset. The cause may be nil.
func (b *Breaker) ForceOpen(now time.Time, cause error) { b.set(now, ForcedOpen, cause) }

// Reset closes the breaker, from any state, with an empty window. The next open interval
// is Config.OpenFor. Results of calls that were permitted before do not count.
func (b *Breaker) Reset(now time.Time) { b.set(now, Closed, nil) }

func (b *Breaker) set(now time.Time, s State, cause error) {
	for {
		e, _ := b.at(now)
		next := b.follow(e, s, now)
		next.level, next.cause = 0, cause
		if b.move(e, next) {
			return
		}
	}
}
