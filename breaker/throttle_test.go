package breaker_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

func newThrottle(tb testing.TB, cfg breaker.ThrottleConfig) *breaker.Throttle {
	tb.Helper()
	if cfg.Rand == nil {
		cfg.Rand = rand.New(rand.NewPCG(1, 2)).Float64
	}
	t, err := breaker.NewThrottle(cfg)
	require.NoError(tb, err)
	return t
}

// offer makes calls at rate per second for d to a server that accepts at most
// capacity per second, and returns how many were sent, per second.
func offer(t *breaker.Throttle, now *time.Time, rate, capacity int, d time.Duration) float64 {
	sent := 0
	for range int(d / time.Second) {
		accepts := 0
		for range rate {
			if t.Allow(*now) == nil {
				sent++
				if accepts < capacity {
					accepts++
					t.Accept(*now)
				}
			}
			*now = now.Add(time.Second / time.Duration(rate))
		}
	}
	return float64(sent) / d.Seconds()
}

func TestThrottleIsTheBooksFormula(t *testing.T) {
	th := newThrottle(t, breaker.ThrottleConfig{Floor: 0.001, Rand: func() float64 { return 1 }})
	for requests := range 200 {
		for range requests % 3 {
			th.Accept(epoch)
		}
		require.NoError(t, th.Allow(epoch))
	}
	// 200 requests, 199 accepts
	require.Zero(t, th.Reject(epoch))
	for range 400 {
		require.NoError(t, th.Allow(epoch))
	}
	require.InDelta(t, (600-2*199.0)/601, th.Reject(epoch), 1e-12)
	require.InDelta(t, (600-2*199.0)/601, th.Reject(epoch.Add(2*time.Minute-time.Nanosecond)), 1e-12)
	require.Zero(t, th.Reject(epoch.Add(2*time.Minute)), "forgotten")
}

func TestThrottleSendsKTimesWhatIsAccepted(t *testing.T) {
	for _, k := range []float64{1.5, 2, 3} {
		th, now := newThrottle(t, breaker.ThrottleConfig{K: k}), epoch
		require.InDelta(t, 100, offer(th, &now, 100, 100, time.Minute), 0, "a healthy server sees every call")
		offer(th, &now, 100, 25, 3*time.Minute)
		require.InEpsilon(t, k*25, offer(th, &now, 100, 25, 5*time.Minute), 0.05)
	}
}

func TestThrottleRecoversFromAnOutage(t *testing.T) {
	th, now := newThrottle(t, breaker.ThrottleConfig{}), epoch
	offer(th, &now, 100, 0, 10*time.Minute)
	require.InDelta(t, 0.95, th.Reject(now), 1e-12)
	require.InDelta(t, 5, offer(th, &now, 100, 0, 5*time.Minute), 1, "the floor")
	offer(th, &now, 100, 100, 270*time.Second)
	require.InDelta(t, 100, offer(th, &now, 100, 100, time.Minute), 1)

	offer(th, &now, 100, 0, 10*time.Second)
	require.InDelta(t, 100, offer(th, &now, 100, 100, time.Minute), 0, "a short outage is none of its business")
}

func TestThrottleConcurrently(t *testing.T) {
	th := newThrottle(t, breaker.ThrottleConfig{Rand: func() float64 { return 1 }})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10_000 {
				_ = th.Allow(epoch)
				_ = th.Allow(epoch)
				_ = th.Allow(epoch)
				th.Accept(epoch)
			}
		})
	}
	wg.Wait()
	require.InDelta(t, (120_000-2*40_000.0)/120_001, th.Reject(epoch), 1e-12)
}

func TestNewThrottleNamesTheBadField(t *testing.T) {
	for want, cfg := range map[string]breaker.ThrottleConfig{
		"breaker: ThrottleConfig.K is 0.5; want at least 1":               {K: 0.5},
		"breaker: ThrottleConfig.Window is -1s; want at least 1ms":        {Window: -time.Second},
		"breaker: ThrottleConfig.Floor is -1; want a value from 0 to 1":   {Floor: -1},
		"breaker: ThrottleConfig.Floor is 1.01; want a value from 0 to 1": {Floor: 1.01},
	} {
		_, err := breaker.NewThrottle(cfg)
		require.EqualError(t, err, want)
	}
}

func BenchmarkThrottle(b *testing.B) {
	th, clk := newThrottle(b, breaker.ThrottleConfig{}), clock{Time: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		now := clk.tick()
		if err := th.Allow(now); err != nil {
			b.Fatal(err)
		}
		th.Accept(now)
	}
}
