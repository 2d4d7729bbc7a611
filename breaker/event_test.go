package breaker_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

// gobreaker#37, #119: the callback runs under the mutex.
func TestCase20CallbackMayCallBack(t *testing.T) {
	var r *rig
	var inside []breaker.State
	r = newRig(t, breaker.Config{OnChange: func(e breaker.Event) {
		inside = append(inside, r.State(r.now))
		_, _ = r.Allow(r.now)
		r.Ready(r.now)
		r.Stats(r.now)
		if e.Seq == 1 { // told of Open: undo it, then insist
			r.Reset(r.now)
			r.Trip(r.now, time.Second, nil)
		}
	}})
	r.call(5, breaker.Failure)
	require.Equal(t, []breaker.State{breaker.Open, breaker.Closed, breaker.Open}, r.path())
	require.Equal(t, []breaker.State{breaker.Open, breaker.Open, breaker.Open}, inside,
		"events come in order, the state is the newest")
}

// failsafe-go 0.9.8: "fatal error: sync: unlock of unlocked mutex".
func TestCase20CallbackPanics(t *testing.T) {
	var r *rig
	r = newRig(t, breaker.Config{OnChange: func(e breaker.Event) {
		if e.Seq == 1 {
			r.Reset(r.now) // queued; must survive the panic
		}
		if e.Seq <= 2 {
			panic(e.Seq)
		}
	}})
	require.PanicsWithValue(t, uint64(2), func() { r.Trip(r.now, 0, nil) })
	require.Equal(t, []breaker.State{breaker.Open, breaker.Closed}, r.path())
	r.is(breaker.Closed)
	r.call(5, breaker.Failure)
	r.is(breaker.Open)
	require.Len(t, r.path(), 3)
	require.Equal(t, uint64(3), r.events[2].Seq)
}

func TestEventTellsWhatHappened(t *testing.T) {
	r := newRig(t, breaker.Config{})
	r.pass(time.Second)
	r.call(5, breaker.Failure)
	opened := r.now
	r.pass(time.Minute)
	r.call(1, breaker.Success)

	cause := r.events[0].Cause
	require.EqualError(t, cause, "5 consecutive failures")
	require.Equal(t, []breaker.Event{
		{Seq: 1, From: breaker.Closed, To: breaker.Open, At: opened, Cause: cause, OpenFor: 500 * time.Millisecond},
		{Seq: 2, From: breaker.Open, To: breaker.HalfOpen, At: opened.Add(500 * time.Millisecond), Cause: cause},
		{Seq: 3, From: breaker.HalfOpen, To: breaker.Closed, At: r.now},
	}, r.events)
}

// Many goroutines change the state. Each change is one event, in order and not concurrently,
// and the last event has the final state.
func TestEventsOfRacingTransitions(t *testing.T) {
	var events []breaker.Event // OnChange is never run twice at once
	var running atomic.Int32
	b := mustNew(t, breaker.Config{OnChange: func(e breaker.Event) {
		if running.Add(1) != 1 {
			t.Error("two callbacks at once")
		}
		events = append(events, e)
		running.Add(-1)
	}})
	atOnce(8, func(i int) {
		for n := range 500 {
			switch (i + n) % 3 {
			case 0:
				b.Trip(epoch, time.Second, nil)
			case 1:
				b.Reset(epoch)
			case 2:
				b.ForceOpen(epoch, nil)
			}
		}
	})
	state := breaker.Closed
	for i, e := range events {
		require.EqualValues(t, i+1, e.Seq)
		require.Equal(t, state, e.From)
		require.NotEqual(t, e.From, e.To)
		state = e.To
	}
	require.Equal(t, b.State(epoch), state)
}

// An outage is seen by many callers at once and is one trip, one event, and
// one probe back.
func TestOneTripPerOutage(t *testing.T) {
	const callers, rounds = 4, 3_000
	r := newRig(t, breaker.Config{})
	for n := range uint64(rounds) {
		var permits [callers]*breaker.Permit
		for i := range permits {
			permits[i] = r.allow()
		}
		r.call(4, breaker.Failure)
		atOnce(callers, func(i int) {
			permits[i].Done(r.now, breaker.Failure, nil)
			if _, err := r.Allow(r.now); err == nil {
				t.Error("let through by an open breaker")
			}
		})
		s := r.Stats(r.now)
		require.Equal(t, breaker.Open, s.State)
		require.Equal(t, n+1, s.Trips)

		r.pass(s.RetryAfter)
		var probes atomic.Int32
		atOnce(callers, func(int) {
			if p, err := r.Allow(r.now); err == nil {
				probes.Add(1)
				p.Done(r.now, breaker.Ignored, nil) // lets the next one in
			}
		})
		require.GreaterOrEqual(t, probes.Load(), int32(1))
		r.call(1, breaker.Success)
		require.Len(t, r.events, int(3*n+3))
	}
}
