package balancer_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// With concurrent picks no node exceeds its limit, and after an error all nodes are full.
func TestMaxInFlightIsExact(t *testing.T) {
	const nodes, limit, pickers, rounds = 3, 2, 8, 2_000
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			b := fleetOf(t, nodes, balancer.Config{Policy: policy, MaxInFlight: limit})
			var held [nodes]atomic.Int64
			var wg sync.WaitGroup
			for range pickers {
				wg.Go(func() {
					for range rounds {
						ticket, err := b.Pick(at(time.Second), balancer.PickInfo{})
						if err != nil {
							assert.ErrorIs(t, err, balancer.ErrAllFull)
							continue
						}
						i := index(ticket.Node())
						if n := held[i].Add(1); n > limit {
							t.Errorf("%d calls in flight", n)
						}
						held[i].Add(-1)
						ticket.Done(at(2*time.Second), balancer.Success)
					}
				})
			}
			wg.Wait()
			var tickets []balancer.Ticket
			for range nodes * limit { // nothing has leaked
				tickets = append(tickets, pick(t, b, at(3*time.Second), balancer.PickInfo{}))
			}
			_, err := b.Pick(at(3*time.Second), balancer.PickInfo{})
			require.ErrorIs(t, err, balancer.ErrAllFull)
			tickets[0].Done(at(4*time.Second), balancer.NotSent)
			got := pick(t, b, at(4*time.Second), balancer.PickInfo{})
			require.Equal(t, tickets[0].Node(), got.Node(), "the only one with room")
		})
	}
}

// If the subset is full, it grows.
func TestMaxInFlightOutgrowsTheSubset(t *testing.T) {
	b := fleetOf(t, 200, balancer.Config{MaxInFlight: 1})
	for range 200 { // all at one moment
		pick(t, b, at(time.Second), balancer.PickInfo{})
	}
	_, err := b.Pick(at(time.Second), balancer.PickInfo{})
	require.ErrorIs(t, err, balancer.ErrAllFull)
	for _, n := range b.Nodes() {
		b.SetState(at(time.Second), n, balancer.Down)
	}
	_, err = b.Pick(at(time.Second), balancer.PickInfo{})
	require.ErrorIs(t, err, balancer.ErrAllDown)
}
