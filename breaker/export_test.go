package breaker

import "time"

// Fill counts further calls, half of them failures, in the slice of the last one that ended at now.
func (b *Breaker) Fill(now time.Time, calls int) {
	e := b.cur.Load()
	e.calls.slots[uint64(e.elapsed(now)/b.slice)%slices].Add(uint64(calls) / 2 * (good + bad))
}

// Reject returns the probability with which t turns a call away at now.
func (t *Throttle) Reject(now time.Time) float64 {
	w, tick := t.at(now)
	return t.rejectProbability(w.sum(tick))
}
