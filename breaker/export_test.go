package breaker

import "time"

// Reject returns the probability with which t turns a call away at now.
func (t *Throttle) Reject(now time.Time) float64 {
	w, tick := t.at(now)
	return t.rejectProbability(w.sum(tick))
}
