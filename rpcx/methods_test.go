package rpcx_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

// One method of an endpoint that hangs takes the others with it, or does not.
func TestBreakerPerMethod(t *testing.T) {
	for _, per := range []bool{false, true} {
		inFleet(t, 1, func(t *testing.T, f *fleet) {
			f.dialer.BreakerPerMethod = per
			f.dialer.Retry.MaxAttempts = -1
			var opened atomic.Value
			f.dialer.Trace = &rpcx.ClientTrace{BreakerChanged: func(i rpcx.BreakerInfo) {
				if i.To == breaker.Open {
					opened.Store(i.Method)
				}
			}}
			c := f.dial()
			defer c.Close()
			hang := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				return c.CallContext(ctx, "Bank.Sleep", time.Hour, new(string))
			}
			for range 10 {
				require.Error(t, hang())
			}
			err := c.Call("Bank.Where", struct{}{}, new(string))
			if !per {
				require.ErrorIs(t, err, breaker.ErrOpen)
				require.Empty(t, opened.Load())
				return
			}
			require.NoError(t, err)
			require.Equal(t, "Bank.Sleep", opened.Load())
			require.ErrorIs(t, hang(), breaker.ErrOpen, "and it fails fast")
			time.Sleep(10 * time.Second)
			require.NoError(t, c.Call("Bank.Sleep", time.Millisecond, new(string)), "a call is its probe")
			require.NoError(t, c.Call("Bank.Sleep", time.Millisecond, new(string)))

			f.kill("a:1") // of which the endpoint's breaker is the judge
			require.Error(t, c.Call("Bank.Where", struct{}{}, new(string)))
			require.Equal(t, breaker.Open, c.Stats().Endpoints[0].State)
		})
	}
}

func TestThrottle(t *testing.T) {
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Breaker.Disabled = true
		f.dialer.Throttle = &breaker.ThrottleConfig{Window: 10 * time.Second}
		c := f.dial()
		defer c.Close()
		throttled := 0
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			err := c.CallContext(ctx, "Bank.Sleep", time.Hour, new(string))
			cancel()
			require.Error(t, err)
			if ce := callError(t, err); ce.Attempts == 0 {
				require.ErrorIs(t, err, breaker.ErrThrottled)
				require.Equal(t, rpcx.NotSent, ce.Sent)
				throttled++
			}
			time.Sleep(10 * time.Millisecond)
		}
		require.Greater(t, throttled, 500)
		for range 3000 {
			c.Call("Bank.Where", struct{}{}, new(string)) //nolint:errcheck // until it recovers
			time.Sleep(10 * time.Millisecond)
		}
		where(t, c, 100)

		f.dialer.Throttle = &breaker.ThrottleConfig{K: 0.5}
		_, err := f.dialer.Dial("tcp", "a:1")
		require.ErrorContains(t, err, "ThrottleConfig.K is 0.5")
	})
}
