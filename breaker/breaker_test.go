package breaker_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

func TestNewNamesTheBadField(t *testing.T) {
	for want, cfg := range map[string]breaker.Config{
		"breaker: Config.Window is -1s; want at least 1ms":                                                                                                       {Window: -time.Second},
		"breaker: Config.FailureRatio is 1.5; want a value from 0 to 1, or negative for off":                                                                     {FailureRatio: 1.5},
		"breaker: Config.FailureRatio is NaN; want a value from 0 to 1, or negative for off":                                                                     {FailureRatio: math.NaN()},
		"breaker: Config.MinCalls is -1; want 1 or more; a negative FailureRatio switches the rule off":                                                          {MinCalls: -1},
		"breaker: Config.SlowRatio is 2; want a value from 0 to 1; SlowCall 0 switches the rule off":                                                             {SlowRatio: 2},
		"breaker: Config.OpenFor is -1ns; want a positive duration, or Disabled for no breaker":                                                                  {OpenFor: -1},
		"breaker: Config.MaxOpenFor is 1s; want at least OpenFor (2s)":                                                                                           {OpenFor: 2 * time.Second, MaxOpenFor: time.Second},
		"breaker: Config.Probes is 256; want a value from 1 to 255":                                                                                              {Probes: 256},
		"breaker: Config.ProbeTimeout is -1s; want a value from 1µs to a year; without it the breaker would wait for a lost probe for ever":                      {ProbeTimeout: -time.Second},
		"breaker: Config.ProbeTimeout is 2562047h47m16.854775807s; want a value from 1µs to a year; without it the breaker would wait for a lost probe for ever": {ProbeTimeout: math.MaxInt64},
	} {
		b, err := breaker.New(cfg)
		require.EqualError(t, err, want)
		require.Nil(t, b)
	}
	_, err := breaker.New(breaker.Config{OpenFor: time.Minute})
	require.NoError(t, err, "MaxOpenFor follows a longer OpenFor")
}

func TestZeroConfig(t *testing.T) {
	r := newRig(t, breaker.Config{})
	r.call(20, breaker.Success)
	r.call(19, breaker.Failure)
	r.is(breaker.Closed) // 19 in a row, but successes in this slice
	r.call(1, breaker.Failure)
	require.ErrorContains(t, r.reject(), "20 of 40 calls failed within 10s")
}

func TestEachRuleCanBeSwitchedOff(t *testing.T) {
	r := newRig(t, breaker.Config{FailureRatio: -1, ConsecutiveFailures: -1, FailuresInWindow: -1, SlowCall: -1})
	r.call(1000, breaker.Failure)
	r.is(breaker.Closed)
	require.Equal(t, 1000, r.Stats(r.now).ConsecutiveFailures)
}

func TestFailuresInWindow(t *testing.T) {
	r := newRig(t, breaker.Config{FailureRatio: -1, ConsecutiveFailures: -1, FailuresInWindow: 3})
	fail := func(after time.Duration) {
		r.pass(after)
		r.call(100, breaker.Success)
		r.call(1, breaker.Failure)
	}
	fail(0)
	fail(5 * time.Second)
	fail(5 * time.Second) // the first is out of the window
	r.is(breaker.Closed)
	fail(time.Second)
	require.ErrorContains(t, r.reject(), "3 failures within 10s")
}

func TestSlowCalls(t *testing.T) {
	r := newRig(t, breaker.Config{SlowCall: time.Second, SlowRatio: 0.5, MinCalls: 4})
	last := func(d time.Duration, o breaker.Outcome) {
		p := r.allow()
		r.pass(d)
		p.Done(r.now, o, nil)
	}
	last(time.Second, breaker.Success)
	last(999*time.Millisecond, breaker.Success)
	last(2*time.Second, breaker.Ignored)
	last(0, breaker.Success)
	require.Equal(t, 1, r.Stats(r.now).Slow)
	last(time.Second, breaker.Success)
	require.ErrorContains(t, r.reject(), "2 of 4 calls took 1s or longer within 10s")

	r.pass(time.Second)
	last(time.Second, breaker.Success) // a slow probe
	require.ErrorContains(t, r.reject(), "the probe was slow")
	r.pass(time.Second)
	last(0, breaker.Success)
	r.is(breaker.Closed)
}

func TestTrip(t *testing.T) {
	suspected := errors.New("suspected")
	r := newRig(t, breaker.Config{})
	r.Trip(r.now, 10*time.Second, suspected)
	open := r.reject()
	require.ErrorIs(t, open, suspected)
	require.EqualError(t, open, "breaker: open, retry after 10s: suspected")
	r.Trip(r.now, time.Second, nil)
	r.Trip(r.now, 0, nil)
	require.Equal(t, 10*time.Second, r.Stats(r.now).RetryAfter, "never shortens")
	r.pass(5 * time.Second)
	r.Trip(r.now, 6*time.Second, suspected)
	require.Equal(t, 6*time.Second, r.Stats(r.now).RetryAfter, "extends")
	require.Equal(t, epoch, r.Stats(r.now).Since)
	require.EqualValues(t, 1, r.Stats(r.now).Trips)

	r.pass(6 * time.Second)
	probe := r.allow()
	r.Trip(r.now, 0, suspected)
	probe.Done(r.now, breaker.Success, nil)
	require.Equal(t, 500*time.Millisecond, r.Stats(r.now).RetryAfter, "from half-open, and the probe is stale")
	require.Equal(t, []breaker.State{breaker.Open, breaker.HalfOpen, breaker.Open}, r.path())

	r.pass(time.Second)
	r.call(1, breaker.Failure)
	require.ErrorIs(t, r.reject(), suspected, "a failed probe keeps the first cause in sight")
	r.pass(time.Second)
	r.call(1, breaker.Failure)
	require.EqualError(t, r.Stats(r.now).Cause, "the probe failed (first opened: suspected)")
}

func TestOpenIntervalStaysInBounds(t *testing.T) {
	for _, random := range []float64{0, 0.5, 1, 2, -1, math.NaN(), math.Inf(1)} {
		r := newRig(t, breaker.Config{OpenFor: 3 * time.Second, MaxOpenFor: 1 << 62, Rand: func() float64 { return random }})
		r.Trip(r.now, 0, nil)
		grown := 3 * time.Second
		for range 40 {
			wait := r.Stats(r.now).RetryAfter
			require.GreaterOrEqual(t, wait, grown/2)
			require.LessOrEqual(t, wait, grown)
			if grown = min(grown, 1<<61) * 2; grown > 1<<50 {
				break // virtual time would end before
			}
			r.pass(wait)
			r.call(1, breaker.Failure)
		}
	}
}

func TestSwitchesOfTheOperator(t *testing.T) {
	r := newRig(t, breaker.Config{Disabled: true})
	r.is(breaker.Disabled)
	r.call(1000, breaker.Failure)
	r.Trip(r.now, 0, nil)
	require.True(t, r.Ready(r.now))

	r.ForceOpen(r.now, nil)
	require.Equal(t, breaker.OpenError{State: breaker.ForcedOpen}, *r.reject())
	r.Trip(r.now, 0, nil)
	r.pass(1000 * time.Hour)
	r.is(breaker.ForcedOpen)
	require.False(t, r.Ready(r.now))

	r.Reset(r.now)
	r.call(4, breaker.Failure)
	late := r.allow()
	r.Reset(r.now)
	late.Done(r.now, breaker.Failure, nil)
	require.Zero(t, r.Stats(r.now).ConsecutiveFailures, "Reset empties the window")
	r.call(5, breaker.Failure)
	require.Equal(t, []breaker.State{breaker.ForcedOpen, breaker.Closed, breaker.Open}, r.path())
}

func TestPermitCountsOnce(t *testing.T) {
	r := newRig(t, breaker.Config{Probes: 2})
	p := r.allow()
	for range 10 {
		p.Done(r.now, breaker.Failure, nil)
	}
	require.Equal(t, 1, r.Stats(r.now).Failures)
	new(breaker.Permit).Done(r.now, breaker.Failure, nil)

	r.halfOpen()
	p = r.allow()
	twin := *p
	p.Done(r.now, breaker.Success, nil)
	twin.Done(r.now, breaker.Success, nil)
	twin = *p
	twin.Done(r.now, breaker.Ignored, nil)
	r.is(breaker.HalfOpen)
	r.call(1, breaker.Success)
	r.is(breaker.Closed)
}

// Rejections are shared for up to 1 ms, but not across a new lease.
func TestRetryAfterIsNeverTooShort(t *testing.T) {
	r := newRig(t, breaker.Config{})
	r.halfOpen()
	p := r.allow()
	r.pass(time.Millisecond)
	require.Equal(t, 4999*time.Millisecond, r.reject().RetryAfter)
	p.Done(r.now, breaker.Ignored, nil)
	r.pass(100 * time.Microsecond)
	r.allow()
	require.Equal(t, 5*time.Second, r.reject().RetryAfter)
	first := r.reject()
	r.pass(900 * time.Microsecond)
	require.Same(t, first, r.reject())
	r.pass(-time.Microsecond * 901)
	require.Greater(t, r.reject().RetryAfter, 5*time.Second-time.Microsecond)
	r.pass(5 * time.Second)
	require.LessOrEqual(t, r.reject().RetryAfter, 2*time.Microsecond)
}

func TestDo(t *testing.T) {
	b := mustNew(t, breaker.Config{})
	require.NoError(t, b.Do(context.Background(), func(context.Context) error { return nil }))
	require.Equal(t, 1, b.Stats(time.Now()).Calls)
	down := errors.New("down")
	b.Trip(time.Now(), time.Minute, down)
	err := b.Do(context.Background(), func(context.Context) error { panic("must not run") })
	require.ErrorIs(t, err, breaker.ErrOpen)
	require.ErrorIs(t, err, down)
}

// A slice is 2^20-1 calls deep and then keeps its ratio.
func TestBusySliceSaturates(t *testing.T) {
	r := newRig(t, breaker.Config{ConsecutiveFailures: -1, FailureRatio: 0.9})
	turns := func(pairs int) {
		for range pairs {
			r.call(1, breaker.Success)
			r.call(1, breaker.Failure)
		}
	}
	turns(1)
	r.Fill(r.now, 1<<19-10)
	turns(10) // from here on by compare-and-swap
	require.Equal(t, 1<<19+12, r.Stats(r.now).Calls)
	r.Fill(r.now, 1<<19-20)
	turns(100)
	s := r.Stats(r.now)
	require.Equal(t, 1<<20-1, s.Calls)
	require.InDelta(t, s.Calls/2, s.Failures, 1)
	r.pass(time.Second)
	r.call(10, breaker.Failure)
	require.Equal(t, s.Calls+10, r.Stats(r.now).Calls)
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	closed := newRig(t, breaker.Config{SlowCall: time.Hour})
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		p, _ := closed.Allow(closed.now)
		p.Done(closed.now, breaker.Success, nil)
	}))
	open := newRig(t, breaker.Config{})
	open.Trip(open.now, time.Hour, nil)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		open.now = open.now.Add(100 * time.Nanosecond)
		_, _ = open.Allow(open.now)
	}))
	half := newRig(t, breaker.Config{})
	half.halfOpen()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		p, _ := half.Allow(half.now)
		p.Done(half.now, breaker.Ignored, nil)
	}))
}

func TestStrings(t *testing.T) {
	require.Equal(t, "closed open half-open forced-open disabled State(9)", breaker.Closed.String()+" "+
		breaker.Open.String()+" "+breaker.HalfOpen.String()+" "+breaker.ForcedOpen.String()+" "+
		breaker.Disabled.String()+" "+breaker.State(9).String())
	require.Equal(t, "success failure ignored Outcome(9)", breaker.Success.String()+" "+
		breaker.Failure.String()+" "+breaker.Ignored.String()+" "+breaker.Outcome(9).String())
}

// Hasten: a caller that knows more may probe earlier, however long the interval is.
func TestHasten(t *testing.T) {
	r := newRig(t, breaker.Config{Rand: func() float64 { return .999 }})
	r.Hasten(r.now, 0)
	r.is(breaker.Closed)
	r.Trip(r.now, 0, nil)
	for range 4 { // grown to five seconds
		r.pass(r.Stats(r.now).RetryAfter)
		r.call(1, breaker.Failure)
	}
	for range 3 {
		require.Greater(t, r.Stats(r.now).RetryAfter, 4*time.Second)
		before := r.Stats(r.now)
		r.pass(time.Second)
		r.Hasten(r.now, 6*time.Second) // never longer
		require.Equal(t, before.RetryAfter-time.Second, r.Stats(r.now).RetryAfter)
		r.Hasten(r.now, 1500*time.Millisecond)
		after := r.Stats(r.now)
		require.Equal(t, 500*time.Millisecond, after.RetryAfter)
		after.RetryAfter = before.RetryAfter
		require.Equal(t, before, after, "nothing else has changed")
		r.pass(500*time.Millisecond - 1)
		r.is(breaker.Open)
		r.pass(1)
		r.is(breaker.HalfOpen)
		r.call(1, breaker.Failure) // it goes on growing from there
	}
	r.Hasten(r.now, -time.Second) // it is over at once
	r.is(breaker.HalfOpen)
	require.Equal(t, r.now, r.Stats(r.now).Since)
	r.call(1, breaker.Failure)
	r.pass(time.Second)
	r.Hasten(r.now, 700*time.Millisecond) // it would have been over
	r.is(breaker.HalfOpen)
	require.Equal(t, r.now.Add(-300*time.Millisecond), r.Stats(r.now).Since)
	r.call(1, breaker.Failure)
	r.Trip(r.now, time.Minute, nil)
	r.pass(50 * time.Second)
	r.Hasten(r.now, time.Second)
	r.is(breaker.Open)
	r.ForceOpen(r.now, nil)
	r.pass(time.Hour)
	r.Hasten(r.now, 0)
	r.is(breaker.ForcedOpen)
}
