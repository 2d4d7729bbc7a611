package balancer_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// used returns which endpoints get any of k calls at one moment.
func used(t testing.TB, b *balancer.Balancer, now time.Time, k int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range k {
		ticket := pick(t, b, now, balancer.PickInfo{Key: uint64(k), HasKey: true})
		got[ticket.Node().ID()]++
		ticket.Done(now, balancer.NotSent)
	}
	return got
}

// lost counts the keys of a that b lacks.
func lost(a, b map[string]int) int {
	n := 0
	for id := range a {
		if b[id] == 0 {
			n++
		}
	}
	return n
}

// gRFC A68: a client of a large fleet uses a subset of its own.
func TestSubsetSizes_gRFCA68(t *testing.T) {
	tests := []struct {
		endpoints, subset, want int
	}{
		{63, 0, 63},
		{64, 0, 20},
		{1000, 0, 20},
		{1000, -1, 1000},
		{1000, 50, 50},
		{40, 50, 40},
		{50, 50, 50},
		{51, 50, 50},
		{30, 4, 4},
	}
	for _, policy := range []balancer.Policy{balancer.RoundRobin(), balancer.P2C(), balancer.Random()} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%T %d %d", policy, tt.endpoints, tt.subset), func(t *testing.T) {
				b := fleetOf(t, tt.endpoints, balancer.Config{Policy: policy, Subset: tt.subset})
				assert.Len(t, used(t, b, epoch, 12*tt.endpoints), tt.want)
			})
		}
	}
}

func TestSubsetIsStable(t *testing.T) {
	b := fleetOf(t, 100, balancer.Config{Policy: balancer.RoundRobin(), SlowStart: -1})
	before := used(t, b, epoch, 100)
	require.NoError(t, b.Update(epoch, endpoints(101)))
	assert.LessOrEqual(t, lost(before, used(t, b, epoch, 100)), 1, "one comes")
	eps := endpoints(100)
	slices.Reverse(eps)
	require.NoError(t, b.Update(epoch, eps))
	assert.Equal(t, before, used(t, b, epoch, 100), "the order of the list does not count")
	for id := range before {
		eps = slices.DeleteFunc(eps, func(ep balancer.Endpoint) bool { return ep.ID == id })
		break
	}
	require.NoError(t, b.Update(epoch, eps))
	after := used(t, b, epoch, 100)
	assert.Len(t, after, 20)
	assert.Equal(t, 1, lost(before, after), "one goes")
}

// Each client has its own subset, so all together use every endpoint alike.
func TestSubsetsDiffer(t *testing.T) {
	clients := 1000
	if brief() {
		clients = 300
	}
	got := map[string]int{}
	for seed := range uint64(clients) {
		b := fleetOf(t, 100, balancer.Config{Policy: balancer.RoundRobin(), Seed: seed + 1})
		for id := range used(t, b, epoch, 20) {
			got[id]++
		}
	}
	assert.Len(t, got, 100)
	for id, c := range got {
		off := 4.7 * math.Sqrt(float64(clients)*.2*.8) // standard deviations
		assert.InDelta(t, clients/5, c, off, "endpoint %s", id)
	}
}

// A heavy endpoint is in more subsets.
func TestSubsetFollowsWeights(t *testing.T) {
	heavy := 0
	for seed := range uint64(200) {
		b := fleetOf(t, 1, balancer.Config{Policy: balancer.RoundRobin(), Seed: seed + 1, SlowStart: -1})
		eps := endpoints(100)
		eps[7].Weight = 20
		require.NoError(t, b.Update(epoch, eps))
		heavy += min(used(t, b, epoch, 20)["7"], 1)
	}
	assert.Greater(t, heavy, 180, "at weight 1 it is in 40")
}

func TestSubsetIsBackfilled(t *testing.T) {
	b := fleetOf(t, 100, balancer.Config{Policy: balancer.RoundRobin(), SlowStart: -1})
	before := used(t, b, epoch, 100)
	down := 0
	for id := range before {
		setState(b, epoch, id, balancer.Down)
		if down++; down == 19 {
			break
		}
	}
	after := used(t, b, at(20*ms), 1000)
	assert.Len(t, after, 20)
	assert.Equal(t, 19, lost(before, after))
	for id := range before {
		setState(b, at(20*ms), id, balancer.Ready)
	}
	assert.Equal(t, before, used(t, b, at(40*ms), 100), "back to the first ones")
}

// One client that carries the load of a fleet must use all of it, at once; and
// few endpoints again when the traffic is gone.
func TestSubsetFollowsTraffic(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]balancer.Policy{"P2C": nil, "RoundRobin": balancer.RoundRobin()} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 200, policy, 1)
			s.serve = func(int) (time.Duration, balancer.Outcome) { return 5*ms + s.exp(5*ms), balancer.Success }
			servers := func(perSecond float64, d time.Duration) int {
				clear(s.shares)
				s.open(perSecond, s.now+d)
				n := 0
				for _, c := range s.shares {
					n += min(c, 1)
				}
				return n
			}
			assert.Equal(t, 20, servers(100, 5*time.Second))
			assert.Equal(t, 200, servers(20_000, 300*ms), "crowded")
			assert.Less(t, slices.Max(s.shares), 3*20_000*3/10/200, "most of any")
			servers(500, 3*time.Second)
			assert.InDelta(t, 50, servers(500, 3*time.Second), 30)
			servers(100, 5*time.Second)
			assert.LessOrEqual(t, servers(100, 5*time.Second), 40)
		})
	}
}

// Calls that take long need endpoints for their number in flight, not their rate.
func TestSubsetOfSlowCalls(t *testing.T) {
	s := newSim(t, 100, nil, 1)
	s.serve = func(int) (time.Duration, balancer.Outcome) {
		return 20*time.Second + s.exp(time.Second), balancer.Success
	}
	s.open(20, 60*time.Second)
	low := 0
	for _, c := range s.shares {
		low += 1 - min(c, 1)
	}
	assert.Zero(t, low, "endpoints without a call: %v", s.shares)
}

// Two clients must agree about a key, so Hash uses all endpoints.
func TestHashHasNoSubset(t *testing.T) {
	b := fleetOf(t, 200, balancer.Config{Policy: balancer.Hash(), Subset: 10})
	assert.Len(t, slices.Compact(slices.Sorted(slices.Values(hashed(t, b, 10_000)))), 200)
}
