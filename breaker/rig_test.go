package breaker_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

// A rig is a breaker in virtual time that remembers its events. Without a
// Rand in its Config, open intervals have no random part: half of the interval.
type rig struct {
	*breaker.Breaker
	t   *testing.T
	now time.Time

	mu     sync.Mutex // protects following
	events []breaker.Event
}

var epoch = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

func newRig(t *testing.T, cfg breaker.Config) *rig {
	t.Helper()
	r := &rig{t: t, now: epoch}
	inner := cfg.OnChange
	cfg.OnChange = func(e breaker.Event) {
		r.mu.Lock()
		r.events = append(r.events, e)
		r.mu.Unlock()
		if inner != nil {
			inner(e)
		}
	}
	if cfg.Rand == nil {
		cfg.Rand = func() float64 { return 0 }
	}
	r.Breaker = mustNew(t, cfg)
	r.State(r.now) // the first time given is the origin of the slices
	return r
}

func (r *rig) pass(d time.Duration) { r.now = r.now.Add(d) }

// allow takes a permit, which must be granted. It is called too often for t.Helper if it is.
func (r *rig) allow() *breaker.Permit {
	p, err := r.Allow(r.now)
	if err != nil {
		r.t.Helper()
		r.t.Fatal(err)
	}
	return &p
}

// reject asks for a permit, which must be refused.
func (r *rig) reject() *breaker.OpenError {
	r.t.Helper()
	_, err := r.Allow(r.now)
	var open *breaker.OpenError
	require.ErrorAs(r.t, err, &open)
	require.ErrorIs(r.t, err, breaker.ErrOpen)
	return open
}

// call makes n calls that end at once.
func (r *rig) call(n int, o breaker.Outcome) {
	for range n {
		p, err := r.Allow(r.now)
		if err != nil {
			r.t.Helper()
			r.t.Fatal(err)
		}
		p.Done(r.now, o, nil)
	}
}

func (r *rig) is(want breaker.State) {
	r.t.Helper()
	require.Equal(r.t, want, r.State(r.now))
}

// halfOpen trips the breaker and waits out the open interval.
func (r *rig) halfOpen() {
	r.t.Helper()
	r.Trip(r.now, time.Second, nil)
	r.pass(time.Second)
	r.is(breaker.HalfOpen)
}

// atOnce runs f for 0 to n-1, all at the same moment as far as the machine
// can, and waits for them.
func atOnce(n int, f func(i int)) {
	var ready atomic.Int32
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for ready.Add(1); int(ready.Load()) < n; {
				runtime.Gosched()
			}
			f(i)
		})
	}
	wg.Wait()
}

// path returns the states entered so far.
func (r *rig) path() (states []breaker.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		states = append(states, e.To)
	}
	return states
}
