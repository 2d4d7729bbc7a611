package rpcx

import (
	"math/rand/v2"
	"time"

	"resilientrpc/breaker"
	"resilientrpc/rpcx/internal/oserr"
)

// outage is the time that an endpoint has been away. The longer it lasts, the longer are the
// pauses between two trials: an endpoint that is back is in use after a quarter of the time
// that it was away, or after a quarter of a second.
type outage struct {
	since  time.Time     // when it began; an endpoint that has returned for a short time is still away
	began  time.Time     // when the breaker last left Closed
	closed time.Time     // when the breaker last closed; zero if it has never opened
	trial  time.Time     // when the current open interval began
	pause  time.Duration // drawn for that interval
}

const (
	// shortPause and longPause bound the pause before a trial, the latter where the host
	// answers: to be asked that often is no burden for it.
	shortPause = 250 * time.Millisecond
	longPause  = time.Second
	// pauseShare is the divisor of the time away that gives the longest pause: less than a
	// quarter leaves time for the trial. Clients draw from the upper half of that, so that they do
	// not return together.
	pauseShare = 5
)

// note takes the state of the breaker.
func (o *outage) note(s breaker.Stats) {
	switch s.State {
	case breaker.Closed:
		o.closed = s.Since
	case breaker.Open:
		if !s.DownSince.Equal(o.began) {
			o.began = s.DownSince
			if o.since.IsZero() || s.DownSince.Sub(o.closed) >= s.Window {
				o.since = s.DownSince
			}
		}
		if !s.Since.Equal(o.trial) {
			o.trial = s.Since
			longest := max(shortPause, s.Since.Sub(o.since)/pauseShare)
			o.pause = longest/2 + rand.N(longest/2)
		}
	}
}

// hasten has the next trial of an endpoint that is away begin sooner than the breaker would
// have it. One that answers, and fails, is left to the breaker, unless there are few others.
func (p *prober) hasten(now time.Time, s breaker.Stats) breaker.Stats {
	p.outage.note(s)
	if s.State != breaker.Open || !p.pings || p.forgotten() {
		return s
	}
	few, connected := p.client.mostlyDown(now), p.pool.connected()
	pause := p.outage.pause
	switch {
	case connected && p.unanswered == 0 && !few:
		return s
	case connected && p.unanswered == 0:
		pause = max(longPause, p.client.dialer.Breaker.OpenFor)
	case connected, few, oserr.IsRefused(s.Cause):
		pause = min(pause, longPause)
	}
	p.breaker.Hasten(now, pause)
	return p.breaker.Stats(now)
}
