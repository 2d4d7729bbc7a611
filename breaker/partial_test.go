package breaker_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilientrpc/breaker"
)

// Partial failure: ten minutes at 100 calls a second, some of which fail at
// random. Turning calls away can only lose, so the ideal is to serve all that
// the endpoint serves.
func TestPartialFailure(t *testing.T) {
	const calls, seeds = 60_000, 2
	for _, percent := range []int{1, 5, 20, 40} {
		t.Run(fmt.Sprintf("%d%%", percent), func(t *testing.T) {
			var opened, served, ideal float64
			for seed := range uint64(seeds) {
				rng := rand.New(rand.NewPCG(seed, uint64(percent)))
				r := newRig(t, breaker.Config{Rand: rng.Float64})
				for range calls {
					o := breaker.Success
					if rng.IntN(100) < percent {
						o = breaker.Failure
					} else {
						ideal++
					}
					if p, err := r.Allow(r.now); err == nil {
						p.Done(r.now, o, nil)
						if o == breaker.Success {
							served++
						}
					}
					r.pass(10 * time.Millisecond)
				}
				opened += float64(r.Stats(r.now).Trips)
			}
			t.Logf("opened %v times, served %.2f %%, ideal %.2f %%", opened, 100*served/seeds/calls, 100*ideal/seeds/calls)
			require.Less(t, 100*(ideal-served)/seeds/calls, 1.0, "percentage points lost")
			if percent <= 20 {
				require.Zero(t, opened, "wrongly")
			}
		})
	}
}
