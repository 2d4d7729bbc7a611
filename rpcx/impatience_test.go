package rpcx_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// hurry calls Sleep with less patience than it takes, from so many goroutines, until the
// test is over.
func hurry(t *testing.T, c *rpcx.Client, callers int, patience time.Duration, takes func(i int) time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	for range callers {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := 0; ctx.Err() == nil; i++ {
				ctx, cancel := context.WithTimeout(ctx, patience)
				err := c.CallContext(ctx, "Bank.Sleep", takes(i), new(string))
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
			}
		}()
	}
	return func() {
		cancel()
		for range callers {
			<-done
		}
	}
}

func always(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

// Callers that allow a method less than it takes do not take the endpoint away from the
// others (cep21/circuit#94).
func TestImpatienceWithOneMethodIsNotTheEndpoints(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		patience, takes time.Duration
		callers         int
	}{
		{"short", 50 * time.Millisecond, 300 * time.Millisecond, 4},
		{"middling", 150 * time.Millisecond, 300 * time.Millisecond, 20},
		{"long", 500 * time.Millisecond, 3 * time.Second, 20},
		{"nearly", 280 * time.Millisecond, 300 * time.Millisecond, 20},
		{"never answered", 200 * time.Millisecond, 30 * time.Minute, 20},
	} {
		for _, replicas := range []int{1, 3} {
			t.Run(tt.name, func(t *testing.T) {
				inFleet(t, replicas, func(t *testing.T, f *fleet) {
					c := f.dial()
					defer c.Close()
					time.Sleep(time.Second)
					where(t, c, 30)
					defer hurry(t, c, tt.callers, tt.patience, always(tt.takes))()
					for range 100 {
						where(t, c, 1)
						time.Sleep(50 * time.Millisecond)
					}
					for _, e := range c.Stats().Endpoints {
						require.Zero(t, e.Trips, "%v", e.Cause)
					}
				})
			})
		}
	}
}

// Nor do those of a method that takes long every other time.
func TestImpatienceWithAMethodOfTwoMinds(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		takes := func(i int) time.Duration { return time.Duration(i%2*290+10) * time.Millisecond }
		stop := hurry(t, c, 4, time.Second, takes) // the method is known
		time.Sleep(10 * time.Second)
		stop()
		defer hurry(t, c, 4, 50*time.Millisecond, takes)()
		for range 400 {
			where(t, c, 1)
			time.Sleep(50 * time.Millisecond)
		}
		for _, e := range c.Stats().Endpoints {
			require.Zero(t, e.Trips, "%v", e.Cause)
		}
	})
}

// An endpoint at which a method has become slow is found by what the method took there,
// and stays found by what it takes at the others, however long that lasts.
func TestSlowEndpointIsFound(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		f.dialer.Balancer = balancer.RoundRobin() // P2C would avoid it by itself
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		where(t, c, 300)
		f.Delay("a:1", time.Second)
		for range 2 {
			failed := 0
			for range 1500 {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				if err := c.CallContext(ctx, "Bank.Where", struct{}{}, new(string)); err != nil {
					failed++
				}
				cancel()
				time.Sleep(20 * time.Millisecond)
			}
			require.Less(t, failed, 150)
		}
		require.NotZero(t, c.Stats().Endpoints[0].Trips)
		require.Zero(t, c.Stats().Endpoints[1].Trips+c.Stats().Endpoints[2].Trips)
	})
}

// Without pings, a dead peer is found by its silence, whatever its callers' patience and
// whether or not the method is known.
func TestDeadPeerIsFoundByImpatientCalls(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{"patient": time.Second, "impatient": 50 * time.Millisecond} {
		for _, known := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inFleet(t, 1, func(t *testing.T, f *fleet) {
					f.dialer.Heartbeat = -1
					c := f.dial()
					defer c.Close()
					if known {
						for range 20 {
							_, err := rpcx.Invoke[string](t.Context(), c, "Bank.Sleep", 300*time.Millisecond)
							require.NoError(t, err)
						}
					}
					f.Stall("a:1")
					begin := time.Now()
					for c.Stats().Endpoints[0].State == breaker.Closed {
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						require.Error(t, c.CallContext(ctx, "Bank.Sleep", 300*time.Millisecond, new(string)))
						cancel()
						require.Less(t, time.Since(begin), 10*time.Second)
					}
				})
			})
		}
	}
}

// A single deadline that passes after long is none of many: others were answered meanwhile.
func TestLongDeadlineBesideAnswers(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		c := f.dial()
		defer c.Close()
		defer hurry(t, c, 20, 5*time.Second, always(30*time.Minute))()
		for range 1000 {
			where(t, c, 1)
			time.Sleep(50 * time.Millisecond)
		}
		require.Zero(t, c.Stats().Endpoints[0].Trips)
	})
}

// Where no call is answered, although pings are, deadlines are the endpoint's failures.
func TestEndpointThatAnswersNoCallIsFound(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Retry.MaxAttempts = -1
		c := f.dial()
		defer c.Close()
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			require.Error(t, c.CallContext(ctx, "Bank.Sleep", time.Hour, new(string)))
			cancel()
		}
		require.ErrorIs(t, c.Call("Bank.Where", struct{}{}, new(string)), breaker.ErrOpen)
	})
}
