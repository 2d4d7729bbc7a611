package settings

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/rpcx"
)

// A Counter serves one call at a time, in 10 ms, and refuses calls while 30 wait.
type Counter struct {
	mu    sync.Mutex // protects following
	line  int
	until time.Time // when the last one in the line has been served
}

// Serve is idempotent.
func (c *Counter) Serve(n int, reply *int) error {
	c.mu.Lock()
	if c.line == 30 {
		c.mu.Unlock()
		return errBroken
	}
	c.line++
	if now := time.Now(); c.until.Before(now) {
		c.until = now
	}
	c.until = c.until.Add(10 * ms)
	takes := time.Until(c.until)
	c.mu.Unlock()

	time.Sleep(takes)
	c.mu.Lock()
	c.line--
	c.mu.Unlock()
	*reply = n
	return nil
}

// The stock of repetitions, which is that of ten seconds, does not make an overload worse, and does
// not let it outlast its cause: servers that refuse what they cannot take serve all that they can
// meanwhile, and everything soon after.
func TestRepetitionsDoNotFeedAnOverload(t *testing.T) {
	t.Parallel()
	inWorld(t, workloads[0], 1, func(w *world) {
		w.dialer.Methods = map[string]rpcx.MethodOptions{"*": {Idempotent: rpcx.Yes}}
		w.dialer.Classify = func(string, error) rpcx.Class { return rpcx.TryElsewhere }
		c := w.dial()
		defer c.Close()
		r := rand.New(rand.NewPCG(1, 500)) //nolint:gosec // a seed
		load := func(d time.Duration, rate int) (served, failed int) {
			var calls sync.WaitGroup
			var mu sync.Mutex // protects the results
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(exponential(r, time.Second/time.Duration(rate))) {
				calls.Go(func() {
					var reply int
					err := c.Call("Counter.Serve", 1, &reply)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						failed++
						return
					}
					served++
				})
			}
			calls.Wait()
			return served, failed
		}
		const capacity = replicas * 100
		served, failed := load(10*time.Second, capacity*2/3)
		require.Zero(t, failed, served)
		before := c.Stats()
		served, failed = load(2*time.Second, 3*capacity)
		s := c.Stats()
		t.Log(served, "served,", failed, "failed;", s.Retries-before.Retries, "repetitions; a stock of", before.Budget, "before")
		require.Greater(t, before.Budget, 150.)
		require.Greater(t, served, 2*capacity)
		require.LessOrEqual(t, float64(s.Retries), 10+float64(s.Calls)/10)
		load(time.Second, capacity*2/3)
		served, failed = load(2*time.Second, capacity*2/3)
		require.Zero(t, failed, served)
	})
}
