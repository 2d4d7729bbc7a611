package rpcx_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx"
)

func TestDialFailsIfNobodyIsThere(t *testing.T) {
	t.Parallel()
	inFleet(t, 2, func(t *testing.T, f *fleet) {
		f.kill("a:1")
		f.kill("b:1")
		_, err := f.dialer.Dial("tcp", f.addrs...)
		require.ErrorContains(t, err, "dial tcp a:1: connect: connection refused")
		require.ErrorContains(t, err, "dial tcp b:1: connect: connection refused")
		f.Resume("b:1")
		c, err := f.dialer.Dial("tcp", "a:1,b:1")
		require.NoError(t, err)
		defer c.Close()
		require.Equal(t, map[string]int{"b:1": 5}, where(t, c, 5))
	})
}

func TestDialContextBoundsTheDialOnly(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		c, err := f.dialer.DialContext(ctx, "tcp", "a:1")
		require.NoError(t, err)
		defer c.Close()
		cancel()
		where(t, c, 1)

		f.Blackhole("a:1")
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err = f.dialer.DialContext(ctx, "tcp", "a:1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestBadDialersAreRefused(t *testing.T) {
	for _, c := range []struct {
		d    rpcx.Dialer
		addr []string
		want string
	}{
		{rpcx.Dialer{DialTimeout: -1}, []string{"a:1"}, "Dialer.DialTimeout"},
		{rpcx.Dialer{Breaker: breaker.Config{FailureRatio: 2}}, []string{"a:1"}, "rpcx: Dialer.Breaker.FailureRatio is 2; want a value from 0 to 1"},
		{rpcx.Dialer{Breaker: breaker.Config{Window: -time.Second}}, []string{"a:1"}, "rpcx: Dialer.Breaker.Window is -1s; want at least 1ms"},
		{rpcx.Dialer{Throttle: &breaker.ThrottleConfig{Floor: 2}}, []string{"a:1"}, "rpcx: Dialer.Throttle.Floor is 2; want"},
		{rpcx.Dialer{Detector: detector.Config{WindowSize: -1}}, []string{"a:1"}, "rpcx: Dialer.Detector.WindowSize is -1; want a number from 1 to"},
		{rpcx.Dialer{Detector: detector.Config{MaxSilence: 48 * time.Hour}}, []string{"a:1"}, "rpcx: Dialer.Detector.MaxSilence is 48h0m0s; want at most 24h"},
		{rpcx.Dialer{Heartbeat: 48 * time.Hour}, []string{"a:1"}, "rpcx: Dialer.Heartbeat is 48h0m0s; want at most 24h"},
		{rpcx.Dialer{Hedge: &rpcx.Hedge{Budget: 2}}, []string{"a:1"}, "rpcx: Dialer.Hedge.Budget is 2"},
		{rpcx.Dialer{Breaker: breaker.Config{OnChange: func(breaker.Event) {}}}, []string{"a:1"}, "Trace.BreakerChanged"},
		{rpcx.Dialer{Retry: rpcx.Retry{Budget: 2}}, []string{"a:1"}, "Dialer.Retry.Budget is 2"},
		{rpcx.Dialer{Retry: rpcx.Retry{Budget: math.NaN()}}, []string{"a:1"}, "Dialer.Retry.Budget is NaN"},
		{rpcx.Dialer{Heartbeat: time.Microsecond}, []string{"a:1"}, "Dialer.Heartbeat is 1µs"},
		{rpcx.Dialer{Conns: -1}, []string{"a:1"}, "Dialer.Conns is -1"},
		{rpcx.Dialer{Conns: 1025}, []string{"a:1"}, "Dialer.Conns is 1025"},
		{rpcx.Dialer{DetectionTime: time.Millisecond}, []string{"a:1"}, "Dialer.DetectionTime is 1ms"},
		{rpcx.Dialer{DetectionTime: time.Second, Heartbeat: time.Second}, []string{"a:1"}, "Dialer.DetectionTime is set beside"},
		{rpcx.Dialer{}, []string{"a:1,,b:1"}, "empty entry"},
		{rpcx.Dialer{}, []string{"a:1,a:1"}, "listed twice"},
		{rpcx.Dialer{}, nil, "no address given"},
	} {
		_, err := c.d.Dial("tcp", c.addr...)
		require.ErrorContains(t, err, c.want)
	}
}

// Whoever forgets the unit is asked for it.
func TestDurationsWithoutAUnitAreRefused(t *testing.T) {
	for _, c := range []struct {
		d    rpcx.Dialer
		want string
	}{
		{rpcx.Dialer{CallTimeout: 5}, "rpcx: Dialer.CallTimeout is 5ns; want at least 1ms: a number without a unit is in nanoseconds, write 5*time.Second"},
		{rpcx.Dialer{CallTimeout: 5000}, "rpcx: Dialer.CallTimeout is 5µs; want at least 1ms: a number without a unit is in nanoseconds, write 5000*time.Millisecond"},
		{rpcx.Dialer{DialTimeout: 2}, "Dialer.DialTimeout is 2ns"},
		{rpcx.Dialer{QueueTimeout: 100}, "Dialer.QueueTimeout is 100ns"},
		{rpcx.Dialer{Heartbeat: 1}, "Dialer.Heartbeat is 1ns"},
		{rpcx.Dialer{DetectionTime: 3}, "Dialer.DetectionTime is 3ns"},
		{rpcx.Dialer{Hedge: &rpcx.Hedge{Delay: 50}}, "Dialer.Hedge.Delay is 50ns; want at least 1µs"},
		{rpcx.Dialer{Methods: map[string]rpcx.MethodOptions{"A.*": {Timeout: 30}}}, `Dialer.Methods["A.*"].Timeout is 30ns`},
		{rpcx.Dialer{Breaker: breaker.Config{SlowCall: 500}}, "Dialer.Breaker.SlowCall is 500ns"},
		{rpcx.Dialer{Breaker: breaker.Config{OpenFor: 5}}, "Dialer.Breaker.OpenFor is 5ns"},
		{rpcx.Dialer{Breaker: breaker.Config{MaxOpenFor: 5}}, "Dialer.Breaker.MaxOpenFor is 5ns"},
		{rpcx.Dialer{Breaker: breaker.Config{Window: 10}}, "Dialer.Breaker.Window is 10ns"},
		{rpcx.Dialer{Detector: detector.Config{AcceptablePause: 500}}, "Dialer.Detector.AcceptablePause is 500ns"},
	} {
		_, err := c.d.Dial("tcp", "a:1")
		require.ErrorContains(t, err, c.want)
	}
}

// The shortest that make sense are taken.
func TestShortDurationsAreTaken(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.CallTimeout, f.dialer.QueueTimeout = 5*time.Millisecond, time.Millisecond
		f.dialer.Hedge = &rpcx.Hedge{Delay: 200 * time.Microsecond}
		f.dialer.Breaker.SlowCall = 500 * time.Microsecond
		require.NoError(t, f.dial().Close())
	})
}
