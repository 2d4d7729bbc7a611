package balancer_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"resilientrpc/balancer"
)

// A node that fails half of its calls gets none in a sound fleet. In an overloaded one, in
// which all nodes fail calls, it gets some while the others have calls in flight. A node that
// fails all calls gets none.
func TestPenaltyUnderStrain(t *testing.T) {
	half, all := penalties(t, 0, 1)
	assert.Greater(t, half, 20.0, "in a sound fleet")
	assert.Greater(t, all, 50.0)
	half, all = penalties(t, 1, 1)
	assert.Less(t, half, 2.0, "in an overloaded fleet")
	assert.Greater(t, all, 20.0)
	half, _ = penalties(t, 1, 2)
	assert.Less(t, half, 2.0, "in an overloaded fleet of which a part died long ago")
}

// penalties returns the scores of two nodes as multiples of another's: of one that fails half
// of its calls, and of one that fails all, as do so many in all. Others fail usual of ten.
func penalties(t *testing.T, usual, dead int) (half, all float64) {
	spy := &viewSpy{Policy: &fixed{}}
	b, now := fleetOf(t, 10, balancer.Config{Policy: spy}), epoch
	fails := []int{5, 10, usual, usual, usual, usual, usual, usual, usual, usual}
	for i := range dead {
		fails[1+i] = 10
	}
	for i := range 4000 {
		node := i % len(fails)
		spy.Policy.(*fixed).node = node
		o := balancer.Success
		if i/10*fails[node]%10 < fails[node] {
			o = balancer.Failure
		}
		now = now.Add(2 * ms)
		ticket := pick(t, b, now, balancer.PickInfo{})
		ticket.Done(now.Add(ms), o)
	}
	score := func(i int) float64 { return spy.view.Score(now, b.Nodes()[i]) }
	return score(0) / score(9), score(1) / score(9)
}

// fixed picks the node at an index of the view.
type fixed struct{ node int }

func (f *fixed) Picker(v *balancer.View) balancer.Picker { return &fixedPicker{f, v} }

type fixedPicker struct {
	*fixed
	view *balancer.View
}

func (p *fixedPicker) Pick(time.Time, balancer.PickInfo) *balancer.Node {
	return p.view.Nodes()[p.node]
}

// Nodes of a large fleet that die at the same time are no overload: what has failed a call is
// avoided, although so many healthy nodes fail one. The fleet is replaced in ten batches; each
// batch is dead for half a second, in which a client calls each of its nodes about once.
func TestBatchesOfALargeFleetDie(t *testing.T) {
	t.Parallel()
	const n, perSecond, batch, away = 500, 500, 50, time.Second / 2
	fails, seeds := 0, 4
	if brief() {
		seeds = 1
	}
	for seed := range uint64(seeds) {
		s := newSim(t, n, nil, seed+1)
		dead, all := -1, 0
		s.serve = func(node int) (time.Duration, balancer.Outcome) {
			if node/batch != dead {
				return s.exp(200 * ms), balancer.Success
			}
			all++
			return ms, balancer.Failure
		}
		for i := range n / batch {
			died := 5*time.Second + time.Duration(i)*time.Second
			s.in(died, func() { dead = i })
			s.in(died+away, func() {
				dead = -1
				for id := i * batch; id < (i+1)*batch; id++ {
					setState(s.b, at(s.now), strconv.Itoa(id), balancer.Down)
					setState(s.b, at(s.now), strconv.Itoa(id), balancer.Ready)
				}
			})
		}
		s.open(perSecond, 15*time.Second)
		fails += all
	}
	blind := perSecond * int(away) / int(time.Second) * seeds // what picks at random would fail
	t.Logf("%.2f of the failures of picks at random", float64(fails)/float64(blind))
	assert.Less(t, fails, blind*115/100)
}

// A node that got no calls for a while must not get more than its share afterwards: its
// latency, without the peaks of recent calls, is the lowest.
func TestIdleNodeIsNotPreferred(t *testing.T) {
	t.Parallel()
	const n, perSecond = 20, 1000
	got, seeds, off := 0, 10, .1
	if brief() {
		seeds, off = 3, .2
	}
	for seed := range uint64(seeds) {
		s := newSim(t, n, nil, seed+1)
		s.serve = func(int) (time.Duration, balancer.Outcome) { return s.exp(20 * ms), balancer.Success }
		s.open(perSecond, 10*time.Second)
		setState(s.b, at(s.now), "0", balancer.Suspect)
		s.open(perSecond, 20*time.Second)
		setState(s.b, at(s.now), "0", balancer.Ready)
		before := s.shares[0]
		s.open(perSecond, s.now+time.Second)
		got += s.shares[0] - before
	}
	assert.InDelta(t, 1, float64(got)/float64(seeds*perSecond/n), off)
}
