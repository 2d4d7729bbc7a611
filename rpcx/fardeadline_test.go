package rpcx_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// Clock is a service whose method says how much time it has.
type Clock struct{}

// Left implements a method. It returns a negative time if there is no deadline.
func (Clock) Left(args *int, left *time.Duration) error {
	*left = -1
	ctx := rpcx.ContextOf(args)
	if deadline, ok := ctx.Deadline(); ok {
		*left = time.Until(deadline)
	}
	return ctx.Err()
}

// A deadline that is too far away for a time.Duration, or nearly so, is as good as none: people
// write it for that.
func TestDeadlineFarAway(t *testing.T) {
	t.Parallel()
	for _, json := range []bool{false, true} {
		for name, deadline := range map[string]func() time.Time{
			"a century":            func() time.Time { return time.Now().AddDate(100, 0, 0) },
			"the largest duration": func() time.Time { return time.Now().Add(math.MaxInt64) },
			"the year 9999":        func() time.Time { return time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) },
			"the largest time":     func() time.Time { return time.Unix(1<<60, 0) },
		} {
			t.Run(name, func(t *testing.T) {
				inShop(t, 1, rpcx.ServeConfig{}, json, func(t *testing.T, s *shop) {
					s.extra = Clock{}
					s.restart(0)
					c := s.dial()
					defer c.Close()
					for range 2 { // with what the first reply has said of the server's clock
						ctx, cancel := context.WithDeadline(t.Context(), deadline())
						defer cancel()
						left, err := rpcx.Invoke[time.Duration](ctx, c, "Clock.Left", 1)
						require.NoError(t, err)
						require.True(t, left < 0 || left > 99*365*24*time.Hour, left)
						time.Sleep(time.Minute) // virtual
					}
				})
			})
		}
	}
}

func TestCallTimeoutFarAway(t *testing.T) {
	inShop(t, 1, rpcx.ServeConfig{}, false, func(t *testing.T, s *shop) {
		s.extra = Clock{}
		s.restart(0)
		s.dialer.CallTimeout = math.MaxInt64
		c := s.dial()
		defer c.Close()
		var left time.Duration
		require.NoError(t, c.Call("Clock.Left", 1, &left))
		require.NoError(t, (<-c.Go("Clock.Left", 1, &left, nil).Done).Error)
	})
}
