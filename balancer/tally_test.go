package balancer_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"resilientrpc/balancer"
)

// Picks and calls in flight are in one word, which many goroutines change: none of them is
// lost, and neither changes the other. The same with a limit, which is never exceeded.
func TestTallyOfConcurrentCalls(t *testing.T) {
	for _, limit := range []int{0, 3} {
		b := fleetOf(t, 1, balancer.Config{MaxInFlight: limit})
		const workers, each = 4, 5000
		var full [workers]int
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for range each {
					ticket, err := b.Pick(epoch, balancer.PickInfo{})
					if err != nil {
						full[w]++
						continue
					}
					if limit > 0 {
						assert.LessOrEqual(t, ticket.Node().InFlight(), limit)
					}
					ticket.Done(epoch, balancer.NotSent)
				}
			})
		}
		wg.Wait()
		held, err := b.Pick(epoch, balancer.PickInfo{})
		assert.NoError(t, err)
		assert.Equal(t, 1, held.Node().InFlight())
		picks := workers*each + 1
		for _, f := range full {
			picks -= f
		}
		assert.EqualValues(t, picks, held.Node().Stats(epoch).Picks)
		held.Done(epoch, balancer.NotSent)
		assert.Zero(t, held.Node().InFlight())
	}
}
