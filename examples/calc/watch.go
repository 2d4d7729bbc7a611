package main

import (
	"context"
	"sync"
	"time"
)

// watchPeriod is how often a watch looks, and so how exact it is.
const watchPeriod = 5 * time.Millisecond

// A watch finds out for how long a client keeps using a replica that is out of
// order. All methods may be called concurrently.
type watch struct {
	usage func() []usageOf

	mu      sync.Mutex         // protects following
	outages map[string]*outage // by address
}

// An outage is the time in which a replica is out of order.
type outage struct {
	since, until time.Time // until is zero while it lasts
	last         time.Time // when the client last sent a call there or waited for one
	picks        uint64
}

func newWatch(usage func() []usageOf) *watch {
	return &watch{usage: usage, outages: make(map[string]*outage)}
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look(time.Now())
		}
	}
}

// begin starts an outage of the replica at addr.
func (w *watch) begin(addr string, now time.Time) {
	w.mu.Lock()
	w.outages[addr] = &outage{since: now, last: now}
	w.mu.Unlock()
	w.look(now)
}

// end ends it. What happens there from now on is no longer to be blamed.
func (w *watch) end(addr string, now time.Time) {
	w.look(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.outages[addr]; o != nil && o.until.IsZero() {
		o.until = now
	}
}

func (w *watch) look(now time.Time) {
	all := w.usage() // takes locks of the client: not under ours
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range all {
		if o := w.outages[u.addr]; o != nil && o.until.IsZero() {
			o.note(u, now)
		}
	}
}

func (o *outage) note(u usageOf, now time.Time) {
	if u.picks > o.picks || u.inFlight > 0 {
		o.last = now
	}
	o.picks = max(o.picks, u.picks)
}

// leftAlone reports whether routed would know a time if the outage ended now.
func (w *watch) leftAlone(addr string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.outages[addr]
	return o != nil && o.leftAlone(now)
}

// leftAlone reports whether the client has left the replica alone for the last quarter of the
// outage, which ends at that time.
func (o *outage) leftAlone(at time.Time) bool { return at.Sub(o.last) >= at.Sub(o.since)/4 }

// routed says how long after the outage began the client had nothing more to do
// with the replica, rounded up to what a watch can see. It is false if the client
// came back to it again and again: if it did not leave it alone for the last
// quarter of the outage.
func (w *watch) routed(addr string) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.outages[addr]
	if o == nil || o.until.IsZero() || !o.leftAlone(o.until) {
		return 0, false
	}
	return (o.last.Sub(o.since)/watchPeriod + 1) * watchPeriod, true //nolint:durationcheck // the first factor is a number of periods
}
