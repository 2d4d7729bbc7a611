package breaker_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

// The tests in the cases_*_test.go files are faults that other breakers have
// had, by number; the comment names where.

// Polly#217, Hystrix#1350, sentinel-golang.
func TestCase01StaleOutcomeDoesNotDecideTheNewState(t *testing.T) {
	for _, late := range []breaker.Outcome{breaker.Success, breaker.Failure, breaker.Ignored} {
		t.Run(late.String(), func(t *testing.T) {
			r := newRig(t, breaker.Config{})
			slow := []*breaker.Permit{r.allow(), r.allow(), r.allow(), r.allow()}
			done := func(i int, want breaker.State) {
				t.Helper()
				before := r.Stats(r.now)
				slow[i].Done(r.now, late, nil)
				require.Equal(t, before, r.Stats(r.now))
				r.is(want)
			}
			r.call(5, breaker.Failure)
			done(0, breaker.Open)
			r.pass(time.Second)
			r.is(breaker.HalfOpen)
			done(1, breaker.HalfOpen)
			probe := r.allow()
			done(2, breaker.HalfOpen)
			probe.Done(r.now, breaker.Success, nil)
			done(3, breaker.Closed) // and it does not count in the new window
		})
	}
}

// failsafe-go 0.9.8: with a capacity of 5, 9 probes at once.
func TestCase02StaleOutcomeDoesNotMintAPermit(t *testing.T) {
	r := newRig(t, breaker.Config{Probes: 5})
	var stale []*breaker.Permit
	for range 10 {
		stale = append(stale, r.allow())
	}
	r.halfOpen()
	for range 5 {
		r.allow()
	}
	for i, p := range stale {
		p.Done(r.now, breaker.Outcome(i%3), nil)
		r.reject()
		require.Equal(t, 5, r.Stats(r.now).Probes)
	}
}

// resilience4j#903, #935, #1389; gobreaker 2.4.0 has no way out either.
func TestCase03HungProbeDoesNotWedge(t *testing.T) {
	r := newRig(t, breaker.Config{ProbeTimeout: 3 * time.Second})
	r.halfOpen()
	hung := r.allow()
	r.pass(time.Second)
	require.False(t, r.Ready(r.now))
	open := r.reject()
	require.Equal(t, breaker.HalfOpen, open.State)
	require.Equal(t, 2*time.Second, open.RetryAfter)

	r.pass(open.RetryAfter)
	require.True(t, r.Ready(r.now))
	next := r.allow()
	hung.Done(r.now, breaker.Failure, nil) // too late to count
	r.is(breaker.HalfOpen)
	next.Done(r.now, breaker.Success, nil)
	r.is(breaker.Closed)
	require.Equal(t, []breaker.State{breaker.Open, breaker.HalfOpen, breaker.Closed}, r.path())
}

// failsafe-go 0.9.8 (panic), gobreaker 2.4.0 (Goexit). Do reads the clock, so
// this one runs in real time, with intervals it need not wait for.
func TestCase04ProbePanicsOrExits(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("probe") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			b := mustNew(t, breaker.Config{OpenFor: time.Nanosecond, ProbeTimeout: time.Hour})
			b.Trip(time.Now(), 0, nil)
			done := make(chan any)
			go func() {
				defer func() { done <- recover() }()
				_ = b.Do(context.Background(), func(context.Context) error { end(); return nil })
			}()
			<-done
			s := b.Stats(time.Now())
			require.Equal(t, uint64(2), s.Trips, "the probe counts as failed")
			require.True(t, b.Ready(time.Now().Add(time.Second)))
		})
	}
}

// resilience4j#544, Hystrix#1621.
func TestCase05IgnoredProbeGivesItsPermitBack(t *testing.T) {
	r := newRig(t, breaker.Config{Probes: 2})
	r.halfOpen()
	kept := r.allow()
	for range 1000 {
		p := r.allow()
		r.reject()
		p.Done(r.now, breaker.Ignored, nil)
		p.Done(r.now, breaker.Ignored, nil) // twice is once
		require.Equal(t, 1, r.Stats(r.now).Probes)
	}
	kept.Done(r.now, breaker.Success, nil)
	r.call(1, breaker.Success)
	r.is(breaker.Closed)
}

// Polly 8 closes the circuit when its probe is canceled.
func TestCase06CanceledProbeDoesNotClose(t *testing.T) {
	b := mustNew(t, breaker.Config{OpenFor: time.Nanosecond})
	b.Trip(time.Now(), 0, nil)
	ctx, cancel := context.WithCancel(context.Background())
	err := b.Do(ctx, func(ctx context.Context) error { cancel(); return ctx.Err() })
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, breaker.HalfOpen, b.State(time.Now()))
	require.True(t, b.Ready(time.Now()))

	ran := false
	err = b.Do(ctx, func(context.Context) error { ran = true; return nil })
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, ran, "a context that is done needs no probe")
}

// Polly#216, semian.
func TestCase07HalfOpenStampede(t *testing.T) {
	for round := range 4000 {
		probes := []int{1, 10}[round%2]
		r := newRig(t, breaker.Config{Probes: probes})
		r.Trip(r.now, time.Second, nil)
		r.pass(time.Second)
		if round%4 < 2 { // else the breaker has not been asked yet
			r.is(breaker.HalfOpen)
		}
		var granted atomic.Int64
		atOnce(4, func(int) {
			for range 5 {
				if _, err := r.Allow(r.now); err == nil {
					granted.Add(1)
				}
			}
		})
		require.EqualValues(t, probes, granted.Load())
	}
}

// resilience4j#1432.
func TestCase08RacingSuccessDoesNotBeatAFailure(t *testing.T) {
	for range 500 {
		r := newRig(t, breaker.Config{Probes: 4})
		r.halfOpen()
		probes := []*breaker.Permit{r.allow(), r.allow(), r.allow(), r.allow()}
		r.reject()
		atOnce(len(probes), func(i int) {
			o := breaker.Success
			if i == 0 {
				o = breaker.Failure
			}
			probes[i].Done(r.now, o, nil)
		})
		r.is(breaker.Open)
		require.Len(t, r.path(), 3)
	}
}

// sentinel-golang publishes Open before the end of the interval, and a call in between
// probes at once. Here an observer calls while others trip.
func TestCase09StateIsNotPublishedBeforeItsDeadline(t *testing.T) {
	for range 500 {
		r := newRig(t, breaker.Config{})
		atOnce(4, func(i int) {
			if i%2 == 0 {
				r.Trip(r.now, time.Second, nil)
			}
			for range 50 {
				_, err := r.Allow(r.now)
				var open *breaker.OpenError
				if errors.As(err, &open) && (open.State != breaker.Open || open.RetryAfter != time.Second || open.Cause == nil) {
					t.Errorf("half a transition seen: %+v", open)
				}
			}
		})
		require.Equal(t, []breaker.State{breaker.Open}, r.path())
	}
}

// finagle#524.
func TestCase24FailedDialIsTheProbesResult(t *testing.T) {
	r := newRig(t, breaker.Config{})
	r.halfOpen()
	r.allow().Done(r.now, breaker.Failure, nil) // nothing was ever sent
	r.is(breaker.Open)
	require.ErrorContains(t, r.reject(), "the probe failed (first opened: tripped by hand)")
}
