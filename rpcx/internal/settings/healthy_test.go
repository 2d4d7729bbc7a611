package settings

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// Healthy replicas have no hedges by suspicion below a phi of 1, however long they are watched,
// and no idempotent call fails.
func TestHealthyHours(t *testing.T) {
	t.Parallel()
	for i, lasts := range map[int]time.Duration{0: time.Minute, 1: 3 * time.Minute, 6: 3 * time.Minute} {
		if *long {
			lasts = 10 * time.Hour
		}
		work := workloads[i]
		t.Run(work.name, func(t *testing.T) {
			inWorld(t, work, 1, func(w *world) { w.watch(lasts) })
		})
	}
}

// watch makes ten calls a second, and reports what the detector has done.
func (w *world) watch(lasts time.Duration) {
	const rate = 10
	var calls sync.WaitGroup
	var client atomic.Pointer[rpcx.Client]
	var verdicts [8]atomic.Int64
	var hedges, below, failed, longest atomic.Int64
	w.dialer.Trace = &rpcx.ClientTrace{
		Hedge: func(_ context.Context, i rpcx.HedgeInfo) {
			hedges.Add(1)
			for _, e := range client.Load().Stats().Endpoints {
				if e.Address == i.First && !(e.Phi >= 1) {
					below.Add(1)
				}
			}
		},
		Suspicion: func(i rpcx.SuspicionInfo) { verdicts[i.Verdict].Add(1) },
	}
	c := w.dial()
	defer c.Close()
	client.Store(c)
	r := rand.New(rand.NewPCG(1, 400)) //nolint:gosec // a seed
	for time.Since(w.began) < lasts {
		calls.Go(func() {
			start, reply := time.Now(), 0
			if c.Call("Shop.Look", 1, &reply) != nil {
				failed.Add(1)
			}
			if took := int64(time.Since(start)); took > longest.Load() {
				longest.Store(took)
			}
		})
		time.Sleep(exponential(r, time.Second/rate))
	}
	calls.Wait()
	s := c.Stats()
	w.t.Logf("%v: %d calls, %d failed, longest %v; %d hedges by suspicion, %d at a phi below 1; suspected %d times, convicted %d, spared %d",
		lasts, s.Calls, failed.Load(), time.Duration(longest.Load()).Round(ms), hedges.Load(), below.Load(),
		verdicts[rpcx.Suspected].Load(), verdicts[rpcx.Convicted].Load(), verdicts[rpcx.Spared].Load())
	require.Zero(w.t, below.Load())
	require.Zero(w.t, failed.Load())
}
