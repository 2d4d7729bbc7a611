package balancer

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// WeightedRoundRobin returns the policy that gives every node calls in
// proportion to its weight, exactly over a cycle and evenly within it.
//
// It is the static-stride scheduler of gRFC A58: the shared counter alone says
// whose turn it is, so picks do not wait for each other. That one skips many
// turns when a single weight is much larger than the others; here a node with
// more than the mean weight has several slots, and a pick takes a few turns at
// most on average.
func WeightedRoundRobin() Policy { return weighted{} }

type weighted struct{}

func (weighted) Picker(v *View) Picker { return &stridePicker{view: v, slots: newSlots(v.nodes)} }

type stridePicker struct {
	view *View
	slots
}

// Pick lets turns pass until one fits, as RoundRobin does.
func (p *stridePicker) Pick(now time.Time, in PickInfo) *Node {
	return p.view.first(now, &in, p.next)
}

// next returns the node of the next turn. In most rounds a slot of weight w
// lets its turn pass, and takes w of every p.most; the slots' rounds are
// shifted against each other so that not all are taken at once.
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

// slots are the nodes of a view such that their weights differ little: a node
// is listed as often as its weight exceeds the mean, with its weight divided.
type slots struct {
	nodes   []*Node
	weights []uint64
	most    uint64 // the largest of weights
	even    bool   // whether weights are all the same
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
		place  float64 // between 0 and 1: spreads the slots of one node
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

// draw returns a random node, with a probability in proportion to its weight,
// and what the random number r has left for another draw. A slot of less than
// the largest weight is rejected in proportion.
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
