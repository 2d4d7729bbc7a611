package balancer_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"resilientrpc/balancer"
)

// The cost rises with phi, smoothly, and an answer takes it back.
func TestSuspicion(t *testing.T) {
	spy := &viewSpy{Policy: balancer.P2C()}
	b := fleetOf(t, 3, balancer.Config{Policy: spy})
	n := b.Nodes()[0]
	score := func() float64 { return spy.view.Score(epoch, n) }
	counts(t, b, epoch, 300, 3, 10*ms)
	trusted := score()
	for _, phi := range []float64{-1, 0, .1, .3, math.NaN()} {
		n.SetSuspicion(phi)
		require.Equal(t, trusted, score(), "phi %v", phi)
		require.Zero(t, n.Stats(epoch).Suspicion)
	}
	for _, phi := range []float64{.31, .5, 1, 2, 8} {
		n.SetSuspicion(phi)
		require.InEpsilon(t, trusted*math.Pow(10, phi)/2, score(), 1e-6, "phi %v", phi)
		require.InEpsilon(t, phi, n.Stats(epoch).Suspicion, 1e-6)
	}
	n.SetSuspicion(math.Inf(1))
	require.Less(t, score(), math.MaxFloat64/1e100)
	for o, back := range map[balancer.Outcome]bool{
		balancer.Success: true, balancer.AppError: true,
		balancer.Failure: false, balancer.Canceled: false, balancer.NotSent: false,
	} {
		n.SetSuspicion(1)
		setState(b, epoch, "1", balancer.Down)
		setState(b, epoch, "2", balancer.Down)
		pick(t, b, epoch, balancer.PickInfo{}).Done(epoch, o)
		assert.Equal(t, back, n.Stats(epoch).Suspicion == 0, "%v", o)
	}
	n.SetSuspicion(1)
	setState(b, epoch, "0", balancer.Down)
	setState(b, epoch, "0", balancer.Ready)
	assert.Zero(t, n.Stats(epoch).Suspicion, "it begins anew")
}

// Suspicion is weighed against load: a node in doubt relieves the others once they
// are that much busier, and when all are under suspicion alike, none is.
func TestSuspicionIsNoVerdict(t *testing.T) {
	for _, n := range []int{3, 11} {
		b := fleetOf(t, n, balancer.Config{})
		counts(t, b, epoch, 100*n, n, 10*ms)
		b.Nodes()[0].SetSuspicion(.8) // costs 3.2 times as much
		got := make([]int, n)
		for range 6 * n {
			got[index(pick(t, b, epoch, balancer.PickInfo{}).Node())]++
		}
		assert.InDelta(t, 2, got[0], 1, "%v", got)
	}
	b := fleetOf(t, 3, balancer.Config{})
	for _, n := range b.Nodes() {
		b.SetState(epoch, n, balancer.Suspect)
		n.SetSuspicion(2)
	}
	b.Nodes()[1].SetSuspicion(1)
	for range 50 {
		ticket := pick(t, b, epoch, balancer.PickInfo{})
		require.Equal(t, 1, index(ticket.Node()), "the one most likely to live")
		ticket.Done(epoch, balancer.NotSent)
	}
}

// A viewSpy is a policy that keeps the last view it was shown.
type viewSpy struct {
	balancer.Policy
	view *balancer.View
}

func (s *viewSpy) Picker(v *balancer.View) balancer.Picker {
	s.view = v
	return s.Policy.Picker(v)
}
