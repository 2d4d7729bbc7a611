package rpcx_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

func TestThrottle(t *testing.T) {
	t.Parallel()
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
		require.ErrorContains(t, err, "rpcx: Dialer.Throttle.K is 0.5; want at least 1")
	})
}
