package breaker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

// Polly#218, semian.
func TestCase10LateFailuresDoNotExtendTheOpenPeriod(t *testing.T) {
	r := newRig(t, breaker.Config{})
	var late []*breaker.Permit
	for range 100 {
		late = append(late, r.allow())
	}
	r.call(5, breaker.Failure)
	opened := r.Stats(r.now)
	for _, p := range late {
		r.pass(time.Millisecond)
		p.Done(r.now, breaker.Failure, nil)
	}
	require.Equal(t, []breaker.State{breaker.Open}, r.path())
	require.Equal(t, opened.RetryAfter-100*time.Millisecond, r.Stats(r.now).RetryAfter)
	require.EqualValues(t, 1, r.Stats(r.now).Trips)
}

// rubyist/circuitbreaker#42, cockroach#35433; gobreaker and failsafe-go open.
func TestCase11CancellationByTheCallerIsNeutral(t *testing.T) {
	b := mustNew(t, breaker.Config{})
	for range 100 {
		ctx, cancel := context.WithCancel(context.Background())
		_ = b.Do(ctx, func(ctx context.Context) error {
			cancel()
			return fmt.Errorf("call: %w", ctx.Err())
		})
	}
	s := b.Stats(time.Now())
	require.Equal(t, breaker.Closed, s.State)
	require.Zero(t, s.Calls)
	require.Zero(t, s.ConsecutiveFailures)
}

// cep21/circuit#94. The package's part is Ignored, and Do's use of SlowCall;
// that an attempt has a timeout of its own is up to the caller.
func TestCase12TinyDeadlineOfTheCaller(t *testing.T) {
	b := mustNew(t, breaker.Config{SlowCall: time.Hour})
	for range 100 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
		_ = b.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		cancel()
	}
	require.Equal(t, breaker.Closed, b.State(time.Now()))

	// The endpoint's own timeout is a Failure.
	for range 5 {
		_ = b.Do(context.Background(), func(context.Context) error { return context.DeadlineExceeded })
	}
	require.Equal(t, breaker.Open, b.State(time.Now()))
}

// gobreaker#112. In this package, Success keeps the breaker closed, and Do calls Classify.
func TestCase13ApplicationErrorsAreSuccesses(t *testing.T) {
	errApp := fmt.Errorf("no such user")
	b := mustNew(t, breaker.Config{Classify: func(err error) breaker.Outcome {
		if err == nil || err == errApp {
			return breaker.Success
		}
		return breaker.Failure
	}})
	for range 100 {
		require.Equal(t, errApp, b.Do(context.Background(), func(context.Context) error { return errApp }))
	}
	s := b.Stats(time.Now())
	require.Equal(t, breaker.Closed, s.State)
	require.Equal(t, 100, s.Calls)
	require.Zero(t, s.Failures)
}

// go-zero#5011; gobreaker forgets calls that were begun before its interval.
func TestCase14FailuresSlowerThanTheWindowCount(t *testing.T) {
	r := newRig(t, breaker.Config{})
	var calls []*breaker.Permit
	for range 100 {
		calls = append(calls, r.allow())
	}
	r.pass(30 * time.Second)
	for _, p := range calls {
		p.Done(r.now, breaker.Failure, nil)
	}
	r.is(breaker.Open)

	// One at a time, so that the window never holds more than one.
	r = newRig(t, breaker.Config{})
	for range 5 {
		p := r.allow()
		r.pass(30 * time.Second)
		p.Done(r.now, breaker.Failure, nil)
	}
	r.is(breaker.Open)
}

// gobreaker#91. Limiting calls in flight before there is any result is the
// caller's part. The package's: the pile falls in one trip, not one each.
func TestCase15PileUpBeforeTheFirstVerdict(t *testing.T) {
	r := newRig(t, breaker.Config{})
	var pile []*breaker.Permit
	for range 30_000 {
		pile = append(pile, r.allow())
	}
	r.pass(300 * time.Millisecond)
	for _, p := range pile {
		p.Done(r.now, breaker.Failure, nil)
	}
	require.Equal(t, []breaker.State{breaker.Open}, r.path())
	require.ErrorContains(t, r.reject(), "5 consecutive failures")
}

// gobreaker#21: a burst across the boundary of a tumbling window is halved.
func TestCase16BurstAcrossASliceBoundary(t *testing.T) {
	for _, offset := range []time.Duration{0, 500 * time.Millisecond, 999 * time.Millisecond, 9999 * time.Millisecond} {
		r := newRig(t, breaker.Config{ConsecutiveFailures: -1})
		r.pass(offset)
		r.call(10, breaker.Failure)
		r.pass(time.Millisecond)
		r.call(9, breaker.Failure)
		r.is(breaker.Closed)
		r.call(1, breaker.Failure)
		r.is(breaker.Open)
	}
}

// resilience4j#1443: one call a minute never reaches the minimum.
func TestCase17LowTraffic(t *testing.T) {
	r := newRig(t, breaker.Config{})
	for range 4 {
		r.call(1, breaker.Failure)
		r.pass(time.Minute)
	}
	r.is(breaker.Closed)
	r.call(1, breaker.Failure)
	r.is(breaker.Open)

	// And a single success in between is enough to stay.
	r = newRig(t, breaker.Config{})
	for range 10 {
		r.call(4, breaker.Failure)
		r.pass(time.Minute)
		r.call(1, breaker.Success)
		r.pass(time.Minute)
	}
	r.is(breaker.Closed)
}

// Polly#41: five in a row is news at 1 rps and chance at 100. With 40 % random
// failures at 100 rps, gobreaker's default serves 2.9 % of the calls.
func TestCase18RunsOfChanceDoNotTripUnderLoad(t *testing.T) {
	r := newRig(t, breaker.Config{})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60_000 { // ten minutes
		o := breaker.Success
		if rng.Float64() < 0.4 {
			o = breaker.Failure
		}
		if p, err := r.Allow(r.now); err == nil {
			p.Done(r.now, o, nil)
		}
		r.pass(10 * time.Millisecond)
	}
	require.Empty(t, r.path())
}

// failsafe-go#97; gobreaker's Counts stand still.
func TestCase19TimeAloneOpensHalfAndClearsTheWindow(t *testing.T) {
	r := newRig(t, breaker.Config{})
	r.call(3, breaker.Success)
	r.call(4, breaker.Failure)
	r.pass(9 * time.Second)
	require.Equal(t, 7, r.Stats(r.now).Calls)
	r.pass(time.Second)
	require.Zero(t, r.Stats(r.now).Calls)
	require.Zero(t, r.Stats(r.now).Failures)

	for _, notice := range []func(){
		func() { r.State(r.now) },
		func() { r.Ready(r.now) },
		func() { r.Stats(r.now) },
		func() { _, _ = r.Allow(r.now) },
	} {
		r.Trip(r.now, time.Second, nil)
		over := r.now.Add(time.Second)
		r.pass(time.Hour)
		notice()
		e := r.events[len(r.events)-1]
		require.Equal(t, breaker.HalfOpen, e.To)
		require.Equal(t, over, e.At, "when it happened, not when it was noticed")
		require.Equal(t, over, r.Stats(r.now).Since)
	}
}

// Wall-clock users: failsafe-go, resilience4j, hystrix-go, sentinel-golang.
func TestCase21ClockJumps(t *testing.T) {
	// time.Now has a monotonic reading, which no setting of the clock moves.
	// What can be shown: time that runs back counts as no time.
	r := newRig(t, breaker.Config{})
	r.pass(time.Hour)
	r.call(4, breaker.Failure)
	r.pass(-2 * time.Hour)
	r.call(1, breaker.Failure)
	r.is(breaker.Open)
	require.Equal(t, 500*time.Millisecond, r.reject().RetryAfter)
	r.pass(-time.Hour)
	require.Equal(t, 500*time.Millisecond, r.reject().RetryAfter, "never longer than the interval")
	for i, e := range r.events {
		require.False(t, i > 0 && e.At.Before(r.events[i-1].At))
	}

	// A jump ahead ends intervals and windows, and no more than that.
	r.pass(100 * 365 * 24 * time.Hour)
	r.call(1, breaker.Success)
	r.is(breaker.Closed)
	r.pass(100 * 365 * 24 * time.Hour)
	r.call(1, breaker.Success)
	require.Equal(t, 1, r.Stats(r.now).Calls)
}

// Envoy#19869.
func TestCase22OpenIntervalsGrowSpreadAndResetOnEvidence(t *testing.T) {
	level := func(r *rig) time.Duration { // trip by failures, and close again by one lucky probe
		r.call(5, breaker.Failure)
		open := r.reject().RetryAfter
		r.pass(open)
		r.call(1, breaker.Success)
		r.is(breaker.Closed)
		return open
	}
	r := newRig(t, breaker.Config{})
	for _, want := range []time.Duration{500, 1000, 2000, 2500, 2500} {
		require.Equal(t, want*time.Millisecond, level(r), "one probe is no evidence")
	}
	r.pass(time.Hour)
	require.Equal(t, 2500*time.Millisecond, level(r), "nor is idleness")
	r.call(100, breaker.Success)
	r.pass(9 * time.Second)
	r.call(1, breaker.Success)
	r.pass(2 * time.Second) // the rule on runs wants two slices without success
	require.Equal(t, 2500*time.Millisecond, level(r), "nor is less than a window")
	r.pass(10 * time.Second)
	r.call(1, breaker.Success)
	r.pass(time.Minute)
	require.Equal(t, 500*time.Millisecond, level(r), "a window without a trip, and still serving, is")

	// Failed probes grow it too.
	r = newRig(t, breaker.Config{})
	r.Trip(r.now, 0, nil)
	for _, want := range []time.Duration{500, 1000, 2000, 2500, 2500} {
		require.Equal(t, want*time.Millisecond, r.reject().RetryAfter)
		r.pass(want * time.Millisecond)
		r.call(1, breaker.Failure)
	}

	// Clients that lose the endpoint at the same moment do not return together.
	seen := map[time.Duration]bool{}
	for range 100 {
		r := newRig(t, breaker.Config{Rand: rand.Float64})
		r.call(5, breaker.Failure)
		open := r.reject().RetryAfter
		require.GreaterOrEqual(t, open, 500*time.Millisecond)
		require.LessOrEqual(t, open, time.Second)
		seen[open] = true
	}
	require.Greater(t, len(seen), 90)
}

// Envoy#2671, finagle#529: the balancer decides what to do when all breakers are open. This
// package says which one will be half-open first.
func TestCase23AllEndpointsOpen(t *testing.T) {
	var rigs []*rig
	for i := range 3 {
		r := newRig(t, breaker.Config{})
		r.Trip(r.now, time.Duration(3-i)*time.Second, nil)
		r.pass(500 * time.Millisecond)
		rigs = append(rigs, r)
	}
	best := rigs[0]
	for _, r := range rigs {
		require.False(t, r.Ready(r.now))
		if r.Stats(r.now).RetryAfter < best.Stats(best.now).RetryAfter {
			best = r
		}
	}
	require.Same(t, rigs[2], best)
	require.Equal(t, 500*time.Millisecond, best.reject().RetryAfter)
	best.pass(500 * time.Millisecond)
	require.True(t, best.Ready(best.now))
}

// go-zero#5551.
func TestCase25RejectionsAreNotFedBack(t *testing.T) {
	r := newRig(t, breaker.Config{})
	r.call(5, breaker.Failure)
	before := r.Stats(r.now)
	for range 10_000 {
		r.reject()
	}
	require.Equal(t, before, r.Stats(r.now))
	r.pass(before.RetryAfter)
	r.call(1, breaker.Success)
	s := r.Stats(r.now)
	require.Equal(t, breaker.Closed, s.State)
	require.Zero(t, s.Calls)
}
