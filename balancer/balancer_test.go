package balancer_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

func policies() map[string]balancer.Policy {
	return map[string]balancer.Policy{
		"P2C":                balancer.P2C(),
		"RoundRobin":         balancer.RoundRobin(),
		"WeightedRoundRobin": balancer.WeightedRoundRobin(),
		"Random":             balancer.Random(),
		"Hash":               balancer.Hash(),
	}
}

func TestPickBeforeUpdate(t *testing.T) {
	b, err := balancer.New(balancer.Config{})
	require.NoError(t, err)
	_, err = b.Pick(epoch, balancer.PickInfo{})
	assert.ErrorIs(t, err, balancer.ErrNoEndpoints)
	assert.Nil(t, b.Nodes())
	assert.False(t, setState(b, epoch, "a", balancer.Down))
}

func TestUpdateRejects(t *testing.T) {
	tests := []struct {
		name string
		eps  []balancer.Endpoint
		want string
	}{
		{"empty ID", []balancer.Endpoint{{ID: "a"}, {}}, "Endpoint.ID of endpoint 1 is empty"},
		{"repeated ID", []balancer.Endpoint{{ID: "a"}, {ID: "b"}, {ID: "a"}}, `"a" is listed twice, at 0 and 2`},
		{"negative weight", []balancer.Endpoint{{ID: "a", Weight: -1}}, `Endpoint.Weight of "a" is -1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := fleetOf(t, 2, balancer.Config{})
			assert.ErrorContains(t, b.Update(epoch, tt.eps), tt.want)
			assert.Len(t, b.Nodes(), 2, "the list is as before")
		})
	}
}

func TestUpdateToNothing(t *testing.T) {
	b := fleetOf(t, 2, balancer.Config{})
	ticket := pick(t, b, epoch, balancer.PickInfo{})
	require.NoError(t, b.Update(epoch, nil))
	assert.Empty(t, b.Nodes())
	assert.Empty(t, b.InUse(epoch))
	_, err := b.Pick(epoch, balancer.PickInfo{})
	assert.ErrorIs(t, err, balancer.ErrNoEndpoints)
	ticket.Done(epoch, balancer.Success)
	require.NoError(t, b.Update(epoch, endpoints(2)))
	assert.False(t, pick(t, b, epoch, balancer.PickInfo{}).Node().Stats(epoch).Warming, "as of the first Update")
}

// Tiers: untried Ready, untried Suspect, tried Ready, tried Suspect, nothing.
func TestTiers(t *testing.T) {
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			b := fleetOf(t, 3, balancer.Config{Policy: policy})
			setState(b, epoch, "1", balancer.Suspect)
			setState(b, epoch, "2", balancer.Down)
			nodes := b.Nodes()
			for range 100 {
				var in balancer.PickInfo
				want := []*balancer.Node{nodes[0], nodes[1], nodes[0]}
				for _, n := range want {
					ticket := pick(t, b, epoch, in)
					require.Same(t, n, ticket.Node())
					in.Try(ticket.Node())
				}
			}
			setState(b, epoch, "0", balancer.Draining)
			assert.Same(t, nodes[1], pick(t, b, epoch, balancer.PickInfo{}).Node())
			var in balancer.PickInfo
			in.Try(nodes[1])
			assert.Same(t, nodes[1], pick(t, b, epoch, in).Node(), "a tried suspect is better than nothing")
			setState(b, epoch, "1", balancer.Down)
			_, err := b.Pick(epoch, in)
			assert.ErrorIs(t, err, balancer.ErrAllDown)
		})
	}
}

func TestRoundRobinIsExact(t *testing.T) {
	b := fleetOf(t, 7, balancer.Config{Policy: balancer.RoundRobin()})
	for i, c := range counts(t, b, epoch, 7000, 7, time.Millisecond) {
		assert.Equal(t, 1000, c, "endpoint %d", i)
	}
}

// All methods concurrently: for the race detector, and to check that the counts are right and
// no Down node is picked.
func TestConcurrent(t *testing.T) {
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			b := fleetOf(t, 20, balancer.Config{Policy: policy, SlowStart: time.Millisecond})
			stop := make(chan struct{})
			var churn, callers sync.WaitGroup
			churn.Go(func() { churnStates(b, stop) })
			churn.Go(func() { churnMembers(b, stop) })
			for range 4 {
				callers.Go(func() { callMany(t, b) })
			}
			callers.Wait()
			close(stop)
			churn.Wait()
			for _, n := range b.Nodes() {
				assert.Zero(t, n.InFlight(), n.ID())
			}
		})
	}
}

func callMany(t *testing.T, b *balancer.Balancer) {
	for i := range 3000 {
		now := at(time.Duration(i) * time.Millisecond)
		ticket, err := b.Pick(now, balancer.PickInfo{Key: uint64(i), HasKey: true})
		if err != nil {
			assert.ErrorIs(t, err, balancer.ErrAllDown)
			continue
		}
		_ = ticket.Node().Stats(now)
		ticket.Node().Report(now, rand.IntN(9))
		ticket.Done(now.Add(time.Millisecond), balancer.Outcome(rand.IntN(5)))
	}
}

func churnStates(b *balancer.Balancer, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
			now := at(time.Duration(i) * time.Millisecond)
			nodes := b.Nodes()
			n := nodes[rand.IntN(len(nodes))]
			b.SetState(now, n, balancer.State(rand.IntN(4)))
			b.Suspend(now, nodes[rand.IntN(len(nodes))])
		}
	}
}

func churnMembers(b *balancer.Balancer, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
			now := at(time.Duration(i) * time.Millisecond)
			_ = b.Update(now, endpoints(10+rand.IntN(10)))
		}
	}
}

// A burst of state changes in a large fleet is one rebuild, and no Pick sees a
// node's old state meanwhile.
func TestFlappingIsCoalesced(t *testing.T) {
	counter := &countingPolicy{Policy: balancer.P2C()}
	b := fleetOf(t, 500, balancer.Config{Policy: counter})
	before := counter.pickers
	for i := range 500 {
		setState(b, at(ms), fmt.Sprint(i), balancer.Down)
	}
	assert.Equal(t, before, counter.pickers)
	_, err := b.Pick(at(ms), balancer.PickInfo{})
	assert.ErrorIs(t, err, balancer.ErrAllDown)
	setState(b, at(2*ms), "7", balancer.Ready)
	assert.Equal(t, 7, index(pick(t, b, at(2*ms), balancer.PickInfo{}).Node()), "never ErrAllDown when one is ready")
	setState(b, at(3*ms), "8", balancer.Ready)
	pick(t, b, at(20*ms), balancer.PickInfo{})
	assert.LessOrEqual(t, counter.pickers-before, 4)
}

type countingPolicy struct {
	balancer.Policy
	pickers int
}

func (p *countingPolicy) Picker(v *balancer.View) balancer.Picker {
	p.pickers++
	return p.Policy.Picker(v)
}
