package balancer

import "time"

// P2C returns the default policy: the lower Score of two random nodes ("power
// of two choices"), or the lowest of all when they are few.
//
// Of up to eight nodes it looks at all, because with two bad ones of four a
// sample of two is bad every sixth time (brpc#3340). Of more it looks at two
// different ones, and at up to two further when the better costs much more
// than the fleet; at 16 if servers report their load (Node.Report). Chance decides
// between equal ones, so that no node is preferred for its place in the list
// (envoy#31507); nodes of about the fleet's latency that have equally many calls in
// flight are equal.
func P2C() Policy { return p2c{} }

type p2c struct{}

func (p2c) Picker(v *View) Picker {
	if len(v.nodes) <= scanSize {
		return &scanPicker{v}
	}
	return &samplePicker{view: v, slots: newSlots(v.nodes)}
}

const (
	scanSize = 8
	// far is how many times the fleet's latency a node may cost before another
	// is looked for.
	far = 2
	// samples is the most nodes that one pick of a large fleet looks at.
	samples = 4
	// lcg makes the next of several random numbers from the last (Knuth's MMIX),
	// of which only the high bits are used. Drawing each anew costs more than
	// all else.
	lcg = 6364136223846793005
)

type scanPicker struct{ view *View }

func (p *scanPicker) Pick(now time.Time, in PickInfo) *Node {
	if len(p.view.nodes) == 1 {
		return p.view.nodes[0]
	}
	return p.best(p.view.owner.nanos(now), &in)
}

// best returns the usable node of the lowest score. It keeps a reservoir of
// one: of nodes with equal scores, each is the one kept with a probability in
// proportion to its weight.
func (p *scanPicker) best(t int64, in *PickInfo) *Node {
	v, fleet := p.view, p.view.owner.fleet.norm()
	var best *Node
	lowest, tied, r := infinity, 0.0, uint64(0)
	for _, n := range v.nodes {
		if !v.usable(n, in) {
			continue
		}
		score, _ := v.weigh(t, n, fleet)
		if best != nil && score > lowest {
			continue
		}
		weight := float64(n.weight.Load())
		if best == nil || score < lowest {
			lowest, tied = score, 0
		}
		tied += weight
		if tied == weight {
			best = n
			continue
		}
		if r == 0 {
			r = v.Rand()
		}
		if r = r*lcg + 1; fraction(r)*tied < weight {
			best = n
		}
	}
	return best
}

type samplePicker struct {
	view *View
	slots
}

func (p *samplePicker) Pick(now time.Time, in PickInfo) *Node {
	v := p.view
	t, fleet := v.owner.nanos(now), v.owner.fleet.norm()
	var best, n *Node
	bestScore, bestCost := infinity, infinity
	r := v.Rand()
	for looked := range fleet.looks(len(v.nodes)) {
		if looked >= 2 && fleet.reports() == 0 && (fleet.latency == 0 || bestCost <= far*fleet.latency) {
			break
		}
		if n, r = p.another(&in, best, r); n == nil {
			continue
		}
		// The order of drawing is random, so the first may keep a tie.
		if score, cost := v.weigh(t, n, fleet); score < bestScore {
			best, bestScore, bestCost = n, score, cost
		}
	}
	return best
}

// another returns a random usable node other than one, or nil if a few draws
// find none, and what is left of the random number. Drawing the same node twice
// would send it calls without a comparison (grpc-java#12237).
func (p *samplePicker) another(in *PickInfo, other *Node, r uint64) (*Node, uint64) {
	v := p.view
	for range retries {
		n, rest := p.draw(v, r)
		if n != other && v.usable(n, in) {
			return n, rest
		}
		r = v.Rand()
	}
	return nil, r
}
