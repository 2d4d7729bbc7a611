package balancer_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// In an idle fleet of sound nodes, one slow call may not cost its node its share: at any
// rate, each node has from half to one and a half of a fair share in any 5 s. With a latency
// that rose with one slow call, the node got nothing for half a minute.
func TestLightLoadIsEven(t *testing.T) {
	t.Parallel()
	rates, seeds := []int{1, 2, 5, 20, 200, 1000}, 3
	if brief() {
		rates, seeds = rates[:5], 1
	}
	for _, slow := range []time.Duration{0, 5 * ms, 200 * ms, time.Second} {
		for _, perSecond := range rates {
			t.Run(fmt.Sprint(slow, perSecond), func(t *testing.T) {
				for seed := range uint64(seeds) {
					checkLightLoad(t, perSecond, slow, seed+1)
				}
			})
		}
	}
}

const lightNodes = 3

// checkLightLoad calls at a steady rate for 30 s. Calls take 0.2 to 0.8 ms, and one of
// them slow.
func checkLightLoad(t *testing.T, perSecond int, slow time.Duration, seed uint64) {
	s := newSim(t, lightNodes, nil, seed)
	s.serve = func(server int) (time.Duration, balancer.Outcome) {
		took := 200*time.Microsecond + time.Duration(s.rng.Int64N(int64(600*time.Microsecond)))
		if server == 0 && s.now >= 10*time.Second && slow > 0 {
			took, slow = slow, 0
		}
		return took, balancer.Success
	}
	sums := [][]int{make([]int, lightNodes)} // of the shares, before each call
	for i := range 30 * perSecond {
		s.in(time.Duration(i)*time.Second/time.Duration(perSecond), func() {
			s.call()
			sums = append(sums, append([]int(nil), s.shares...))
		})
	}
	s.run(1 << 62)
	span := 5 * perSecond
	for from := range len(sums) - span {
		for i := range lightNodes {
			share := float64(lightNodes*(sums[from+span][i]-sums[from][i])) / float64(span)
			if share < .5 || share > 1.5 {
				t.Fatalf("seed %d: from call %d on, node %d has %.2f of a fair share in 5 s", seed, from, i, share)
			}
		}
	}
}

// A node that is slow, not by chance, is found by two calls, and left alone. So is one that
// is slow from its first call on.
func TestTwoSlowCallsAreNoChance(t *testing.T) {
	for _, from := range []time.Duration{0, 10 * time.Second} {
		s := newSim(t, lightNodes, nil, 1)
		s.serve = func(server int) (time.Duration, balancer.Outcome) {
			if server == 0 && s.now >= from {
				return 50 * ms, balancer.Success
			}
			return ms / 2, balancer.Success
		}
		s.open(100, max(from, ms))
		s.shares[0] = 0
		s.open(100, s.now+20*time.Second)
		assert.LessOrEqual(t, s.shares[0], 3, "slow from %v on", from)
	}
}

// A node that is no longer slow is called again within a minute, and from then on has its
// share.
func TestSlowNodeRecovers(t *testing.T) {
	s := newSim(t, lightNodes, nil, 1)
	s.serve = func(server int) (time.Duration, balancer.Outcome) {
		if server == 0 && s.now < 10*time.Second {
			return 50 * ms, balancer.Success
		}
		return ms / 2, balancer.Success
	}
	s.open(100, 60*time.Second)
	s.shares = make([]int, lightNodes)
	s.open(100, s.now+10*time.Second)
	assert.InDelta(t, 1000/lightNodes, s.shares[0], 40, "%v", s.shares)
}

// One pause makes all calls in flight slow. That is still chance.
func TestOnePauseIsOneSlowCall(t *testing.T) {
	b, now := fleetOf(t, 1, balancer.Config{}), epoch
	call := func(took time.Duration, calls int) time.Duration {
		var held []balancer.Ticket
		for range calls {
			held = append(held, pick(t, b, now, balancer.PickInfo{}))
			now = now.Add(2 * ms)
		}
		now = now.Add(took)
		for _, ticket := range held {
			now = now.Add(2 * ms)
			ticket.Done(now, balancer.Success)
		}
		now = now.Add(2 * ms)
		return held[0].Node().Stats(now).Latency
	}
	call(0, 1)
	usual := call(0, 1)
	require.Positive(t, usual)
	assert.Equal(t, usual, call(100*ms, 4), "one pause")
	assert.Greater(t, call(100*ms, 4), 100*ms, "two")
}

// A slow call that a faster one follows is forgotten: rare slow calls never add up.
func TestSlowCallsFarApart(t *testing.T) {
	b, now := fleetOf(t, 1, balancer.Config{}), epoch
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		ticket := pick(t, b, now, balancer.PickInfo{})
		now = now.Add(ms + time.Duration(rng.Int64N(int64(ms))))
		if i%2 == 1 {
			now = now.Add(50 * ms)
		}
		ticket.Done(now, balancer.Success)
		now = now.Add(2 * ms)
		require.Less(t, ticket.Node().Stats(now).Latency, 3*ms)
	}
}

// The nodes of an idle fleet take turns. With unequal weights they get shares by weight
// instead, in TestWeightsOfRandomAndP2C.
func TestIdleNodesTakeTurns(t *testing.T) {
	for n := 2; n <= 8; n++ {
		b, now := fleetOf(t, n, balancer.Config{}), epoch
		var order []int
		for i := range 5 * n {
			now = now.Add(10 * ms)
			ticket := pick(t, b, now, balancer.PickInfo{})
			order = append(order, index(ticket.Node()))
			ticket.Done(now.Add(ms), balancer.Success)
			if i >= n {
				require.Equal(t, order[i-n], order[i], "%v", order)
			}
		}
	}
}
