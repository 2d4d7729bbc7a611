package chaos

import (
	"context"
	"sync"
	"time"

	"resilientrpc/rpcx"
)

// A watch sees when one client's calls leave a replica that has a fault, and when
// they come back.
type watch struct {
	mu     sync.Mutex // protects following
	open   map[string]*episode
	closed []episode
}

// An episode is one fault as a client has lived through it.
type episode struct {
	Step
	began, healed time.Time
	// harmed and freed are when the last attempt was begun and had its end that
	// the fault has made fail, or take longer than harm.
	harmed, freed time.Time
	returned      time.Time // when the first attempt since healed has succeeded
}

// harm is what an attempt takes that is not in order.
const harm = 100 * time.Millisecond

func newWatch() *watch { return &watch{open: make(map[string]*episode)} }

// begin tells that the endpoint is now under a fault.
func (w *watch) begin(endpoint string, s Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.open[endpoint]; e != nil {
		w.closed = append(w.closed, *e)
	}
	w.open[endpoint] = &episode{Step: s, began: time.Now()}
}

// heal tells that it is not any more.
func (w *watch) heal(endpoint string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[endpoint].healed = time.Now()
}

// attempt is rpcx.ClientTrace's hook.
func (w *watch) attempt(_ context.Context, a rpcx.AttemptInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.open[a.Endpoint]
	end := a.Started.Add(a.Duration)
	if e == nil || end.Before(e.began) {
		return
	}
	failed := a.Err != nil && classOf(a.Err).Kind != kindRefused
	switch {
	case e.healed.IsZero() || a.Started.Before(e.healed):
		if failed || a.Duration > harm {
			e.harmed, e.freed = latest(e.harmed, a.Started), latest(e.freed, end)
		}
	case !failed && e.returned.IsZero():
		e.returned = end
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// episodes returns all.
func (w *watch) episodes() []episode {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.closed
	for _, e := range w.open {
		out = append(out, *e)
	}
	return out
}
