package balancer

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// WeightedRoundRobin returns the policy that picks nodes in proportion to their weights,
// exactly over a cycle and evenly within it.
//
// It is the static stride scheduler of gRFC A58, which needs only a shared counter, with one
// change: a node with more than the mean weight has several slots. So a pick tries few
// slots on average, even if one weight is much larger than the others.
func WeightedRoundRobin() Policy { return weighted{} }

type weighted struct{}

func (weighted) Picker(v *View) Picker { return &stridePicker{view: v, slots: newSlots(v.nodes)} }

type stridePicker struct {
	view *View
	slots
}

// Pick takes numbers from the shared counter until the node can be picked.
func (p *stridePicker) Pick(now time.Time, in PickInfo) *Node {
	return p.view.first(now, &in, p.next)
}

// next returns the next node. A round is one pass over the slots. A slot with weight w is
// returned in w of p.most rounds, which differ from slot to slot, so that the picks of a
// cycle are spread evenly.
func (p *stridePicker) next() *Node {
	size := uint64(len(p.slots.nodes))
	for {
		turn := p.view.Seq()
		i, round := turn%size, turn/size
		w := p.weights[i]
		if (w*(round%p.most)+i*(p.most/2))%p.most >= p.most-w {
			return p.slots.nodes[i]
		}
	}
}

// slots are the nodes of a view, with similar weights: a node with k times the mean
// weight has k slots, rounded up, among which its weight is divided.
type slots struct {
	nodes   []*Node
	weights []uint64
	most    uint64 // the largest of weights
	even    bool   // whether all weights are equal
}

func newSlots(nodes []*Node) slots {
	weights, count := make([]int64, len(nodes)), int64(len(nodes))
	divisor, total := int64(0), int64(0)
	for i, n := range nodes {
		weights[i] = int64(n.Weight())
		divisor = gcd(weights[i], divisor)
	}
	for i := range weights {
		weights[i] /= divisor
		total += weights[i]
	}
	type slot struct {
		node   *Node
		weight int64
		place  float64 // from 0 to 1: spreads the slots of one node
	}
	var all []slot
	for i, n := range nodes {
		k := (weights[i]*count + total - 1) / total
		for j := range k {
			w := weights[i] / k
			if j < weights[i]%k {
				w++
			}
			all = append(all, slot{n, w, (float64(j) + 0.5) / float64(k)})
		}
	}
	slices.SortStableFunc(all, func(a, b slot) int { return cmp.Compare(a.place, b.place) })
	s := slots{nodes: make([]*Node, len(all)), weights: make([]uint64, len(all))}
	for i, slot := range all {
		s.nodes[i], s.weights[i] = slot.node, uint64(slot.weight)
		s.most = max(s.most, s.weights[i])
	}
	s.even = !slices.ContainsFunc(s.weights, func(w uint64) bool { return w != s.most })
	return s
}

// draw returns a random node, with a probability in proportion to its weight, and a random
// number for another draw. It draws a slot and rejects it with a probability by its weight
// relative to the largest.
func (s *slots) draw(v *View, r uint64) (*Node, uint64) {
	for {
		i, rest := bits.Mul64(r, uint64(len(s.nodes)))
		if s.even {
			return s.nodes[i], rest
		}
		r = v.Rand()
		if uint64(below(r, int(s.most))) < s.weights[i] {
			return s.nodes[i], v.Rand()
		}
		r = v.Rand()
	}
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
