package rpcx_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
	"resilientrpc/detector"
	"resilientrpc/rpcx"
)

// watchViews keeps what the client says of the views.
func (f *fleet) watchViews() (seen *[]detector.Comparison, log *lines) {
	seen, log = new([]detector.Comparison), new(lines)
	f.dialer.Logger = slog.New(slog.NewTextHandler(log, nil))
	f.dialer.Trace = &rpcx.ClientTrace{ViewsDiffer: func(i rpcx.ViewsInfo) { *seen = append(*seen, i.Comparison) }}
	return seen, log
}

// tries makes calls of half a second for so long, whatever comes of them.
func tries(t *testing.T, c *rpcx.Client, d time.Duration, method string, args any) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < d; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		c.CallContext(ctx, method, args, new(string)) //nolint:errcheck // see above
		cancel()
	}
}

// A frozen server is no false alarm, and its return none either: while its breaker is
// open, no calls are made that could have a view of it. Here the breaker opens by the calls'
// deadlines, after the detector's first doubt and before its verdict.
func TestFrozenServerIsNoFalseAlarm(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 3} {
		inFleet(t, replicas, func(t *testing.T, f *fleet) {
			seen, log := f.watchViews()
			c := f.dial()
			defer c.Close()
			tries(t, c, 15*time.Second, "Bank.Where", struct{}{})
			for _, a := range f.addrs {
				f.Stall(a)
			}
			for range 60 {
				go func() {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					defer cancel()
					c.CallContext(ctx, "Bank.Where", struct{}{}, new(string)) //nolint:errcheck // it fails
				}()
			}
			time.Sleep(2100 * time.Millisecond)
			require.Equal(t, breaker.Open, c.Stats().Endpoints[0].State)
			time.Sleep(time.Minute)
			for _, a := range f.addrs {
				f.Resume(a)
			}
			tries(t, c, 15*time.Second, "Bank.Where", struct{}{})
			require.Equal(t, breaker.Closed, c.Stats().Endpoints[0].State)
			require.Empty(t, *seen)
			require.Empty(t, log.with("its calls"))
		})
	}
}

// The breaker opens as the calls fail while the detector only doubts: it must not keep its
// doubt for a view.
func TestBreakerOpensBeforeTheVerdict(t *testing.T) {
	t.Parallel()
	inFleet(t, 3, func(t *testing.T, f *fleet) {
		seen, _ := f.watchViews()
		c := f.dial()
		defer c.Close()
		tries(t, c, 10*time.Second, "Bank.Where", struct{}{})
		f.Stall("a:1")
		for c.Stats().Endpoints[0].Phi < 1.5 {
			time.Sleep(10 * time.Millisecond)
		}
		f.kill("a:1") // its connection ends, and its dials fail
		tries(t, c, 15*time.Second, "Bank.Where", struct{}{})
		f.Resume("a:1")
		tries(t, c, 15*time.Second, "Bank.Where", struct{}{})
		require.Empty(t, *seen)
	})
}

// A gray failure is a warning, and its end is none.
func TestGrayFailureEndsWithoutAWarning(t *testing.T) {
	t.Parallel()
	inFleet(t, 1, func(t *testing.T, f *fleet) {
		f.dialer.Breaker.Disabled = true
		seen, log := f.watchViews()
		c := f.dial()
		defer c.Close()
		time.Sleep(time.Second)
		tries(t, c, 30*time.Second, "Bank.Sleep", time.Hour)
		require.Equal(t, []detector.Comparison{detector.GrayFailure}, *seen)
		time.Sleep(2 * time.Minute)
		require.Len(t, *seen, 1, "no call has a view")
		tries(t, c, time.Minute, "Bank.Where", struct{}{})
		require.Equal(t, []detector.Comparison{detector.GrayFailure, detector.Agree}, *seen)
		require.Len(t, log.with("endpoint answers pings, but its calls fail"), 1)
		again := log.with("detector and calls agree again")
		require.Len(t, again, 1)
		require.Contains(t, again[0], "level=INFO")
	})
}
