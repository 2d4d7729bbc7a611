package rpcx_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/rpcx"
)

func TestDialFailsIfNobodyIsThere(t *testing.T) {
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
		{rpcx.Dialer{Breaker: breaker.Config{FailureRatio: 2}}, []string{"a:1"}, "FailureRatio is 2"},
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
