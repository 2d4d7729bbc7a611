package settings

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// usualLatency is the 99.9th percentile of calls in a LAN.
const usualLatency = 10 * ms

// New calls leave a replica that freezes by the first tenth of a second for which it owes an
// answer, beyond its usual latency.
func TestNewCallsLeaveAFrozenReplica(t *testing.T) {
	t.Parallel()
	seeds := 1
	if *long {
		seeds = 10
	}
	for _, detect := range []time.Duration{0, time.Second} {
		for _, rate := range []int{20, 200, 1000} {
			t.Run(fmt.Sprintf("detection %v, %d a second", detect, rate), func(t *testing.T) {
				var worst time.Duration
				var most int
				for seed := range seeds {
					late, calls := newCallsAfterFreeze(t, detect, rate, uint64(seed+1)) //nolint:gosec // small
					worst, most = max(worst, late), max(most, calls)
				}
				t.Logf("the last new call: after %v of owed silence; %d new calls", worst, most)
				require.LessOrEqual(t, worst, usualLatency+100*ms)
			})
		}
	}
}

// newCallsAfterFreeze freezes a replica, and returns how long it has owed an answer when the last
// call chose it at first, and how many did. It ends when the replica is convicted.
func newCallsAfterFreeze(t *testing.T, detect time.Duration, rate int, seed uint64) (late time.Duration, calls int) {
	inWorld(t, workloads[0], seed, func(w *world) {
		var mu sync.Mutex // protects following
		var frozen, convicted bool
		var owed, last time.Time
		waiting := 0 // for answers of the first replica
		w.dialer.DetectionTime = detect
		w.dialer.Trace = &rpcx.ClientTrace{
			AttemptStart: func(ctx context.Context, a rpcx.AttemptInfo) context.Context {
				mu.Lock()
				defer mu.Unlock()
				if a.Endpoint != w.addrs[0] {
					return ctx
				}
				waiting++
				if frozen && !convicted && a.Attempt == 1 {
					last = a.Started
					calls++
					if owed.IsZero() {
						owed = a.Started
					}
				}
				return ctx
			},
			AttemptDone: func(_ context.Context, a rpcx.AttemptInfo) {
				mu.Lock()
				defer mu.Unlock()
				if a.Endpoint == w.addrs[0] {
					waiting--
				}
			},
			Suspicion: func(i rpcx.SuspicionInfo) {
				mu.Lock()
				defer mu.Unlock()
				convicted = convicted || i.Endpoint == w.addrs[0] && i.Verdict == rpcx.Convicted
			},
		}
		isConvicted := func() bool {
			mu.Lock()
			defer mu.Unlock()
			return convicted
		}
		c := w.dial()
		defer c.Close()
		r := rand.New(rand.NewPCG(seed, 300)) //nolint:gosec // a seed
		var all sync.WaitGroup
		load := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end) && !isConvicted(); time.Sleep(exponential(r, time.Second/time.Duration(rate))) {
				all.Go(func() {
					var reply int
					if err := c.Call("Shop.Look", 1, &reply); err != nil {
						t.Error(err)
					}
				})
			}
		}
		load(min(2*time.Second, 1000*time.Second/time.Duration(rate)))
		w.Stall(w.addrs[0])
		mu.Lock()
		if frozen = true; waiting > 0 {
			owed = time.Now()
			last = owed
		}
		mu.Unlock()
		load(3 * time.Second)
		time.Sleep(30 * time.Second) // it may have to owe more for a conviction, by chance
		w.Resume(w.addrs[0])
		all.Wait()
		require.True(t, isConvicted())
		late = last.Sub(owed)
	})
	return late, calls
}
