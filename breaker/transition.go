package breaker

import "time"

// at returns the epoch in force now and its age. It makes the two changes that
// time alone brings: a breaker begins with the first time it is given, and an
// open interval ends.
func (b *Breaker) at(now time.Time) (*epoch, time.Duration) {
	for {
		e := b.cur.Load()
		age := e.elapsed(now)
		switch {
		case e.state == unborn:
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

// follow returns an epoch that may take the place of e.
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

// move makes next the current epoch if e still is, and announces the change
// of state, if it is one.
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

// open moves the breaker from e to Open for d, or for the next interval of
// the growth if d is 0.
func (b *Breaker) open(e *epoch, now time.Time, d time.Duration, cause error) bool {
	next := b.follow(e, Open, now)
	next.cause, next.openFor, next.given = cause, d, d > 0
	if d <= 0 {
		next.openFor = b.cfg.interval(next.level)
		next.level++
	}
	if e.state != Open {
		next.trips++
	}
	return b.move(e, next)
}

// Trip opens the breaker for at least d, for a reason its own rules cannot
// see, such as the verdict of a failure detector. With d of 0 or less it opens
// for the next interval of the growth, as after a failure, and a breaker that
// is open stays as it is. A breaker that is open for less than d is open
// for d from now on; Trip never shortens. ForcedOpen and Disabled stay. A nil
// cause means "tripped by hand".
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

// Hasten ends an open interval that has grown, once it has lasted for OpenFor: for an
// owner that has few other endpoints, and would rather ask too often. It leaves an
// interval that was given to Trip, and every other state, as it is.
func (b *Breaker) Hasten(now time.Time) {
	e, age := b.at(now)
	if e.state == Open && !e.given && age >= b.cfg.OpenFor {
		b.move(e, b.follow(e, HalfOpen, now))
	}
}

// ForceOpen makes the breaker reject every call until Reset. The cause may be nil.
func (b *Breaker) ForceOpen(now time.Time, cause error) { b.set(now, ForcedOpen, cause) }

// Reset closes the breaker, from any state, with an empty window and the
// first open interval ahead. Results of calls allowed before do not count.
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
