package settings

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"resilientrpc/rpcx"
)

const (
	callsPerSecond = 100
	failedCosts    = 10 * time.Second // what a failed call counts as
)

// An outcome is what the calls of a run came to.
type outcome struct {
	took     []time.Duration // sorted; failedCosts for a call that failed
	failed   int
	attempts float64 // per call
	hedges   uint64
}

// score is the duration of the slowest hundredth times the load: see the package comment.
func (o *outcome) score() time.Duration {
	worst := o.took[len(o.took)-max(len(o.took)/100, 1):]
	sum := time.Duration(0)
	for _, d := range worst {
		sum += d
	}
	return times(sum/time.Duration(len(worst)), o.attempts)
}

func (o *outcome) quantile(q float64) time.Duration {
	return o.took[int(math.Ceil(q*float64(len(o.took))))-1]
}

// measure runs a client with the options that set makes.
func measure(t *testing.T, work workload, f fault, set func(*rpcx.Dialer), seed uint64) (o outcome) {
	inWorld(t, work, seed, func(w *world) {
		set(&w.dialer)
		c := w.dial()
		defer c.Close()
		w.strike(f)
		o = w.load(c, seed, f.start == nil)
		s := c.Stats()
		o.attempts = float64(s.Calls+s.Retries+s.Hedges) / float64(s.Calls)
		o.hedges = s.Hedges
	})
	return o
}

// load makes calls until the run is over. Some buy, if a fault is no excuse.
func (w *world) load(c *rpcx.Client, seed uint64, buy bool) (o outcome) {
	r := rand.New(rand.NewPCG(seed, 200)) //nolint:gosec // a seed
	var calls sync.WaitGroup
	var mu sync.Mutex // protects o
	for i := 1; time.Since(w.began) < runFor; i++ {
		method := "Shop.Look"
		if buy && i%10 == 0 {
			method = "Shop.Buy"
		}
		calls.Go(func() {
			start, reply := time.Now(), 0
			err := c.Call(method, i, &reply)
			took := time.Since(start)
			if start.Sub(w.began) < warmup {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil || reply != i {
				took = failedCosts
				o.failed++
			}
			o.took = append(o.took, took)
		})
		time.Sleep(exponential(r, time.Second/callsPerSecond))
	}
	calls.Wait()
	slices.Sort(o.took)
	return o
}
